//! Group of processes that train together: this process alone, or several started by MPI.
//!
//! Each process handles its share of a step's images. Only gradients of trained tensors are
//! exchanged, 4 bytes per value. Then all processes take the same optimizer step from the same
//! sums, so that they always hold the same weights. This is checked after every step.

mod error;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(not(feature = "mpi"))]
#[path = "group/no_mpi.rs"]
mod mpi;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::iter::{StepBy, repeat_n};
use std::ops::Range;

use candle_core::{Result, Tensor, Var};
use medsa_console::eprintln;

pub use self::error::GroupError;
use self::mpi::World;
use super::optimizer::Gradients;

/// The processes of one training.
pub struct Group {
    /// Connection to the others; `None` if this process is alone.
    world: Option<World>,
}

impl Group {
    /// A group of only this process.
    pub fn single() -> Self {
        Self { world: None }
    }

    /// The group of all processes that `mpirun` or `srun` started together with this one; only this
    /// process if it was started by itself.
    ///
    /// # Errors
    /// [`GroupError::NotBuilt`] or [`GroupError::Apart`].
    pub fn join() -> std::result::Result<Self, GroupError> {
        let started = started(|name| std::env::var(name).ok());
        if started <= 1 {
            return Ok(Self::single());
        }
        Ok(Self { world: Some(World::join(started)?) })
    }

    /// Number of this process, from 0. Process 0 prints and writes for the group.
    pub fn rank(&self) -> usize {
        self.world.as_ref().map_or(0, World::rank)
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.world.as_ref().map_or(1, World::size)
    }

    /// Numbers, counted over all steps, of the images that this process handles in step `step` of
    /// `batch` images.
    ///
    /// # Errors
    /// [`GroupError::Batch`].
    pub fn share(
        &self,
        step: usize,
        batch: usize,
    ) -> std::result::Result<StepBy<Range<usize>>, GroupError> {
        share((self.rank(), self.size()), step, batch)
    }

    /// Replaces the gradients of `vars` by their sums over all processes, which are equal bit for
    /// bit in each process.
    ///
    /// # Errors
    /// The device failed.
    pub fn sum(&self, vars: &BTreeMap<String, Var>, gradients: &mut Gradients) -> Result<()> {
        let Some(world) = &self.world else { return Ok(()) };
        let mut flat = flatten(vars, gradients)?;
        world.sum(&mut flat);
        *gradients = unflatten(vars, &flat)?;
        Ok(())
    }

    /// Replaces numbers by their sums over all processes.
    pub fn sum_scalars(&self, scalars: &mut [f64]) {
        if let Some(world) = &self.world {
            world.sum(scalars);
        }
    }

    /// Checks that all processes hold the same values after step `step`.
    ///
    /// # Errors
    /// [`GroupError::Differ`], or the device failed.
    pub fn check(
        &self,
        step: usize,
        vars: &BTreeMap<String, Var>,
    ) -> std::result::Result<(), GroupError> {
        let Some(world) = &self.world else { return Ok(()) };
        let checksums = world.gather(checksum(step, vars)?);
        match checksums.iter().position(|&checksum| checksum != checksums[0]) {
            Some(rank) => Err(GroupError::Differ { step, rank }),
            None => Ok(()),
        }
    }

    /// Ends the group. If this process failed, prints the error and aborts the others, which would
    /// otherwise wait forever.
    pub fn leave<T, E: Display>(
        self,
        outcome: std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        if let (Some(world), Err(error)) = (&self.world, &outcome) {
            eprintln!("process {} of {}: {error}", world.rank(), world.size());
            world.abort();
        }
        outcome
    }
}

/// Number of processes started together, from the variables that launchers set.
fn started(variable: impl Fn(&str) -> Option<String>) -> usize {
    // Open MPI's mpirun, MPICH's mpirun, and srun, which with PMIx sets neither of the others.
    // Inside an allocation, processes of mpirun also see srun's variable, so it comes last.
    let names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    names.iter().find_map(|name| variable(name)?.parse().ok()).unwrap_or(1)
}

fn share(
    (rank, size): (usize, usize),
    step: usize,
    batch: usize,
) -> std::result::Result<StepBy<Range<usize>>, GroupError> {
    if !batch.is_multiple_of(size) {
        return Err(GroupError::Batch { batch, size });
    }
    Ok((step * batch + rank..(step + 1) * batch).step_by(size))
}

