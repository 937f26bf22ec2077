//! All problems of a configuration at once.
//!
//! The parser stops at its first error, and so does the check of each section. Therefore a key with an
//! error is blanked out, and the rest is checked again, until nothing new is found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::error::Error;
use super::values::Config;

/// Problems of a configuration, and its other parts.
#[derive(Debug)]
pub struct Examined {
    /// The problems, in the order in which they were found.
    pub problems: Vec<Error>,
    /// The configuration without the keys that have a problem; `None` if something is missing then.
    pub config: Option<Config>,
    /// Sections with a problem, such as `source`.
    pub sections: BTreeSet<String>,
}

/// Examines `text`, the content of `file`.
pub(super) fn examine(file: &Path, text: &str) -> Examined {
    let mut text = text.to_owned();
    let mut examined = Examined { problems: Vec::new(), config: None, sections: BTreeSet::new() };
    // Lists of sections, such as `prompt`, of which one was blanked out: the others count anew.
    let mut shortened = BTreeSet::new();
    loop {
        let found = match check::parse(file, &text) {
            Ok(config) => {
                examined.config = Some(config);
                return examined;
            }
            Err(found) => found,
        };
        let entries = entries(&text);
        let (mut keys, mut elements) = (Vec::new(), Vec::new());
        for error in found {
            let place = Place::of(&error, &text, &entries);
            let is_known = examined.knows(&error, &place);
            // A section that lacks a key which was blanked out is blanked out, too: otherwise, the
            // parser would not get beyond it.
            if is_known && matches!(error, Error::Value { .. }) && place.element.is_none() {
                continue;
            }
            match &place.element {
                Some(element) if matches!(error, Error::Value { .. }) || is_known => {
                    elements.push((place.section.clone(), element.clone()));
                }
                _ => keys.extend(place.range.clone()),
            }
            if !is_known && !shortened.contains(&place.section) {
                examined.sections.insert(place.section);
                examined.problems.push(error);
            }
        }
        let mut blanked = false;
        for range in keys {
            blanked |= blank(&mut text, range);
        }
        if blanked {
            continue;
        }
        for (section, range) in elements {
            blanked |= blank(&mut text, range);
            shortened.insert(section);
        }
        if !blanked {
            return examined;
        }
    }
}

impl Examined {
    /// True for a problem that was found before, or is a consequence of a key blanked out.
    fn knows(&self, error: &Error, place: &Place) -> bool {
        let is_same = |known: &Error| match (known, error) {
            (Error::Value { key: known, .. }, Error::Value { key, .. }) => known == key,
            (known, error) => known.to_string() == error.to_string(),
        };
        let is_missing = match error {
            Error::Value { found, .. } => found == "missing",
            Error::Syntax { reason, .. } => reason.starts_with("missing field"),
            Error::File(_) => false,
        };
        self.problems.iter().any(is_same) || is_missing && self.sections.contains(&place.section)
    }
}

/// Place of a problem in the file.
struct Place {
    /// Name of the section.
    section: String,
    /// The key with its value, or the whole section.
    range: Option<Range<usize>>,
    /// The whole section, if there are several of the name, such as `prompt[0]`.
    element: Option<Range<usize>>,
}

impl Place {
    fn of(error: &Error, text: &str, entries: &[Entry]) -> Self {
        let found = match error {
            Error::Syntax { line, .. } => {
                let at = start_of_line(text, *line);
                let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
                // The innermost entry is the last.
                let touches = |entry: &&Entry| entry.range.start < end && entry.range.end > at;
                entries.iter().rfind(touches)
            }
            Error::Value { key, .. } => {
                // The last brackets may count the elements of a value.
                let whole = key.rsplit_once('[').map_or(key.as_str(), |(key, _)| key);
                let named = |path: &str| entries.iter().find(|entry| entry.path == path);
                named(key).or_else(|| named(whole))
            }
            Error::File(_) => None,
        };
        let path = match (found, error) {
            (Some(entry), _) => entry.path.as_str(),
            (None, Error::Value { key, .. }) => key,
            _ => "",
        };
        let section = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let element = path.find(']').map(|end| &path[..=end]);
        let element = element.and_then(|path| entries.iter().find(|entry| entry.path == path));
        Self {
            section,
            range: found.map(|entry| entry.range.clone()),
            // Brackets of a value, such as those of `source.blank[1]`, come after a dot.
            element: element
                .filter(|entry| !entry.path.contains('.'))
                .map(|entry| entry.range.clone()),
        }
    }
}

/// A key with its value, or a section.
struct Entry {
    /// Path as in messages, such as `prompt[0].object`.
    path: String,
    range: Range<usize>,
}

/// All sections and keys, outer ones first; none if the text is not TOML.
fn entries(text: &str) -> Vec<Entry> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let mut entries = Vec::new();
    add(&mut entries, "", table.get_ref());
    // A section has the range of its head so far, and reaches to the next one.
    let is_head = |entry: &Entry| text[entry.range.clone()].starts_with('[');
    let mut heads: Vec<usize> =
        entries.iter().filter(|entry| is_head(entry)).map(|entry| entry.range.start).collect();
    heads.sort_unstable();
    for entry in entries.iter_mut().filter(|entry| is_head(entry)) {
        let next = heads.iter().find(|head| **head > entry.range.start);
        entry.range.end = next.copied().unwrap_or(text.len());
    }
    entries
}

