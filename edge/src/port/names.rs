//! Names that users give to objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use medsa_wire::topic::ObjectId;

/// Longest name, in characters: that of a DICOM segment.
const MAX_NAME: usize = 64;

/// Names of objects by number, until the service ends. A name stays when the prompt is cleared,
/// because users mark the same structures again.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<BTreeMap<u8, String>>>);

impl Names {
    /// Names an object; `None` removes its name.
    ///
    /// # Errors
    /// The name is blank, too long, or has control characters.
    pub fn set(&self, object: ObjectId, name: Option<&str>) -> Result<(), String> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = name.map(str::trim) else {
            names.remove(&object.get());
            return Ok(());
        };
        let length = name.chars().count();
        if length == 0 || length > MAX_NAME || name.contains(char::is_control) {
            return Err(format!(
                "name has {length} characters, expected 1 to {MAX_NAME} in one line, not all blank"
            ));
        }
        names.insert(object.get(), name.to_owned());
        Ok(())
    }

    /// All names by object number.
    pub fn all(&self) -> BTreeMap<u8, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_limited() {
        let names = Names::default();
        let object = ObjectId::new(3).unwrap();
        names.set(object, Some(" nerve ")).unwrap();
        for wrong in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(names.set(object, Some(wrong)).unwrap_err().contains("expected 1 to 64"));
        }
        assert_eq!(names.all(), BTreeMap::from([(3, "nerve".to_owned())]));
        names.set(object, None).unwrap();
        assert!(names.all().is_empty());
    }
}
