//! Meaning of the values in masks: classes, background, or pixels that are ignored.
//!
//! The rule for a whole data set, unless its configuration says otherwise:
//!
//! - 0 is background.
//! - 255 alone is class 1. Beside other values, it marks pixels to ignore.
//! - All others are class numbers: those of configured classes, or 1 to n without a gap.
//!
//! Any other set of values is ambiguous and refused.

mod counts;
mod ignored;
mod map;
mod table;

pub use counts::ValueCounts;
pub(super) use counts::count;
pub use ignored::IgnoredValue;
pub use map::ValueMap;
pub use table::{Meaning, ValueTable};

use super::problem::Problem;

/// Number that [`TrainingImage::classes`](super::TrainingImage) has where a pixel is ignored.
pub const IGNORED: u8 = 255;

/// Number of the last class.
pub const MAX_CLASS: u8 = IGNORED - 1;

/// Configuration of the values in the masks of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MaskRule {
    /// Value of pixels without loss and score.
    pub ignore: IgnoredValue,
    /// Meaning of all other values; empty for the rule of this module.
    pub values: ValueTable,
}

impl MaskRule {
    /// Meaning of the values in `counts`. `names` are the names of the classes 1, 2, ...; a value
    /// for which `listed` is true is a class, whatever the others are.
    ///
    /// # Errors
    /// [`Problem::AmbiguousValues`] names a mask whose values have no meaning by this rule,
    /// [`Problem::UnknownName`] a name in the table that is no class.
    pub fn resolve(
        &self,
        counts: &ValueCounts,
        names: &[String],
        listed: impl Fn(u8) -> bool,
    ) -> Result<ValueMap, Problem> {
        let found = counts.values();
        let ignored = match self.ignore {
            IgnoredValue::Value(value) => Some(value),
            IgnoredValue::Off => None,
            IgnoredValue::Auto => {
                let is_beside_others =
                    found.iter().any(|&value| !matches!(value, 0 | 255)) || !self.values.is_empty();
                is_beside_others.then_some(255)
            }
        };
        let mut map = if self.values.is_empty() {
            by_number(&found, ignored, listed)
        } else {
            self.values.map(names)?
        };
        if let Some(ignored) = ignored
            && (self.ignore != IgnoredValue::Auto || map.class(ignored).is_none())
        {
            map.set(ignored, IGNORED);
        }
        counts.check(&map)?;
        Ok(map)
    }
}

