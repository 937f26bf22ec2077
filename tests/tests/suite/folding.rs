//! A folded network gives the same results as the original, with fewer operations.

use candle_core::Device;
use medsa_frames::Clip;
use medsa_sam::image::RgbView;
use medsa_sam::layers::Activation;
use medsa_sam::prompt::{Point, Prompt};
use medsa_sam::{AdapterConfig, Folding, MlpInput, Sam, WindowPadding};
use medsa_tests::golden::max_difference;
use medsa_tests::needs;
use medsa_tests::place;
use medsa_trainer::train::Network;
use medsa_trainer::{Adapter, Checkpoint};
use ndarray::ArrayD;

use super::tiny::Tiny;

/// Each rule separately, then all rules.
fn foldings() -> Vec<Vec<Folding>> {
    Folding::ALL.iter().map(|&rule| vec![rule]).chain([Folding::ALL.to_vec()]).collect()
}

/// Our form, that of the released code, and one whose MLPs cannot absorb adapters.
fn forms() -> [AdapterConfig; 3] {
    let ours = AdapterConfig::default();
    let (mlp_input, window_padding) = (MlpInput::Raw, WindowPadding::BeforeNorm);
    let released = AdapterConfig { mlp_input, window_padding, ..ours };
    [ours, released, AdapterConfig { activation: Activation::Relu, ..released }]
}

/// With adapters of every kind, in volumes of two slices.
#[test]
fn every_rule_preserves_results_of_adapted_networks() {
    needs!("litemedsam");
    for (tiny, form) in
        Tiny::both().iter().flat_map(|tiny| forms().map(|form| (tiny.clone(), form)))
    {
        let sam = tiny.base.clone().with_adapters(&tiny.trained, &form).unwrap();
        let predict = |sam: Sam| -> ArrayD<f32> {
            let network = Network::new(sam, Device::Cpu);
            network.array(tiny.predict(&network, 1).value()).unwrap()
        };
        let expected = predict(sam.clone());
        let size = expected.iter().fold(0.0f32, |size, v| size.max(v.abs()));
        for rules in foldings() {
            let difference = max_difference(&predict(sam.clone().folded(&rules)), &expected);
            assert!(difference < 1e-5 * size, "{form:?}, {rules:?}: {difference} of {size}");
        }
    }
}

#[test]
fn every_rule_preserves_results_of_the_trained_adapter() {
    needs!("dicom", "litemedsam");
    let file = "trainer/adapters/ultrasound-clicks/adapter.safetensors";
    let adapter = Adapter::read(&place::repository().join(file)).unwrap();
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    let sam = adapter.sam(&base, None).unwrap();
    let frame = Clip::open(place::cine()).unwrap().frame(0).unwrap();
    let size = (frame.width as usize, frame.height as usize);
    let view = RgbView::new(size.0, size.1, &frame.rgb).unwrap();
    let (image, geometry) = sam.config().preprocess.run(view);
    let click = Point { x: 150.0, y: 120.0, positive: true };
    let tokens = Prompt::new(vec![click], None, size).unwrap().tokens(&geometry);
    let predict = |sam: Sam| -> ArrayD<f32> {
        let network = Network::new(sam, Device::Cpu);
        let embedding = network.embedding(&network.features(&image, 1).unwrap(), 1).unwrap();
        network.array(network.predict(&embedding, &tokens, None).unwrap().value()).unwrap()
    };
    let expected = predict(sam.clone());
    for rules in foldings() {
        let difference = max_difference(&predict(sam.clone().folded(&rules)), &expected);
        assert!(difference < 1e-4, "{rules:?}: {difference}");
    }
}

#[test]
fn folding_removes_products() {
    needs!("litemedsam");
    for tiny in Tiny::both() {
        let sam = tiny.base.clone();
        let sam = sam.with_adapters(&tiny.trained, &AdapterConfig::default()).unwrap();
        let cost = |sam: &Sam| sam.cost();
        let (before, after) = (cost(&sam), cost(&sam.clone().folded(&Folding::ALL)));
        for (before, after) in before.iter().zip(after) {
            assert!(after.products < before.products, "{before:?} {after:?}");
            assert!(after.macs <= before.macs, "{before:?} {after:?}");
        }
    }
}
