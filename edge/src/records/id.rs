//! Identifiers of records.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

/// Name of a record and of its folder, as in `00000042-20261123T064433.123456Z`: a serial number
/// and the time of capture.
///
/// Names sort in the order in which records were stored. The number makes them unique and keeps
/// the order even if the clock is set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    number: u64,
    captured: DateTime<Utc>,
}

impl RecordId {
    /// Creates a name; `captured` is used to the microsecond.
    pub(super) fn new(number: u64, captured: DateTime<Utc>) -> Self {
        Self { number, captured }
    }

    /// Parses a name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, captured) = text.split_once('-')?;
        let captured = NaiveDateTime::parse_from_str(captured, TIME).ok()?.and_utc();
        let id = Self { number: number.parse().ok()?, captured };
        // Only the canonical form is accepted: no signs, no missing digits.
        (id.to_string() == text).then_some(id)
    }

    /// Serial number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Time of capture.
    pub fn captured(&self) -> DateTime<Utc> {
        self.captured
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08}-{}", self.number, self.captured.format(TIME))
    }
}

const TIME: &str = "%Y%m%dT%H%M%S%.6fZ";

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64, captured_us: i64) -> RecordId {
        RecordId::new(number, DateTime::from_timestamp_micros(captured_us).unwrap())
    }

    #[test]
    fn names_survive_formatting_and_parsing() {
        let first = id(42, 1_795_416_273_123_456);
        assert_eq!(first.to_string(), "00000042-20261123T064433.123456Z");
        for id in [first, id(0, 0), id(99_999_999, 253_402_300_799_999_999)] {
            assert_eq!(RecordId::parse(&id.to_string()), Some(id));
            assert_eq!(id.to_string().len(), 32);
        }
    }

    #[test]
    fn names_sort_by_number_before_time() {
        let (earlier, later) = (id(9, 2_000_000), id(10, 1_000_000));
        assert!(earlier < later && earlier.to_string() < later.to_string());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "..",
            "00000042",
            "42-20261123T064433.123456Z",
            "+0000042-20261123T064433.123456Z",
            "00000042-20261123T064433.12345Z",
            "00000042-20261323T064433.123456Z",
            "00000042-20261123T064433.123456Z/..",
        ] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }
}
