//! From files to a build.

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

/// What a build is made of.
pub struct Recipe {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter, `.safetensors`.
    pub adapter: Option<PathBuf>,
    /// Frames to which 8 bits are fitted, and others on which they are compared with f32: a DICOM
    /// file, a picture or a folder.
    pub calibration: Vec<PathBuf>,
    /// At most so many of each source, for each purpose.
    pub frames: NonZeroUsize,
    /// Side of the network input, or that at which the base was trained.
    pub input_size: Option<usize>,
    /// Which arithmetic goes into the build.
    pub precision: Precision,
    /// Version of the build.
    pub version: String,
    /// Texts of licences that go into the build.
    pub licences: Vec<PathBuf>,
    /// What the build must hold.
    pub limits: FitnessLimits,
    /// Whether a build that misses them is written, marked as unfit.
    pub danger_allow: bool,
    /// The build file; its ONNX files, and those in f32, go into a folder beside it.
    pub out: PathBuf,
}

/// What is being done, for who waits.
pub enum Step<'a> {
    /// A part is finished.
    Done(String),
    /// The network is folded.
    Folded(&'a Folded),
    /// Layers are being fitted to 8 bits.
    Quantizing(&'static str, usize, usize),
    /// Frames compared, of how many.
    Comparing(usize, usize),
    /// The result.
    Compared(&'a Agreement, &'a QuantizationReport),
}

impl Recipe {
    /// Makes the build.
    ///
    /// # Errors
    /// Any input that cannot be read or used; then no build is written.
    pub fn build(&self, mut report: impl FnMut(Step)) -> Result<Build, Error> {
        if self.out.extension().is_some_and(|extension| extension == "onnx") {
            // The folder of that name would be in its place.
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
        report(Step::Done(format!("{name} at {} px", preprocess.input_size)));

        let (sam, folded) = folding::fold(&sam, &first.frame(0)?)?;
        report(Step::Folded(&folded));

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
            let progress = |what, done, all| report(Step::Quantizing(what, done, all));
            let (quantization, found) = quantize(&sam, &frames, progress)?;
            models = self.record(&sam, "int8", &quantization, &metadata, &mut report)?;
            let float = std::mem::replace(&mut runner, on_candle(quantization));
            // Other frames than those that it was fitted to, where there are others.
            let frames = spread(&clips, self.frames, 1)?;
            let progress = |done, all| report(Step::Comparing(done, all));
            let agreement = agreement::measure(&float, &runner, &frames, progress)?;
            report(Step::Compared(&agreement, &found));
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
        // Only an adapter makes the base understand clicks.
        let phantoms = phantoms(adapter.is_some())?;
        let answers = acceptance::answers(&runner, &phantoms)?;
        let expected = reference.map(|float| acceptance::answers(&float, &phantoms)).transpose()?;
        let vectors = acceptance::vectors(&phantoms, &answers);
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
            scenes: &acceptance::scenes(&phantoms, &answers, expected.as_deref()),
        };
        files.insert(BuildCard::FILE.to_owned(), card.html()?.into_bytes());
        files.insert(sbom::FILE.to_owned(), sbom::sbom(&manifest, &models, &licences));
        files.extend(models.into_iter().chain(licences));
        let build = Build::new(manifest, files, acceptance);
        build.write(&self.out)?;
        Ok(build)
    }

    /// Records both models and writes them beside the build, in the folder `name`.
    fn record(
        &self,
        sam: &Sam,
        name: &str,
        quantization: &Quantization,
        metadata: &[(&str, &str)],
        report: &mut impl FnMut(Step),
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
            report(Step::Done(format!("{} ({size:.1} MB)", path.display())));
        }
        Ok(models)
    }
}

/// At most `limit` frames of each of `clips`, evenly spread; from half the gap between them on if
/// `half` is 1.
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
    fn a_build_does_not_take_the_place_of_its_onnx_files() {
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
