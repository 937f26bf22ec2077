//! Errors of a group of processes.

/// An error of training in a group of processes.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Build: without MPI, each process would do the whole training.
    #[error(
        "started as one of {started} processes, but built without MPI: build with --features mpi"
    )]
    NotBuilt {
        /// Number of processes started.
        started: usize,
    },
    /// Start: MPI does not connect the processes, so each would train by itself.
    #[error(
        "started as one of {started} processes, but MPI connects {connected}: start with the \
         mpirun of the MPI that this was built with, or with srun --mpi=pmix"
    )]
    Apart {
        /// Number of processes started.
        started: usize,
        /// Number of processes that are connected.
        connected: usize,
    },
    /// Configuration: some processes would wait for others in every step.
    #[error("fit.batch is {batch}, expected a multiple of {size}, the number of processes")]
    Batch {
        /// Images per step.
        batch: usize,
        /// Number of processes.
        size: usize,
    },
    /// Start or machines: configurations, states or arithmetic of the processes differ.
    #[error(
        "after step {step} processes 0 and {rank} do not hold the same weights: all need the same \
         configuration, files and kind of processor"
    )]
    Differ {
        /// Number of the step, from 0.
        step: usize,
        /// Process that differs from process 0.
        rank: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}
