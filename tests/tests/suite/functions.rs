//! Repeated blocks are local functions, which any runtime may inline.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use medsa_export::Models;
use medsa_sam::Quantization;
use medsa_tests::golden::max_difference;
use medsa_tests::model::quantized;
use medsa_tests::needs;
use medsa_tests::{onnxruntime, place};
use medsa_trainer::Checkpoint;
use ndarray::{ArrayD, IxDyn};

#[test]
fn files_with_functions_equal_inlined_files() {
    needs!("dicom", "litemedsam", "venv");
    let base = Checkpoint::read(&place::lite_medsam()).unwrap();
    let sam = base.sam(Some(64)).unwrap();
    let image = ArrayD::from_shape_fn(IxDyn(&[1, 3, 64, 64]), |at| {
        ((at[1] * 7 + at[2] * 3 + at[3] * 5) % 64) as f32 / 64.0
    });
    for quantization in [Quantization::default(), quantized(&sam)] {
        let models = Models::record(&sam, &quantization, &[("medsa.test", "kept")]);
        let folder = place::scratch();
        let path = |name: &str| folder.path().join(name);
        for (name, bytes) in [("encoder", &models.encoder), ("decoder", &models.decoder)] {
            let (file, inlined) =
                (path(&format!("{name}.onnx")), path(&format!("{name}.plain.onnx")));
            fs::write(&file, bytes).unwrap();
            medsa_export::inline(&file, &inlined).unwrap();
            // The checker's full check and onnxruntime; for the first file also ONNX's own inliner.
            let functions = onnxruntime::functions(&file);
            let expected: &[&str] = match name {
                "encoder" => &["MBConv", "Neck", "PatchEmbed", "PatchMerging", "TinyViTBlock"],
                _ => &["FinalAttention", "MaskHead", "MaskPrompt", "TwoWayBlock"],
            };
            // Functions for other shapes have a number appended.
            let operators = functions.iter().map(|name| name.trim_end_matches(char::is_numeric));
            assert_eq!(operators.collect::<BTreeSet<_>>(), expected.iter().copied().collect());
            assert!(onnxruntime::functions(&inlined).is_empty());
        }
        let run = |bytes: &[u8]| {
            let inputs = BTreeMap::from([("image", image.clone())]);
            onnxruntime::run(bytes, &inputs).get::<IxDyn>("embedding")
        };
        let plain = fs::read(path("encoder.plain.onnx")).unwrap();
        assert!(max_difference(&run(&models.encoder), &run(&plain)) < 1e-5);
        // The same inputs give the same bytes.
        let again = Models::record(&sam, &quantization, &[("medsa.test", "kept")]);
        assert!(again.encoder == models.encoder && again.decoder == models.decoder);
    }
}
