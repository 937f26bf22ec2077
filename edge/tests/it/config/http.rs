//! The table `[http]`.

use std::path::Path;

use medsa_edge::config::{Config, Encryption, HttpControl};

use super::MINIMAL;

#[test]
fn http_control_is_off_by_default_and_guarded() {
    let control_of = |source: &str, lines: &str| {
        let text = format!("{}\n[http]\n{lines}\n", MINIMAL.replace("[source]", source));
        let config = Config::parse(Path::new("etc/edge.toml"), &text);
        config.map(|config| config.http.unwrap().control).map_err(|error| error.to_string())
    };
    let control = |lines: &str| control_of("[source]\nblank = []", lines);
    let (here, everywhere) = ("listen = \"[::1]:0\"", "listen = \"0.0.0.0:80\"");
    let token = "token_file = \"http.token\"";
    let on = "control = true";
    assert_eq!(control(everywhere), Ok(HttpControl::Off));
    assert_eq!(control(&format!("{here}\n{on}")), Ok(HttpControl::ThisMachine));
    let guarded = Ok(HttpControl::Token("etc/http.token".into()));
    let tls = "certificate = \"http.pem\"\nkey = \"http.key\"";
    let everywhere_with_tls = format!("{everywhere}\n{tls}");
    for listen in [here, &everywhere_with_tls] {
        assert_eq!(control(&format!("{listen}\n{on}\n{token}")), guarded);
    }
    let refused = control(&format!("{everywhere}\n{on}")).unwrap_err();
    assert!(
        refused.starts_with("etc/edge.toml: http.token_file is missing, expected"),
        "{refused}"
    );
    let refused = control(&format!("{here}\n{token}")).unwrap_err();
    assert!(refused.contains("no such key without control = true"), "{refused}");
    // Frames are shown on this machine without `blank`, but not to others.
    assert_eq!(control_of("[source]", &format!("{here}\n{on}\n{token}")), guarded);
    let shown = format!("{everywhere_with_tls}\n{on}\n{token}");
    let refused = control_of("[source]", &shown).unwrap_err();
    assert!(refused.starts_with("etc/edge.toml: source.blank is missing, expected"), "{refused}");
}

#[test]
fn http_for_other_machines_must_be_encrypted() {
    let encryption = |lines: &str| {
        let source = "[source]\nblank = []";
        let text = format!("{}\n[http]\n{lines}\n", MINIMAL.replace("[source]", source));
        let config = Config::parse(Path::new("etc/edge.toml"), &text);
        config.map(|config| config.http.unwrap().encryption).map_err(|error| error.to_string())
    };
    let (here, everywhere) = ("listen = \"[::1]:0\"", "listen = \"0.0.0.0:80\"");
    let (cert, key) = ("certificate = \"http.pem\"", "key = \"http.key\"");
    let (control, proxy) = ("control = true\ntoken_file = \"http.token\"", "behind_proxy = true");
    // Metrics and health contain no patient data.
    assert_eq!(encryption(everywhere), Ok(Encryption::Off));
    let own = Encryption::Own { certificate: "etc/http.pem".into(), key: "etc/http.key".into() };
    assert_eq!(encryption(&format!("{everywhere}\n{control}\n{cert}\n{key}")), Ok(own));
    for listen in [here, everywhere] {
        assert_eq!(encryption(&format!("{listen}\n{control}\n{proxy}")), Ok(Encryption::Proxy));
    }
    for (lines, expected) in [
        (format!("{everywhere}\n{control}"), "http.certificate is missing, expected a certif"),
        (format!("{here}\ncontrol = true\n{proxy}"), "http.token_file is missing, expected"),
        (format!("{here}\n{cert}"), "http.key is missing, expected the private key of"),
        (format!("{here}\n{key}"), "http.certificate is missing, expected the certificate of"),
        (format!("{here}\n{cert}\n{key}\n{proxy}"), "http.behind_proxy is true, expected"),
    ] {
        let refused = encryption(&lines).unwrap_err();
        assert!(refused.starts_with(&format!("etc/edge.toml: {expected}")), "{refused}");
    }
}
