//! Adapters initialised with zero change nothing, others change the result equally in candle and
//! ONNX, and a file that does not fit is refused with a name.

use std::collections::BTreeMap;
use std::fs;

use candle_core::Device;
use medsa_bundle::Origin;
use medsa_export::Models;
use medsa_sam::{AdapterConfig, Quantization, Sam, Weights, WindowPadding};
use medsa_tests::golden::{Golden, max_difference};
use medsa_tests::model::Model;
use medsa_tests::{needs, onnxruntime, place};
use medsa_trainer::data::{Part, Targets};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{
    DataConfig, Evaluation, FeatureCache, Network, Stock, Summary, evaluate,
};
use medsa_trainer::{Adapter, AdapterInfo, Checkpoint};
use ndarray::{ArcArray, ArrayD, IxDyn};

#[test]
fn zero_initialised_adapters_do_not_change_the_network() {
    let vit = Vit::read();
    let zeros = Model::new(vit.adapted(&adapters(&[0, 1, 2, 3], |_| 0.0)).unwrap());
    let base = Model::new(vit.base.sam(None).unwrap());
    assert_eq!(vit.embedding(&zeros), vit.embedding(&base));
}

#[test]
fn exported_adapters_equal_those_on_candle() {
    needs!("venv");
    let vit = Vit::read();
    let model = Model::new(vit.adapted(&adapters(&[1, 3], noise)).unwrap());
    let embedding = vit.embedding(&model);
    let base = Model::new(vit.base.sam(None).unwrap());
    assert!(max_difference(&embedding, &vit.embedding(&base)) > 0.1);
    let models = Models::record(&model.sam, &Quantization::default(), &[]);
    let found = onnxruntime::run(&models.encoder, &BTreeMap::from([("image", vit.image.clone())]));
    assert!(max_difference(&found.get("embedding"), &embedding) < 1e-3);
}

#[test]
fn tinyvit_adapters_count_stages_from_1() {
    needs!("litemedsam");
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    let weights = adapter(128, "encoder.blocks.1.0.space", noise);
    let sam = base.sam(Some(64)).unwrap();
    sam.clone().with_adapters(&weights, &AdapterConfig::default()).unwrap();
    let nowhere = adapter(128, "encoder.blocks.0.0.space", noise);
    let error = sam.with_adapters(&nowhere, &AdapterConfig::default()).unwrap_err();
    assert!(
        error.to_string().contains("encoder.blocks.0.0.space.down.weight [16, 128]"),
        "{error}"
    );
}

/// Names and input sizes of the click adapters.
const CLICKS: (&str, usize) = ("ultrasound-clicks", 128);
const CLICKS_256: (&str, usize) = ("ultrasound-clicks-256", 256);

#[test]
fn click_adapter_is_small_and_understands_clicks() {
    needs!("litemedsam");
    assert_clicks_are_understood(&nerves_and_vessels(), &[CLICKS], 0.78);
}

#[test]
#[ignore = "make long"]
fn whole_data_click_adapters_are_small_and_understand_clicks() {
    needs!("litemedsam");
    assert_clicks_are_understood(&nerves_and_vessels(), &[CLICKS, CLICKS_256], 0.78);
}

fn nerves_and_vessels() -> DataConfig {
    let data = place::data("usgra-nerve");
    let split = data.join("split.json");
    DataConfig::new(&data, Some(&split), &["nerve", "vessel"].map(str::to_owned))
}

#[test]
#[ignore = "make long"]
fn whole_data_click_adapters_segment_lesions() {
    needs!("litemedsam", "shared");
    let data = place::shared().unwrap().join("data/busi-breast");
    let split =
        place::repository().join("trainer/adapters/ultrasound-clicks/busi-breast.split.json");
    assert_clicks_are_understood(
        &DataConfig::new(&data, Some(&split), &["lesion".to_owned()]),
        &[CLICKS, CLICKS_256],
        0.78,
    );
}

/// Asserts that the mean Dice on the validation part of the data is at least `least` with each
/// adapter, and nearly 0 without.
fn assert_clicks_are_understood(data: &DataConfig, adapters: &[(&str, usize)], least: f64) {
    let folder = place::repository().join("trainer/adapters");
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    let adapted = |name: &str| {
        let file = folder.join(name).join("adapter.safetensors");
        assert!(fs::metadata(&file).unwrap().len() <= 4_000_000, "{name}");
        Adapter::read(&file).unwrap().sam(&base, None).unwrap()
    };
    let stock = Stock::open(data).unwrap();
    let dice = |sam: Sam| {
        let network = Network::new(sam, Device::Cpu);
        let evaluation = Evaluation {
            part: Part::Validation,
            kinds: &[PromptKind::Center],
            targets: Targets::Largest,
            slices: 1,
            seed: 0,
        };
        let mut summary = Summary::default();
        let features = FeatureCache::none();
        evaluate(&network, &stock, &features, &evaluation, |_, predictions| {
            predictions.iter().for_each(|found| summary.add(found));
        })
        .unwrap();
        summary.score()
    };
    let without = dice(base.sam(Some(128)).unwrap());
    assert!(without < 0.02, "Dice {without} without an adapter");
    for (name, size) in adapters {
        let adapted = adapted(name);
        assert_eq!(adapted.config().preprocess.input_size, *size);
        let with = dice(adapted);
        println!("Dice {with} with {name}, {without} without");
        assert!(with >= least, "Dice {with} with {name}");
    }
}

