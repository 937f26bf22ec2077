//! Errors name their cause, and the exit code is 1.

use std::fs;
use std::process::Stdio;

use crate::fixtures::Folder;

/// Runs a command that must fail, and checks that its message contains all `words`.
#[track_caller]
fn named(folder: &Folder, line: &str, words: &[&str]) {
    let message = folder.fail(line);
    for word in words {
        assert!(message.contains(word), "{line}: {word} in {message}");
    }
}

#[test]
fn configurations_are_refused_by_file_and_key() {
    let folder = Folder::new();
    folder.split();
    named(&folder, "fit --config none.toml", &["none.toml"]);
    named(&folder, "fit --config fit.toml --set fit.stepz=3", &["fit.toml", "fit.stepz"]);
    named(&folder, "fit --config fit.toml --set fit.steps=a", &["fit.toml", "fit.steps=a"]);
    named(&folder, "fit --config fit.toml --set fit.steps=0", &["fit.toml", "fit.steps is 0"]);
    named(&folder, "fit --config fit.toml --set base=none.pth", &["none.pth"]);
    fs::write(folder.at("bad.toml"), "[fit]\nsteps = true\n").unwrap();
    named(&folder, "fit --config bad.toml", &["bad.toml"]);
    assert!(!folder.at("run").exists());
}

#[test]
fn full_and_closed_outputs_are_no_panics() {
    let folder = Folder::new();
    folder.split();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let line = "split --data data --out again.json --group p[0-9]+";
    let output = folder.command(line).stdout(full()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot write to standard output: No space left"), "{message}");
    // The work is done.
    assert!(folder.at("again.json").exists());
    let mut closed = folder.command(line).stdout(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    assert!(closed.wait().unwrap().success());
}

#[test]
fn unusable_data_is_named() {
    let folder = Folder::new();
    named(&folder, "fit --config fit.toml", &["split.json"]);
    folder.split();
    named(&folder, "check --data none", &["none/images"]);
    let text = fs::read_to_string(folder.at("split.json")).unwrap();
    fs::write(folder.at("split.json"), text.replace("p3", "q3")).unwrap();
    named(&folder, "fit --config fit.toml", &["split.json", "q3"]);
    folder.split();
    for number in 0..8 {
        fs::write(folder.at(&format!("data/images/p{number}.png")), b"not an image").unwrap();
    }
    named(&folder, "fit --config fit.toml", &["data/images/p", ".png: unreadable"]);
}

#[test]
fn stem_that_cannot_be_strided_is_named() {
    let folder = Folder::new();
    let line = "distill --base base.safetensors --images data/images --out student.safetensors";
    named(&folder, line, &["base.safetensors", "patches of a ViT", "two 1x1 convolutions"]);
    named(&folder, &format!("{line} --learning-rate 0"), &["--learning-rate is 0"]);
    assert!(!folder.at("student.safetensors").exists());
}

#[test]
fn diverging_training_stops_with_an_error() {
    let folder = Folder::new();
    folder.split();
    let line = "fit --config fit.toml --set optimizer.learning_rate=1e30";
    named(&folder, line, &["step ", "expected finite numbers", "optimizer.learning_rate"]);
    assert!(!folder.at("run/best.safetensors").exists());
}

#[test]
fn split_without_validation_is_refused_when_it_is_made() {
    let folder = Folder::new();
    for number in 1..crate::fixtures::IMAGES {
        for part in ["images", "masks"] {
            let path = |number: u32| folder.at(&format!("data/{part}/p{number}.png"));
            fs::copy(path(0), path(number)).unwrap();
        }
    }
    named(
        &folder,
        "split --data data --out split.json",
        &["data: 8 images for training, 2 for validation and 0 for test", "--group"],
    );
    assert!(!folder.at("split.json").exists());
}

#[test]
fn folds_that_cannot_be_made_are_refused() {
    let folder = Folder::new();
    let line = |folds: u32| format!("split --data data --out split.json --folds {folds}");
    named(&folder, &line(2), &["--folds is 2, expected 3 or more"]);
    named(&folder, &line(11), &["data: 10 groups of images", "expected 11 or more"]);
    assert!(!folder.at("split-1.json").exists());
}

#[test]
fn evaluation_without_images_is_an_error() {
    let folder = Folder::new();
    for number in 0..crate::fixtures::IMAGES {
        let path = folder.at(&format!("data/masks/p{number}.png"));
        image::GrayImage::new(64, 64).save(path).unwrap();
    }
    named(&folder, "eval --base base.safetensors --data data", &["data: nothing to evaluate"]);
}

#[test]
fn mismatched_models_and_prompts_are_named() {
    let folder = Folder::new();
    let image = "--image data/images/p1.png --out mask.png";
    let predict = |rest: &str| format!("predict --base base.safetensors {image} {rest}");
    named(&folder, &predict("--point 99,3"), &["99", "64"]);
    named(&folder, &predict(""), &["prompt"]);
    named(&folder, &predict("--point 9,3 --frame 1"), &["p1.png", "frame 1"]);
    named(&folder, &predict("--point 9,3 --input-size 100"), &["base.safetensors", "100"]);
    let base = "base.safetensors";
    named(&folder, &predict(&format!("--point 9,3 --adapter {base}")), &[base, "not an adapter"]);
    named(&folder, "predict --base fit.toml --image data --point 1,1 --out m.png", &["data"]);
    named(&folder, "inspect fit.toml", &["fit.toml"]);
    named(&folder, "inspect none.safetensors", &["none.safetensors"]);
    named(&folder, &format!("inspect {base} --base {base}"), &[base, "expected an adapter"]);
    assert!(!folder.at("mask.png").exists());
}
