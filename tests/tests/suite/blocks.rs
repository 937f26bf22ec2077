//! Block schemas: the engine reads what the exporter writes, and refuses a block that does not
//! match with its name.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;

use medsa_engine::{Engine, Inlined};
use medsa_export::Models;
use medsa_sam::block::{BlockKind, BlockSchema, Bottleneck, SCHEMA_ATTRIBUTE};
use medsa_sam::layers::Activation;
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{AdapterConfig, AdapterPlan, DecoderPlan, Folding, Quantization, Sam, SamConfig};
use medsa_tests::{made_up, place};
use ndarray::Array4;
use prost::Message;
use serde_json::{Value, json};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

const BODIES: &str = "engine/src/block/bodies.txt";

#[test]
fn engine_knows_the_body_of_every_block() {
    let mut found = BTreeSet::new();
    let mut add = |sam: Sam| {
        let sam = sam.folded(&Folding::ALL);
        for quantization in [Quantization::default(), made_up::quantization(&sam)] {
            let models = Models::record(&sam, &quantization, &[]);
            for file in [models.encoder, models.decoder] {
                let model = ModelProto::decode(file.as_slice()).unwrap();
                for (_, schema) in schemas(&model) {
                    let constants = schema.weights.iter().filter(|r| r.starts_with("constant."));
                    assert_eq!(constants.count(), 0, "{schema:?}");
                    found.insert(format!("{} {}", schema.body, schema.kind.variant()));
                }
            }
        }
    };
    let no_decoder = DecoderPlan {
        prompt_to_image: false,
        mlp: false,
        image_to_prompt: false,
        ..DecoderPlan::default()
    };
    // Windows of 4 divide the maps; windows of 3 need padding.
    for config in [made_up::tiny_vit(4), made_up::tiny_vit(3), made_up::vit(4), made_up::vit(3)] {
        for space in [false, true] {
            let decoder = no_decoder.clone();
            let plan = AdapterPlan { space, decoder, ..AdapterPlan::default() };
            let sam = made_up::network(&config);
            add(made_up::adapted(sam, &plan, &AdapterConfig::default()));
        }
    }
    // Without adapters in the encoder.
    let plan = |decoder: DecoderPlan| AdapterPlan {
        space: false,
        mlp: false,
        decoder: DecoderPlan { reduction: 2, hyp_reduction: 4, ..decoder },
        ..AdapterPlan::default()
    };
    for activation in [Activation::Gelu, Activation::Relu] {
        let form = AdapterConfig { activation, ..AdapterConfig::default() };
        for (hyp_maps, prompt_to_image) in [(0, false), (0, true), (1, true), (2, true), (3, true)]
        {
            for (mlp, image_to_prompt) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let decoder = DecoderPlan {
                    prompt_to_image,
                    mlp,
                    image_to_prompt,
                    hyp_maps,
                    ..DecoderPlan::default()
                };
                let sam = made_up::network(&made_up::tiny_vit(4));
                add(made_up::adapted(sam, &plan(decoder), &form));
            }
        }
    }
    let mut found: Vec<String> = found.into_iter().collect();
    found.sort_by_key(|line| {
        line.split_once(' ').map(|(hash, variant)| (variant.to_owned(), hash.to_owned()))
    });
    let found = found.join("\n") + "\n";
    let path = place::repository().join(BODIES);
    let known = fs::read_to_string(&path).unwrap();
    if std::env::var_os("MEDSA_BLESS").is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    assert!(
        found == known,
        "{BODIES} is not what the network has now. If the kernels compute the new bodies, too, run \
         this test with MEDSA_BLESS=1 to write it anew, and build again:\n{found}"
    );
}

/// Blocks of a model, with their schemas.
fn schemas(model: &ModelProto) -> Vec<(usize, BlockSchema)> {
    let nodes = model.graph.as_ref().unwrap().node.iter().enumerate();
    let schema = |(at, node): (usize, &NodeProto)| {
        let attribute = node.attribute.iter().find(|a| a.name == SCHEMA_ATTRIBUTE)?;
        Some((at, serde_json::from_slice(&attribute.s).unwrap()))
    };
    nodes.filter_map(schema).collect()
}

