//! `medsa-edge pin`: hash of a PIN.

use std::io::Write;
use std::process::Stdio;

use medsa_edge::config::PinHash;

use crate::harness::edge_command;

/// Exit code, standard output and standard error for this input.
fn pin(typed: &str) -> (i32, String, String) {
    let mut child = edge_command(&["pin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may refuse the first line before it reads the second.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn hash_of_a_pin_is_printed_for_the_configuration() {
    let hashes = [pin("271828\n271828\n"), pin("271828\n271828\n")].map(|(code, printed, said)| {
        assert_eq!((code, said.contains("271828")), (0, false), "{said}");
        let hash = printed.strip_prefix("pin_hash = \"").unwrap().strip_suffix("\"\n").unwrap();
        hash.parse::<PinHash>().unwrap()
    });
    assert!(hashes.iter().all(|hash| hash.verify("271828") && !hash.verify("271829")));
    assert!(hashes[0] != hashes[1], "each has a salt of its own");
}

#[test]
fn unsuitable_pin_is_refused_without_repeating_it() {
    for (typed, expected) in [
        ("314\n", "the PIN is unsuitable, expected 4 to 12 digits"),
        ("31415x\n", "the PIN is unsuitable, expected 4 to 12 digits"),
        ("", "the PIN is unsuitable, expected 4 to 12 digits"),
        ("31415\n31416\n", "the PIN is different the second time, expected the same PIN twice"),
        ("31415\n", "the PIN is different the second time, expected the same PIN twice"),
    ] {
        let (code, printed, said) = pin(typed);
        assert_eq!((code, &*printed), (2, ""), "{said}");
        assert!(said.ends_with(&format!("medsa-edge: {expected}\n")), "{said}");
        assert!(!said.contains("314"), "{said}");
    }
}