#[test]
fn adapter_that_does_not_fit_is_refused_with_the_tensor() {
    let vit = Vit::read();
    let mut short = adapters(&[0], noise);
    short.remove("encoder.blocks.0.0.mlp.up.bias");
    let error = vit.adapted(&short).unwrap_err();
    let expected = "tensor encoder.blocks.0.0.mlp.up.bias is missing, expected shape [64]";
    assert!(error.ends_with(expected), "{error}");
    let wide = adapter(65, "encoder.blocks.0.0.space", noise);
    let error = vit.adapted(&wide).unwrap_err();
    let expected =
        "tensor encoder.blocks.0.0.space.down.weight has shape [16, 65], expected [16, 64]";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn adapter_of_another_base_is_refused() {
    let vit = Vit::read();
    let folder = place::scratch();
    let path = folder.path().join("adapter.safetensors");
    let base = Origin { name: "other".into(), sha256: "ab".repeat(32) };
    let info =
        AdapterInfo { base, input_size: 128, config: AdapterConfig::default(), training: None };
    Adapter::write(&path, &info, adapters(&[0], noise)).unwrap();
    let error = Adapter::read(&path).unwrap().sam(&vit.base, None).unwrap_err().to_string();
    assert!(
        error.contains("made for the base other") && error.contains(&vit.base.origin.sha256),
        "{error}"
    );
    // A base model is not an adapter either.
    vit.base.write(&path).unwrap();
    let error = Adapter::read(&path).err().unwrap().to_string();
    assert!(error.contains("not an adapter: metadata medsa.adapter is missing"), "{error}");
    fs::write(&path, b"garbage").unwrap();
    assert!(Adapter::read(&path).err().unwrap().to_string().contains("adapter.safetensors"));
}

#[test]
fn released_checkpoint_contains_base_and_adapters() {
    let vit = Vit::read();
    let form =
        AdapterConfig { window_padding: WindowPadding::BeforeNorm, ..AdapterConfig::default() };
    let ours = adapters(&[0, 1, 2, 3], noise);
    let expected = Model::new(vit.base.sam(None).unwrap().with_adapters(&ours, &form).unwrap());
    // As saved by the released code after training on several GPUs, read by our import.
    let mut released = Checkpoint::read(&vit.base.path).unwrap();
    released.weights = released
        .weights
        .into_iter()
        .chain(ours.into_iter().map(|(name, value)| (released_name(&name), value)))
        .map(|(name, value)| (format!("module.{name}"), value))
        .collect();
    let folder = place::scratch();
    let path = folder.path().join("released.safetensors");
    released.write(&path).unwrap();
    let released = Checkpoint::read(&path).unwrap();
    let found = Model::new(released.sam(None).unwrap());
    assert_eq!(vit.embedding(&found), vit.embedding(&expected));
    let error = released.sam(None).unwrap().with_adapters(&adapters(&[0], noise), &form);
    let expected = "the network already has adapters; give a base model without adapters";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

/// Name of `encoder.blocks.0.<i>.space.down.weight` in the released code.
fn released_name(name: &str) -> String {
    let name = name.replace("encoder.blocks.0.", "image_encoder.blocks.");
    let name = name.replace(".space.", ".Space_Adapter.").replace(".mlp.", ".MLP_Adapter.");
    name.replace(".down.", ".D_fc1.").replace(".up.", ".D_fc2.")
}

/// The small ViT of the reference tensors.
struct Vit {
    base: Checkpoint,
    image: ArrayD<f32>,
}

impl Vit {
    fn read() -> Self {
        let image = Golden::open("sam_vit_io.safetensors").get("x");
        Self { base: Checkpoint::read(&place::small_vit()).unwrap(), image }
    }

    /// The network with an adapter that was written to a file and read again.
    fn adapted(&self, weights: &Weights) -> Result<medsa_sam::Sam, String> {
        let folder = place::scratch();
        let path = folder.path().join("adapter.safetensors");
        let base = self.base.origin.clone();
        let info =
            AdapterInfo { base, input_size: 128, config: AdapterConfig::default(), training: None };
        Adapter::write(&path, &info, weights.clone()).unwrap();
        Adapter::read(&path).unwrap().sam(&self.base, None).map_err(|e| e.to_string())
    }

    fn embedding(&self, model: &Model) -> ArrayD<f32> {
        let image = model.tensor(self.image.clone());
        model.array(&model.sam.encode(&model.candle, &image).unwrap())
    }
}

/// Both adapters for some blocks of the small ViT; `up` gives the values of the up-projections.
fn adapters(blocks: &[usize], up: impl Fn(usize) -> f32 + Copy) -> Weights {
    let names = blocks
        .iter()
        .flat_map(|block| ["space", "mlp"].map(|kind| format!("encoder.blocks.0.{block}.{kind}")));
    names.flat_map(|name| adapter(64, &name, up)).collect()
}

fn adapter(dim: usize, name: &str, up: impl Fn(usize) -> f32) -> Weights {
    let bottleneck = 16;
    let tensor = |part: &str, shape: &[usize], value: &dyn Fn(usize) -> f32| {
        let values = (0..shape.iter().product()).map(value).collect();
        (format!("{name}.{part}"), ArcArray::from_shape_vec(IxDyn(shape), values).unwrap())
    };
    Weights::from([
        tensor("down.weight", &[bottleneck, dim], &noise),
        tensor("down.bias", &[bottleneck], &noise),
        tensor("up.weight", &[dim, bottleneck], &up),
        tensor("up.bias", &[dim], &up),
    ])
}

fn noise(i: usize) -> f32 {
    ((i * 7919 + 11) % 1009) as f32 / 1009.0 - 0.5
}
