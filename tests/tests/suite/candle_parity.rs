//! The candle backend equals PyTorch, for both kinds of encoder and every kind of prompt.

use std::panic::{AssertUnwindSafe, catch_unwind};

use medsa_bundle::sha256_hex;
use medsa_tests::golden::{Golden, max_difference, select};
use medsa_tests::model::{Model, litemedsam, preprocessed, sam_vit, small_vit};
use medsa_tests::needs;
use medsa_trainer::Node;
use ndarray::{ArrayD, Axis, IxDyn};

#[test]
fn litemedsam_preprocessing_is_bit_exact() {
    needs!("litemedsam");
    let (model, golden) = litemedsam();
    let (image, geometry) = preprocessed(&model.sam);
    assert_eq!(geometry.resized, (256, 192));
    golden.assert_close("image", &image, 1e-6);
    // A summary also detects a change of a value that is not among its samples.
    let mut wrong = image.clone();
    wrong[[0, 1, 100, 101]] += 0.1;
    let compare = AssertUnwindSafe(|| golden.assert_close("image", &wrong, 1e-6));
    assert!(catch_unwind(compare).is_err());
    let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
    let sha256 = golden.get::<IxDyn>("image.sha256");
    let sha256: Vec<u8> = sha256.iter().map(|&byte| byte as u8).collect();
    assert_eq!(sha256_hex(&bytes), hex::encode(sha256));
}

#[test]
fn litemedsam_encoder_equals_pytorch() {
    needs!("litemedsam");
    let (model, golden) = litemedsam();
    let image = model.tensor(preprocessed(&model.sam).0);
    let steps = model.sam.encoder_steps();
    let encode = |steps| model.sam.encode_steps(&model.candle, &image, steps, 1).unwrap();
    // Means over positions after the stem and before the neck show where a difference begins. They
    // are computed in f64, since a running f32 sum of 65,536 values is not exact enough.
    let mean = |map: Node| {
        let map = model.array(&map).mapv(f64::from);
        map.mean_axis(Axis(1)).unwrap().mean_axis(Axis(1)).unwrap().mapv(|v| v as f32)
    };
    let patch_embed = mean(encode(0..1));
    assert!(max_difference(&patch_embed, &golden.get("patch_embed")) < 1e-4);
    let tokens = mean(encode(0..steps - 1));
    assert!(max_difference(&tokens, &golden.get("tokens_mean")) < 1e-4);
    let embedding = model.array(&model.sam.encode(&model.candle, &image).unwrap());
    golden.assert_close("embedding", &embedding, 1e-4);
}

#[test]
fn litemedsam_decoder_equals_pytorch_for_every_prompt() {
    needs!("litemedsam");
    let (model, golden) = litemedsam();
    let ours = preprocessed(&model.sam).0;
    let ours = model.sam.encode(&model.candle, &model.tensor(ours)).unwrap();
    // Also with the embedding computed by PyTorch, if its values are available.
    let theirs = golden.whole("embedding").map(|embedding| model.tensor(embedding));
    for embedding in [Some(ours), theirs].into_iter().flatten() {
        assert_decodes_as_pytorch(&model, &golden, &embedding);
    }
}

fn assert_decodes_as_pytorch(model: &Model, golden: &Golden, embedding: &Node) {
    let points3 = Some(("points3.coords_xy", "points3.labels"));
    let point = Some(("point.coords_xy", "point.labels"));
    let bbox = Some("box.box_xyxy");
    let mut of_box = None;
    for (case, points, bbox, multi_mask) in [
        ("box", None, bbox, false),
        ("point", point, None, false),
        ("point_multi", point, None, true),
        ("points3", points3, None, false),
        ("box_points", points3, bbox, false),
        // With the logits of the first case as mask prompt.
        ("box_mask", None, bbox, false),
    ] {
        let tokens = golden.tokens(points, bbox);
        let mask = of_box.clone().filter(|_| case == "box_mask");
        let (masks, iou) = model.decode(embedding, &tokens, mask);
        let sparse = model.sparse(&tokens);
        assert!(max_difference(&sparse, &golden.get(&format!("{case}.sparse"))) < 1e-4, "{case}");
        let masks = select(&masks, multi_mask);
        golden.assert_close(&format!("{case}.mask"), &masks, 1e-3);
        golden.assert_close(&format!("{case}.iou"), &select(&iou, multi_mask), 1e-4);
        of_box.get_or_insert(masks);
    }
}

#[test]
fn unused_token_slots_change_nothing() {
    needs!("litemedsam");
    let (model, golden) = litemedsam();
    let image = model.tensor(preprocessed(&model.sam).0);
    let embedding = model.sam.encode(&model.candle, &image).unwrap();
    let tokens = golden.tokens(Some(("point.coords_xy", "point.labels")), None);
    let (just_right, _) = model.decode(&embedding, &tokens, None);
    let (padded, _) = model.decode(&embedding, &tokens.padded(18), None);
    assert!(max_difference(&just_right, &padded) < 1e-4);
}

#[test]
fn sam_vit_equals_pytorch() {
    let (model, golden) = sam_vit();
    let embedding = model.sam.encode(&model.candle, &model.tensor(golden.get("x"))).unwrap();
    golden.assert_close("embedding", &model.array(&embedding), 1e-4);
    let points = Some(("coords_xy", "labels"));
    for (case, points, bbox, multi_mask) in [
        ("points", points, None, false),
        ("box", None, Some("box_xyxy"), false),
        ("both_multi", points, Some("box_xyxy"), true),
    ] {
        let (masks, iou) = model.decode(&embedding, &golden.tokens(points, bbox), None);
        golden.assert_close(&format!("{case}.mask"), &select(&masks, multi_mask), 1e-3);
        golden.assert_close(&format!("{case}.iou"), &select(&iou, multi_mask), 1e-4);
    }
}

#[test]
fn sam_vit_runs_at_other_input_sizes() {
    let checkpoint = small_vit();
    for (size, side) in [(64, 4), (192, 12)] {
        let model = Model::new(checkpoint.sam(Some(size)).unwrap());
        let image = model.tensor(ArrayD::zeros(vec![1, 3, size, size]));
        let embedding = model.sam.encode(&model.candle, &image).unwrap();
        assert_eq!(embedding.dims(), [1, 64, side, side]);
    }
    let error = checkpoint.sam(Some(100)).unwrap_err();
    let expected = "input size 100 px: expected a multiple of 16 from 64 to 2048 px";
    assert!(error.to_string().ends_with(expected), "{error}");
}
