//! Builds from checkpoints of the released Med-SA code, and from SAM ViT with our adapters: devices
//! give the same results as the trained network.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use candle_core::Device;
use medsa_bundle::{Build, Limits, Manifest};
use medsa_engine::Engine;
use medsa_export::{boxes, read_quantization};
use medsa_frames::{Clip, Frame};
use medsa_sam::image::{Fit, Normalization, RgbView};
use medsa_sam::{
    AdapterConfig, AdapterPlan, EncoderConfig, Folding, PointOrder, Sam, SamConfig, Weights,
};
use medsa_tests::golden::{cosine, max_difference};
use medsa_tests::model::Model;
use medsa_tests::needs;
use medsa_tests::program::{command, python, run};
use medsa_tests::{onnxruntime, place};
use medsa_trainer::train::initial_weights;
use medsa_trainer::{Adapter, AdapterInfo, CandleBackend, Checkpoint};
use ndarray::{ArrayD, Axis, IxDyn};

use super::tiny::{all, noise};

#[test]
fn vit_of_the_released_code_is_built() {
    needs!("dicom", "venv");
    let vit = small_vit();
    let folder = place::scratch();
    let mut weights = with_adapters(vit.weights.clone(), &vit.config);
    as_in_later_versions(&mut weights);
    let pth = as_saved(folder.path(), &weights);
    let base = folder.path().join("base.safetensors");
    let printed =
        run(command("medsa-train").args(["import", "--base"]).arg(&pth).arg("--out").arg(&base));
    assert!(printed.contains("input 96 px"), "{printed}");
    assert!(printed.contains("clicks with their row first"), "{printed}");
    assert!(printed.contains("they have no effect on single frames"), "{printed}");
    let imported = Checkpoint::read(&base).unwrap();
    let EncoderConfig::Vit(config) = &imported.config.encoder else { panic!("it is a ViT") };
    assert_eq!(
        (config.window, &config.global_blocks[..], config.trained_grid),
        (3, &[1, 3][..], 8)
    );
    assert_fed_as_released(&imported.config);
    assert_eq!(imported.weights, Checkpoint::read(&pth).unwrap().weights);

    let sam = imported.sam(None).unwrap();
    assert_predictions_of_build_in_f32(&sam, &pth);
    assert_predictions_of_build_in_int8(&sam, &Source { base: pth, adapter: None, size: 96 }, 0.98);
}

#[test]
fn mobile_sam_of_the_released_code_is_built() {
    needs!("dicom", "litemedsam", "venv");
    let folder = place::scratch();
    let weights = small_mobile_sam();
    let config = SamConfig::detect(&weights).unwrap();
    let pth = as_saved(folder.path(), &with_adapters(weights, &config));
    let checkpoint = Checkpoint::read(&pth).unwrap();
    assert_fed_as_released(&checkpoint.config);
    let sam = checkpoint.sam(Some(64)).unwrap();
    let source = Source { base: pth, adapter: None, size: 64 };
    assert_predictions_of_build_in_int8(&sam, &source, 0.95);
}

#[test]
fn low_rank_updates_are_part_of_the_weights() {
    needs!("venv");
    let vit = small_vit();
    let folder = place::scratch();
    let mut weights = vit.weights.clone();
    for (layer, a, b) in [("attn.qkv", [4, 64], [128, 2]), ("mlp.lin1", [2, 64], [256, 2])] {
        let layer = format!("image_encoder.blocks.1.{layer}");
        weights.insert(format!("{layer}.lora_A"), random(&a, 0.3).into_shared());
        weights.insert(format!("{layer}.lora_B"), random(&b, 0.3).into_shared());
    }
    let read = Checkpoint::read(&as_saved(folder.path(), &weights)).unwrap();
    assert_fed_as_released(&read.config);
    assert_eq!(read.weights.keys().collect::<Vec<_>>(), vit.weights.keys().collect::<Vec<_>>());
    let changed = |(name, value): &(&String, &_)| vit.weights[*name] != **value;
    let changed: Vec<_> = read.weights.iter().filter(changed).map(|(name, _)| name).collect();
    let block = "image_encoder.blocks.1";
    assert_eq!(changed, [&format!("{block}.attn.qkv.weight"), &format!("{block}.mlp.lin1.weight")]);
}

