//! Manual pages and completions for shells, which packages contain (`edge/manual`). After a change of
//! the command line, `MEDSA_WRITE_DOCS=1` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use super::Cli;

/// Files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text)
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

#[test]
fn manual_is_that_of_the_program() {
    let made = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(Cli::command(), made.path()).unwrap();
    for shell in Shell::value_variants() {
        if matches!(shell, Shell::Bash | Shell::Fish | Shell::Zsh) {
            clap_complete::generate_to(*shell, &mut Cli::command(), "medsa-edge", made.path())
                .unwrap();
        }
    }
    let made = files(made.path());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manual");
    if std::env::var_os("MEDSA_WRITE_DOCS").is_some() {
        for (name, text) in &made {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let kept = files(&folder);
    assert_eq!(kept.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
    for (name, text) in &made {
        assert!(kept[name] == *text, "{name} is not that of the program: see {}", file!());
    }
}
