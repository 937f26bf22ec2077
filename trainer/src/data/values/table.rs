//! Table of the values of masks and their meanings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::map::ValueMap;
use super::{IGNORED, MAX_CLASS};
use crate::data::problem::Problem;

/// Meanings of values, such as `{ 127 = "nerve", "128-255" = 2 }`. Ranges include both ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Meaning>", into = "BTreeMap<String, Meaning>")]
pub struct ValueTable(Vec<(RangeInclusive<u8>, Meaning)>);

/// Meaning of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a class as number or name, \"background\" or \"ignore\"")]
pub enum Meaning {
    /// A class by its number; 0 for background.
    Class(u8),
    /// A class by its name, `background` or `ignore`.
    Name(String),
}

impl ValueTable {
    /// True if the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Classes of the values. Values that are not in the table have none, except 0, which is
    /// background.
    ///
    /// # Errors
    /// [`Problem::UnknownName`] if a meaning is none of `names`, which are those of the classes 1,
    /// 2, ...
    pub(super) fn map(&self, names: &[String]) -> Result<ValueMap, Problem> {
        let mut map = ValueMap::background();
        for (values, meaning) in &self.0 {
            let class = meaning.class(names)?;
            values.clone().for_each(|value| map.set(value, class));
        }
        Ok(map)
    }

    fn add(&mut self, values: &str, meaning: Meaning) -> Result<(), String> {
        let range = range(values).ok_or_else(|| {
            format!(
                "values has the key {values:?}, expected a value from 0 to 255, or a range such as \
                 \"128-255\""
            )
        })?;
        if let Meaning::Class(class) = meaning
            && class > MAX_CLASS
        {
            return Err(format!("values.{values} is {class}, expected a class up to {MAX_CLASS}"));
        }
        let overlaps = |known: &RangeInclusive<u8>| {
            known.start() <= range.end() && range.start() <= known.end()
        };
        if self.0.iter().any(|(known, _)| overlaps(known)) {
            return Err(format!("values has two entries for a value of {values}, expected one"));
        }
        self.0.push((range, meaning));
        self.0.sort_by_key(|(range, _)| *range.start());
        Ok(())
    }
}

impl Meaning {
    fn class(&self, names: &[String]) -> Result<u8, Problem> {
        let name = match self {
            Self::Class(class) => return Ok(*class),
            Self::Name(name) => name,
        };
        let at = names.iter().position(|known| known == name);
        let class = at.and_then(|at| u8::try_from(at + 1).ok()).filter(|&class| class <= MAX_CLASS);
        match (class, name.as_str()) {
            (Some(class), _) => Ok(class),
            (None, "background") => Ok(0),
            (None, "ignore") => Ok(IGNORED),
            (None, _) => {
                Err(Problem::UnknownName { name: name.clone(), expected: names.join(", ") })
            }
        }
    }
}

fn range(text: &str) -> Option<RangeInclusive<u8>> {
    // `parse` alone would accept a sign.
    let value = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (value(first)?, value(last)?);
    (first <= last).then_some(first..=last)
}

/// `127=nerve,128-255=2`, as on a command line.
impl FromStr for ValueTable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut table = Self::default();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let (values, meaning) = entry.split_once('=').ok_or_else(|| {
                format!("entry {entry:?}, expected VALUE=CLASS, for example 127=1 or 127=nerve")
            })?;
            let number = meaning.parse().map(Meaning::Class);
            table.add(values, number.unwrap_or_else(|_| Meaning::Name(meaning.to_owned())))?;
        }
        Ok(table)
    }
}

impl TryFrom<BTreeMap<String, Meaning>> for ValueTable {
    type Error = String;

    fn try_from(entries: BTreeMap<String, Meaning>) -> Result<Self, String> {
        let mut table = Self::default();
        for (values, meaning) in entries {
            table.add(&values, meaning)?;
        }
        Ok(table)
    }
}

impl From<ValueTable> for BTreeMap<String, Meaning> {
    fn from(table: ValueTable) -> Self {
        let key = |range: RangeInclusive<u8>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        table.0.into_iter().map(|(range, meaning)| (key(range), meaning)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Config {
        values: ValueTable,
    }

    #[test]
    fn table_is_read_from_toml_and_from_the_command_line() {
        let text = "values = { 7 = \"nerve\", 9 = \"ignore\", \"128-255\" = 2 }";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.values, "7=nerve,9=ignore,128-255=2".parse().unwrap());
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
        let empty: Config = toml::from_str("values = {}").unwrap();
        assert!(empty.values.is_empty() && !config.values.is_empty());
    }

    #[test]
    fn wrong_entries_are_named() {
        let error = |text: &str| text.parse::<ValueTable>().unwrap_err();
        assert!(error("127").contains("entry \"127\", expected VALUE=CLASS"));
        for key in ["256", "-3", "+3", "x", "9-3", "1-2-3", ""] {
            let text = format!("{key}=1");
            assert!(error(&text).contains("expected a value from 0 to 255"), "{key}");
        }
        assert!(error("1-9=1,5=2").contains("two entries for a value of 5"));
        assert!(error("7=255").contains("values.7 is 255, expected a class up to 254"));
        let wrong = toml::from_str::<Config>("values = { 7 = 3.5 }").unwrap_err().to_string();
        assert!(wrong.contains("expected a class as number or name"), "{wrong}");
    }
}