#[test]
fn unsupported_variants_are_refused_with_the_tensor() {
    needs!("venv");
    let vit = small_vit();
    let folder = place::scratch();
    let error = |change: &dyn Fn(&mut Weights)| {
        let mut weights = with_adapters(vit.weights.clone(), &vit.config);
        change(&mut weights);
        let read = Checkpoint::read(&as_saved(folder.path(), &weights));
        read.and_then(|read| read.sam(None)).err().unwrap().to_string()
    };
    // More than four masks, one for each class.
    let name = "mask_decoder.mask_tokens.weight";
    let found = error(&|weights: &mut Weights| {
        weights.insert(name.into(), random(&[6, 64], 1.0).into_shared());
    });
    assert!(found.ends_with(&format!("{name} has shape [6, 64], expected [4, 64]")), "{found}");
    // EfficientSAM's positions, including one for its class token.
    let name = "image_encoder.pos_embed";
    let found = error(&|weights: &mut Weights| {
        weights.insert(name.into(), random(&[1, 197, 64], 1.0).into_shared());
    });
    assert!(found.ends_with(&format!("{name} has shape [1, 197, 64], expected 4 axes")), "{found}");
}

#[test]
fn vit_with_adapters_is_built_at_its_own_and_other_sizes() {
    needs!("dicom", "venv");
    let vit = small_vit();
    let folder = place::scratch();
    let base = folder.path().join("base.safetensors");
    vit.write(&base).unwrap();
    let vit = Checkpoint::read(&base).unwrap();
    let plan = AdapterPlan { depth: false, ..all(&[]) };
    let mut trained = initial_weights(&vit.sam(None).unwrap(), &plan, 0);
    for (seed, value) in trained.values_mut().enumerate() {
        let mut i = seed;
        value.mapv_inplace(|v| {
            i += 1;
            v + 0.1 * noise(i)
        });
    }
    let path = folder.path().join("adapter.safetensors");
    let config = AdapterConfig::default();
    let info = AdapterInfo { base: vit.origin.clone(), input_size: 128, config, training: None };
    Adapter::write(&path, &info, trained).unwrap();
    let adapter = Adapter::read(&path).unwrap();
    for size in [128, 192] {
        let sam = adapter.sam(&vit, Some(size)).unwrap();
        let source = Source { base: base.clone(), adapter: Some(path.clone()), size };
        assert_predictions_of_build_in_int8(&sam, &source, 0.98);
    }
}

/// Inputs of a build.
struct Source {
    base: PathBuf,
    adapter: Option<PathBuf>,
    size: usize,
}

impl Source {
    fn build(&self, precision: &str) -> Build {
        let folder = place::scratch();
        let out = folder.path().join("build.medsa");
        let mut export = command("medsa-export");
        // Masks of made-up weights change with small errors.
        export.args(["build", "--danger-allow", "--frames", "1", "--precision", precision]);
        export.arg("--input-size").arg(self.size.to_string()).arg("--base").arg(&self.base);
        if let Some(adapter) = &self.adapter {
            export.arg("--adapter").arg(adapter);
        }
        run(export.arg("--calibration").arg(place::cine()).arg("--out").arg(&out));
        if precision == "f32" {
            run(command("medsa-edge").args(["accept", "--build"]).arg(&out));
        }
        Build::read(&out, &Limits::default()).unwrap()
    }
}

/// Asserts that embedding and logits of the f32 build agree within 1e-3.
fn assert_predictions_of_build_in_f32(sam: &Sam, base: &Path) {
    let size = sam.config().preprocess.input_size;
    let build = Source { base: base.to_owned(), adapter: None, size }.build("f32");
    let frame = frame();
    let expected = predictions(sam, CandleBackend::new(Device::Cpu), &frame);
    let found = edge_predictions(&build, &frame);
    for (expected, found) in expected.iter().zip(&found) {
        let difference = max_difference(found, expected);
        assert!(difference < 1e-3, "{difference}");
    }
}

