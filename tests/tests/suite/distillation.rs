//! A strided stem starts as the original on means of pixels, learns from it, and is a base model
//! like any other, up to the device.

use std::path::PathBuf;

use candle_core::Device;
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{Sam, tiny_vit};
use medsa_tests::golden::max_difference;
use medsa_tests::model::Model;
use medsa_tests::needs;
use medsa_tests::place;
use medsa_tests::program::{command, run};
use medsa_trainer::augment::Augment;
use medsa_trainer::train::{Distill, DistillConfig, OptimizerConfig};
use medsa_trainer::{Adapter, Checkpoint};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

#[test]
fn strided_stem_starts_as_the_original_on_means_of_2x2_pixels() {
    needs!("litemedsam");
    let base = lite_medsam();
    let (config, weights) = tiny_vit::strided(&base.config, &base.weights).unwrap();
    let student = Sam::read(&weights, config.with_input_size(128).unwrap()).unwrap();
    let original = base.sam(Some(64)).unwrap();
    assert_eq!((student.config().grid(), student.config().mask_side()), (16, 64));
    // The same number of products, and about the same cost: one layer is wider, at half the side.
    let [cost, of_original] = [&student, &original].map(|sam| sam.cost()[0]);
    assert_eq!(cost.products, of_original.products);
    assert!(cost.macs < of_original.macs * 101 / 100, "{cost:?} {of_original:?}");

    let image = ArrayD::from_shape_fn(IxDyn(&[1, 3, 128, 128]), |at| {
        ((at[1] * 7 + at[2] * 3 + at[3] * 5) % 64) as f32 / 64.0
    });
    let means = ArrayD::from_shape_fn(IxDyn(&[1, 3, 64, 64]), |at| {
        let pixel = |i: usize| image[[0, at[1], 2 * at[2] + i / 2, 2 * at[3] + i % 2]];
        (0..4).map(pixel).sum::<f32>() / 4.0
    });
    let embedding = |sam: Sam, image| {
        let model = Model::new(sam);
        model.array(&model.sam.encode(&model.candle, &model.tensor(image)).unwrap())
    };
    let off = max_difference(&embedding(student, image), &embedding(original, means));
    assert!(off < 1e-4, "{off}");
}

#[test]
fn stem_learns_the_embeddings_of_the_original_and_resumes() {
    needs!("dicom", "litemedsam");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let start = |seed, state: Option<PathBuf>| {
        let config = DistillConfig { seed, ..config(64) };
        Distill::new(config, lite_medsam(), state.as_deref(), Device::Cpu).unwrap()
    };
    let hash = |distill: &Distill| distill.student(&path("s")).unwrap().origin.sha256;
    let mut whole = start(1, None);
    let before = whole.likeness().unwrap();
    steps(&mut whole, 4);
    let after = whole.likeness().unwrap();
    assert!(after.mean_squared_error < 0.95 * before.mean_squared_error, "{before:?} {after:?}");
    assert!(after.cosine > before.cosine, "{before:?} {after:?}");

    let mut first = start(1, None);
    steps(&mut first, 2);
    first.save(&path("state.safetensors")).unwrap();
    let mut second = start(1, Some(path("state.safetensors")));
    steps(&mut second, 2);
    assert_eq!((second.steps(), hash(&second)), (4, hash(&whole)));

    let mut other = start(2, None);
    steps(&mut other, 2);
    assert_ne!(hash(&other), hash(&first));
}

#[test]
fn student_is_a_base_model_and_accepts_adapters_of_its_teacher() {
    needs!("dicom", "litemedsam");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let mut distill = Distill::new(config(64), lite_medsam(), None, Device::Cpu).unwrap();
    distill.step().unwrap();
    let made = distill.student(&path("student.safetensors")).unwrap();
    made.write(&path("student.safetensors")).unwrap();
    let student = Checkpoint::read(&path("student.safetensors")).unwrap();
    assert_eq!((&student.origin, &student.teacher), (&made.origin, &made.teacher));
    assert_eq!(student.teacher, Some(lite_medsam().origin));
    assert_eq!(student.config.preprocess.input_size, 64);

    // The file contains the trained stem, with neutral batch norms.
    let trained = distill.likeness().unwrap();
    let again = DistillConfig { steps: 0, ..config(64) };
    let params = student.sam(None).unwrap().stem_params();
    assert_eq!(params.len(), 4);
    let state = path("state.safetensors");
    distill.save(&state).unwrap();
    let read = Distill::new(again, lite_medsam(), Some(&state), Device::Cpu).unwrap();
    assert_eq!(read.likeness().unwrap(), trained);
    let of_state = read.student(&path("student.safetensors")).unwrap().sam(None).unwrap();
    for (a, b) in params.iter().zip(of_state.stem_params()) {
        assert_eq!((a.name(), a.value()), (b.name(), b.value()));
    }

    let file = "trainer/adapters/ultrasound-clicks/adapter.safetensors";
    let adapter = Adapter::read(&place::repository().join(file)).unwrap();
    let model = Model::new(adapter.sam(&student, Some(64)).unwrap());
    let image = model.tensor(ArrayD::from_elem(IxDyn(&[1, 3, 64, 64]), 0.5));
    let embedding = model.sam.encode(&model.candle, &image).unwrap();
    assert_eq!(embedding.dims(), [1, 256, 8, 8]);
    let tokens = PromptTokens::new(&[([30.0, 25.0], 1.0), ([0.0, 0.0], -1.0)]);
    assert_eq!(model.decode(&embedding, &tokens, None).0.shape(), [1, 4, 32, 32]);
}

