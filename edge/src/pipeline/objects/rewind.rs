//! Return of objects to their state on an earlier frame, which is shown again.

use medsa_wire::Reason;

use super::{Moved, OBJECTS, Object, Objects, Shown};

/// The objects on a frame, by number.
pub struct Snapshot([Option<Object>; OBJECTS]);

impl Snapshot {
    /// Size in memory, in bytes, roughly.
    pub fn bytes(&self) -> usize {
        self.0.iter().flatten().map(Object::bytes).sum()
    }

    /// Masks by object number, of objects that have a prompt and are not lost.
    pub fn masks(&self) -> Vec<(u8, Shown)> {
        let mask = |(number, slot): (usize, &Option<Object>)| {
            let object = slot.as_ref().filter(|object| object.prompt().is_some())?;
            Some((number as u8, object.shown()?))
        };
        self.0.iter().enumerate().filter_map(mask).collect()
    }
}

/// An object on a frame that is shown again.
pub enum ShownAgain {
    /// It has a mask there.
    Mask(Moved),
    /// It has none; with its number.
    Lost(u8, Reason),
}

impl Objects {
    /// The objects on the newest frame.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot(std::array::from_fn(|number| state.objects[number].as_ref().map(Object::snapshot)))
    }

    /// Returns objects whose prompt has not changed since `then` to their state then, for the new
    /// frame `frame_id`, to which all were followed and which shows the image of then again. Earlier
    /// frames are not decoded any more. Returns all objects that have a prompt.
    pub fn rewind(&self, then: &Snapshot, frame_id: u64) -> Vec<ShownAgain> {
        let mut state = self.lock();
        state.decoded_from = frame_id;
        for (slot, then) in state.objects.iter_mut().zip(&then.0) {
            if let (Some(now), Some(then)) = (slot, then)
                && now.revision == then.revision
            {
                *now = then.clone().shown_again(frame_id);
            }
        }
        let shown_again = |(number, slot): (usize, &Option<Object>)| {
            let (object, number) = (slot.as_ref()?, number as u8);
            let prompt = object.prompt()?.clone();
            Some(match object.shown() {
                Some(shown) => ShownAgain::Mask(Moved { object: number, shown, prompt }),
                None => ShownAgain::Lost(number, object.lost().unwrap_or(Reason::ImageChanged)),
            })
        };
        state.objects.iter().enumerate().filter_map(shown_again).collect()
    }
}
