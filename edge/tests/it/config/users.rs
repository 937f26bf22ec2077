//! Users and the lock of screens.

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{Config, Pin, PinHash};

use super::{MINIMAL, refusal};

const HASH: &str = "pbkdf2-sha256:100000:000102030405060708090a0b0c0d0e0f:\
                    ee741eb40ba9d5bda0c1ac8a0ec2ff859620e9fac8f36f4aae85639d0567476a";

fn user(name: &str, hash: &str) -> String {
    format!("[[user]]\nname = {name:?}\npin_hash = {hash:?}\n")
}

/// The refusal of a configuration with a page and these sections.
fn refused(http: &str, users: &[String]) -> String {
    refusal(&format!("{MINIMAL}[http]\ncontrol = true\n{http}\n{}", users.concat()))
}

#[test]
fn screens_of_users_lock_after_ten_minutes() {
    let parse = |text: &str| Config::parse(Path::new("edge.toml"), text).unwrap().http.unwrap();
    let http = format!("{MINIMAL}[http]\ncontrol = true\n");
    assert!(parse(&http).sign_in.is_none());
    let with_user = parse(&format!("{http}{}", user(" Anna ", HASH))).sign_in.unwrap();
    assert_eq!(with_user.lock_after, Duration::from_secs(600));
    let [anna] = with_user.users.as_slice() else { panic!("{with_user:?}") };
    assert_eq!(anna.name.as_str(), "Anna");
    assert!(anna.pin.verify("2580"));
    for wrong in ["2581", "258", "", "25800"] {
        assert!(!anna.pin.verify(wrong), "{wrong}");
    }
    assert!(!format!("{with_user:?}").contains("ee741eb4"));
    let soon = parse(&format!("{http}lock_after_min = 0.5\n{}", user("Anna", HASH)));
    assert_eq!(soon.sign_in.unwrap().lock_after, Duration::from_secs(30));
}

#[test]
fn wrong_users_are_named_with_their_key() {
    let anna = || user("Anna", HASH);
    let name = "expected 1 to 64 visible characters without \\ ^ =";
    for (http, users, expected) in [
        ("", vec![anna(), user("", HASH)], format!("user[1].name is \"\", {name}")),
        ("", vec![user("Weber^Anna", HASH)], format!("user[0].name is \"Weber^Anna\", {name}")),
        ("", vec![anna(), anna()], "user[1].name is \"Anna\", expected a name of its own".into()),
        (
            "",
            vec![user("Anna", "2580")],
            "user[0].pin_hash is another value, expected the text that `medsa-edge pin` prints"
                .into(),
        ),
        ("lock_after_min = 0", vec![anna()], "http.lock_after_min is 0, expected 0.01 to".into()),
        ("lock_after_min = 5", vec![], "user is missing, expected a user, with".into()),
        ("", vec![anna(); 65], "user is 65 users, expected at most 64".into()),
    ] {
        let found = refused(http, &users);
        assert!(found.starts_with(&format!("edge.toml: {expected}")), "{found}");
    }
    let found = refusal(&format!("{MINIMAL}{}", anna()));
    let expected = "edge.toml: http.control is false, expected true with [[user]]";
    assert!(found.starts_with(expected), "{found}");
    // A PIN under another name is not repeated in messages.
    for line in ["pin = \"2580\"", "pin_hash = 2580", "pin_hash = 2580 0"] {
        let found = refusal(&format!(
            "{MINIMAL}[http]\ncontrol = true\n[[user]]\nname = \"Anna\"\n{line}\n"
        ));
        assert!(found.contains("pin") && !found.contains("2580"), "{found}");
    }
}

#[test]
fn damaged_hashes_are_refused() {
    for wrong in [
        &HASH[..HASH.len() - 2],
        &HASH.replace("100000", "99999"),
        &HASH.replace("100000", "10000001"),
        &HASH.replace("sha256", "sha1"),
        &HASH.replace("00010203", "0001020g"),
        &format!("{HASH}:00"),
        "",
    ] {
        assert!(wrong.parse::<PinHash>().is_err(), "{wrong}");
    }
    for wrong in ["123", "1234567890123", "12 4", "12a4", "１２３４", ""] {
        assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
    }
}
