//! Making a build from a base model, an adapter and an int8 calibration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{Acceptance, Build, Manifest, Precision};
use medsa_sam::{Quantization, Sam};

use crate::acceptance::{self, phantoms};
use crate::calibration::{Calibration, CalibrationSource};
use crate::card::BuildCard;
use crate::error::Error;
use crate::folding::Folded;
use crate::limits::{FitnessLimits, Judgement};
use crate::network::Models;
use crate::runner::{Runner, on_candle};
use crate::trained::Trained;
use crate::{folding, licences, sbom};

/// Inputs and settings of a build.
pub struct Recipe {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter, `.safetensors`.
    pub adapter: Option<PathBuf>,
    /// Side of the network input in pixels; by default that of training.
    pub input_size: Option<usize>,
    /// Source of the int8 calibration; `None` for a build in f32.
    pub int8: Option<CalibrationSource>,
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
    /// The network is being calibrated: task, finished items, total.
    Calibrating(&'static str, usize, usize),
    /// The network is calibrated.
    Calibrated(&'a Calibration),
}

impl Recipe {
    /// Makes the build.
    ///
    /// # Errors
    /// An input cannot be read or used, or the build misses its limits; then no build is written.
    pub fn build(&self, mut report: impl FnMut(Progress) + Send) -> Result<Build, Error> {
        if self.out.extension().is_some_and(|extension| extension == "onnx") {
            // The folder of the ONNX files has this name.
            return Err(Error::BuildName { path: self.out.clone() });
        }
        let licences = licences::read(&self.licences)?;
        let trained = Trained::read(&self.base, self.adapter.as_deref(), self.input_size)?;
        report(Progress::Done(format!("{} at {} px", trained.name(), trained.input_size())));

        // The base model understands clicks only with an adapter.
        let phantoms = phantoms(trained.adapter.is_some())?;
        let (sam, folded) = folding::fold(&trained.sam, &phantoms[0].frame)?;
        report(Progress::Folded(&folded));

        let size = trained.input_size().to_string();
        let of_adapter = trained.adapter_origin().map(|origin| origin.sha256.as_str());
        let metadata = [
            ("medsa.base_sha256", trained.base.origin.sha256.as_str()),
            ("medsa.adapter_sha256", of_adapter.unwrap_or("none")),
            ("medsa.input_size", &size),
        ];
        let float = Quantization::default();
        let mut models = self.record(&sam, "f32", &float, &metadata, &mut report)?;
        let on_candle = |quantization| Runner::Candle(Box::new(on_candle(&sam, quantization)));
        let mut runner = on_candle(float);
        let (mut reference, mut limits) = (None, Vec::new());
        let mut progress = |what, done, all| report(Progress::Calibrating(what, done, all));
        let calibrate =
            |source: &CalibrationSource| source.calibration(&trained, &sam, &mut progress);
        let calibration = self.int8.as_ref().map(calibrate).transpose()?;
        if let Some(calibration) = &calibration {
            report(Progress::Calibrated(calibration));
            let quantization = &calibration.quantization;
            models = self.record(&sam, "int8", quantization, &metadata, &mut report)?;
            reference = Some(std::mem::replace(&mut runner, on_candle(quantization.clone())));
            let bytes = models.encoder.len() + models.decoder.len();
            limits = self.limits.judge(&calibration.agreement, &calibration.report, bytes);
        }
        let missed = limits.iter().filter(|limit| !limit.holds);
        let unfit: Vec<String> = missed.map(Judgement::to_string).collect();
        if !unfit.is_empty() && !self.danger_allow {
            return Err(Error::Unfit { path: self.out.clone(), missed: unfit });
        }
        let manifest = self.manifest(&trained, calibration, unfit);
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
            training: trained.training(),
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

    /// Manifest of a build without files.
    fn manifest(
        &self,
        trained: &Trained,
        calibration: Option<Calibration>,
        unfit: Vec<String>,
    ) -> Manifest {
        let precision = if calibration.is_some() { Precision::Int8 } else { Precision::F32 };
        let (agreement, quantization) =
            calibration.map(|calibration| (calibration.agreement, calibration.report)).unzip();
        let classes = trained.training().map(|training| training.classes.clone());
        Manifest {
            format: Manifest::FORMAT,
            name: trained.name().to_owned(),
            version: self.version.clone(),
            min_edge_version: env!("CARGO_PKG_VERSION").into(),
            base: trained.base.origin.clone(),
            adapter: trained.adapter_origin().cloned(),
            classes: classes.unwrap_or_default(),
            preprocess: trained.sam.config().preprocess,
            precision,
            agreement,
            quantization,
            unfit,
            files: BTreeMap::new(),
        }
    }

    /// Records both models and writes them to the folder `name` next to the build.
    fn record(
        &self,
        sam: &Sam,
        name: &str,
        quantization: &Quantization,
        metadata: &[(&str, &str)],
        report: &mut (impl FnMut(Progress) + Send),
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
            input_size: None,
            int8: None,
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
