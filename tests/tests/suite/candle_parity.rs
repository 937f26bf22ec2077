//! The candle backend gives what PyTorch gave, for both kinds of encoder and every kind of
//! prompt.

use medsa_sam::image::RgbView;
use medsa_tests::golden::{Golden, max_difference, select};
use medsa_tests::model::{Model, litemedsam};
use medsa_tests::place;
use medsa_trainer::{Checkpoint, Node};
use ndarray::{ArrayD, Axis, IxDyn};

#[test]
fn litemedsam_preprocessing_is_bit_exact() {
    let Some((_, golden)) = litemedsam() else { return };
    let sam = Checkpoint::read(&place::lite_medsam()).unwrap().sam(None).unwrap();
    let frame: Vec<u8> =
        golden.get::<IxDyn>("frame_rgb_u8").iter().map(|&value| value as u8).collect();
    let (image, geometry) = sam.config().preprocess.run(RgbView::new(320, 240, &frame).unwrap());
    assert_eq!(geometry.resized, (256, 192));
    assert_eq!(image.into_dyn(), golden.get::<IxDyn>("image"));
}

#[test]
fn litemedsam_encoder_equals_pytorch() {
    let Some((model, golden)) = litemedsam() else { return };
    let image = model.tensor(golden.get("image"));
    let steps = model.sam.encoder_steps();
    let encode = |steps| model.sam.encode_steps(&model.candle, &image, steps, 1).unwrap();
    // Where a difference begins: means over positions after the stem and before the neck.
    // In f64: a running f32 sum of 65,536 values is not exact enough.
    let mean = |map: Node| {
        let map = model.array(&map).mapv(f64::from);
        map.mean_axis(Axis(1)).unwrap().mean_axis(Axis(1)).unwrap().mapv(|v| v as f32)
    };
    let patch_embed = mean(encode(0..1));
    assert!(max_difference(&patch_embed, &golden.get("patch_embed")) < 1e-4);
    let tokens = mean(encode(0..steps - 1));
    assert!(max_difference(&tokens, &golden.get("tokens_mean")) < 1e-4);
    let embedding = model.array(&model.sam.encode(&model.candle, &image).unwrap());
    let difference = max_difference(&embedding, &golden.get("embedding"));
    assert!(difference < 1e-4, "embedding differs by {difference}");
}

#[test]
fn litemedsam_decoder_equals_pytorch_for_every_prompt() {
    let Some((model, golden)) = litemedsam() else { return };
    let points3 = Some(("points3.coords_xy", "points3.labels"));
    let point = Some(("point.coords_xy", "point.labels"));
    let bbox = Some("box.box_xyxy");
    let embedding = model.tensor(golden.get("embedding"));
    for (case, points, bbox, mask, multi_mask) in [
        ("box", None, bbox, None, false),
        ("point", point, None, None, false),
        ("point_multi", point, None, None, true),
        ("points3", points3, None, None, false),
        ("box_points", points3, bbox, None, false),
        ("box_mask", None, bbox, Some("box.mask"), false),
    ] {
        let tokens = golden.tokens(points, bbox);
        let mask = mask.map(|name| golden.get::<IxDyn>(name));
        let (masks, iou) = model.decode(&embedding, &tokens, mask);
        let sparse = model.sparse(&tokens);
        assert!(max_difference(&sparse, &golden.get(&format!("{case}.sparse"))) < 1e-4, "{case}");
        let expected = golden.get(&format!("{case}.mask"));
        let difference = max_difference(&select(&masks, multi_mask), &expected);
        assert!(difference < 1e-3, "{case}: logits differ by {difference}");
        let expected = golden.get(&format!("{case}.iou"));
        let difference = max_difference(&select(&iou, multi_mask), &expected);
        assert!(difference < 1e-4, "{case}: predicted IoU differs by {difference}");
    }
}

#[test]
fn unused_token_slots_change_nothing() {
    let Some((model, golden)) = litemedsam() else { return };
    let embedding = model.tensor(golden.get("embedding"));
    let tokens = golden.tokens(Some(("point.coords_xy", "point.labels")), None);
    let (just_right, _) = model.decode(&embedding, &tokens, None);
    let (padded, _) = model.decode(&embedding, &tokens.padded(18), None);
    assert!(max_difference(&just_right, &padded) < 1e-4);
}

#[test]
fn sam_vit_equals_pytorch() {
    let Some(shared) = place::shared() else { return };
    let golden = Golden::read(&shared.join("golden/sam_vit_io.safetensors"));
    let mut checkpoint = Checkpoint::read(&shared.join("golden/sam_vit_weights.pth")).unwrap();
    checkpoint.config.decoder.heads = 4;
    let model = Model::new(checkpoint.sam(None).unwrap());
    let embedding = model.sam.encode(&model.candle, &model.tensor(golden.get("x"))).unwrap();
    let difference = max_difference(&model.array(&embedding), &golden.get("embedding"));
    assert!(difference < 1e-4, "embedding differs by {difference}");
    let points = Some(("coords_xy", "labels"));
    for (case, points, bbox, multi_mask) in [
        ("points", points, None, false),
        ("box", None, Some("box_xyxy"), false),
        ("both_multi", points, Some("box_xyxy"), true),
    ] {
        let (masks, iou) = model.decode(&embedding, &golden.tokens(points, bbox), None);
        let expected = golden.get(&format!("{case}.mask"));
        let difference = max_difference(&select(&masks, multi_mask), &expected);
        assert!(difference < 1e-3, "{case}: logits differ by {difference}");
        let expected = golden.get(&format!("{case}.iou"));
        assert!(max_difference(&select(&iou, multi_mask), &expected) < 1e-4, "{case}");
    }
}

#[test]
fn sam_vit_runs_at_other_input_sizes() {
    let Some(shared) = place::shared() else { return };
    let checkpoint = Checkpoint::read(&shared.join("golden/sam_vit_weights.pth")).unwrap();
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
