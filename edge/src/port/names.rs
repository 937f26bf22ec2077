//! Names that users give to objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medsa_wire::topic::ObjectId;

use crate::config::ObjectName;

/// Names of objects by number, until the service ends. A name stays when the prompt is cleared,
/// because users mark the same structures again.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<BTreeMap<u8, String>>>);

impl Names {
    /// Names an object; `None` removes its name.
    pub fn set(&self, object: ObjectId, name: Option<ObjectName>) {
        let mut names = self.lock();
        match name {
            Some(name) => names.insert(object.get(), name.as_str().to_owned()),
            None => names.remove(&object.get()),
        };
    }

    /// Replaces all names by those of objects 0, 1, ...
    pub fn replace(&self, objects: &[ObjectName]) {
        let names = (0..).zip(objects.iter().map(|name| name.as_str().to_owned()));
        *self.lock() = names.collect();
    }

    /// All names by object number.
    pub fn all(&self) -> BTreeMap<u8, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_limited_and_replaced_by_a_preset() {
        for wrong in ["", "  ", "a\nb", "\u{202e}a", "\u{200b}", &"x".repeat(65)] {
            assert!(ObjectName::parse(wrong).unwrap_err().contains("expected 1 to 64"));
        }
        let parse = |name| ObjectName::parse(name).unwrap();
        let (names, object) = (Names::default(), ObjectId::new(3).unwrap());
        names.set(object, Some(parse(" nerve ")));
        assert_eq!(names.all(), BTreeMap::from([(3, "nerve".to_owned())]));
        names.replace(&[parse("vein"), parse("artery")]);
        let both = BTreeMap::from([(0, "vein".to_owned()), (1, "artery".to_owned())]);
        assert_eq!(names.all(), both);
        names.set(ObjectId::new(0).unwrap(), None);
        assert_eq!(names.all().len(), 1);
    }
}