/// A small int8 network with every kind of adapter, for the engine.
struct Case {
    config: SamConfig,
    encoder: ModelProto,
    decoder: ModelProto,
}

impl Case {
    fn new(config: SamConfig) -> Self {
        let sam = made_up::network(&config);
        let decoder = DecoderPlan { reduction: 2, hyp_reduction: 4, ..DecoderPlan::default() };
        let plan = AdapterPlan { reduction: 2, decoder, ..AdapterPlan::default() };
        let sam = made_up::adapted(sam, &plan, &AdapterConfig::default());
        let sam = sam.folded(&Folding::ALL);
        let models = Models::record(&sam, &made_up::quantization(&sam), &[]);
        let [encoder, decoder] = [models.encoder, models.decoder]
            .map(|file| ModelProto::decode(file.as_slice()).unwrap());
        Self { config, encoder, decoder }
    }

    fn load(&self) -> Result<Engine, medsa_engine::Error> {
        let [encoder, decoder] = [&self.encoder, &self.decoder].map(Message::encode_to_vec);
        Engine::from_onnx(&encoder, &decoder, self.config.preprocess, NonZeroUsize::MIN)
    }

    /// Embedding and mask for a box, bit for bit.
    fn run(&self) -> (Vec<u32>, Vec<Inlined>) {
        let engine = self.load().unwrap();
        let side = self.config.preprocess.input_size;
        let image = Array4::from_shape_fn((1, 3, side, side), |(_, c, y, x)| {
            ((c * 7 + y * 3 + x * 5) % 64) as f32 / 64.0
        });
        let embedding = engine.encode(&image).unwrap();
        let tokens = PromptTokens::new(&[([10.0, 12.0], 2.0), ([50.0, 40.0], 3.0)]);
        let decoded = engine.decode(&embedding, &tokens, None).unwrap();
        let values = embedding.view().unwrap().iter().copied().collect::<Vec<f32>>();
        let bits = values.iter().chain(&decoded.masks).map(|value| value.to_bits()).collect();
        (bits, engine.inlined().cloned().collect())
    }

    /// Message with which the engine refuses the models.
    fn refusal(&self) -> String {
        match self.load() {
            Ok(_) => panic!("loaded what it should refuse"),
            Err(error) => error.to_string(),
        }
    }

    /// Changes the schema of the first block of a kind, in either model.
    fn change(&mut self, kind: &str, change: impl Fn(&mut Value)) {
        for model in [&mut self.encoder, &mut self.decoder] {
            let blocks = schemas(model);
            let Some((at, _)) = blocks.iter().find(|(_, schema)| schema.kind.name() == kind) else {
                continue;
            };
            let node = &mut model.graph.as_mut().unwrap().node[*at];
            let attribute = node.attribute.iter_mut().find(|a| a.name == SCHEMA_ATTRIBUTE).unwrap();
            let mut schema: Value = serde_json::from_slice(&attribute.s).unwrap();
            change(&mut schema);
            attribute.s = serde_json::to_vec(&schema).unwrap();
            return;
        }
        panic!("no block of kind {kind}");
    }
}

fn tiny() -> Case {
    Case::new(made_up::tiny_vit(3))
}

#[test]
fn order_of_independent_statements_does_not_matter() {
    for config in [made_up::tiny_vit(3), made_up::vit(3)] {
        let mut case = Case::new(config);
        let before = case.run();
        assert_eq!(before.1, [], "all blocks have kernels");
        let mut moved = 0;
        for model in [&mut case.encoder, &mut case.decoder] {
            for function in &mut model.functions {
                for at in 1..function.node.len() {
                    let [first, second] = [&function.node[at - 1], &function.node[at]];
                    let depends = second.input.iter().any(|input| first.output.contains(input));
                    if !depends {
                        function.node.swap(at - 1, at);
                        moved += 1;
                    }
                }
            }
        }
        assert!(moved > 50, "{moved} statements moved");
        assert_eq!(case.run(), before);
    }
}