/// All gradients in the order of their names, with zeros for missing ones; then for each variable 1
/// if it has a gradient.
fn flatten(vars: &BTreeMap<String, Var>, gradients: &Gradients) -> Result<Vec<f32>> {
    let mut flat = Vec::new();
    for (name, var) in vars {
        match gradients.get(name) {
            Some(gradient) => flat.extend(gradient.flatten_all()?.to_vec1::<f32>()?),
            None => flat.extend(repeat_n(0.0, var.elem_count())),
        }
    }
    flat.extend(vars.keys().map(|name| f32::from(gradients.contains_key(name))));
    Ok(flat)
}

/// Gradients from a sum of flat ones. A variable that no image reached has no gradient, so the
/// optimizer leaves it unchanged, as with a single process.
fn unflatten(vars: &BTreeMap<String, Var>, flat: &[f32]) -> Result<Gradients> {
    let (mut values, reached) = flat.split_at(flat.len() - vars.len());
    let mut gradients = Gradients::new();
    for ((name, var), &reached) in vars.iter().zip(reached) {
        let (own, rest) = values.split_at(var.elem_count());
        values = rest;
        if reached > 0.0 {
            let gradient = Tensor::from_slice(own, var.shape(), var.device())?;
            gradients.insert(name.clone(), gradient);
        }
    }
    Ok(gradients)
}

/// FNV-1a over values instead of bytes; any differing bit changes it.
fn checksum(step: usize, vars: &BTreeMap<String, Var>) -> Result<u64> {
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ step as u64;
    for var in vars.values() {
        for value in var.flatten_all()?.to_vec1::<f32>()? {
            hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(PRIME);
        }
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn number_of_processes_is_read_from_launchers() {
        let with = |set: &[(&str, &str)]| {
            started(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(with(&[]), 1);
        assert_eq!(with(&[("PMI_SIZE", "4")]), 4);
        assert_eq!(with(&[("SLURM_STEP_NUM_TASKS", "8")]), 8);
        let inside = [("SLURM_STEP_NUM_TASKS", "2"), ("OMPI_COMM_WORLD_SIZE", "16")];
        assert_eq!(with(&inside), 16);
    }

    #[test]
    fn every_image_of_a_step_is_taken_once() {
        let mut taken: Vec<usize> =
            (0..3).flat_map(|rank| share((rank, 3), 5, 6).unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (30..36).collect::<Vec<_>>());
        let error = share((0, 3), 0, 4).unwrap_err().to_string();
        assert_eq!(error, "fit.batch is 4, expected a multiple of 3, the number of processes");
    }

    #[test]
    fn variables_without_gradient_in_any_process_stay_without() {
        let var = |v: &[f32]| Var::new(v, &Device::Cpu).unwrap();
        let vars = BTreeMap::from([
            ("a".to_owned(), var(&[0.0; 2])),
            ("b".to_owned(), var(&[0.0; 1])),
            ("c".to_owned(), var(&[0.0; 3])),
        ]);
        let gradient =
            |name: &str, v: &[f32]| (name.to_owned(), Tensor::new(v, &Device::Cpu).unwrap());
        let one = Gradients::from([gradient("a", &[1.0, 2.0]), gradient("c", &[1.0, 0.0, 0.0])]);
        let other = Gradients::from([gradient("c", &[-1.0, 0.5, 0.0])]);
        let mut sum = flatten(&vars, &one).unwrap();
        sum.iter_mut().zip(flatten(&vars, &other).unwrap()).for_each(|(a, b)| *a += b);
        let sums = unflatten(&vars, &sum).unwrap();
        assert_eq!(sums.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(sums["a"].to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(sums["c"].to_vec1::<f32>().unwrap(), [0.0, 0.5, 0.0]);
    }

    #[test]
    fn checksum_detects_a_single_bit() {
        let with = |value: f32| {
            let var = Var::new(&[1.0, value, 2.0], &Device::Cpu).unwrap();
            checksum(0, &BTreeMap::from([("a".to_owned(), var)])).unwrap()
        };
        assert_eq!(with(0.5), with(0.5));
        assert_ne!(with(0.5), with(0.5f32.next_up()));
    }
}
