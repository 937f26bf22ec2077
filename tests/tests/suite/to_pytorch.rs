//! Base models and adapters written back as checkpoints of the released Med-SA code.

use std::path::{Path, PathBuf};

use candle_core::Device;
use medsa_sam::layers::Activation;
use medsa_sam::{
    AdapterConfig, AdapterPlan, DecoderPlan, MlpInput, SamConfig, Weights, WindowPadding,
};
use medsa_tests::golden::max_difference;
use medsa_tests::needs;
use medsa_tests::place;
use medsa_tests::program::{command, python, run};
use medsa_trainer::train::initial_weights;
use medsa_trainer::{Adapter, AdapterInfo, CandleBackend, Checkpoint, write_released};
use ndarray::{Array1, s};
use tempfile::TempDir;

use super::released::{
    as_in_later_versions, as_saved, frame, predictions, small_mobile_sam, small_vit, with_adapters,
};
use super::tiny::noise;

#[test]
fn checkpoint_of_the_released_code_returns_bit_for_bit() {
    needs!("litemedsam", "venv");
    let vit = small_vit();
    let earlier = with_adapters(vit.weights.clone(), &vit.config);
    let mut later = earlier.clone();
    as_in_later_versions(&mut later);
    let mobile = small_mobile_sam();
    let config = SamConfig::detect(&mobile).unwrap();
    for weights in [earlier, later, with_adapters(mobile, &config)] {
        let folder = place::scratch();
        let pth = as_saved(folder.path(), &weights);
        let [base, back] = ["base.safetensors", "back.pth"].map(|name| folder.path().join(name));
        run(command("medsa-train").args(["import", "--base"]).arg(&pth).arg("--out").arg(&base));
        let mut to_pytorch = command("medsa-train");
        to_pytorch.args(["to-pytorch", "--base"]).arg(&base).arg("--out").arg(&back);
        let printed = run(&mut to_pytorch);
        assert!(printed.ends_with(&format!("{} tensors\n", weights.len())), "{printed}");
        let compared = run(python("same_pth.py").arg(&pth).arg(&back));
        assert_eq!(compared.trim(), weights.len().to_string());
    }
}

#[test]
fn adapter_predicts_the_same_after_its_way_through_pytorch() {
    needs!("dicom", "litemedsam");
    for model in [Model::vit(), Model::mobile_sam()] {
        let adapter = model.adapter(&model.form, &plan());
        let out = model.folder.path().join("released.pth");
        write_released(&model.base, Some(&adapter), &out).unwrap();
        let read = Checkpoint::read(&out).unwrap();
        let frame = frame();
        let of = |sam| predictions(&sam, CandleBackend::new(Device::Cpu), &frame);
        let expected = of(adapter.sam(&model.base, None).unwrap());
        let found = of(read.sam(Some(model.size)).unwrap());
        let plain = of(model.base.sam(Some(model.size)).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            let difference = max_difference(found, expected);
            assert!(difference < 1e-3, "{difference}");
        }
        let effects = plain.iter().zip(&expected).map(|(plain, with)| max_difference(plain, with));
        let effect = effects.fold(0.0, f32::max);
        assert!(effect > 0.01, "the adapter changes predictions by {effect}");
        // The released code loads a state dict only if it has all adapters of all blocks.
        let depth = read.weights.keys().filter(|name| name.contains(".Depth_Adapter.")).count();
        let space = read.weights.keys().filter(|name| name.contains(".Space_Adapter.")).count();
        assert!(depth == space && space > 0, "{depth} and {space}");
    }
}