#[test]
fn order_of_weights_does_not_matter_if_roles_are_permuted_with_them() {
    let mut case = tiny();
    let before = case.run();
    assert_eq!(before.1, [], "all blocks have kernels");
    let mut permuted = 0;
    for model in [&mut case.encoder, &mut case.decoder] {
        for (at, mut schema) in schemas(model) {
            let graph = model.graph.as_mut().unwrap();
            let node = &mut graph.node[at];
            let name = node.op_type.clone();
            let calls = graph.node.iter().filter(|node| node.op_type == name).count();
            if calls > 1 {
                // Otherwise the function's inputs would have to change in all of its calls.
                continue;
            }
            let node = &mut graph.node[at];
            let data = node.input.len() - schema.weights.len();
            node.input[data..].reverse();
            schema.weights.reverse();
            let function = model.functions.iter_mut().find(|f| f.name() == name).unwrap();
            function.input[data..].reverse();
            let attribute = node.attribute.iter_mut().find(|a| a.name == SCHEMA_ATTRIBUTE).unwrap();
            attribute.s = serde_json::to_vec(&schema).unwrap();
            permuted += 1;
        }
    }
    assert!(permuted >= 8, "weights of {permuted} blocks permuted");
    assert_eq!(case.run(), before);
}

#[test]
fn swapped_weights_with_unchanged_roles_are_refused() {
    let mut case = tiny();
    case.change("two-way-block", |schema| {
        let weights = schema["weights"].as_array_mut().unwrap();
        let at = |role: &str| weights.iter().position(|found| found == role).unwrap();
        let [k, v] = ["k_proj", "v_proj"].map(|part| at(&format!("self_attn.{part}.int8")));
        weights.swap(k, v);
    });
    let refusal = case.refusal();
    assert!(refusal.starts_with("decoder.onnx: block TwoWayBlock"), "{refusal}");
    assert!(refusal.contains(": body: found "), "{refusal}");
}

/// Message of the engine after `change` is made to the schema of a block of `kind`, in a network
/// with a TinyViT, or with a ViT if `kind` is one of its blocks.
fn refused(kind: &str, change: impl Fn(&mut Value)) -> String {
    let mut case = if kind == "vit-block" { Case::new(made_up::vit(3)) } else { tiny() };
    case.change(kind, change);
    case.refusal()
}

