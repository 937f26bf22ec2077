//! Logs of runs for other programs, stops by signals, and comparison of runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use medsa_test_inputs::{needs, repository};
use serde_json::Value;

use crate::fixtures::Folder;

/// Names of the metrics in logs and tables.
const METRICS: [&str; 4] = ["dice", "iou", "hd95_px", "nsd_2px"];

/// Lines of a CSV file without quotes, each as column name and cell.
fn table(text: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        let pairs = names.iter().zip(cells);
        pairs.map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.map(line).collect()
}

/// The cell of a column.
fn cell<'a>(line: &'a [(String, String)], column: &str) -> &'a str {
    let found = line.iter().find(|(name, _)| name == column);
    &found.unwrap_or_else(|| panic!("{column} in {line:?}")).1
}

fn number(line: &[(String, String)], column: &str) -> f64 {
    cell(line, column).parse().unwrap_or_else(|e| panic!("{column}: {e}"))
}

/// Asserts equality, except for the last bit, which JSON may lose.
#[track_caller]
fn assert_close(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{found} and {expected}");
}

fn log(folder: &Folder, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.at(run).join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn csv_and_tensorboard_have_each_step_once_after_a_resume() {
    needs!("python3");
    let folder = Folder::new();
    folder.split();
    folder.succeed("fit --config fit.toml");
    folder.succeed("fit --config fit.toml --set fit.steps=6 --resume");
    let log = log(&folder, "run");
    let steps: Vec<&Value> = log.iter().filter_map(|entry| entry.get("train")).collect();
    let validations: Vec<&Value> =
        log.iter().filter(|entry| entry.get("validation").is_some()).collect();
    assert_eq!((steps.len(), validations.len()), (6, 3));

    let read = |name: &str| table(&fs::read_to_string(folder.at("run").join(name)).unwrap());
    let lines = read("steps.csv");
    assert_eq!(lines.len(), 6);
    for (number_of_step, (line, step)) in (1..).zip(lines.iter().zip(&steps)) {
        assert_eq!(cell(line, "step"), number_of_step.to_string());
        for column in ["loss", "gradient_norm", "learning_rate"] {
            assert_close(number(line, column), &step[column]);
        }
    }
    let lines = read("validations.csv");
    let rows = validations.iter().flat_map(|entry| {
        let rows = entry["validation"].as_array().unwrap();
        rows.iter().map(|row| (entry["step"].to_string(), row))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(lines.len(), rows.len());
    for (line, (step, row)) in lines.iter().zip(rows) {
        assert_eq!((cell(line, "step"), cell(line, "class")), (step.as_str(), "ellipse"));
        assert_eq!(cell(line, "prompt"), row["prompt"]);
        for metric in METRICS {
            for (column, end) in [("", "mean"), ("_low", "low"), ("_high", "high")] {
                assert_close(number(line, &format!("{metric}{column}")), &row[metric][end]);
            }
        }
    }

    let events = events(&folder);
    let keys = events.iter().map(|event| (event[0].as_u64(), event[1].as_str()));
    let keys: BTreeSet<_> = keys.collect();
    assert_eq!(keys.len(), events.len(), "no step is written twice");
    assert_eq!(events.len(), 6 * 3 + 3 * (1 + 2 * 4));
    let value = |step: u64, tag: &str| {
        let found = events.iter().find(|event| event[0] == step && event[1] == tag);
        found.unwrap_or_else(|| panic!("{tag} of step {step}"))[2].as_f64().unwrap() as f32
    };
    let expected = |value: &Value| value.as_f64().unwrap() as f32;
    assert_eq!(value(6, "train/loss"), expected(&steps[5]["loss"]));
    assert_eq!(value(1, "train/gradient_norm"), expected(&steps[0]["gradient_norm"]));
    assert_eq!(value(2, "validation/mean_dice"), expected(&validations[0]["score"]));
    let center = &validations[2]["validation"][0];
    assert_eq!(center["prompt"], "center");
    assert_eq!(value(6, "dice/ellipse/center"), expected(&center["dice"]["mean"]));
}

/// Step, tag, value and time of each scalar in the run's event file.
fn events(folder: &Folder) -> Vec<Value> {
    let mut python = Command::new("python3");
    python.arg(repository().join("tests/python/read_events.py"));
    let output = python.arg(folder.at("run/events.out.tfevents.fit")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn signal_stops_after_the_current_step_and_resume_continues() {
    let folder = Folder::new();
    folder.split();
    let mut fit = folder.command("fit --config fit.toml --set fit.steps=8");
    let mut fit = fit.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(fit.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("training "), "{first}");
    let kill = format!("kill -TERM {}", fit.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let last = lines.last().unwrap().unwrap();
    assert_eq!(last, "stopped by a signal after step 1 of 8");
    assert_eq!(fit.wait().unwrap().code(), Some(75));
    assert_eq!(log(&folder, "run").len(), 1);
    folder.succeed("fit --config fit.toml --set fit.steps=8 --resume");
    let steps = log(&folder, "run");
    let steps: Vec<_> = steps.iter().filter_map(|e| e["train"]["step"].as_u64()).collect();
    assert_eq!(steps, (0..8).collect::<Vec<_>>());
}

#[test]
fn comparison_has_every_run_and_the_mean_over_seeds() {
    let folder = Folder::new();
    folder.split();
    for (run, keys) in [
        ("a", "--set seed=0"),
        ("plain", "--set seed=0 --set adapters.decoder.hyp_maps=0"),
        ("b", "--set seed=1"),
        ("running", "--set seed=2"),
    ] {
        folder.succeed(&format!("fit --config fit.toml --set fit.steps=2 --set out={run} {keys}"));
    }
    let running = fs::read_to_string(folder.at("running/log.jsonl")).unwrap();
    let first = running.lines().next().unwrap();
    fs::write(folder.at("running/log.jsonl"), format!("{first}\n{{\"tr")).unwrap();

    // So short a training leaves most values at 0.
    for (run, values) in [("a", [0.5, 0.4, 9.0, 0.2]), ("b", [0.7, 0.6, 4.0, 0.8])] {
        set_center(&folder, run, values);
    }

    let text = folder.succeed("compare a plain b running");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["a 2/2", "plain 2/2", "running 1/2", "mean of 2 seeds 2 0.600 +- 0.141"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let lines = table(&folder.succeed("compare a plain b running --csv"));
    let runs: Vec<&str> = lines.iter().map(|line| cell(line, "run")).collect();
    let two = |name| [name; 2];
    assert_eq!(runs, [&two("a")[..], &two("b"), &two("a b"), &two("plain"), &["running"]].concat());
    let [a, b, both] = [0, 2, 4].map(|line| &lines[line]);
    for line in [a, b, both] {
        assert_eq!((cell(line, "class"), cell(line, "prompt")), ("ellipse", "center"));
    }
    let row = &log(&folder, "b")[2]["validation"][0];
    assert_close(number(b, "hd95_px_high"), &row["hd95_px"]["high"]);
    for (column, [of_a, of_b]) in
        METRICS.into_iter().zip([[0.5, 0.7], [0.4, 0.6], [9.0, 4.0], [0.2, 0.8]])
    {
        assert_eq!([a, b].map(|line| number(line, column)), [of_a, of_b]);
        assert!((number(both, column) - (of_a + of_b) / 2.0).abs() < 1e-9);
        let deviation = number(both, &format!("{column}_sd"));
        assert!((deviation - f64::abs(of_a - of_b) / 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(cell(both, &format!("{column}_low")), "");
    }
    let plain = &lines[6];
    assert!(number(plain, "trained_parameters") < number(a, "trained_parameters"));
    assert!((0.0..1.0).contains(&number(plain, "share_of_base")));
    assert!(number(a, "seconds_per_step") > 0.0);
    let running = &lines[8];
    assert_eq!((cell(running, "step"), cell(running, "dice")), ("1", ""));

    let error = folder.fail("compare a data");
    assert!(error.contains("data/config.toml"), "{error}");
}

/// Replaces the means of all metrics for central clicks in the log of a run.
fn set_center(folder: &Folder, run: &str, values: [f64; 4]) {
    let mut text = String::new();
    for mut entry in log(folder, run) {
        if let Some(row) = entry.pointer_mut("/validation/0") {
            for (metric, value) in METRICS.into_iter().zip(values) {
                row[metric]["mean"] = value.into();
            }
        }
        text += &format!("{entry}\n");
    }
    fs::write(folder.at(run).join("log.jsonl"), text).unwrap();
}