#[test]
fn forms_that_the_released_code_lacks_are_refused_by_tensor() {
    needs!("litemedsam");
    let (vit, mobile) = (Model::vit(), Model::mobile_sam());
    let of_vit = |change: &dyn Fn(&mut AdapterConfig, &mut AdapterPlan)| vit.refused(change);
    let found = of_vit(&|_, plan| plan.decoder.image_to_prompt = true);
    let name = "tensor decoder.layers.0.image_to_prompt.down.bias: ";
    assert!(
        found.ends_with(&format!("{name}the released code has no adapters in its mask decoder"))
    );
    let found = of_vit(&|_, plan| plan.depth = true);
    assert!(found.contains("encoder.blocks.0.0.depth.down.bias: in the released code"), "{found}");
    let found = of_vit(&|_, plan| plan.reduction = 2);
    assert!(found.contains("mlp.down.bias: shape [32] exceeds [16]"), "{found}");
    let found = of_vit(&|form, _| form.activation = Activation::Relu);
    assert!(found.ends_with("computes as with form.activation = \"gelu\""), "{found}");
    let found = of_vit(&|form, _| form.scale = 1.0);
    assert!(found.contains("mlp.down.bias: ") && found.contains("form.scale = 0.5"), "{found}");
    let found = of_vit(&|form, _| form.window_padding = WindowPadding::AfterNorm);
    assert!(found.contains("form.window_padding = \"before-norm\""), "{found}");
    let found = mobile.refused(&|form, _| form.mlp_input = MlpInput::Normed);
    assert!(found.contains("mlp.down.bias: ") && found.contains("\"raw\" in a TinyViT"), "{found}");
    // At 224 px, the map of stage 2 is one window of 14 x 14.
    let found = Model { size: 224, ..mobile }.refused(&|_, _| ());
    assert!(found.contains("encoder.blocks.2.0.space.") && found.contains("14 x 14"), "{found}");

    let mut adapter = vit.weights(&plan());
    let name = "mask_decoder.output_upscaling.0.bias";
    adapter.get_mut(name).unwrap()[[0]] += 1.0;
    let adapter = vit.written(&vit.form, adapter);
    let error = write_released(&vit.base, Some(&adapter), &vit.out()).unwrap_err().to_string();
    assert!(error.contains(&format!("tensor {name}: the four pixels of a cell")), "{error}");

    let lite = Checkpoint::read(&place::lite_medsam()).unwrap();
    let error = write_released(&lite, None, &vit.out()).unwrap_err().to_string();
    assert!(error.contains("image_encoder.patch_embed.seq.0.c.weight is not a 3x3"), "{error}");
    assert!(!vit.out().exists());
}

/// Everything that the released code can hold.
fn plan() -> AdapterPlan {
    AdapterPlan {
        reduction: 8,
        lora_rank: 2,
        decoder: DecoderPlan {
            prompt_to_image: false,
            mlp: false,
            image_to_prompt: false,
            lora_rank: 2,
            ..DecoderPlan::default()
        },
        train_base: vec!["prompt_encoder".into(), "mask_decoder".into()],
        ..AdapterPlan::default()
    }
}

/// A base model, and the form of adapters that its code in PyTorch has.
struct Model {
    base: Checkpoint,
    form: AdapterConfig,
    size: usize,
    folder: TempDir,
}

impl Model {
    fn vit() -> Self {
        let window_padding = WindowPadding::BeforeNorm;
        Self::new(small_vit(), AdapterConfig { window_padding, ..AdapterConfig::default() }, 128)
    }

    fn mobile_sam() -> Self {
        let mut lite = Checkpoint::read(&place::lite_medsam()).unwrap();
        lite.weights = small_mobile_sam();
        lite.config = SamConfig::detect(&lite.weights).unwrap();
        let form = AdapterConfig { mlp_input: MlpInput::Raw, ..AdapterConfig::default() };
        Self::new(lite, form, 64)
    }

    fn new(mut base: Checkpoint, form: AdapterConfig, size: usize) -> Self {
        base.feed_as_released();
        Self { base, form, size, folder: place::scratch() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("refused.pth")
    }

    /// Trained tensors, none of them zero or as in the base.
    fn weights(&self, plan: &AdapterPlan) -> Weights {
        let sam = self.base.sam(Some(self.size)).unwrap();
        let mut weights = initial_weights(&sam, plan, 0);
        for (seed, (name, value)) in weights.iter_mut().enumerate() {
            let mut i = seed;
            value.mapv_inplace(|v| {
                i += 1;
                v + 0.05 * noise(i)
            });
            // The four copies of these biases stay equal in training.
            if ["0", "3"].iter().any(|n| *name == format!("mask_decoder.output_upscaling.{n}.bias"))
            {
                let channels = value.len() / 4;
                let copy: Array1<f32> = value.slice(s![..channels]).to_owned();
                *value = ndarray::concatenate![ndarray::Axis(0), copy, copy, copy, copy]
                    .into_dyn()
                    .into_shared();
            }
        }
        weights
    }

    fn adapter(&self, form: &AdapterConfig, plan: &AdapterPlan) -> Adapter {
        self.written(form, self.weights(plan))
    }

    fn written(&self, form: &AdapterConfig, weights: Weights) -> Adapter {
        let path: &Path = &self.folder.path().join("adapter.safetensors");
        let info = AdapterInfo {
            base: self.base.origin.clone(),
            input_size: self.size,
            config: *form,
            training: None,
        };
        Adapter::write(path, &info, weights).unwrap();
        Adapter::read(path).unwrap()
    }

    /// Error message for an adapter of another form.
    fn refused(&self, change: &dyn Fn(&mut AdapterConfig, &mut AdapterPlan)) -> String {
        let (mut form, mut plan) = (self.form, plan());
        change(&mut form, &mut plan);
        let adapter = self.adapter(&form, &plan);
        write_released(&self.base, Some(&adapter), &self.out()).unwrap_err().to_string()
    }
}
