//! Replacement of MPI in a build without it.

use super::error::GroupError;

/// The connected processes: never any.
pub(super) enum World {}

impl World {
    pub(super) fn join(started: usize) -> Result<Self, GroupError> {
        Err(GroupError::NotBuilt { started })
    }

    pub(super) fn rank(&self) -> usize {
        match *self {}
    }

    pub(super) fn size(&self) -> usize {
        match *self {}
    }

    pub(super) fn sum<T>(&self, _: &mut [T]) {
        match *self {}
    }

    pub(super) fn gather(&self, _: u64) -> Vec<u64> {
        match *self {}
    }

    pub(super) fn abort(&self) {
        match *self {}
    }
}
