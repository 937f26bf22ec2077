//! A checkpoint is used completely, or refused with the invalid tensor. Also tests kinds of
//! networks of which no published weights are available here.

use std::collections::BTreeMap;
use std::fs;

use medsa_export::Models;
use medsa_sam::Quantization;
use medsa_tests::golden::max_difference;
use medsa_tests::model::Model;
use medsa_tests::needs;
use medsa_tests::{onnxruntime, place};
use medsa_trainer::Checkpoint;
use ndarray::{ArcArray, ArrayD, IxDyn};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

#[test]
fn missing_tensor_is_named_with_its_expected_shape() {
    needs!("litemedsam");
    let mut base = lite_medsam();
    base.weights.remove("mask_decoder.iou_token.weight");
    let expected = "tensor mask_decoder.iou_token.weight is missing, expected shape [1, 256]";
    assert_refused(&base, expected);
}

#[test]
fn misshapen_tensor_is_named_with_both_shapes() {
    needs!("litemedsam");
    let mut base = lite_medsam();
    let name = "image_encoder.layers.1.blocks.0.attn.proj.weight";
    base.weights.insert(name.into(), tensor(&[128, 64]));
    assert_refused(&base, &format!("tensor {name} has shape [128, 64], expected [128, 128]"));
}

#[test]
fn extra_tensors_are_all_named() {
    needs!("litemedsam");
    let mut base = lite_medsam();
    base.weights.insert("image_encoder.extra".into(), tensor(&[3]));
    base.weights.insert("optimizer.step".into(), tensor(&[1]));
    let expected = "2 tensors not used by the network: image_encoder.extra [3], optimizer.step [1]";
    assert_refused(&base, expected);
}

#[test]
fn empty_and_infinite_tensors_are_refused() {
    needs!("litemedsam");
    let folder = place::scratch();
    let path = folder.path().join("base.safetensors");
    let mut base = lite_medsam();
    base.config.decoder.heads = 0;
    base.write(&path).unwrap();
    let error = Checkpoint::read(&path).err().unwrap().to_string();
    assert!(error.ends_with("decoder.dim is 256, expected heads above 0"), "{error}");
    let name = "image_encoder.layers.1.blocks.0.attn.attention_biases";
    let mut infinite = lite_medsam();
    let qkv = "image_encoder.layers.1.blocks.0.attn.qkv.weight";
    infinite.weights.insert(qkv.into(), tensor(&[384, 128]).mapv(|_| f32::NAN).into_shared());
    assert_refused(&infinite, &format!("{qkv} is empty or holds values that are not finite"));
    base.weights.insert(name.into(), tensor(&[0, 49]));
    let error = medsa_sam::SamConfig::detect(&base.weights).unwrap_err().to_string();
    assert!(error.ends_with(&format!("tensor {name} is empty, shape [0, 49]")), "{error}");
}

#[test]
fn files_that_are_not_checkpoints_are_refused() {
    needs!("litemedsam");
    let folder = place::scratch();
    let path = folder.path().join("base.pth");
    let pth = fs::read(place::lite_medsam()).unwrap();
    for content in [&pth[..pth.len() / 2], b"PK\x03\x04 and then something else", b"", b"text"] {
        fs::write(&path, content).unwrap();
        let error = Checkpoint::read(&path).err().unwrap().to_string();
        assert!(error.contains("base.pth"), "{error}");
    }
    let absent = Checkpoint::read(&folder.path().join("absent.pth")).err().unwrap();
    assert!(absent.to_string().contains("absent.pth: No such file"), "{absent}");
}

#[test]
fn imported_checkpoint_is_the_same_network() {
    needs!("litemedsam");
    let folder = place::scratch();
    let path = folder.path().join("base.safetensors");
    let original = lite_medsam();
    original.write(&path).unwrap();
    let imported = Checkpoint::read(&path).unwrap();
    assert_eq!(imported.weights, original.weights);
    assert_eq!(imported.config, original.config);
    assert_eq!(imported.origin, original.origin);
}

#[test]
fn counters_of_batch_norms_in_safetensors_are_passed_over() {
    needs!("litemedsam");
    let folder = place::scratch();
    let path = folder.path().join("base.safetensors");
    let original = lite_medsam();
    let counters = original.weights.keys().filter(|name| name.ends_with(".num_batches_tracked"));
    assert!(counters.count() > 0, "the checkpoint has counters");
    // As `safetensors.torch.save_file` writes them: integers without an axis.
    let bytes = |name: &str, value: &ArcArray<f32, IxDyn>| -> (Dtype, Vec<u8>) {
        match name.ends_with(".num_batches_tracked") {
            true => (Dtype::I64, value.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect()),
            false => (Dtype::F32, value.iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    };
    let tensors: Vec<_> = original
        .weights
        .iter()
        .map(|(name, value)| (name, value.shape().to_vec(), bytes(name, value)))
        .collect();
    let views = tensors.iter().map(|(name, shape, (dtype, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(&path, serialize(views, None).unwrap()).unwrap();
    let found = Checkpoint::read(&path).unwrap();
    assert_eq!(found.weights, original.weights);
    found.sam(None).unwrap();
}

#[test]
fn exported_strided_stem_equals_that_on_candle() {
    needs!("litemedsam", "venv");
    // MobileSAM differs from LiteMedSAM only in its stem.
    let mut base = lite_medsam();
    for (name, shape) in [("0", [32, 3, 3, 3]), ("2", [64, 32, 3, 3])] {
        let name = format!("image_encoder.patch_embed.seq.{name}.c.weight");
        base.weights.insert(name, tensor(&shape));
    }
    base.config = medsa_sam::SamConfig::detect(&base.weights).unwrap();
    assert_eq!(base.config.preprocess.input_size, 1024);
    let model = Model::new(base.sam(Some(128)).unwrap());
    let image = tensor(&[1, 3, 128, 128]).into_owned();
    let expected = model.sam.encode(&model.candle, &model.tensor(image.clone())).unwrap();
    assert_eq!(expected.dims(), [1, 256, 8, 8]);
    let models = Models::record(&model.sam, &Quantization::default(), &[]);
    let found: ArrayD<f32> =
        onnxruntime::run(&models.encoder, &BTreeMap::from([("image", image)])).get("embedding");
    assert!(max_difference(&found, &model.array(&expected)) < 1e-3);
}

fn lite_medsam() -> Checkpoint {
    Checkpoint::read(&place::lite_medsam()).unwrap()
}

fn assert_refused(base: &Checkpoint, expected: &str) {
    let error = base.sam(None).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot use {}: ", base.path.display())), "{error}");
    assert!(error.ends_with(expected), "{error}");
}

fn tensor(shape: &[usize]) -> ArcArray<f32, IxDyn> {
    let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.37).sin() * 0.2);
    ArcArray::from_shape_vec(IxDyn(shape), values.collect()).unwrap()
}
