//! Tests of training with several processes. `make test` builds with the feature `mpi`.

#[cfg(feature = "mpi")]
#[path = "mpi/processes.rs"]
mod processes;
#[cfg(feature = "mpi")]
#[path = "mpi/runs.rs"]
mod runs;

#[cfg(not(feature = "mpi"))]
#[test]
fn build_without_mpi_refuses_to_run_as_several_processes() {
    let mut fit = std::process::Command::new(env!("CARGO_BIN_EXE_medsa-train"));
    fit.args(["fit", "--config", "fit.toml"]).env("OMPI_COMM_WORLD_SIZE", "2");
    let output = fit.output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "started as one of 2 processes, but built without MPI: build with \
                    --features mpi";
    assert!(error.contains(expected), "{error}");
}
