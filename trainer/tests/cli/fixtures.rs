//! A folder with a base model, a data set, its split and a configuration.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use image::GrayImage;
use medsa_test_inputs::data;
use medsa_trainer::Checkpoint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

pub const IMAGES: u32 = 10;
pub const SIDE_PX: u32 = 64;

const CONFIG: &str = r#"
base = "base.safetensors"
task = "ellipses"
input_size = 128
[[data]]
path = "data"
split = "split.json"
classes = ["ellipse"]
min_px = 4
[fit]
steps = 4
batch = 1
variants = 1
checkpoint_every = 2
[validation]
every = 2
"#;

pub struct Folder {
    root: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        let weights = data("golden/sam_vit_weights.pth");
        let folder = Self { root: tempfile::tempdir().unwrap() };
        let mut base = Checkpoint::read(&weights).unwrap();
        base.config.decoder.heads = 4;
        base.write(&folder.at("base.safetensors")).unwrap();
        fs::write(folder.at("fit.toml"), CONFIG).unwrap();
        for part in ["images", "masks"] {
            fs::create_dir_all(folder.at("data").join(part)).unwrap();
        }
        for number in 0..IMAGES {
            folder.add_image(number);
        }
        folder
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Command that runs `medsa-train` in the folder.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medsa-train"));
        command.args(line.split_whitespace()).current_dir(self.root.path());
        command
    }

    /// Runs `medsa-train` in the folder.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that must succeed; returns its output.
    pub fn succeed(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail; returns its message.
    pub fn fail(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {errors}");
        let message = errors.lines().find_map(|line| line.strip_prefix("medsa-train: "));
        message.unwrap_or_else(|| panic!("{line}: {errors}")).to_owned()
    }

    /// Writes a split with the last two images for validation, without comparing images.
    pub fn split(&self) {
        let name = |number: u32| format!("\"p{number}\"");
        let names = |range: std::ops::Range<u32>| range.map(name).collect::<Vec<_>>().join(", ");
        let (train, validation) = (names(0..IMAGES - 2), names(IMAGES - 2..IMAGES));
        let text = format!("{{\"train\": [{train}], \"validation\": [{validation}]}}");
        fs::write(self.at("split.json"), text).unwrap();
    }

    /// Adds a bright ellipse among dots, with its mask. The dots distinguish one scene from
    /// another.
    fn add_image(&self, number: u32) {
        let mut rng = ChaCha8Rng::seed_from_u64(number.into());
        let side = SIDE_PX as f32;
        let dots: Vec<[f32; 2]> =
            (0..80).map(|_| [0; 2].map(|_| rng.random_range(0.0..side))).collect();
        let [cx, cy] = [0; 2].map(|_| rng.random_range(22.0..42.0));
        let [a, b] = [0; 2].map(|_| rng.random_range(8.0f32..15.0));
        let inside =
            |x: u32, y: u32| ((x as f32 - cx) / a).powi(2) + ((y as f32 - cy) / b).powi(2) <= 1.0;
        let light = |x: u32, y: u32| -> f32 {
            let dot = |[dx, dy]: &[f32; 2]| (dx - x as f32).powi(2) + (dy - y as f32).powi(2);
            dots.iter().map(|at| (-dot(at) / 6.0).exp()).sum()
        };
        let image = GrayImage::from_fn(SIDE_PX, SIDE_PX, |x, y| {
            let ground = if inside(x, y) { 130.0 } else { 20.0 };
            image::Luma([(ground + 70.0 * light(x, y)).min(255.0) as u8])
        });
        let mask =
            GrayImage::from_fn(SIDE_PX, SIDE_PX, |x, y| image::Luma([u8::from(inside(x, y))]));
        image.save(self.at(&format!("data/images/p{number}.png"))).unwrap();
        mask.save(self.at(&format!("data/masks/p{number}.png"))).unwrap();
    }
}
