//! Descriptions of boards: all are valid, and an invalid one is an error with file and key.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use medsa_boards::Board;

fn boards() -> PathBuf {
    std::env::var("CARGO_MANIFEST_DIR").unwrap().into()
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}: run tools/setup.sh test"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn full_output_is_reported() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut flash = Command::new(env!("CARGO_BIN_EXE_medsa-flash"));
    let output = flash.args(["list", "--boards"]).arg(boards()).stdout(full).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let expected = "medsa-flash: cannot write to standard output: No space left on device";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn every_description_is_consistent_with_compiler_and_emulator() {
    let boards = Board::read_all(&boards()).unwrap();
    let names: Vec<&str> = boards.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["imx8mp-evk", "jetson-orin-nano", "raspberry-pi-4", "raspberry-pi-5", "rock-5b"];
    assert_eq!(names, expected);
    let emulated = printed("qemu-aarch64", &["-cpu", "help"]);
    let emulated: BTreeSet<&str> = emulated.split_whitespace().collect();
    for (name, Board { target, cpu, inference, .. }) in &boards {
        let known = printed("rustc", &["--print", "target-cpus", "--target", target]);
        assert!(known.split_whitespace().any(|known| known == cpu.core), "{name}: {}", cpu.core);
        assert!(emulated.contains(cpu.emulated_as.as_str()), "{name}: {}", cpu.emulated_as);
        let (first, last) = inference.cpus.split_once('-').unwrap();
        let [first, last] = [first, last].map(|cpu| cpu.parse::<u32>().unwrap());
        assert!(last < cpu.cores && last - first + 1 == inference.threads, "{name}");
    }
}

#[test]
fn unknown_key_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("board.toml"), "name = \"x\"\ncolour = 3\n").unwrap();
    let error = Board::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("board.toml") && error.contains("colour"), "{error}");
}