fn add(entries: &mut Vec<Entry>, parent: &str, table: &DeTable) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if parent.is_empty() { name.to_string() } else { format!("{parent}.{name}") };
        let elements: Vec<&Spanned<DeValue>> = match value.get_ref() {
            DeValue::Array(elements) => elements.iter().collect(),
            _ => Vec::new(),
        };
        if !elements.is_empty() && elements.iter().all(|element| element.get_ref().is_table()) {
            for (index, element) in elements.into_iter().enumerate() {
                add_section(entries, &format!("{path}[{index}]"), element);
            }
        } else if value.get_ref().is_table() {
            add_section(entries, &path, value);
        } else {
            entries.push(Entry { path, range: key.span().start..value.span().end });
        }
    }
}

fn add_section(entries: &mut Vec<Entry>, path: &str, section: &Spanned<DeValue>) {
    entries.push(Entry { path: path.to_owned(), range: section.span() });
    if let Some(table) = section.get_ref().as_table() {
        add(entries, path, table);
    }
}

/// Replaces a range by spaces, so that other positions stay. Returns false if nothing changes, or if the
/// rest would not be TOML, as without a key of an inline table.
fn blank(text: &mut String, range: Range<usize>) -> bool {
    let spaces = |byte| if byte == b'\n' { '\n' } else { ' ' };
    let spaces: String = text[range.clone()].bytes().map(spaces).collect();
    let rest = [&text[..range.start], &spaces, &text[range.end..]].concat();
    let changes = rest != *text && DeTable::parse(&rest).is_ok();
    if changes {
        *text = rest;
    }
    changes
}

/// Position of the first byte of a line, which counts from 1.
fn start_of_line(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let examined = examine(Path::new("edge.toml"), text);
        examined.problems.iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn all_problems_of_a_section_are_found() {
        let found = problems(
            "[source]\nkind = \"images\"\npath = \"clip\"\nrate_fps = 1000\nlop = true\n\
             at_end = 3\nregion = [1, 2, -3, 4]\npixel_spacing_mm = [0.1, 1000]\n\
             [[prompt]]\nobject = 9\npoints = [\n  \"1,2\",\n  \"x\",\n]\n\
             [[prompt]]\nobject = 0\npoints = [\"y\"]\n[recrods]\nfolder = \"kept\"\n\
             [output]\nqueue_masks = 0\nstats_interval_s = 0\n",
        );
        let expected = [
            "edge.toml:5: `lop = true`: unknown field `lop`, did you mean `loop`?",
            "edge.toml:6: `at_end = 3`: ",
            "edge.toml:18: `[recrods]`: unknown field `recrods`, did you mean `records`?",
            "edge.toml: source.rate_fps is 1000, expected 0.1 to 240",
            "edge.toml: source.region is [1, 2, -3, 4], expected",
            "edge.toml: source.pixel_spacing_mm is 1000, expected 0.001 to 100",
            "edge.toml: prompt[0].object is 9, expected 0 to 7",
            "edge.toml: prompt[0].points is \"x\", expected",
            "edge.toml: prompt[1].points is \"y\", expected",
            "edge.toml: output.queue_masks is 0, expected 1 to 1024",
            "edge.toml: output.stats_interval_s is 0, expected 1 to 3600",
        ];
        for expected in expected {
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:#?}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn blanked_keys_are_not_reported_as_missing() {
        let found = problems("[source]\nkind = \"images\"\npath = 3\nrate_fps = 0.0\n");
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("edge.toml:3: `path = 3`: invalid type"), "{found:#?}");
        assert!(found[1].contains("source.rate_fps is 0"), "{found:#?}");
        let found = problems("[source]\nkind = \"camera\"\nlop = true\n[watchdog]\nstuck_s = 0\n");
        assert_eq!(found.len(), 3, "{found:#?}");
    }

    #[test]
    fn missing_values_and_other_sections_are_reported_together() {
        let found = problems("[device]\nid = \"a b\"\n[watchdog]\nstuck_s = 0.5\n");
        assert_eq!(found.len(), 3, "{found:#?}");
        for expected in ["device.id is \"a b\"", "source is missing", "watchdog.stuck_s is 0.5"] {
            assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:#?}");
        }
        let found = problems("[source]\nkind = \"images\"\nregion = [0, 0, 0, 0]\n");
        assert!(found[0].contains("source.path is missing"), "{found:#?}");
        assert!(found[1].contains("source.region is [0, 0, 0, 0]"), "{found:#?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn text_that_is_not_toml_has_one_problem() {
        for text in ["[source\nkind = 3\n", "a = \n", "a = 1\na = 2\n"] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{found:#?}");
        }
    }

    #[test]
    fn keys_of_inline_tables_cause_no_other_problems() {
        let found = problems(
            "device = { id = \"a b\", board = \"b\" }\n[source]\nkind = \"images\"\npath = \"c\"\n",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("device.id is \"a b\""), "{found:#?}");
    }

    #[test]
    fn sections_without_problems_are_kept() {
        let text = "[source]\nkind = \"images\"\npath = \"clip\"\n[output]\nqueue_masks = 0\n";
        let examined = examine(Path::new("edge.toml"), text);
        assert_eq!(examined.sections, BTreeSet::from(["output".to_owned()]));
        assert_eq!(examined.config.unwrap().output.queue_masks, 32);
        let fine =
            examine(Path::new("edge.toml"), "[source]\nkind = \"images\"\npath = \"clip\"\n");
        assert!(fine.problems.is_empty() && fine.config.is_some());
    }
}
