//! What the edge computes with kernels is what the functions of the file say.

use std::fs;
use std::num::NonZeroUsize;

use medsa_edge::engine::{Embedding, Engine};
use medsa_export::Models;
use medsa_frames::Clip;
use medsa_sam::image::RgbView;
use medsa_sam::prompt::{Point, Prompt};
use medsa_sam::{AdapterConfig, AdapterPlan, Folding, Quantization, Sam};
use medsa_tests::golden::{cosine, max_difference};
use medsa_tests::model::quantized;
use medsa_tests::place;
use medsa_trainer::train::initial_weights;
use medsa_trainer::{Adapter, Checkpoint};
use ndarray::{Array2, Array3, ArrayD};

/// The trained click adapter, whose LoRA is folded away.
fn click() -> Sam {
    let file = "trainer/adapters/ultrasound-clicks/adapter.safetensors";
    let adapter = Adapter::read(&place::repository().join(file)).unwrap();
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    adapter.sam(&base, Some(64)).unwrap().folded(&Folding::ALL)
}

/// With Space and Mlp adapters, which are not folded away altogether.
fn adapted() -> Sam {
    let base = Checkpoint::read(&place::lite_medsam()).unwrap().sam(Some(64)).unwrap();
    with_adapters(&base, &[2, 3])
}

/// A small SAM ViT with such adapters: windows of 3, which a map of side 8 does not divide into,
/// and global blocks, at `input_size` of more than one tile of keys.
fn vit(input_size: usize) -> Option<Sam> {
    let path = place::shared()?.join("golden/sam_vit_weights.pth");
    let mut checkpoint = Checkpoint::read(&path).unwrap();
    checkpoint.config.decoder.heads = 4;
    Some(with_adapters(&checkpoint.sam(Some(input_size)).unwrap(), &[]))
}

fn with_adapters(base: &Sam, stages: &[usize]) -> Sam {
    let plan = AdapterPlan { stages: stages.to_vec(), ..AdapterPlan::default() };
    let mut trained = initial_weights(base, &plan, 0);
    // The decoder's are another function.
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
fn blocks_compute_what_their_functions_say() {
    holds(1e-6, [("click", click()), ("adapted", adapted())]);
}

#[test]
fn blocks_of_a_sam_vit_compute_what_their_functions_say() {
    let vits = [("vit", vit(128)), ("large vit", vit(320))];
    // Small as they are, nothing falls on another side for less.
    holds(1e-5, vits.into_iter().filter_map(|(what, sam)| Some((what, sam?))));
}

/// `nearly`: by what part of itself the picture changes for the functions not to agree with
/// themselves in 8 bits.
fn holds<'a>(nearly: f32, networks: impl IntoIterator<Item = (&'a str, Sam)>) {
    let frame = Clip::open(place::cine()).unwrap().frame(15).unwrap();
    let size = (frame.width as usize, frame.height as usize);
    let view = RgbView::new(size.0, size.1, &frame.rgb).unwrap();
    for (what, sam) in networks {
        let preprocess = sam.config().preprocess;
        let (image, geometry) = preprocess.run(view);
        let click = Point { x: 150.0, y: 120.0, positive: true };
        let bbox = Some([90.0, 60.0, 230.0, 190.0]);
        let prompts = [Prompt::new(vec![click], None, size), Prompt::new(vec![], bbox, size)];
        for (precision, quantization) in
            [("f32", Quantization::default()), ("int8", quantized(&sam))]
        {
            let models = Models::record(&sam, &quantization, &[]);
            let plain = [&models.encoder, &models.decoder].map(|model| written_out(model));
            let engine = |[encoder, decoder]: [&[u8]; 2], threads: usize| {
                let threads = NonZeroUsize::new(threads).unwrap();
                Engine::from_onnx(encoder, decoder, preprocess, threads).unwrap()
            };
            let reference = engine([&plain[0], &plain[1]], 1);
            let expected = reference.encode(&image).unwrap();
            for threads in [1, 2] {
                let ours = engine([&models.encoder, &models.decoder], threads);
                // The small SAM ViT's decoder is narrower than kernels know.
                let of_decoder = ["TwoWayBlock", "FinalAttention", "MaskHead"];
                let is_narrow = |call: &str| of_decoder.iter().any(|name| call.starts_with(name));
                let left = ours.without_kernels();
                let left = left.filter(|call| !what.ends_with("vit") || !is_narrow(call));
                assert_eq!(left.collect::<Vec<_>>(), [""; 0], "{what}");
                let embedding = values(&ours.encode(&image).unwrap());
                let off = max_difference(&embedding, &values(&expected));
                let alike = cosine(&embedding, &values(&expected));
                let fits = if precision == "f32" {
                    off < 1e-3
                } else {
                    // What falls on the other side of the edge between two steps moves more
                    // values over edges later on. So the functions do not agree with themselves
                    // either, as soon as the picture changes by very little.
                    let nearly = image.mapv(|x| x * (1.0 + nearly * (x * 1e4).sin()));
                    let nearly = values(&reference.encode(&nearly).unwrap());
                    1.0 - alike < 2.0 * (1.0 - cosine(&nearly, &values(&expected))) && alike > 0.997
                };
                assert!(fits, "{what} {precision}: off by {off}, cosine {alike}");
                for prompt in &prompts {
                    let tokens = prompt.as_ref().unwrap().tokens(&geometry);
                    // Of the same embedding, with and without an earlier answer.
                    let mut previous = None;
                    for _ in 0..2 {
                        let before = previous.as_ref().map(|mask: &Array2<f32>| mask.view());
                        let found = ours.decode(&expected, &tokens, before).unwrap();
                        let same = reference.decode(&expected, &tokens, before).unwrap();
                        // Of what masks are cut out of, both as a root of mean squares.
                        let off = rms(&(&found.masks - &same.masks)) / rms(&same.masks);
                        let most = if precision == "f32" { 1e-4 } else { 0.05 };
                        assert!(off < most, "{what} {precision}: masks are off by {off}");
                        previous = Some(same.single().0.to_owned());
                    }
                }
            }
        }
    }
}

fn values(embedding: &Embedding) -> ArrayD<f32> {
    embedding.view().unwrap().to_owned().into_dyn()
}

/// The same file without functions.
fn written_out(model: &[u8]) -> Vec<u8> {
    let folder = place::scratch();
    let [file, plain] = ["model.onnx", "plain.onnx"].map(|name| folder.path().join(name));
    fs::write(&file, model).unwrap();
    medsa_export::inline(&file, &plain).unwrap();
    fs::read(&plain).unwrap()
}

fn rms(logits: &Array3<f32>) -> f32 {
    (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt()
}
