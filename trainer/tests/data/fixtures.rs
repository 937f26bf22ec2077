//! A folder with `images/` and `masks/`, and files for it.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_test_inputs::data;
use medsa_trainer::data::{Dataset, MaskRule, Problem, TrainingImage, ValueMap};
use tempfile::TempDir;

pub struct Folder {
    root: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for part in ["images", "masks"] {
            fs::create_dir(root.path().join(part)).unwrap();
        }
        Self { root }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Path of `name`, for example `masks/a.png`; creates the folders above it.
    pub fn at(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).unwrap();
    }

    /// Writes a grey image of `width` x `height` pixels.
    pub fn grey(&self, name: &str, (width, height): (u32, u32), value: impl Fn(u32, u32) -> u8) {
        let image = image::GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)]));
        image.save(self.at(name)).unwrap();
    }

    /// Writes a mask of the repository's test data, and a grey image of the same name and size.
    pub fn add_mask(&self, name: &str, mask: &str) {
        self.grey(&format!("images/{name}.png"), (256, 192), |x, y| (x / 2 + y / 3) as u8);
        let path = data("masks").join(mask);
        fs::copy(path, self.at(&format!("masks/{name}.png"))).unwrap();
    }

    /// The data set, and every problem found by opening and checking it, sorted and without the
    /// folder's own path.
    pub fn check(&self, classes: Option<&[u8]>) -> (Dataset, Vec<String>) {
        self.check_by(&MaskRule::default(), classes)
    }

    /// As [`Folder::check`], with a rule for the values in masks.
    pub fn check_by(&self, rule: &MaskRule, classes: Option<&[u8]>) -> (Dataset, Vec<String>) {
        let (dataset, mut problems) = Dataset::open(self.root()).unwrap();
        let listed = |value| classes.is_some_and(|listed| listed.contains(&value));
        match rule.resolve(&dataset.count_values(), &[], listed) {
            Ok(values) => dataset.check(&values, classes, |problem| problems.push(problem)),
            Err(problem) => {
                problems.push(problem);
                dataset.check(&ValueMap::stored(), None, |problem| problems.push(problem));
            }
        }
        let root = format!("{}/", self.root().display());
        let say = |problem: &Problem| problem.to_string().replace(&root, "");
        let mut problems: Vec<String> = problems.iter().map(say).collect();
        problems.sort();
        (dataset, problems)
    }
}

/// Item `index`, with the values of its mask as classes.
pub fn read(dataset: &Dataset, index: usize) -> TrainingImage {
    dataset.items()[index].read(&ValueMap::stored()).unwrap()
}

pub fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.items().iter().map(|item| item.name.as_str()).collect()
}
