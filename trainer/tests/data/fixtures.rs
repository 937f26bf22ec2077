//! A folder with `images/` and `masks/`, and files for it.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_trainer::data::{Dataset, Problem};
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

    /// The data set, and every problem found by opening and checking it, sorted and without the
    /// folder's own path.
    pub fn check(&self, classes: Option<&[u8]>) -> (Dataset, Vec<String>) {
        let (dataset, mut problems) = Dataset::open(self.root()).unwrap();
        dataset.check(classes, |problem| problems.push(problem));
        let root = format!("{}/", self.root().display());
        let say = |problem: &Problem| problem.to_string().replace(&root, "");
        let mut problems: Vec<String> = problems.iter().map(say).collect();
        problems.sort();
        (dataset, problems)
    }
}

pub fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.items().iter().map(|item| item.name.as_str()).collect()
}
