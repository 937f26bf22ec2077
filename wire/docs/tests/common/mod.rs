//! Generated messages in both forms, and programs that read them.
// Each test file uses only a part of this module.
#![allow(dead_code)]

use std::io::Write;
use std::process::{Command, Stdio};

use medsa_wire::json::{self, ToJson};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

#[path = "../../../tests/common/mod.rs"]
pub mod strategies;

/// A message in both forms.
pub struct Forms {
    pub compact: String,
    pub json: String,
}

impl Forms {
    pub fn of<M: ToJson>(message: &M) -> Self {
        let mut buffer = vec![0; M::MAX_ENCODED_LEN];
        let compact = hex::encode(message.encode(&mut buffer).expect("a valid message"));
        Self { compact, json: json::encode(message) }
    }
}

/// `count` generated messages, always the same.
pub fn generate<M: ToJson>(count: usize, strategy: impl Strategy<Value = M>) -> Vec<Forms> {
    let mut runner = TestRunner::deterministic();
    let mut next = || strategy.new_tree(&mut runner).expect("a value").current();
    (0..count).map(|_| Forms::of(&next())).collect()
}

/// Runs a program with the lines as its input, and returns the lines of its output.
pub fn converse(command: &mut Command, lines: &[String]) -> Vec<String> {
    try_converse(command, lines).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Like [`converse`]; if the program fails, returns what it wrote about it.
pub fn try_converse(command: &mut Command, lines: &[String]) -> Result<Vec<String>, String> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = lines.join("\n") + "\n";
    // By another thread, since the program may print before it has read everything. It may also fail
    // before that, which its status tells.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("writing does not panic");
    if output.status.success() {
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        Ok(lines.lines().map(str::to_owned).collect())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
