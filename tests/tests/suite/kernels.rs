//! The engine's kernels equal the functions of the model file.

use std::fs;
use std::num::NonZeroUsize;

use medsa_engine::{Embedding, Engine};
use medsa_export::Models;
use medsa_frames::Clip;
use medsa_sam::image::RgbView;
use medsa_sam::prompt::{Point, Prompt, PromptTokens};
use medsa_sam::{
    AdapterConfig, AdapterPlan, Folding, Int8Input, Int8Layer, Param, Quantization, S8_MAX, Sam,
    tiny_vit,
};
use medsa_tests::counting::allocated;
use medsa_tests::golden::{cosine, max_difference};
use medsa_tests::model::{quantized, quantized_litemedsam, small_vit};
use medsa_tests::{needs, place};
use medsa_trainer::Checkpoint;
use medsa_trainer::train::initial_weights;
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, ArrayView1, Axis, Ix2};

/// With Space and Mlp adapters, which are not completely folded into other layers.
fn adapted() -> Sam {
    let base = Checkpoint::read(&place::lite_medsam()).unwrap().sam(Some(64)).unwrap();
    with_adapters(&base, &[2, 3])
}

/// A small SAM ViT with such adapters. Its map of side 8 is not a multiple of its windows of 3, and
/// its global blocks have more than one tile of keys at `input_size`.
fn vit(input_size: usize) -> Sam {
    with_adapters(&small_vit().sam(Some(input_size)).unwrap(), &[])
}

fn with_adapters(base: &Sam, stages: &[usize]) -> Sam {
    let plan = AdapterPlan { stages: stages.to_vec(), ..AdapterPlan::default() };
    let mut trained = initial_weights(base, &plan, 0);
    // The decoder's adapters are tested elsewhere.
    trained.retain(|name, _| name.starts_with("encoder"));
    for (seed, value) in trained.values_mut().enumerate() {
        let mut i = seed;
        value.mapv_inplace(|v| {
            i += 1;
            v + 0.02 * (i as f32 * 0.7).sin()
        });
    }
    let adapted = base.clone().with_adapters(&trained, &AdapterConfig::default());
    adapted.unwrap().folded(&Folding::ALL)
}

#[test]
fn kernels_equal_functions() {
    needs!("dicom", "litemedsam");
    let (plain, int8) = quantized_litemedsam();
    assert_agrees(1e-6, "LiteMedSAM", plain, int8);
    let adapted = adapted();
    assert_agrees(1e-6, "adapted", &adapted, &quantized(&adapted));
}

#[test]
fn kernels_of_a_sam_vit_equal_functions() {
    needs!("dicom");
    // In such small networks, smaller changes do not change any rounding.
    for (what, sam) in [("vit", vit(128)), ("large vit", vit(320))] {
        assert_agrees(1e-5, what, &sam, &quantized(&sam));
    }
}

