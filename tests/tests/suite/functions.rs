//! Repeated blocks are local functions, which any runtime may inline.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use medsa_export::Models;
use medsa_sam::Quantization;
use medsa_tests::golden::max_difference;
use medsa_tests::model::quantized_litemedsam;
use medsa_tests::needs;
use medsa_tests::{onnxruntime, place};
use ndarray::{ArrayD, IxDyn};

#[test]
fn files_with_functions_equal_inlined_files() {
    needs!("dicom", "litemedsam", "venv");
    let (sam, int8) = quantized_litemedsam();
    let image = ArrayD::from_shape_fn(IxDyn(&[1, 3, 64, 64]), |at| {
        ((at[1] * 7 + at[2] * 3 + at[3] * 5) % 64) as f32 / 64.0
    });
    for quantization in [&Quantization::default(), int8] {
        let models = Models::record(sam, quantization, &[("medsa.test", "kept")]);
        let folder = place::scratch();
        let path = |name: &str| folder.path().join(name);
        let files = ["encoder.onnx", "decoder.onnx"].map(path);
        let plain = ["encoder.plain.onnx", "decoder.plain.onnx"].map(path);
        for ((bytes, file), plain) in
            [&models.encoder, &models.decoder].iter().zip(&files).zip(&plain)
        {
            fs::write(file, bytes).unwrap();
            medsa_export::inline(file, plain).unwrap();
        }
        // The checker's full check and onnxruntime; for the first files also ONNX's own inliner.
        let functions = onnxruntime::functions(&[files, plain].concat());
        let of = |file: usize| -> BTreeSet<&str> {
            // Functions for other shapes have a number appended.
            functions[file].iter().map(|name| name.trim_end_matches(char::is_numeric)).collect()
        };
        let expected = ["MBConv", "Neck", "PatchEmbed", "PatchMerging", "TinyViTBlock"];
        assert_eq!(of(0), expected.into());
        assert_eq!(of(1), ["FinalAttention", "MaskHead", "MaskPrompt", "TwoWayBlock"].into());
        assert!(functions[2..].iter().all(Vec::is_empty), "{functions:?}");
        let run = |bytes: &[u8]| {
            let inputs = BTreeMap::from([("image", image.clone())]);
            onnxruntime::run(bytes, &inputs).get::<IxDyn>("embedding")
        };
        let plain = fs::read(path("encoder.plain.onnx")).unwrap();
        assert!(max_difference(&run(&models.encoder), &run(&plain)) < 1e-5);
        // The same inputs give the same bytes.
        let again = Models::record(sam, quantization, &[("medsa.test", "kept")]);
        assert!(again.encoder == models.encoder && again.decoder == models.decoder);
    }
}