/// Values as class numbers. A value above the first gap has no meaning, unless it is listed.
fn by_number(found: &[u8], ignored: Option<u8>, listed: impl Fn(u8) -> bool) -> ValueMap {
    let mut map = ValueMap::background();
    let marked = || found.iter().copied().filter(|&value| value != 0 && Some(value) != ignored);
    if marked().eq([255]) {
        map.set(255, 1);
        return map;
    }
    let mut expected = 1;
    for value in marked().filter(|&value| value <= MAX_CLASS) {
        if value == expected || listed(value) {
            map.set(value, value);
        }
        if value == expected {
            expected += 1;
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Classes of `values`, each in a mask of its own, or the error.
    fn resolved(rule: &MaskRule, values: &[u8], names: &[&str]) -> Result<Vec<Option<u8>>, String> {
        let mut counts = ValueCounts::default();
        for &value in values {
            counts.add(Path::new("masks").join(format!("{value}.png")), &[value; 7]);
        }
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let map = rule.resolve(&counts, &names, |value| usize::from(value) <= names.len());
        let map = map.map_err(|problem| problem.to_string())?;
        Ok(values.iter().map(|&value| map.class(value)).collect())
    }

    fn classes(values: &[u8], names: &[&str]) -> Vec<u8> {
        let found = resolved(&MaskRule::default(), values, names).unwrap();
        found.into_iter().flatten().collect()
    }

    #[test]
    fn lone_255_is_class_1_and_beside_classes_it_is_ignored() {
        assert_eq!(classes(&[0, 255], &[]), [0, 1]);
        assert_eq!(classes(&[255], &["nerve", "vessel"]), [1]);
        assert_eq!(classes(&[0, 1], &[]), [0, 1]);
        assert_eq!(classes(&[0, 1, 255], &[]), [0, 1, IGNORED]);
        assert_eq!(classes(&[0, 1, 2, 3, 255], &[]), [0, 1, 2, 3, IGNORED]);
        assert!(classes(&[], &[]).is_empty());
    }

    #[test]
    fn numbers_with_a_gap_need_names() {
        assert_eq!(classes(&[0, 2, 4], &["a", "b", "c", "d"]), [0, 2, 4]);
        assert_eq!(classes(&[1, 2, 3], &["a"]), [1, 2, 3]);
        let refused = |values: &[u8], names: &[&str]| {
            resolved(&MaskRule::default(), values, names).unwrap_err()
        };
        let error = refused(&[0, 127, 255], &["a", "b"]);
        let expected = "masks/127.png: value 127 (7 px) is neither a class nor ignored; the masks \
                        of this data set have the values 0, 127, 255";
        assert!(error.starts_with(expected), "{error}");
        for values in [[0, 127, 255], [0, 1, 3], [0, 85, 170], [38, 75, 255], [0, 0, 128]] {
            assert!(refused(&values, &["a", "b"]).contains("neither a class"), "{values:?}");
        }
        assert!(refused(&[0, 2], &[]).contains("value 2"));
    }

    #[test]
    fn ignored_value_can_be_set_and_switched_off() {
        let ignore = |ignore| MaskRule { ignore, ..MaskRule::default() };
        let of = |rule: &MaskRule, values: &[u8]| resolved(rule, values, &[]);
        let seven = ignore(IgnoredValue::Value(7));
        assert_eq!(of(&seven, &[0, 1, 7]), Ok(vec![Some(0), Some(1), Some(IGNORED)]));
        assert_eq!(of(&seven, &[0, 7, 255]), Ok(vec![Some(0), Some(IGNORED), Some(1)]));
        let explicit = ignore(IgnoredValue::Value(255));
        assert_eq!(of(&explicit, &[0, 255]), Ok(vec![Some(0), Some(IGNORED)]));
        let background = ignore(IgnoredValue::Value(0));
        assert_eq!(of(&background, &[0, 1]), Ok(vec![Some(IGNORED), Some(1)]));
        let off = ignore(IgnoredValue::Off);
        assert_eq!(of(&off, &[0, 255]), Ok(vec![Some(0), Some(1)]));
        assert!(of(&off, &[0, 1, 255]).unwrap_err().contains("value 255"));
    }

    #[test]
    fn table_gives_the_meaning_of_every_value() {
        let rule = |text: &str| MaskRule { values: text.parse().unwrap(), ..MaskRule::default() };
        let names = ["nerve", "vessel"];
        let found = resolved(&rule("127=nerve,255=vessel"), &[0, 127, 255], &names);
        assert_eq!(found, Ok(vec![Some(0), Some(1), Some(2)]));
        let found = resolved(&rule("50=2,60-70=ignore,1=background"), &[1, 50, 66, 255], &names);
        assert_eq!(found, Ok(vec![Some(0), Some(2), Some(IGNORED), Some(IGNORED)]));
        let threshold = rule("1-127=0,128-255=1");
        let found = resolved(&threshold, &[0, 3, 127, 128, 255], &[]);
        assert_eq!(found, Ok(vec![Some(0), Some(0), Some(0), Some(1), Some(1)]));
        let error = resolved(&rule("127=nerve"), &[0, 1, 127], &names).unwrap_err();
        assert!(error.contains("value 1 (7 px)"), "{error}");
        let error = resolved(&rule("127=artery"), &[0, 127], &names).unwrap_err();
        assert!(error.contains("\"artery\"") && error.contains("nerve, vessel"), "{error}");
    }
}
