//! Several processes give the same training as one process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::runs::{Runs, difference, error, mpirun, run};
use medsa_test_inputs::needs;

/// Tolerance for rounding of sums in another order, over all steps.
const TOLERANCE: f32 = 1e-5;

#[test]
fn two_processes_train_the_same_adapter_as_one() {
    needs!("mpi");
    let runs = Runs::new();
    run(&mut runs.fit("one", &[]));
    run(&mut mpirun(&[&runs.fit("two", &[]), &runs.fit("two", &[])]));
    let three_steps = runs.adapter("one");
    assert_close(&three_steps, &runs.adapter("two"));
    let (one, two) = (runs.steps("one"), runs.steps("two"));
    assert_eq!((one.len(), two.len()), (3, 3), "each step is written once");
    for (one, two) in one.iter().flatten().zip(two.iter().flatten()) {
        assert!((one - two).abs() <= 1e-5 * one, "{one} {two}");
    }

    // Both resume from their saved states.
    let longer = ["--resume", "--set", "fit.steps=4"];
    run(&mut runs.fit("one", &longer));
    run(&mut mpirun(&[&runs.fit("two", &longer), &runs.fit("two", &longer)]));
    let four_steps = runs.adapter("one");
    assert_close(&four_steps, &runs.adapter("two"));
    let moved = difference(&three_steps, &four_steps);
    assert!(moved > 10.0 * TOLERANCE, "a step moves weights by {moved}");
}

#[test]
fn signal_stops_all_processes_after_the_same_step() {
    needs!("mpi");
    let runs = Runs::new();
    let fit = runs.fit("run", &["--set", "fit.steps=20"]);
    let mut mpirun = mpirun(&[&fit, &fit]);
    let mut mpirun = mpirun.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(mpirun.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("training "), "{first}");
    // mpirun passes this signal on.
    let kill = format!("kill -USR1 {}", mpirun.id());
    run(Command::new("sh").args(["-c", &kill]));
    let stopped = lines.find_map(|line| {
        line.unwrap()
            .strip_prefix("stopped by a signal after step ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    });
    let stopped: usize = stopped.expect("the first process reports the stop");
    assert_eq!(mpirun.wait().unwrap().code(), Some(75));
    assert!(stopped < 20 && runs.steps("run").len() == stopped, "{stopped}");
    let goal = format!("fit.steps={}", stopped + 1);
    run(&mut self::mpirun(&[&runs.fit("run", &["--resume", "--set", &goal]); 2]));
    assert_eq!(runs.steps("run").len(), stopped + 1);
}

#[test]
fn processes_with_different_weights_stop_after_the_first_step() {
    needs!("mpi");
    let runs = Runs::new();
    let (fit, other) = (runs.fit("run", &[]), runs.fit("run", &["--set", "seed=1"]));
    let error = error(&mut mpirun(&[&fit, &other]));
    let expected = "after step 0 processes 0 and 1 do not hold the same weights";
    assert!(error.contains(expected), "{error}");
    assert!(!runs.path("run/state.safetensors").exists());
}

#[test]
fn failing_process_ends_the_group() {
    needs!("mpi");
    let runs = Runs::new();
    let (fit, other) = (runs.fit("run", &[]), runs.fit("run", &["--set", "base=\"none.pth\""]));
    let error = error(&mut mpirun(&[&fit, &other]));
    assert!(error.contains("process 1 of 2: ") && error.contains("none.pth"), "{error}");
}

#[test]
fn batch_that_cannot_be_shared_evenly_is_refused() {
    needs!("mpi");
    let runs = Runs::new();
    let fit = runs.fit("run", &[]);
    let error = error(&mut mpirun(&[&fit, &fit, &fit]));
    let expected = "fit.batch is 4, expected a multiple of 3, the number of processes";
    assert!(error.contains(expected), "{error}");
}

fn assert_close(a: &medsa_sam::Weights, b: &medsa_sam::Weights) {
    let difference = difference(a, b);
    assert!(difference <= TOLERANCE, "{difference}");
}
