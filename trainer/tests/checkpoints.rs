//! Forms in which checkpoints are published: keys, names of wrappers, types of numbers, and files
//! that are no checkpoints. The network is the small ViT of the reference tensors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use half::{bf16, f16};
use medsa_test_inputs::data;
use medsa_trainer::Checkpoint;
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Parts of SAM, with which the names of its tensors begin.
const PARTS: [&str; 3] = ["image_encoder.", "prompt_encoder.", "mask_decoder."];

fn original() -> Checkpoint {
    Checkpoint::read(&data("golden/sam_vit_weights.pth")).unwrap()
}

/// Writes the reference checkpoint to `path`, with another pickle.
fn rewrite(path: &Path, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let file = File::open(data("golden/sam_vit_weights.pth")).unwrap();
    let mut archive = ZipArchive::new(file).unwrap();
    let mut changed = ZipWriter::new(File::create(path).unwrap());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name.ends_with("data.pkl") {
            content = change(content);
        }
        changed.start_file(name, SimpleFileOptions::default()).unwrap();
        changed.write_all(&content).unwrap();
    }
    changed.finish().unwrap();
}

/// A string as in a pickle.
fn unicode(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The pickle of a dictionary with the object of `pickle` under a key, and a number beside it.
fn under_key(pickle: &[u8], key: &str) -> Vec<u8> {
    // Without the version at the start and the stop at the end.
    let object = &pickle[2..pickle.len() - 1];
    let epoch = [&unicode("epoch")[..], b"K\x07s"].concat();
    [b"\x80\x02}", &epoch[..], &unicode(key), object, b"s."].concat()
}

/// The pickle with `prefix` before the names of all tensors.
fn with_prefix(pickle: &[u8], prefix: &str) -> Vec<u8> {
    let mut changed = Vec::new();
    let mut at = 0;
    while at < pickle.len() {
        let name = || {
            let length = pickle.get(at + 1..at + 5)?;
            let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
            let name = std::str::from_utf8(pickle.get(at + 5..at + 5 + length)?).ok()?;
            PARTS.iter().any(|part| name.starts_with(part)).then_some(name)
        };
        match (pickle[at], name()) {
            (b'X', Some(name)) => {
                changed.extend(unicode(&format!("{prefix}{name}")));
                at += 5 + name.len();
            }
            (byte, _) => {
                changed.push(byte);
                at += 1;
            }
        }
    }
    changed
}

#[test]
fn tensors_are_found_under_every_key_and_behind_every_prefix() {
    let original = original();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.pth");
    for key in ["", "model_state_dict", "net", "state_dict", "model"] {
        for prefix in ["", "module.", "_orig_mod.", "model.", "module._orig_mod.model."] {
            rewrite(&path, |pickle| {
                let pickle = with_prefix(&pickle, prefix);
                if key.is_empty() { pickle } else { under_key(&pickle, key) }
            });
            let found = Checkpoint::read(&path).unwrap();
            assert_eq!(found.weights, original.weights, "key {key:?}, prefix {prefix:?}");
            assert_eq!(found.config, original.config);
        }
    }
}

#[test]
fn unknown_keys_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.pth");
    rewrite(&path, |pickle| under_key(&pickle, "weights_of_tuesday"));
    let error = Checkpoint::read(&path).err().unwrap().to_string();
    for part in ["base.pth", "[epoch, weights_of_tuesday]", "state_dict", "torch.save("] {
        assert!(error.contains(part), "{error}");
    }
    rewrite(&path, |_| b"\x80\x02csome.module\nNet\n)\x81}X\x01\0\0\0aK\x01sb.".to_vec());
    let error = Checkpoint::read(&path).err().unwrap().to_string();
    assert!(error.contains("a Python object of the class some.module.Net"), "{error}");
    rewrite(&path, |_| b"\x80\x04\x95".to_vec());
    let error = Checkpoint::read(&path).err().unwrap().to_string();
    assert!(error.contains("Python objects that this program does not read"), "{error}");
}

/// The bytes of a `.safetensors` file with the tensors of `checkpoint` as numbers of a type.
fn safetensors(
    checkpoint: &Checkpoint,
    prefix: &str,
    dtype: Dtype,
    bytes: impl Fn(f32) -> Vec<u8>,
) -> Vec<u8> {
    let tensors = checkpoint.weights.iter().map(|(name, value)| {
        let data: Vec<u8> = value.iter().flat_map(|&v| bytes(v)).collect();
        (format!("{prefix}{name}"), (value.shape().to_vec(), data))
    });
    let tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = tensors.collect();
    let views = tensors
        .iter()
        .map(|(name, (shape, data))| (name, TensorView::new(dtype, shape.clone(), data).unwrap()));
    serialize(views, None).unwrap()
}

#[test]
fn half_precision_safetensors_are_read_behind_prefixes() {
    let original = original();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.safetensors");
    let check = |round: &dyn Fn(f32) -> f32| {
        let found = Checkpoint::read(&path).unwrap();
        assert_eq!(found.config, original.config);
        for (name, value) in &original.weights {
            assert_eq!(found.weights[name], value.mapv(round), "{name}");
        }
        found.sam(None).unwrap();
    };
    let f16_bytes = |v: f32| f16::from_f32(v).to_le_bytes().to_vec();
    fs::write(&path, safetensors(&original, "module.", Dtype::F16, f16_bytes)).unwrap();
    check(&|v| f16::from_f32(v).to_f32());
    let bf16_bytes = |v: f32| bf16::from_f32(v).to_le_bytes().to_vec();
    fs::write(&path, safetensors(&original, "model._orig_mod.", Dtype::BF16, bf16_bytes)).unwrap();
    check(&|v| bf16::from_f32(v).to_f32());
}

#[test]
fn files_that_are_no_checkpoints_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let old = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 39202845\n";
    for name in ["base.pth", "base.safetensors"] {
        let path = folder.path().join(name);
        for (content, kind, remedy) in [
            (&b"<!DOCTYPE html><html>"[..], "an HTML or XML page", "download the file again"),
            (pointer, "a Git LFS pointer to a file of 39202845 bytes", "git lfs pull"),
            (old, "the format of PyTorch before 1.6", "torch.save(torch.load("),
            (b"", "empty", "again"),
            (b"PK\x03\x04 cut", "not a whole zip archive", "download or copy it again"),
            (b"plain words", "expected a .safetensors file or a .pth file", ""),
        ] {
            fs::write(&path, content).unwrap();
            let error = Checkpoint::read(&path).err().unwrap().to_string();
            let all = [name, kind, remedy].iter().all(|part| error.contains(part));
            assert!(all, "{name}, {kind}: {error}");
        }
    }
}
