//! The table `[broker]`.

use super::{refusal, with};

#[test]
fn broker_credentials_must_be_consistent() {
    let broker = |lines: &str| refusal(&with("kind = \"embedded\"", lines));
    let plain = "kind = \"external\"\nurl = \"mqtt://b\"\n";
    let encrypted = "kind = \"external\"\nurl = \"mqtts://b\"\n";
    let line = broker(&format!("{plain}ca_file = \"ca.pem\""));
    assert!(
        line.starts_with("edge.toml: broker.ca_file is \"ca.pem\", expected no such"),
        "{line}"
    );
    assert!(line.ends_with("use mqtts://"), "{line}");
    assert_eq!(
        broker(&format!("{encrypted}client_cert = \"c.pem\"")),
        "edge.toml: broker.client_key is missing, expected the private key of client_cert"
    );
    assert_eq!(
        broker(&format!("{plain}password_file = \"p\"")),
        "edge.toml: broker.user is missing, expected the user whose password is in password_file"
    );
    let line = broker("kind = \"embedded\"\nca_file = \"ca.pem\"");
    assert!(line.starts_with("edge.toml: broker.ca_file is set, expected no such key"), "{line}");
    let line = broker("kind = \"embedded\"\nuser = \"u\"");
    assert!(line.contains("supports neither TLS nor users"), "{line}");
    assert_eq!(
        broker("kind = \"embedded\"\nclient_id = \"a b\""),
        "edge.toml: broker.client_id is \"a b\", expected 1 to 128 printable ASCII characters \
         without spaces"
    );
}

#[test]
fn password_is_not_repeated_in_messages() {
    let broker = |lines: &str| refusal(&with("kind = \"embedded\"", lines));
    let line = broker("kind = \"external\"\nurl = \"mqtt://u:sesame@b\"");
    assert!(line.contains("\"mqtt://...@b\"") && !line.contains("sesame"), "{line}");
    let line = broker("kind = \"embedded\"\npassword = \"sesame\"");
    assert!(line.contains("unknown field `password`") && !line.contains("sesame"), "{line}");
}
