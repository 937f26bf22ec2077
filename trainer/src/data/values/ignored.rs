//! Value of ignored pixels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Value of mask pixels without loss and score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum IgnoredValue {
    /// 255, if it is beside classes.
    #[default]
    Auto,
    /// No value.
    Off,
    /// This value.
    Value(u8),
}

/// Value as written in a configuration.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\", \"off\" or a value from 0 to 255")]
enum Written {
    Value(u8),
    Word(String),
}

impl FromStr for IgnoredValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::Value).map_err(|_| {
                format!("ignore is {text:?}, expected \"auto\", \"off\" or a value from 0 to 255")
            }),
        }
    }
}

impl fmt::Display for IgnoredValue {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl TryFrom<Written> for IgnoredValue {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Value(value) => Ok(Self::Value(value)),
            Written::Word(word) => word.parse(),
        }
    }
}

impl From<IgnoredValue> for Written {
    fn from(ignored: IgnoredValue) -> Self {
        match ignored {
            IgnoredValue::Value(value) => Self::Value(value),
            word => Self::Word(word.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        ignore: IgnoredValue,
    }

    #[test]
    fn words_and_numbers_are_read_and_written() {
        for (text, ignore) in [
            ("ignore = \"auto\"\n", IgnoredValue::Auto),
            ("ignore = \"off\"\n", IgnoredValue::Off),
            ("ignore = 0\n", IgnoredValue::Value(0)),
            ("ignore = 255\n", IgnoredValue::Value(255)),
        ] {
            let table = Table { ignore };
            assert_eq!(toml::from_str::<Table>(text).unwrap(), table);
            assert_eq!(toml::to_string(&table).unwrap(), text);
            assert_eq!(ignore.to_string().parse(), Ok(ignore));
        }
        for wrong in ["256", "-1", "\"never\"", "true"] {
            let error = toml::from_str::<Table>(&format!("ignore = {wrong}")).unwrap_err();
            let expected = "expected \"auto\", \"off\" or a value from 0 to 255";
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
