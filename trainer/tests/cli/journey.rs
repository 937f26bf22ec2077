//! From a data set to a mask.

use std::fs;

use serde_json::Value;

use crate::fixtures::{Folder, IMAGES, SIDE_PX};

#[test]
fn images_are_trained_into_a_working_adapter() {
    let folder = Folder::new();
    let checked = folder.succeed("check --data data --classes 1");
    assert!(checked.contains(&format!("{IMAGES} images with masks, no problems")));
    folder.succeed("split --data data --out split.json --validation 0.2");
    let names: Value = json(&fs::read_to_string(folder.at("split.json")).unwrap());
    let lengths = ["train", "validation", "test"].map(|part| length(&names[part]));
    assert_eq!(lengths.iter().sum::<usize>(), IMAGES as usize);

    let fitted = folder.succeed("fit --config fit.toml");
    assert!(fitted.contains("step 2: mean Dice") && fitted.contains("step 4: mean Dice"));
    for name in ["config.toml", "log.jsonl"] {
        assert!(folder.at("run").join(name).exists(), "{name}");
    }
    for name in ["state", "last", "best"] {
        assert!(folder.at("run").join(format!("{name}.safetensors")).exists(), "{name}");
    }
    for (name, width) in [("curves.png", 1600), ("gallery.png", 100)] {
        let image = image::open(folder.at("run").join(name)).unwrap();
        assert!(image.width() >= width, "{name}");
    }
    let summary = fs::read_to_string(folder.at("run/summary.md")).unwrap();
    let hash = dataset_sha256(&folder);
    for words in ["# ellipses", "step 4 of 4", "| ellipse | center |", "--adapter", &hash] {
        assert!(summary.contains(words), "{words} in {summary}");
    }

    // The configuration in the run folder starts the same training.
    let again = folder.fail("fit --config run/config.toml");
    assert!(again.contains("run already contains a training: add --resume"), "{again}");
    folder.succeed("fit --config run/config.toml --set fit.steps=6 --resume");
    let log = fs::read_to_string(folder.at("run/log.jsonl")).unwrap();
    let steps: Vec<u64> =
        log.lines().filter_map(|line| json(line)["train"]["step"].as_u64()).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5]);
    assert!(fs::read_to_string(folder.at("run/summary.md")).unwrap().contains("step 6 of 6"));

    check_commands(&folder);
}

/// Checks the commands that use the adapter of the run.
fn check_commands(folder: &Folder) {
    let model = "--base base.safetensors --adapter run/best.safetensors";
    let rows = folder.succeed(&format!(
        "eval {model} --data data --split split.json --classes ellipse \
         --prompt box,point1,clicks5,clicks3 --targets class --gallery gallery.png --json"
    ));
    let rows = json(&rows);
    let prompts: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["point1", "clicks3", "clicks5", "box"]);
    assert!(rows[0]["class"] == "ellipse" && rows[0]["dice"]["count"].as_u64() > Some(0));
    assert!((0.0..=1.0).contains(&rows[0]["nsd_2px"]["mean"].as_f64().unwrap()), "{rows}");
    assert!(folder.at("gallery.png").exists());

    let predicted = folder.succeed(&format!(
        "predict {model} --image data/images --frame 3 --point 32,30 --point 2,2,- \
         --box 10,10,54,54 --out mask.png --overlay overlay.png"
    ));
    let predicted = json(&predicted);
    let mask = image::open(folder.at("mask.png")).unwrap().to_luma8();
    assert_eq!(mask.dimensions(), (SIDE_PX, SIDE_PX));
    let area = mask.pixels().filter(|pixel| pixel.0 == [255]).count();
    assert_eq!(predicted["area_px"], area);
    assert!(predicted["score"].is_number() && predicted["frame"]["index"] == 3);
    assert!(image::open(folder.at("overlay.png")).unwrap().width() >= SIDE_PX);

    let inspected = folder.succeed("inspect run/best.safetensors --base base.safetensors");
    for words in ["adapter", "encoder stage 0", "space", "prompt_to_image hyp", "activation gelu"] {
        assert!(inspected.contains(words), "{words} in {inspected}");
    }
    let inspected =
        json(&folder.succeed("inspect run/best.safetensors --base base.safetensors --json"));
    assert_eq!(inspected["kind"], "adapter");
    assert_eq!(inspected["training"]["dataset_sha256"], dataset_sha256(folder));
    assert!((0.0..1.0).contains(&inspected["share_of_base"].as_f64().unwrap()), "{inspected}");
    let parts = inspected["parts"].as_array().unwrap();
    let sum: u64 = parts.iter().map(|part| part["parameters"].as_u64().unwrap()).sum();
    assert_eq!(inspected["parameters"], sum);
    let inspected = folder.succeed("inspect base.safetensors");
    for words in ["base model", "vit (", "image_encoder", "mask_decoder"] {
        assert!(inspected.contains(words), "{words} in {inspected}");
    }
}

#[test]
fn steps_after_the_last_state_are_repeated_and_logged_once() {
    let folder = Folder::new();
    folder.split();
    folder.succeed("fit --config fit.toml");
    let log = fs::read_to_string(folder.at("run/log.jsonl")).unwrap();
    // As if the process had been killed in step 5 of 6, with a state after step 4.
    let later: Vec<String> = [4, 5].iter().map(|step| later(&log, *step)).collect();
    fs::write(folder.at("run/log.jsonl"), format!("{log}{}{{\"train\": ", later.concat())).unwrap();
    folder.succeed("fit --config fit.toml --set fit.steps=6 --resume");
    let log = fs::read_to_string(folder.at("run/log.jsonl")).unwrap();
    let entries: Vec<Value> = log.lines().map(json).collect();
    let numbers = |f: fn(&Value) -> Option<u64>| entries.iter().filter_map(f).collect::<Vec<_>>();
    assert_eq!(numbers(|entry| entry["train"]["step"].as_u64()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(numbers(|entry| entry["step"].as_u64()), [2, 4, 6]);
}

#[test]
fn folds_are_written_as_splits_that_train() {
    let folder = Folder::new();
    let printed = folder.succeed("split --data data --out split.json --folds 3");
    assert_eq!(printed.lines().count(), 3);
    let tested = (1..=3).map(|fold| {
        let text = fs::read_to_string(folder.at(&format!("split-{fold}.json"))).unwrap();
        length(&json(&text)["test"])
    });
    assert_eq!(tested.sum::<usize>(), IMAGES as usize);
    fs::rename(folder.at("split-2.json"), folder.at("split.json")).unwrap();
    folder.succeed("fit --config fit.toml --set fit.steps=1");
}

/// The first step's line, renumbered as step `step`.
fn later(log: &str, step: u64) -> String {
    let mut entry = json(log.lines().next().unwrap());
    entry["train"]["step"] = step.into();
    format!("{entry}\n")
}

#[test]
fn training_skips_images_without_masks() {
    let folder = Folder::new();
    folder.split();
    fs::copy(folder.at("data/images/p0.png"), folder.at("data/images/alone.png")).unwrap();
    let output = folder.run("fit --config fit.toml --set fit.steps=1");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("warning: skipped: ") && errors.contains("alone.png: no mask"));
}

/// Data set hash in the adapter.
fn dataset_sha256(folder: &Folder) -> String {
    let inspected = json(&folder.succeed("inspect run/best.safetensors --json"));
    let hash = inspected["training"]["dataset_sha256"].as_str().unwrap();
    assert_eq!(hash.len(), 64);
    hash.to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn length(list: &Value) -> usize {
    list.as_array().unwrap().len()
}
