//! Functional groups of enhanced multi-frame images (PS3.3 C.7.6.16).

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

/// A property that is the same for all frames, or differs.
#[derive(Debug)]
pub(super) enum PerFrame<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T> PerFrame<T> {
    /// Reads the property, which depends on the given functional groups, of each frame.
    pub(super) fn read(
        object: &InMemDicomObject,
        frames: u64,
        groups: &[Tag],
        mut read: impl FnMut(u64) -> T,
    ) -> Self {
        let per_frame = object.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let mut items = per_frame.and_then(|element| element.items()).unwrap_or_default().iter();
        if items.any(|item| groups.iter().any(|&group| item.get(group).is_some())) {
            Self::Each((0..frames).map(read).collect())
        } else {
            Self::Same(read(0))
        }
    }

    pub(super) fn get(&self, frame: usize) -> &T {
        match self {
            Self::Same(one) => one,
            // Invariant: there is one for each frame.
            Self::Each(each) => &each[frame],
        }
    }

    pub(super) fn any(&self, condition: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Same(one) => std::slice::from_ref(one).iter().any(condition),
            Self::Each(each) => each.iter().any(condition),
        }
    }
}

/// Item of a functional group that applies to a frame: its own, or the one shared by all frames.
pub(super) fn functional_group(
    object: &InMemDicomObject,
    frame: u64,
    group: Tag,
) -> Option<&InMemDicomObject> {
    let item = |sequence, index: u64| {
        let groups = object.get(sequence)?.items()?.get(index as usize)?;
        groups.get(group)?.items()?.first()
    };
    item(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frame)
        .or_else(|| item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, 0))
}
