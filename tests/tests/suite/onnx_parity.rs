//! The recorded ONNX files are valid, and give in onnxruntime and in the engine the same results as
//! candle.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

use candle_core::Device;
use medsa_engine::Engine;
use medsa_export::Models;
use medsa_frames::Clip;
use medsa_sam::Quantization;
use medsa_sam::image::RgbView;
use medsa_sam::prompt::{PromptTokens, TOKEN_SLOTS};
use medsa_tests::golden::{cosine, max_difference, select};
use medsa_tests::model::{Model, litemedsam, preprocessed, quantized_litemedsam, sam_vit};
use medsa_tests::needs;
use medsa_tests::{onnxruntime, place};
use medsa_trainer::{CandleBackend, Checkpoint};
use ndarray::{Array1, ArrayD, Axis, Ix4, IxDyn, Slice};

#[test]
fn litemedsam_f32_equals_candle() {
    needs!("litemedsam", "venv");
    let (model, golden) = litemedsam();
    let image = preprocessed(&model.sam).0;
    let points = Some(("points3.coords_xy", "points3.labels"));
    let tokens = golden.tokens(points, Some("box.box_xyxy"));
    compare(&model, &image, &tokens, None);
    // Also with a mask prompt, at half the size.
    let checkpoint = Checkpoint::read(&place::lite_medsam()).unwrap();
    let half = Model::new(checkpoint.sam(Some(128)).unwrap());
    let tokens = golden.tokens(None, Some("box.box_xyxy"));
    let embedding = model.sam.encode(&model.candle, &model.tensor(image.clone())).unwrap();
    let mask = select(&model.decode(&embedding, &tokens, None).0, false);
    let mask =
        mask.slice_each_axis(|axis| Slice::from(..).step_by(1 + isize::from(axis.axis.0 > 1)));
    let part = [Slice::from(..), Slice::from(..), Slice::from(..128), Slice::from(64..192)];
    let image = image.slice_each_axis(|axis| part[axis.axis.0]);
    let tokens = PromptTokens { coords: tokens.coords / 2.0, ..tokens };
    compare(&half, &image.to_owned(), &tokens, Some(mask.to_owned()));
}

#[test]
fn sam_vit_f32_equals_candle() {
    needs!("venv");
    let (model, golden) = sam_vit();
    compare(&model, &golden.get("x"), &golden.tokens(Some(("coords_xy", "labels")), None), None);
}

#[test]
fn int8_agrees_between_runtimes_and_with_f32() {
    needs!("dicom", "litemedsam", "venv");
    let (sam, quantization) = quantized_litemedsam();
    let model = Model::new(sam.clone());
    // A frame other than the one used for calibration.
    let frame = Clip::open(place::cine()).unwrap().frame(15).unwrap();
    let view = RgbView::new(frame.width as usize, frame.height as usize, &frame.rgb).unwrap();
    let image = model.sam.config().preprocess.run(view).0.into_dyn();
    let models = Models::record(&model.sam, quantization, &[]);
    let found = onnxruntime::run(&models.encoder, &BTreeMap::from([("image", image.clone())]));
    let found = found.get::<IxDyn>("embedding");
    let edge = engine(&model, &models);
    let embedding = edge.encode(&image.clone().into_dimensionality().unwrap()).unwrap();
    let embedding = embedding.view().unwrap().to_owned().into_dyn();
    let candle = CandleBackend::new(Device::Cpu).quantized(Rc::new(quantization.clone()));
    let rounded = model.sam.encode(&candle, &model.tensor(image.clone())).unwrap();
    let rounded = model.array(&rounded);
    // Every operation quantizes the same input equally (tested elsewhere). But a value close to a
    // rounding boundary may be rounded either way, and such differences move further values across
    // boundaries in the next layer.
    for (runtime, found) in [("onnxruntime", &found), ("tract", &embedding)] {
        let agreement = cosine(found, &rounded);
        assert!(agreement > 0.998, "cosine of {runtime} to candle is {agreement}");
    }
    let float = model.array(&model.sam.encode(&model.candle, &model.tensor(image)).unwrap());
    let agreement = cosine(&rounded, &float);
    assert!(agreement > 0.98, "cosine of int8 to f32 is {agreement}");
}

/// Compares both runtimes with candle, encoder and decoder, within 1e-3.
fn compare(model: &Model, image: &ArrayD<f32>, tokens: &PromptTokens, mask: Option<ArrayD<f32>>) {
    const TOLERANCE: f32 = 1e-3;
    let models = Models::record(&model.sam, &Quantization::default(), &[]);
    let expected = model.sam.encode(&model.candle, &model.tensor(image.clone())).unwrap();
    let (masks, iou) = model.decode(&expected, tokens, mask.clone());
    let expected = model.array(&expected);
    let check = |runtime: &str, what: &str, found: &ArrayD<f32>, expected: &ArrayD<f32>| {
        let difference = max_difference(found, expected);
        assert!(difference < TOLERANCE, "{runtime}: {what} differs by {difference}");
    };

    let found = onnxruntime::run(&models.encoder, &BTreeMap::from([("image", image.clone())]));
    check("onnxruntime", "embedding", &found.get("embedding"), &expected);
    let padded = tokens.padded(TOKEN_SLOTS);
    let side = model.sam.config().mask_side();
    let inputs = BTreeMap::from([
        ("embedding", expected.clone()),
        ("point_coords", padded.coords.into_dyn()),
        ("point_labels", padded.labels.into_dyn()),
        ("mask_input", mask.clone().unwrap_or_else(|| ArrayD::zeros(vec![1, 1, side, side]))),
        ("has_mask", Array1::from_elem(1, f32::from(u8::from(mask.is_some()))).into_dyn()),
    ]);
    let found = onnxruntime::run(&models.decoder, &inputs);
    check("onnxruntime", "logits", &found.get("masks"), &masks);
    check("onnxruntime", "predicted IoU", &found.get("iou"), &iou);

    let edge = engine(model, &models);
    let image = image.clone().into_dimensionality().unwrap();
    let embedding = edge.encode(&image).unwrap();
    check("tract", "embedding", &embedding.view().unwrap().to_owned().into_dyn(), &expected);
    let mask = mask.map(|mask| mask.into_dimensionality::<Ix4>().unwrap());
    let mask = mask.as_ref().map(|mask| mask.slice(ndarray::s![0, 0, .., ..]));
    let decoded = edge.decode(&embedding, tokens, mask).unwrap();
    let found = decoded.masks.insert_axis(Axis(0)).into_dyn();
    check("tract", "logits", &found, &masks);
    let found = ndarray::arr2(&[decoded.iou]).into_dyn();
    check("tract", "predicted IoU", &found, &iou);
}

fn engine(model: &Model, models: &Models) -> Engine {
    let preprocess = model.sam.config().preprocess;
    Engine::from_onnx(&models.encoder, &models.decoder, preprocess, NonZeroUsize::MIN).unwrap()
}
