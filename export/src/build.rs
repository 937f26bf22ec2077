//! Making a build from a base model, an adapter and calibration frames.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use medsa_bundle::{Acceptance, Agreement, Build, Manifest, Precision, QuantizationReport};
use medsa_frames::{Clip, Frame};
use medsa_sam::{Quantization, Sam};
use medsa_trainer::{Adapter, Checkpoint};

use crate::acceptance::{self, phantoms};
use crate::card::BuildCard;
use crate::error::Error;
use crate::folding::Folded;
use crate::limits::{FitnessLimits, Judgement};
use crate::network::Models;
use crate::quantize::quantize;
use crate::runner::{Runner, on_candle};
use crate::{agreement, folding, licences, sbom};

/// Inputs and settings of a build.
pub struct Recipe {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter, `.safetensors`.
    pub adapter: Option<PathBuf>,
    /// Frames for int8 calibration, and others on which int8 is compared with f32. Each path is a
    /// DICOM file, an image or a folder.
    pub calibration: Vec<PathBuf>,
    /// Largest number of frames taken from each path, separately for calibration and for
    /// comparison.
    pub frames: NonZeroUsize,
    /// Side of the network input in pixels; by default that of training.
    pub input_size: Option<usize>,
    /// Arithmetic of the models in the build.
    pub precision: Precision,
    /// Version of the build.
    pub version: String,
    /// Files with licence texts to include.
    pub licences: Vec<PathBuf>,
    /// Limits that the build must meet.
    pub limits: FitnessLimits,
    /// True to write a build that misses its limits, marked as unfit.
    pub danger_allow: bool,
    /// Build file to write. The ONNX files, int8 and f32, are written to a folder next to it.
    pub out: PathBuf,
}