#[test]
fn error_names_each_wrong_field_of_a_schema() {
    let says = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "{text}\nexpected {part}");
        }
    };
    let version = refused("neck", |schema| schema["version"] = json!(1));
    says(version, &["encoder.onnx: block Neck", "version: found 1, expected 2", "re-export"]);
    let unknown = refused("neck", |schema| schema["colour"] = json!("red"));
    says(unknown, &["block Neck", "medsa_block", "unknown field `colour`"]);
    let missing = refused("neck", |schema| drop(schema.as_object_mut().unwrap().remove("int8")));
    says(missing, &["block Neck", "medsa_block", "missing field `int8`"]);
    let stride = refused("patch-merging", |s| s["kind"]["patch-merging"]["stride"] = json!(3));
    says(stride, &["block PatchMerging", "body: found "]);
    let window = refused("tiny-vit-block", |s| s["kind"]["tiny-vit-block"]["window"] = json!(4));
    says(window, &["block TinyViTBlock", "attn.attention_biases: found shape [2, 9]"]);
    let heads = refused("tiny-vit-block", |s| s["kind"]["tiny-vit-block"]["heads"] = json!(1));
    says(heads, &["block TinyViTBlock", "attn.attention_biases: found shape [2, 9]"]);
    let space = refused("tiny-vit-block", |s| s["kind"]["tiny-vit-block"]["space"] = json!(null));
    says(space, &["block TinyViTBlock", "body: found "]);
    let window = refused("vit-block", |s| s["kind"]["vit-block"]["window"] = json!(4));
    says(window, &["block ViTBlock", "attn.window_padding: found shape [1, 9, 9, 1]"]);
    let heads = refused("vit-block", |s| s["kind"]["vit-block"]["heads"] = json!(1));
    says(heads, &["block ViTBlock", "attn.rel_pos_h: found shape [3, 32, 3], expected [3, 64, 3]"]);
    let space = refused("vit-block", |s| s["kind"]["vit-block"]["space"] = json!(null));
    says(space, &["block ViTBlock", "body: found "]);
    let heads = refused("two-way-block", |s| s["kind"]["two-way-block"]["heads"] = json!(2));
    says(heads, &["block TwoWayBlock", "heads: found 2, and 4 in the body"]);
    let first = refused("two-way-block", |s| s["kind"]["two-way-block"]["first"] = json!(false));
    says(first, &["block TwoWayBlock", "body: found "]);
    for (field, value) in [
        ("after_tokens", json!({"hyper": {"maps": 2}})),
        ("after_tokens", json!({"activation": "gelu"})),
        ("parallel_mlp", json!(null)),
        ("parallel_mlp", json!("relu")),
        ("after_image", json!(null)),
        ("after_image", json!("relu")),
    ] {
        let text = refused("two-way-block", |schema| {
            let found = &mut schema["kind"]["two-way-block"][field];
            assert!(found.take() != value, "{field} changes");
            *found = value.clone();
        });
        says(text, &["block TwoWayBlock", "body: found "]);
    }
    let heads = refused("final-attention", |s| s["kind"]["final-attention"]["heads"] = json!(8));
    says(heads, &["block FinalAttention", "heads: found 8, and 4 in the body"]);
    let grid = made_up::tiny_vit(3).grid();
    for side in ["height", "width"] {
        let text = refused("mask-head", |s| s["kind"]["mask-head"][side] = json!(grid + 1));
        let found = format!("{side}: found {}, and {grid} in the body", grid + 1);
        says(text, &["decoder.onnx: block MaskHead", &found, "expected the same number"]);
    }
    let role = refused("mb-conv", |schema| schema["weights"][0] = json!("project.weight"));
    says(role, &["block MBConv", "body: found "]);
    let short = refused("mb-conv", |schema| drop(schema["weights"].as_array_mut().unwrap().pop()));
    says(short, &["block MBConv", "body: found "]);
    let long = refused("mb-conv", |schema| {
        let weights = schema["weights"].as_array_mut().unwrap();
        weights.extend(std::iter::repeat_n(json!("expand.bias"), 40));
    });
    says(long, &["block MBConv", "weights: found "]);
    let int8 = refused("mb-conv", |schema| schema["int8"] = json!(["attn.products"]));
    says(int8, &["block MBConv", "expand.weight: found missing"]);
    let body = refused("neck", |schema| {
        // A known body of another kind.
        let known = include_str!("../../../engine/src/block/bodies.txt");
        schema["body"] = json!(known.split_whitespace().next().unwrap());
    });
    says(body, &["block Neck", "body: found "]);
}

#[test]
fn error_names_the_number_of_hyper_maps_if_there_are_more_weights() {
    let mut case = tiny();
    let is_hyper = |schema: &BlockSchema| {
        matches!(
            schema.kind,
            BlockKind::TwoWayBlock { after_tokens: Some(Bottleneck::Hyper { maps: 3 }), .. }
        )
    };
    let blocks = schemas(&case.decoder);
    let (at, _) = blocks.iter().find(|(_, schema)| is_hyper(schema)).unwrap();
    // The function of the first block is called once. A fourth map has a weight, which the body
    // does not use, so that its hash does not change.
    let node = &mut case.decoder.graph.as_mut().unwrap().node[*at];
    node.input.push(node.input.last().unwrap().clone());
    let name = node.op_type.clone();
    let function = case.decoder.functions.iter_mut().find(|f| f.name() == name).unwrap();
    function.input.push("unused".into());
    case.change("two-way-block", |schema| {
        let weights = schema["weights"].as_array_mut().unwrap();
        weights.push(json!("adapter.prompt_to_image.hyp.norms.3.weight"));
    });
    let refusal = case.refusal();
    assert!(refusal.starts_with("decoder.onnx: block TwoWayBlock"), "{refusal}");
    let expected = "adapter.prompt_to_image.hyp.maps: found 4, expected 3";
    assert!(refusal.contains(expected), "{refusal}");
}

