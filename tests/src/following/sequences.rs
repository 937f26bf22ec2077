//! Sequences of annotated images: sweeps of the carotid, endoscopy of the larynx.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_engine::Engine;
use medsa_frames::{Clip, Frame};
use ndarray::Array2;

use super::Error;
use super::footage::Footage;
use super::scene::Scene;

/// Reads the sequences in a folder with `images` and `masks` of the names SEQUENCE_NUMBER. Of the
/// masks, `class` is the object, or every value above 0. Images before the object's first are left
/// out, and sequences without it.
///
/// # Errors
/// A file cannot be read.
pub fn sequences<'a>(
    engine: &'a Engine,
    folder: &Path,
    class: Option<u8>,
    rate: usize,
) -> Result<Vec<Scene<'a>>, Error> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(folder.join("images"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sequence = name.split('_').next().unwrap_or(name).to_owned();
        files.entry(sequence).or_default().push(path);
    }
    let mut scenes = Vec::new();
    for (sequence, mut paths) in files {
        paths.sort();
        let read = |path: &Path| Clip::open(path)?.frame(0);
        let mask = |path: &PathBuf| {
            let name = path.with_extension("png");
            let name = name.file_name().expect("it names a file");
            Ok::<_, Error>(object(&read(&folder.join("masks").join(name))?, class))
        };
        let truth = paths.iter().map(mask).collect::<Result<Vec<_>, _>>()?;
        let begin = truth.iter().position(|truth| truth.iter().any(|&inside| inside));
        let Some(begin) = begin else { continue };
        let images = paths[begin..].iter().map(|path| read(path));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        if images.len() < 3 {
            continue;
        }
        scenes.push(Scene {
            name: sequence,
            footage: Footage::new(engine, images)?,
            truth: truth[begin..].to_vec(),
            rate,
        });
    }
    Ok(scenes)
}

fn object(mask: &Frame, class: Option<u8>) -> Array2<bool> {
    let (height, width) = (mask.height as usize, mask.width as usize);
    Array2::from_shape_fn((height, width), |(y, x)| {
        let value = mask.rgb[3 * (y * width + x)];
        class.map_or(value > 0, |class| value == class)
    })
}