#[test]
fn networks_and_frames_that_cannot_be_distilled_are_named() {
    needs!("dicom", "litemedsam");
    let refused = |config, base| {
        let error = Distill::new(config, base, None, Device::Cpu).err().unwrap();
        error.to_string()
    };
    let expected = "input size 68 px: expected a multiple of 8 from 64 to 2048 px";
    let error = refused(config(68), lite_medsam());
    assert!(error.ends_with(expected) && error.contains("lite_medsam.pth"), "{error}");

    let mut strided = lite_medsam();
    (strided.config, strided.weights) =
        tiny_vit::strided(&strided.config, &strided.weights).unwrap();
    let error = refused(config(64), strided);
    assert!(error.contains("which is already strided, expected two 1x1 convolutions"), "{error}");

    let folder = place::scratch();
    let images = vec![folder.path().to_owned()];
    let error = refused(DistillConfig { images, ..config(64) }, lite_medsam());
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
    let one = folder.path().join("one.png");
    image::GrayImage::new(40, 30).save(&one).unwrap();
    let error = refused(DistillConfig { images: vec![one], ..config(64) }, lite_medsam());
    assert!(error.contains("one.png: 1 frame, expected 2 or more"), "{error}");
}

#[test]
fn student_is_distilled_exported_and_run_on_the_device() {
    needs!("dicom", "litemedsam");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let mut distill = command("medsa-train");
    distill
        .args(["distill", "--input-size", "128", "--steps", "1", "--batch", "1", "--images"])
        .args([place::cine(), "--base".into(), place::lite_medsam(), "--out".into()])
        .arg(path("student.safetensors"));
    let distilled = run(&mut distill);
    for words in ["training on 27 frames, measuring on 3", "step 0: ", "step 1: ", "GMAC"] {
        assert!(distilled.contains(words), "{words} in {distilled}");
    }
    let again = distill.output().unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    let expected = "student.state.safetensors already contains a training: add --resume";
    assert!(!again.status.success() && said.contains(expected), "{said}");

    // Int8 is tested by `kernels::kernel_of_pixels_also_computes_patches`.
    run(command("medsa-export")
        .args(["build", "--precision", "f32", "--base"])
        .args([path("student.safetensors"), "--calibration".into(), place::cine()])
        .arg("--out")
        .arg(path("build.medsa")));
    let predict = |prompt: [&str; 2]| -> Value {
        let mut segment = command("medsa-edge");
        segment.args(["segment", "--build"]).arg(path("build.medsa")).arg("--image");
        segment.arg(place::cine()).arg("--out").arg(path("mask.png")).args(prompt);
        serde_json::from_str(&run(&mut segment)).unwrap()
    };
    assert!(predict(["--point", "150,120"])["score"].is_number());
    // A large part of the box, which has 16,875 pixels.
    let area = predict(["--box", "75,75,225,187.5"])["area_px"].as_u64().unwrap();
    assert!((4_000..20_000).contains(&area), "{area} px");
}

fn steps(distill: &mut Distill, count: usize) {
    for _ in 0..count {
        distill.step().unwrap();
    }
}

/// Four steps on the cine.
fn config(input_size: usize) -> DistillConfig {
    DistillConfig {
        images: vec![place::cine()],
        input_size,
        steps: 4,
        batch: 2,
        variants: 2,
        augment: Augment::default(),
        optimizer: OptimizerConfig {
            learning_rate: 2e-3,
            weight_decay: 0.0,
            warmup_steps: 1,
            ..OptimizerConfig::default()
        },
        cache: None,
        seed: 0,
    }
}

fn lite_medsam() -> Checkpoint {
    Checkpoint::read(&place::lite_medsam()).unwrap()
}