#[test]
fn error_names_the_role_of_a_weight_with_wrong_shape_or_type() {
    let mut case = tiny();
    let (at, schema) = schemas(&case.encoder)
        .into_iter()
        .find(|(_, schema)| schema.kind.name() == "mb-conv")
        .unwrap();
    let graph = case.encoder.graph.as_mut().unwrap();
    let data = graph.node[at].input.len() - schema.weights.len();
    let place = schema.weights.iter().position(|role| role == "project.scale").unwrap();
    let name = graph.node[at].input[data + place].clone();
    let whole = graph.clone();
    let mut change = |change: &dyn Fn(&mut TensorProto)| {
        let graph = case.encoder.graph.as_mut().unwrap();
        graph.clone_from(&whole);
        change(graph.initializer.iter_mut().find(|tensor| tensor.name == name).unwrap());
        case.refusal()
    };
    let short = change(&|tensor| tensor.raw_data.truncate(8));
    assert!(
        short.contains("block MBConv") && short.contains("project.scale: found type 1"),
        "{short}"
    );
    let other_type = change(&|tensor| tensor.data_type = 6);
    assert!(other_type.contains("project.scale: found type 6"), "{other_type}");
    let longer = change(&|tensor| {
        tensor.dims[0] += 1;
        tensor.raw_data.extend([0; 4]);
    });
    assert!(longer.contains("block MBConv") && longer.contains("project"), "{longer}");
    let hostile = change(&|tensor| tensor.dims = vec![i64::MAX, 2]);
    assert!(hostile.contains("project.scale"), "{hostile}");
}

#[test]
fn unknown_block_is_computed_node_by_node_and_reported() {
    let before = tiny().run().0;
    let float = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
    let inlined = |kind: &str, change: &dyn Fn(&mut Value)| {
        let mut case = tiny();
        case.change(kind, change);
        let (bits, inlined) = case.run();
        let difference =
            float(&bits).iter().zip(float(&before)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Kernels round slightly differently.
        assert!(difference < 0.05, "{difference}");
        let [Inlined { block, reason }] = &inlined[..] else { panic!("{inlined:?}") };
        format!("{block}: {reason}")
    };
    let newer = inlined("neck", &|schema| {
        schema["version"] = json!(9);
        schema["new_field"] = json!([1, 2]);
    });
    assert!(newer.starts_with("Neck ") && newer.contains("version 9"), "{newer}");
    let unknown = inlined("mb-conv", &|schema| schema["kind"] = json!({"mamba": {"state": 4}}));
    assert!(unknown.starts_with("MBConv ") && unknown.contains("mamba"), "{unknown}");
    let other_body = inlined("mask-prompt", &|schema| schema["body"] = json!("00"));
    assert!(
        other_body.starts_with("MaskPrompt ") && other_body.contains("body 00"),
        "{other_body}"
    );
}

#[test]
fn build_of_an_older_exporter_is_refused_with_instructions() {
    let mut case = tiny();
    for node in &mut case.encoder.graph.as_mut().unwrap().node {
        node.attribute.retain(|attribute| attribute.name != SCHEMA_ATTRIBUTE);
    }
    let refusal = case.refusal();
    assert!(refusal.contains("medsa_block: found missing"), "{refusal}");
    assert!(refusal.contains("re-export the model"), "{refusal}");
}
