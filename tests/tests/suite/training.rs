//! Training: goes on after a stop as if there had been none, is the same for the same seed, and
//! learns.

use std::fs;
use std::path::Path;

use candle_core::Device;
use medsa_sam::Weights;
use medsa_tests::place;
use medsa_trainer::Checkpoint;
use medsa_trainer::train::{Config, Fit, Group};

#[test]
fn two_times_ten_steps_equal_twenty() {
    let Some(setting) = Setting::new() else { return };
    let mut whole = setting.fit(7);
    let losses = run(&mut whole, 20);

    let mut first = setting.fit(7);
    run(&mut first, 10);
    let state = setting.folder.path().join("state.safetensors");
    first.save(&state, Some(0.25)).unwrap();
    drop(first);
    let (mut second, best) =
        Fit::load_state(setting.config(7), &setting.base, &state, Device::Cpu).unwrap();
    assert_eq!((second.steps(), best), (10, Some(0.25)));
    let rest = run(&mut second, 10);

    assert_eq!(rest, losses[10..]);
    assert_eq!(weights(&second), weights(&whole));
    // And something was learned from one disc after the other.
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[15..]) < 0.8 * mean(&losses[..5]), "{losses:?}");
}

#[test]
fn the_seed_decides_everything() {
    let Some(setting) = Setting::new() else { return };
    let train = |seed| {
        let mut fit = setting.fit(seed);
        run(&mut fit, 3);
        weights(&fit)
    };
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
}

#[test]
fn kept_features_change_nothing() {
    let Some(setting) = Setting::new() else { return };
    let train = |cache: Option<&Path>| {
        let mut config = setting.config(3);
        config.cache = cache.map(Path::to_owned);
        let mut fit = Fit::new(config, &setting.base, None, Device::Cpu).unwrap();
        run(&mut fit, 3);
        weights(&fit)
    };
    let cache = setting.folder.path().join("cache");
    let without = train(None);
    assert_eq!(train(Some(&cache)), without, "while they are written");
    assert!(fs::read_dir(&cache).unwrap().count() > 0);
    assert_eq!(train(Some(&cache)), without, "when they are read");
}

/// A small model and eight pictures of bright discs.
struct Setting {
    base: Checkpoint,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Option<Self> {
        let path = place::shared()?.join("golden/sam_vit_weights.pth");
        let mut base = Checkpoint::read(&path).unwrap();
        base.config.decoder.heads = 4;
        let folder = place::scratch();
        for part in ["images", "masks"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        for i in 0..8u32 {
            let (x0, y0, radius) = (16.0 + 4.0 * i as f32, 44.0 - 3.0 * i as f32, 9.0 + i as f32);
            let inside = |x: u32, y: u32| (x as f32 - x0).hypot(y as f32 - y0) < radius;
            let noise = |x: u32, y: u32| (x * 7919 + y * 104_729 + i * 31) % 40;
            let image = image::GrayImage::from_fn(64, 64, |x, y| {
                image::Luma([(60 + 120 * u32::from(inside(x, y)) + noise(x, y)) as u8])
            });
            let mask = image::GrayImage::from_fn(64, 64, |x, y| {
                image::Luma([255 * u8::from(inside(x, y))])
            });
            image.save(folder.path().join(format!("images/{i}.png"))).unwrap();
            mask.save(folder.path().join(format!("masks/{i}.png"))).unwrap();
        }
        let split = r#"{"train": ["0", "1", "2", "3", "4", "5"], "validation": ["6", "7"]}"#;
        fs::write(folder.path().join("split.json"), split).unwrap();
        Some(Self { base, folder })
    }

    fn config(&self, seed: u64) -> Config {
        let path = self.folder.path().join("fit.toml");
        let text = r#"
            input_size = 64
            [[data]]
            path = "."
            split = "split.json"
            classes = ["disc"]
            [adapters]
            stages = [0]
            train_base = ["mask_decoder"]
            [prompts]
            max_clicks = 2
            [optimizer]
            learning_rate = 2e-3
            warmup_steps = 2
            [fit]
            steps = 20
            batch = 2
            variants = 3
        "#;
        fs::write(&path, text).unwrap();
        Config::read(&path, &[format!("seed={seed}")]).unwrap()
    }

    fn fit(&self, seed: u64) -> Fit {
        Fit::new(self.config(seed), &self.base, None, Device::Cpu).unwrap()
    }
}

/// Takes steps; their losses.
fn run(fit: &mut Fit, steps: usize) -> Vec<f64> {
    (0..steps).map(|_| fit.step(&Group::single()).unwrap().loss).collect()
}

fn weights(fit: &Fit) -> Weights {
    fit.learner().weights().unwrap()
}