/// `nearly`: relative change of the image at which the int8 functions no longer agree with
/// themselves.
fn assert_agrees(nearly: f32, what: &str, sam: &Sam, int8: &Quantization) {
    let frame = Clip::open(place::cine()).unwrap().frame(15).unwrap();
    let size = (frame.width as usize, frame.height as usize);
    let view = RgbView::new(size.0, size.1, &frame.rgb).unwrap();
    let preprocess = sam.config().preprocess;
    let (image, geometry) = preprocess.run(view);
    let click = Point { x: 150.0, y: 120.0, positive: true };
    let bbox = Some([90.0, 60.0, 230.0, 190.0]);
    let prompts = [Prompt::new(vec![click], None, size), Prompt::new(vec![], bbox, size)];
    for (precision, quantization) in [("f32", &Quantization::default()), ("int8", int8)] {
        let models = Models::record(sam, quantization, &[]);
        let plain = [&models.encoder, &models.decoder].map(|model| inlined(model));
        let engine = |[encoder, decoder]: [&[u8]; 2], threads: usize| {
            let threads = NonZeroUsize::new(threads).unwrap();
            Engine::from_onnx(encoder, decoder, preprocess, threads).unwrap()
        };
        let reference = engine([&plain[0], &plain[1]], 1);
        let expected = reference.encode(&image).unwrap();
        for threads in [1, 2] {
            let ours = engine([&models.encoder, &models.decoder], threads);
            // The small SAM ViT's decoder is narrower than kernels support.
            let of_decoder = ["TwoWayBlock", "FinalAttention", "MaskHead"];
            let is_narrow = |call: &str| of_decoder.iter().any(|name| call.starts_with(name));
            let left = ours.inlined().map(|inlined| inlined.block.as_str());
            let left = left.filter(|call| !what.ends_with("vit") || !is_narrow(call));
            assert_eq!(left.collect::<Vec<_>>(), [""; 0], "{what}");
            let embedding = values(&ours.encode(&image).unwrap());
            let off = max_difference(&embedding, &values(&expected));
            let alike = cosine(&embedding, &values(&expected));
            let fits = if precision == "f32" {
                off < 1e-3
            } else {
                // A value that is rounded differently moves other values across rounding
                // boundaries in later layers. So the functions do not agree with themselves
                // either, after a tiny change of the image.
                let nearly = nudged(&image, nearly);
                let nearly = values(&reference.encode(&nearly).unwrap());
                1.0 - alike < 2.0 * (1.0 - cosine(&nearly, &values(&expected))) && alike > 0.997
            };
            assert!(fits, "{what} {precision}: off by {off}, cosine {alike}");
            if threads == 1 && ours.inlined().next().is_none() {
                allocates_little(&ours, &image, &prompts[0].as_ref().unwrap().tokens(&geometry));
            }
            for prompt in &prompts {
                let tokens = prompt.as_ref().unwrap().tokens(&geometry);
                // From the same embedding, with and without an earlier mask.
                let mut previous = None;
                for _ in 0..2 {
                    let before = previous.as_ref().map(|mask: &Array2<f32>| mask.view());
                    let found = ours.decode(&expected, &tokens, before).unwrap();
                    let same = reference.decode(&expected, &tokens, before).unwrap();
                    // Difference of the logits, relative to their magnitude; both are root mean
                    // squares.
                    let off = rms(&(&found.masks - &same.masks)) / rms(&same.masks);
                    let most = if precision == "f32" { 1e-4 } else { 0.05 };
                    assert!(off < most, "{what} {precision}: masks are off by {off}");
                    previous = Some(same.single().0.to_owned());
                }
            }
        }
    }
}

/// An image changed by a fraction `part` of each value.
pub(super) fn nudged(image: &Array4<f32>, part: f32) -> Array4<f32> {
    image.mapv(|x| x * (1.0 + part * (x * 1e4).sin()))
}

/// Asserts that after warm-up every frame allocates the same memory: what tract copies at the
/// inputs and outputs of a network. Maps between blocks are reused.
fn allocates_little(engine: &Engine, image: &Array4<f32>, tokens: &PromptTokens) {
    let mut allocated_bytes = [[0; 2]; 3];
    let mut embedding_bytes = 0;
    for bytes in &mut allocated_bytes {
        let before = allocated();
        let embedding = engine.encode(image).unwrap();
        let between = allocated();
        engine.decode(&embedding, tokens, None).unwrap();
        *bytes = [between - before, allocated() - between];
        embedding_bytes = values(&embedding).len() * size_of::<f32>();
    }
    let [_, second, third] = allocated_bytes;
    assert_eq!(second, third);
    assert!(third[0] < 3 * embedding_bytes && third[1] < 4 * embedding_bytes, "{third:?} bytes");
}

