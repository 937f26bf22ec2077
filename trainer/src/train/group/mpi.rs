//! Processes connected by MPI.

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};

use super::error::GroupError;

/// All processes that were started together. Dropping this ends MPI and waits for the other
/// processes.
pub(super) struct World {
    universe: Universe,
}

impl World {
    pub(super) fn join(started: usize) -> Result<Self, GroupError> {
        // One thread uses MPI; the others compute.
        let universe = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = universe.expect("a process joins once");
        let world = Self { universe };
        match world.size() {
            size if size == started => Ok(world),
            connected => Err(GroupError::Apart { started, connected }),
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.universe.world().rank() as usize
    }

    pub(super) fn size(&self) -> usize {
        self.universe.world().size() as usize
    }

    /// Sums over all processes. The algorithms of Open MPI and MPICH sum each value in the same
    /// order in all processes, or in orders that differ only by a + b = b + a.
    pub(super) fn sum<T: Equivalence + Clone>(&self, values: &mut [T]) {
        let own = values.to_vec();
        self.universe.world().all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    /// Values of all processes, by rank.
    pub(super) fn gather(&self, value: u64) -> Vec<u64> {
        let mut values = vec![0; self.size()];
        self.universe.world().all_gather_into(&value, &mut values[..]);
        values
    }

    /// Aborts all processes.
    pub(super) fn abort(&self) {
        self.universe.world().abort(1);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Finalizing MPI would wait for the others, which wait for this process's gradients.
        if std::thread::panicking() {
            self.abort();
        }
    }
}
