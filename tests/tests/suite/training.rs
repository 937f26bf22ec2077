//! Training resumes without any difference, is reproducible from its seed, and learns.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;

use candle_core::Device;
use medsa_export::{CalibrationFrames, QuantizeBase};
use medsa_sam::Weights;
use medsa_sam::prompt::PromptTokens;
use medsa_tests::model::small_vit;
use medsa_tests::place;
use medsa_trainer::data::{Dataset, Part, Split, Targets, TrainingImage};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{Config, Evaluation, Fit, Group, Network, evaluate};
use medsa_trainer::{CandleBackend, Checkpoint, QuantizedBase};
use ndarray::Array4;

#[test]
fn two_times_ten_steps_equal_twenty() {
    let setting = Setting::new();
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
    // The network also learned from one disc after the other.
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[15..]) < 0.8 * mean(&losses[..5]), "{losses:?}");
}

#[test]
fn training_is_reproducible_from_its_seed() {
    let setting = Setting::new();
    let train = |seed| {
        let mut fit = setting.fit(seed);
        run(&mut fit, 3);
        weights(&fit)
    };
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
}

#[test]
fn kept_features_do_not_change_the_training() {
    let setting = Setting::new();
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

#[test]
fn adapters_are_trained_on_an_int8_base() {
    let setting = Setting::new();
    let path = |name: &str| setting.folder.path().join(name);
    setting.base.write(&path("base.safetensors")).unwrap();
    let quantize = |input_size, out: &str| {
        let quantize = QuantizeBase {
            base: path("base.safetensors"),
            adapter: None,
            frames: CalibrationFrames {
                paths: vec![path("images")],
                limit: NonZeroUsize::new(4).unwrap(),
            },
            input_size: Some(input_size),
            out: path(out),
        };
        quantize.run(|_, _, _| ()).unwrap();
    };
    quantize(64, "int8.safetensors");
    let config = Config { quantized_base: Some(path("int8.safetensors")), ..setting.config(7) };
    let start = |config| Fit::new(config, &setting.base, None, Device::Cpu);
    let mut fit = start(config.clone()).unwrap();
    let losses = run(&mut fit, 20);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[15..]) < 0.8 * mean(&losses[..5]), "{losses:?}");

    // The base is in int8, and trained layers are in float.
    let in_float = run(&mut setting.fit(7), 1)[0];
    let off = (losses[0] - in_float).abs();
    assert!(off > 1e-6 && off < 0.05 * in_float, "{} in int8, {in_float} in float", losses[0]);
    let mut all = QuantizedBase::read(&path("int8.safetensors"), &setting.base, 64).unwrap();
    all.quantization.layers.retain(|name, _| !name.starts_with("mask_decoder"));
    let sam = setting.base.sam(Some(64)).unwrap();
    let sam = sam.with_adapters(&weights(&fit), &config.form).unwrap();
    let backend = CandleBackend::new(Device::Cpu).quantized(Rc::new(all.quantization));
    let predict = |network: &Network| {
        let image = Array4::from_shape_fn((1, 3, 64, 64), |at| (at.2 * at.3 % 7) as f32 / 7.0);
        let embedding = network.embedding(&network.features(&image, 1).unwrap(), 1).unwrap();
        let tokens = PromptTokens::new(&[([30.0, 25.0], 1.0), ([0.0, 0.0], -1.0)]);
        network.array(network.predict(&embedding, &tokens, None).unwrap().value()).unwrap()
    };
    assert_eq!(predict(fit.learner().network()), predict(&Network::with_backend(sam, backend)));

    quantize(128, "other.safetensors");
    let other = Config { quantized_base: Some(path("other.safetensors")), ..config };
    let error = start(other).err().unwrap().to_string();
    assert!(error.ends_with("calibrated for inputs of 128 px, expected 64 px"), "{error}");
}

#[test]
fn volume_trains_depth_adapters() {
    let setting = Setting::new();
    let folder = place::scratch();
    for part in ["images", "masks"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    // Two balls, as NIfTI volumes of eight slices.
    for (name, radius) in [("a", 20.0f32), ("b", 17.0)] {
        let inside = |x: usize, y: usize, z: usize| {
            let depth = 5.0 * (z as f32 - 3.5);
            (x as f32 - 30.0).hypot(y as f32 - 34.0).hypot(depth) < radius
        };
        let volume = |value: &dyn Fn(bool) -> u8| {
            let voxels = (0..8 * 64 * 64).map(|i| inside(i % 64, i / 64 % 64, i / 4096));
            nifti([64, 64, 8], voxels.map(value).collect())
        };
        let path = |part: &str| folder.path().join(part).join(format!("{name}.nii"));
        fs::write(path("images"), volume(&|inside| if inside { 180 } else { 60 })).unwrap();
        fs::write(path("masks"), volume(&u8::from)).unwrap();
    }
    let (dataset, problems) = Dataset::open(folder.path()).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let of = |stem: &str| -> Vec<String> {
        let names = dataset.items().iter().map(|item| item.name.clone());
        names.filter(|name| name.starts_with(stem)).collect()
    };
    let split = Split { train: of("a"), validation: of("b"), test: vec![] };
    split.write(&folder.path().join("split.json")).unwrap();
    let mut config = setting.config(0);
    config.data[0].path = folder.path().to_owned();
    config.data[0].split = Some(folder.path().join("split.json"));
    config.fit.slices = 3;
    config.adapters.depth = true;
    let mut fit = Fit::new(config.clone(), &setting.base, None, Device::Cpu).unwrap();
    let before = weights(&fit);
    run(&mut fit, 2);
    let after = weights(&fit);
    for name in ["down.weight", "up.weight"] {
        let name = format!("encoder.blocks.0.3.depth.{name}");
        assert_ne!(before[&name], after[&name], "{name} did not train");
    }
    let (stock, features) = &fit.stocks()[0];
    let evaluation = Evaluation {
        part: Part::Validation,
        kinds: &[PromptKind::Center],
        targets: Targets::Largest,
        slices: 3,
        seed: 0,
    };
    let mut predictions = 0;
    let network = fit.learner().network().detached();
    let count = |_: &TrainingImage, found: Vec<_>| predictions += found.len();
    evaluate(&network, stock, features, &evaluation, count).unwrap();
    // The first and the last slice are outside the ball.
    assert_eq!(predictions, 6);
}

/// A NIfTI-1 file of bytes.
fn nifti(sides: [i16; 3], voxels: Vec<u8>) -> Vec<u8> {
    let mut file = vec![0u8; 352];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348i32.to_le_bytes());
    for (axis, length) in [3, sides[0], sides[1], sides[2], 1, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * axis, &length.to_le_bytes());
        put(76 + 4 * axis, &1f32.to_le_bytes());
    }
    // Unsigned bytes, directly after this header.
    put(70, &2i16.to_le_bytes());
    put(72, &8i16.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(344, b"n+1\0");
    file.extend(voxels);
    file
}

/// A small model and eight images of bright discs.
struct Setting {
    base: Checkpoint,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
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
        Self { base: small_vit(), folder }
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

/// Takes steps; returns their losses.
fn run(fit: &mut Fit, steps: usize) -> Vec<f64> {
    (0..steps).map(|_| fit.step(&Group::single()).unwrap().loss).collect()
}

fn weights(fit: &Fit) -> Weights {
    fit.learner().weights().unwrap()
}