/// Asserts that masks and embedding of both runtimes agree with candle's int8 arithmetic, and the
/// embedding approximately with f32.
fn assert_predictions_of_build_in_int8(sam: &Sam, source: &Source, near: f32) {
    let build = source.build("int8");
    let files = [Manifest::ENCODER, Manifest::DECODER].map(|name| build.file(name).unwrap());
    let quantization = read_quantization(files).unwrap();
    assert!(!quantization.layers.is_empty());
    let frame = frame();
    let float = predictions(sam, CandleBackend::new(Device::Cpu), &frame);
    let backend = CandleBackend::new(Device::Cpu).quantized(Rc::new(quantization));
    let rounded = predictions(&sam.clone().folded(&Folding::ALL), backend, &frame);
    let agreement = cosine(&rounded[0], &float[0]);
    assert!(agreement > near, "cosine of int8 to f32 is {agreement}");

    let edge = edge_predictions(&build, &frame);
    let image = input(sam, &frame);
    let onnx = onnxruntime::run(files[0], &[("image", image)].into());
    let onnx: ArrayD<f32> = onnx.get::<IxDyn>("embedding");
    for (runtime, found) in [("tract", &edge[0]), ("onnxruntime", &onnx)] {
        let agreement = cosine(found, &rounded[0]);
        assert!(agreement > 0.998, "cosine of {runtime} to candle is {agreement}");
    }
    // Masks of made-up weights have few pixels or none, so logits are compared, around their mean.
    let around_mean = |logits: &ArrayD<f32>| logits - logits.mean().unwrap();
    for (expected, found) in rounded.iter().zip(&edge).skip(1) {
        let agreement = cosine(&around_mean(found), &around_mean(expected));
        assert!(agreement > 0.9995, "cosine of tract's logits to candle's is {agreement}");
    }
}

/// Embedding, and the logits `[4h, 4w]` for boxes.
pub(super) fn predictions(sam: &Sam, candle: CandleBackend, frame: &Frame) -> Vec<ArrayD<f32>> {
    let model = Model { sam: sam.clone(), candle };
    let embedding = model.tensor(input(sam, frame));
    let embedding = model.sam.encode(&model.candle, &embedding).unwrap();
    let geometry = sam.config().preprocess.geometry((frame.width as usize, frame.height as usize));
    let mut predictions = vec![model.array(&embedding)];
    for prompt in boxes(frame).unwrap() {
        let (masks, _) = model.decode(&embedding, &prompt.tokens(&geometry), None);
        predictions.push(masks.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0));
    }
    predictions
}

/// Embedding and logits from the device's engine.
fn edge_predictions(build: &Build, frame: &Frame) -> Vec<ArrayD<f32>> {
    let file = |name| build.file(name).unwrap();
    let (encoder, decoder) = (file(Manifest::ENCODER), file(Manifest::DECODER));
    let preprocess = build.manifest().preprocess;
    let engine = Engine::from_onnx(encoder, decoder, preprocess, NonZeroUsize::MIN).unwrap();
    let (image, geometry) = engine.preprocess().run(view(frame));
    let embedding = engine.encode(&image).unwrap();
    let mut predictions = vec![embedding.view().unwrap().to_owned().into_dyn()];
    for prompt in boxes(frame).unwrap() {
        let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None).unwrap();
        predictions.push(decoded.single().0.to_owned().into_dyn());
    }
    predictions
}

fn assert_fed_as_released(config: &SamConfig) {
    assert_eq!(config.preprocess.normalization, Normalization::Unit);
    assert_eq!((config.preprocess.fit, config.decoder.points), (Fit::Stretch, PointOrder::Yx));
}

