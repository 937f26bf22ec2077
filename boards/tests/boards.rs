//! Every board's description can be read, and a wrong one says what is wrong.

use std::fs;
use std::path::Path;

use medsa_boards::Board;

#[test]
fn every_described_board_is_readable() {
    let boards = Board::read_all(Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap())).unwrap();
    assert!(
        boards.iter().any(|(folder, board)| folder == "raspberry-pi-5" && board.cpu.dot_product)
    );
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("board.toml"), "name = \"x\"\ncolour = 3\n").unwrap();
    let error = Board::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("board.toml") && error.contains("colour"), "{error}");
}