#[test]
fn kernel_of_pixels_also_computes_patches() {
    needs!("dicom", "litemedsam");
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    let (config, weights) = tiny_vit::strided(&base.config, &base.weights).unwrap();
    let sam = Sam::read(&weights, config.with_input_size(64).unwrap()).unwrap();
    let sam = sam.folded(&Folding::ALL);
    let preprocess = sam.config().preprocess;
    let frame = Clip::open(place::cine()).unwrap().frame(15).unwrap();
    let view = RgbView::new(frame.width as usize, frame.height as usize, &frame.rgb).unwrap();
    let image = preprocess.run(view).0;
    // Only the stem is in int8, so that other layers do not hide its errors.
    let params = sam.stem_params();
    let stem = [(&params[0..2], [0.0, 1.0]), (&params[2..4], [-0.2, 2.0])];
    let layers =
        stem.map(|(layer, range)| (layer[0].name().to_owned(), quantized_layer(layer, range)));
    let int8 = Quantization { layers: layers.into(), ..Quantization::default() };
    let mut embeddings = Vec::new();
    for quantization in [Quantization::default(), int8] {
        let Models { encoder, decoder } = Models::record(&sam, &quantization, &[]);
        let embedding = |encoder: &[u8], decoder: &[u8]| {
            let threads = NonZeroUsize::new(1).unwrap();
            let engine = Engine::from_onnx(encoder, decoder, preprocess, threads).unwrap();
            let left: Vec<_> = engine.inlined().cloned().collect();
            (values(&engine.encode(&image).unwrap()), left)
        };
        let (found, left) = embedding(&encoder, &decoder);
        assert!(left.is_empty(), "{left:?}");
        let (expected, _) = embedding(&inlined(&encoder), &inlined(&decoder));
        embeddings.push([found, expected]);
    }
    let [float, int8] = &embeddings[..] else { unreachable!("there are two") };
    let alike = cosine(&float[0], &float[1]);
    assert!(alike > 0.999_99, "in float: {alike}");
    // Values close to a rounding boundary are rounded differently, but the overall error is the
    // same.
    let [ours, functions] = [0, 1].map(|i| 1.0 - cosine(&int8[i], &float[1]));
    assert!(functions < 0.02 && ours < 1.25 * functions, "off by {ours}, functions by {functions}");
}

/// Quantizes a layer of weight `[out, in]` and bias to int8, for inputs from `low` to `high`.
fn quantized_layer(layer: &[Param], [low, high]: [f32; 2]) -> Int8Layer {
    let weight = layer[0].value().to_owned().into_dimensionality::<Ix2>().unwrap();
    let bias: Array1<f32> = layer[1].value().to_owned().into_dimensionality().unwrap();
    let input_scale = (high - low) / (2.0 * S8_MAX);
    let zero_point = -S8_MAX - (low / input_scale).round();
    let largest = |row: ArrayView1<f32>| row.iter().fold(0.0f32, |most, w| most.max(w.abs()));
    let scale = weight.rows().into_iter().map(|row| largest(row) / S8_MAX).collect::<Array1<_>>();
    let whole = (&weight / &scale.view().insert_axis(Axis(1))).mapv(|w| w.round() as i8);
    let of_each = |value| Array1::from_elem(weight.ncols(), value);
    let input = Int8Input { scale: of_each(input_scale), zero_point: of_each(zero_point) };
    Int8Layer { weight: whole.into_dyn(), scale: scale * input_scale, bias, input }
}

pub(super) fn values(embedding: &Embedding) -> ArrayD<f32> {
    embedding.view().unwrap().to_owned().into_dyn()
}

/// The same file with its functions inlined.
fn inlined(model: &[u8]) -> Vec<u8> {
    let folder = place::scratch();
    let [file, plain] = ["model.onnx", "plain.onnx"].map(|name| folder.path().join(name));
    fs::write(&file, model).unwrap();
    medsa_export::inline(&file, &plain).unwrap();
    fs::read(&plain).unwrap()
}

fn rms(logits: &Array3<f32>) -> f32 {
    (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt()
}
