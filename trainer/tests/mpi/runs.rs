//! Trainings of a small network on a few images of ellipses.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use image::{GrayImage, Luma};
use medsa_bundle::Origin;
use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::vit::VitConfig;
use medsa_sam::{DecoderConfig, EncoderConfig, Error, PointOrder, Sam, SamConfig, Weights};
use medsa_trainer::{Adapter, Checkpoint};
use ndarray::{ArrayD, Zip};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a base model, a data set and a configuration.
pub struct Runs {
    root: TempDir,
}

impl Runs {
    pub fn new() -> Self {
        let runs = Self { root: tempfile::tempdir().unwrap() };
        base().write(&runs.path("base.safetensors")).unwrap();
        for folder in ["images", "masks"] {
            fs::create_dir_all(runs.path("data").join(folder)).unwrap();
        }
        let names: Vec<String> = (0..8).map(|i| format!("{i}.png")).collect();
        for (i, name) in names.iter().enumerate() {
            runs.ellipse(i, name);
        }
        let stems: Vec<&str> = names.iter().map(|name| name.trim_end_matches(".png")).collect();
        let split = json!({"train": stems[..7], "validation": stems[7..]});
        fs::write(runs.path("data/split.json"), split.to_string()).unwrap();
        fs::write(runs.path("fit.toml"), CONFIG).unwrap();
        runs
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Command for a training in the run folder `out`.
    pub fn fit(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medsa-train"));
        command.arg("fit").arg("--config").arg(self.path("fit.toml"));
        let out = self.path(out);
        command.arg("--set").arg(format!("out=\"{}\"", out.display())).args(more);
        command
    }

    /// Weights of the adapter at the end of a training.
    pub fn adapter(&self, out: &str) -> Weights {
        Adapter::read(&self.path(out).join("last.safetensors")).unwrap().into_weights()
    }

    /// Loss and gradient norm of each step.
    pub fn steps(&self, out: &str) -> Vec<[f64; 2]> {
        let log = fs::read_to_string(self.path(out).join("log.jsonl")).unwrap();
        let entries = log.lines().map(|line| line.parse::<Value>().unwrap());
        entries
            .filter_map(|entry| {
                let step = entry.get("train")?;
                Some(["loss", "gradient_norm"].map(|key| step[key].as_f64().unwrap()))
            })
            .collect()
    }

    /// Writes a bright ellipse on dark ground; each `i` has another position.
    fn ellipse(&self, i: usize, name: &str) {
        let (cx, cy) = (20.0 + 3.0 * i as f32, 40.0 - 2.0 * i as f32);
        let inside = |x: u32, y: u32| {
            ((x as f32 - cx) / 14.0).powi(2) + ((y as f32 - cy) / 9.0).powi(2) < 1.0
        };
        let image = |ground, bright| {
            GrayImage::from_fn(64, 64, |x, y| Luma([if inside(x, y) { bright } else { ground }]))
        };
        image(40, 190).save(self.path("data/images").join(name)).unwrap();
        image(0, 1).save(self.path("data/masks").join(name)).unwrap();
    }
}

/// Everything that is trained by default, and the mask prompt's network. Not every prompt has a
/// mask, so some processes, and in some steps all of them, have no gradient for that network. The
/// large weight decay shows whether the optimizer leaves it unchanged then.
const CONFIG: &str = r#"
base = "base.safetensors"
cache = "features"
input_size = 128
[[data]]
path = "data"
split = "data/split.json"
classes = ["ellipse"]
[adapters]
train_base = ["prompt_encoder.mask_downscaling"]
[optimizer]
learning_rate = 1e-3
warmup_steps = 1
weight_decay = 0.1
[fit]
steps = 3
batch = 4
variants = 2
[validation]
every = 100
prompts = ["center"]
"#;

/// A small ViT with made-up weights.
fn base() -> Checkpoint {
    let vit = VitConfig {
        patch: 16,
        dim: 32,
        depth: 2,
        heads: 2,
        mlp_dim: 64,
        window: 3,
        global_blocks: vec![1],
        trained_grid: 8,
    };
    let config = SamConfig {
        preprocess: Preprocess {
            input_size: 128,
            normalization: Normalization::MeanStd,
            fit: Fit::Pad,
        },
        encoder: EncoderConfig::Vit(vit),
        decoder: DecoderConfig {
            dim: 32,
            mlp_dim: 64,
            heads: 4,
            mask_channels: 16,
            points: PointOrder::Xy,
        },
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut weights = Weights::new();
    // Reading the network reports the missing tensors one after the other.
    while let Err(error) = Sam::read(&weights, config.clone()) {
        let Error::MissingTensor { name, expected } = error else { panic!("{error}") };
        let fan_in: usize = expected.iter().skip(1).product();
        let bound = 1.0 / (fan_in as f32).sqrt();
        let is_norm = expected.len() == 1 && name.ends_with("weight");
        let mut value = || if is_norm { 1.0 } else { rng.random_range(-bound..bound) };
        let value = ArrayD::from_shape_simple_fn(expected, &mut value);
        weights.insert(name, value.into_shared());
    }
    let origin = Origin { name: "small".into(), sha256: "0".repeat(64) };
    Checkpoint { path: "small".into(), origin, teacher: None, weights, config }
}

/// Largest difference between the tensors of two files.
pub fn difference(a: &Weights, b: &Weights) -> f32 {
    assert!(a.keys().eq(b.keys()), "they have other tensors");
    let mut largest = 0.0f32;
    for (a, b) in a.values().zip(b.values()) {
        Zip::from(a).and(b).for_each(|a, b| largest = largest.max((a - b).abs()));
    }
    largest
}

/// Starts the commands as processes of one MPI world.
pub fn mpirun(commands: &[&Command]) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["--oversubscribe", "--allow-run-as-root"]);
    for (i, command) in commands.iter().enumerate() {
        if i > 0 {
            mpirun.arg(":");
        }
        mpirun.args(["-n", "1"]).arg(command.get_program()).args(command.get_args());
    }
    mpirun
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let Output { status, stderr, .. } = output(command);
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
}

/// Runs a command that must fail; returns its message.
pub fn error(command: &mut Command) -> String {
    let Output { status, stderr, .. } = output(command);
    assert!(!status.success(), "{command:?}");
    String::from_utf8_lossy(&stderr).into_owned()
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: run `make test`"))
}