/// The small ViT of the reference tensors.
pub(super) fn small_vit() -> Checkpoint {
    Checkpoint::read(&place::small_vit()).unwrap()
}

/// Renames weights of the small ViT. Later versions of the released code shorten these names, and make
/// the tables of global blocks for their own input size, here 96 px.
pub(super) fn as_in_later_versions(weights: &mut Weights) {
    for (block, side) in [(0, 3), (1, 6), (2, 3), (3, 6)] {
        for axis in ["h", "w"] {
            let name = |prefix: &str| format!("image_encoder.blocks.{block}.attn.{prefix}_{axis}");
            let table = weights.remove(&name("rel_pos")).unwrap();
            let table = table.slice_axis(Axis(0), (..2 * side - 1).into()).to_owned();
            weights.insert(name("rel"), table.into_shared());
        }
    }
}

/// A MobileSAM with one block in each stage. Tests that use it need `litemedsam`.
pub(super) fn small_mobile_sam() -> Weights {
    let mut weights = Checkpoint::read(&place::lite_medsam()).unwrap().weights;
    // One block of each stage is enough. MobileSAM differs from LiteMedSAM only in its stem.
    weights.retain(|name, _| {
        let parts: Vec<&str> = name.split('.').collect();
        !matches!(parts[..], ["image_encoder", "layers", _, "blocks", block, ..] if block != "0")
    });
    for (layer, shape) in [(0, [32, 3, 3, 3]), (2, [64, 32, 3, 3])] {
        let name = format!("image_encoder.patch_embed.seq.{layer}.c.weight");
        weights.insert(name, random(&shape, 0.3).into_shared());
    }
    weights
}

/// A base with the three adapters of every encoder block, named as in the released code.
pub(super) fn with_adapters(mut weights: Weights, config: &SamConfig) -> Weights {
    let plan = AdapterPlan { depth: true, ..AdapterPlan::default() };
    for tensor in plan.tensors(config) {
        let Some(block) = tensor.name.strip_prefix("encoder.blocks.") else { continue };
        let (stage, rest) = block.split_once('.').unwrap();
        let stage = match config.encoder {
            EncoderConfig::Vit(_) => "blocks".to_owned(),
            EncoderConfig::TinyVit(_) => format!("layers.{stage}.blocks"),
        };
        let mut name = format!("image_encoder.{stage}.{rest}");
        for (ours, theirs) in [
            (".space.", ".Space_Adapter."),
            (".mlp.", ".MLP_Adapter."),
            (".depth.", ".Depth_Adapter."),
            (".down.", ".D_fc1."),
            (".up.", ".D_fc2."),
        ] {
            name = name.replace(ours, theirs);
        }
        weights.insert(name, random(&tensor.shape, 0.1).into_shared());
    }
    weights
}

/// The file that the released code's script would write.
pub(super) fn as_saved(folder: &Path, weights: &Weights) -> PathBuf {
    let [state_dict, pth] =
        ["state_dict.safetensors", "checkpoint_best.pth"].map(|f| folder.join(f));
    let tensors = weights.iter().map(|(name, value)| (name.as_str(), value.to_owned()));
    onnxruntime::write_tensors(&state_dict, &tensors.collect());
    run(python("write_pth.py").arg(state_dict).arg(&pth));
    pth
}

/// A frame not used for calibration.
pub(super) fn frame() -> Frame {
    Clip::open(place::cine()).unwrap().frame(5).unwrap()
}

fn input(sam: &Sam, frame: &Frame) -> ArrayD<f32> {
    sam.config().preprocess.run(view(frame)).0.into_dyn()
}

fn view(frame: &Frame) -> RgbView<'_> {
    RgbView::new(frame.width as usize, frame.height as usize, &frame.rgb).unwrap()
}

pub(super) fn random(shape: &[usize], amount: f32) -> ArrayD<f32> {
    let values = (0..shape.iter().product()).map(|i| amount * noise(i)).collect();
    ArrayD::from_shape_vec(shape, values).unwrap()
}
