//! The direction of imports between the modules of `edge`, as ARCHITECTURE.md states it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Heading of the table in ARCHITECTURE.md.
const HEADING: &str = "## Layers of `edge`";

/// Layer of each module, counted from the top of the table.
fn layers() -> BTreeMap<String, usize> {
    let text = fs::read_to_string("../ARCHITECTURE.md").unwrap();
    let section = text.split_once(HEADING).unwrap().1;
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let mut layers = BTreeMap::new();
    for (layer, row) in rows.enumerate() {
        let modules = row.split('|').nth(1).unwrap();
        for name in modules.split('`').skip(1).step_by(2) {
            assert_eq!(layers.insert(name.to_owned(), layer), None, "{name} is in two rows");
        }
    }
    layers
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Modules of the crate that a file imports, outside of its tests and comments.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => found.push(name(after)),
            Some(list) => {
                let (mut depth, mut start) = (0, 0);
                for (at, character) in list.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            found.push(name(list[start..at].trim()));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.push(name(list[start..at].trim()));
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Source files with the module of the crate that they belong to, except `lib.rs` and `main.rs`.
fn modules() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let module = |path: PathBuf| {
        let inside = path.strip_prefix("src").unwrap().with_extension("");
        (inside.iter().next().unwrap().to_str().unwrap().to_owned(), path)
    };
    let modules = files.into_iter().map(module);
    modules.filter(|(module, _)| module != "lib" && module != "main").collect()
}

#[test]
fn adapters_see_the_core_only_through_the_port() {
    for (module, path) in modules() {
        if ["http", "mqtt", "records", "updates"].contains(&&*module) {
            for import in imports(&fs::read_to_string(&path).unwrap()) {
                let core = ["pipeline", "source"].contains(&&*import);
                assert!(!core, "{} imports {import}, expected port", path.display());
            }
        }
    }
}

#[test]
fn modules_import_only_layers_below_their_own() {
    let layers = layers();
    let mut wrong = Vec::new();
    let mut known: Vec<_> = layers.keys().collect();
    for (module, path) in modules() {
        known.retain(|known| **known != module);
        let layer = layers.get(&module);
        let layer = layer.unwrap_or_else(|| panic!("{module} is not in the table"));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            // The crate's error is imported by its short name.
            let import = if import == "Error" { "error".to_owned() } else { import };
            if import != module && layers.get(&import).is_none_or(|below| below <= layer) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not below: {wrong:#?}");
    assert!(known.is_empty(), "the table has modules that do not exist: {known:?}");
}