/// Progress of a build.
pub enum Progress<'a> {
    /// A part is finished; the text describes it.
    Done(String),
    /// The network is folded.
    Folded(&'a Folded),
    /// Layers are being calibrated: task, finished items, total.
    Quantizing(&'static str, usize, usize),
    /// Frames are being compared: finished frames, total.
    Comparing(usize, usize),
    /// The comparison of int8 with f32 is finished.
    Compared(&'a Agreement, &'a QuantizationReport),
}

impl Recipe {
    /// Makes the build.
    ///
    /// # Errors
    /// An input cannot be read or used, or the build misses its limits; then no build is written.
    pub fn build(&self, mut report: impl FnMut(Progress)) -> Result<Build, Error> {
        if self.out.extension().is_some_and(|extension| extension == "onnx") {
            // The folder of the ONNX files has this name.
            return Err(Error::BuildName { path: self.out.clone() });
        }
        let licences = licences::read(&self.licences)?;
        let clips = self.calibration.iter().map(Clip::open).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = clips.first() else { return Err(Error::NoFrames) };
        let base = Checkpoint::read(&self.base)?;
        let adapter = self.adapter.as_deref().map(Adapter::read).transpose()?;
        let sam = match &adapter {
            Some(adapter) => adapter.sam(&base, self.input_size)?,
            None => base.sam(self.input_size)?,
        };
        let preprocess = sam.config().preprocess;
        let origin = adapter.as_ref().map_or(&base.origin, |adapter| &adapter.origin);
        let training = adapter.as_ref().and_then(|adapter| adapter.info.training.as_ref());
        let name = training.map_or(&origin.name, |training| &training.task).clone();
        report(Progress::Done(format!("{name} at {} px", preprocess.input_size)));

        let (sam, folded) = folding::fold(&sam, &first.frame(0)?)?;
        report(Progress::Folded(&folded));

        let size = preprocess.input_size.to_string();
        let of_adapter = adapter.as_ref().map(|adapter| adapter.origin.sha256.as_str());
        let metadata = [
            ("medsa.base_sha256", base.origin.sha256.as_str()),
            ("medsa.adapter_sha256", of_adapter.unwrap_or("none")),
            ("medsa.input_size", &size),
        ];
        let float = Quantization::default();
        let mut models = self.record(&sam, "f32", &float, &metadata, &mut report)?;
        let on_candle = |quantization| Runner::Candle(Box::new(on_candle(&sam, quantization)));
        let mut runner = on_candle(float);
        let (mut reference, mut quantized, mut limits) = (None, None, Vec::new());
        if self.precision == Precision::Int8 {
            let frames = spread(&clips, self.frames, 0)?;
            let progress = |what, done, all| report(Progress::Quantizing(what, done, all));
            let (quantization, found) = quantize(&sam, &frames, progress)?;
            models = self.record(&sam, "int8", &quantization, &metadata, &mut report)?;
            let float = std::mem::replace(&mut runner, on_candle(quantization));
            // Other frames than those used for calibration, if there are more.
            let frames = spread(&clips, self.frames, 1)?;
            let progress = |done, all| report(Progress::Comparing(done, all));
            let agreement = agreement::measure(&float, &runner, &frames, progress)?;
            report(Progress::Compared(&agreement, &found));
            let bytes = models.encoder.len() + models.decoder.len();
            limits = self.limits.judge(&agreement, &found, bytes);
            quantized = Some((agreement, found));
            reference = Some(float);
        }
        let missed = limits.iter().filter(|limit| !limit.holds);
        let unfit: Vec<String> = missed.map(Judgement::to_string).collect();
        if !unfit.is_empty() && !self.danger_allow {
            return Err(Error::Unfit { path: self.out.clone(), missed: unfit });
        }
        let (agreement, quantization) = quantized.unzip();
        let manifest = Manifest {
            format: Manifest::FORMAT,
            name,
            version: self.version.clone(),
            min_edge_version: env!("CARGO_PKG_VERSION").into(),
            base: base.origin.clone(),
            adapter: adapter.as_ref().map(|adapter| adapter.origin.clone()),
            classes: training.map_or_else(Vec::new, |training| training.classes.clone()),
            preprocess,
            precision: self.precision,
            agreement,
            quantization,
            unfit,
            files: BTreeMap::new(),
        };
        // The base model understands clicks only with an adapter.
        let phantoms = phantoms(adapter.is_some())?;
        let predictions = acceptance::predict(&runner, &phantoms)?;
        let expected = reference.map(|float| acceptance::predict(&float, &phantoms)).transpose()?;
        let vectors = acceptance::vectors(&phantoms, &predictions);
        let mut files = acceptance::frames(&phantoms)?;
        let acceptance = Acceptance { vectors, boards: self.limits.boards.clone() };
        let models = BTreeMap::from([
            (Manifest::ENCODER.to_owned(), models.encoder),
            (Manifest::DECODER.to_owned(), models.decoder),
        ]);
        let card = BuildCard {
            manifest: &manifest,
            training,
            models: &models,
            folded: &folded,
            limits: &limits,
            scenes: &acceptance::scenes(&phantoms, &predictions, expected.as_deref()),
        };
        files.insert(BuildCard::FILE.to_owned(), card.html()?.into_bytes());
        files.insert(sbom::FILE.to_owned(), sbom::sbom(&manifest, &models, &licences));
        files.extend(models.into_iter().chain(licences));
        let build = Build::new(manifest, files, acceptance);
        build.write(&self.out)?;
        Ok(build)
    }

    /// Records both models and writes them to the folder `name` next to the build.
    fn record(
        &self,
        sam: &Sam,
        name: &str,
        quantization: &Quantization,
        metadata: &[(&str, &str)],
        report: &mut impl FnMut(Progress),
    ) -> Result<Models, Error> {
        let models = Models::record(sam, quantization, metadata);
        let folder = self.out.with_extension("onnx").join(name);
        fs::create_dir_all(&folder).map_err(|e| io(&folder, e))?;
        for (file, bytes) in
            [(Manifest::ENCODER, &models.encoder), (Manifest::DECODER, &models.decoder)]
        {
            let path = folder.join(file);
            fs::write(&path, bytes).map_err(|e| io(&path, e))?;
            let size = bytes.len() as f64 / 1e6;
            report(Progress::Done(format!("{} ({size:.1} MB)", path.display())));
        }
        Ok(models)
    }
}

/// At most `limit` evenly spread frames of each of `clips`. With `half` = 1, frames lie half a gap
/// later than with 0.
pub(crate) fn spread(
    clips: &[Clip],
    limit: NonZeroUsize,
    half: usize,
) -> Result<Vec<Frame>, Error> {
    let of_clip = |clip: &Clip| -> Result<Vec<Frame>, Error> {
        let count = clip.len().min(limit.get());
        (0..count).map(|i| Ok(clip.frame((2 * i + half) * clip.len() / (2 * count))?)).collect()
    };
    Ok(clips.iter().map(of_clip).collect::<Result<Vec<_>, _>>()?.concat())
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_named_onnx_is_refused() {
        let recipe = Recipe {
            base: "base.pth".into(),
            adapter: None,
            calibration: vec!["frames".into()],
            frames: NonZeroUsize::MIN,
            input_size: None,
            precision: Precision::Int8,
            version: "0.1.0".into(),
            licences: Vec::new(),
            limits: FitnessLimits::default(),
            danger_allow: false,
            out: "out/heart.onnx".into(),
        };
        let error = recipe.build(|_| {}).err().unwrap().to_string();
        assert!(
            error.starts_with("out/heart.onnx ends in .onnx, expected another name"),
            "{error}"
        );
    }
}
