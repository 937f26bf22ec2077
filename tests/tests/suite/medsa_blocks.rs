//! Encoder blocks with adapters equal those of the released Med-SA code.

use candle_core::Device;
use medsa_sam::tiny_vit::{Stage, TinyVitBlock};
use medsa_sam::vit::{VitBlock, VitConfig};
use medsa_sam::{AdapterConfig, MlpInput, Reader, Weights, WindowPadding};
use medsa_tests::golden::{Golden, max_difference};
use medsa_trainer::CandleBackend;
use ndarray::{ArrayD, IxDyn};

/// Largest difference due to float arithmetic.
const TOLERANCE: f32 = 1e-4;

#[test]
fn vit_blocks_equal_the_released_ones() {
    let golden = Golden::open("medsa_blocks.safetensors");
    for (name, global, slices) in
        [("vit_window", false, 1), ("vit_global", true, 1), ("vit_sdtrans", true, 6)]
    {
        let config = VitConfig {
            patch: 16,
            dim: 32,
            depth: 1,
            heads: 2,
            mlp_dim: 128,
            window: 4,
            global_blocks: if global { vec![0] } else { vec![] },
            trained_grid: 6,
        };
        let (base, adapters) = parts(&golden, name);
        let from = Reader::new(&base);
        let mut block = VitBlock::read(&from, &config, 0, 6).unwrap();
        from.finish().unwrap();
        let from = Reader::new(&adapters);
        let form =
            AdapterConfig { window_padding: WindowPadding::BeforeNorm, ..AdapterConfig::default() };
        block.adapt(&from, &form).unwrap();
        from.finish().unwrap();
        let backend = CandleBackend::new(Device::Cpu);
        let x = backend.tensor(golden.get::<IxDyn>(&format!("{name}:x"))).unwrap();
        let y = backend.array(&block.forward(&backend, &x, slices).unwrap()).unwrap();
        let difference = max_difference(&y, &golden.get(&format!("{name}:y")));
        assert!(difference < TOLERANCE, "{name} differs by {difference}");
    }
}

#[test]
fn tiny_vit_blocks_equal_the_released_ones() {
    let golden = Golden::open("medsa_blocks.safetensors");
    let stage = Stage { dim: 32, depth: 1, heads: 2, window: 7, stride: 2 };
    // If the window covers the map, the released code does not apply `Space`.
    for (name, side, space) in [("tinyvit_window", 10, true), ("tinyvit_full", 7, false)] {
        let (base, mut adapters) = parts(&golden, name);
        adapters.retain(|name, _| space || !name.starts_with("space."));
        let from = Reader::new(&base);
        let mut block = TinyVitBlock::read(&from, &stage).unwrap();
        from.finish().unwrap();
        let form = AdapterConfig { mlp_input: MlpInput::Raw, ..AdapterConfig::default() };
        block.adapt(&Reader::new(&adapters), &form).unwrap();
        let backend = CandleBackend::new(Device::Cpu);
        let shape = [2, side, side, 32];
        let reshape = |values: ArrayD<f32>| values.into_shape_with_order(shape.to_vec()).unwrap();
        let x = backend.tensor(reshape(golden.get::<IxDyn>(&format!("{name}:x")))).unwrap();
        let y = backend.array(&block.forward(&backend, &x, 1).unwrap()).unwrap();
        let difference = max_difference(&y, &reshape(golden.get(&format!("{name}:y"))));
        assert!(difference < TOLERANCE, "{name} differs by {difference}");
    }
}

/// The block's own tensors and those of its adapters, renamed to the names of this project.
fn parts(golden: &Golden, name: &str) -> (Weights, Weights) {
    let (mut base, mut adapters) = (Weights::new(), Weights::new());
    for (name, value) in golden.part(&format!("{name}.")) {
        let ours = name
            .replace("Space_Adapter", "space")
            .replace("MLP_Adapter", "mlp")
            .replace("Depth_Adapter", "depth")
            .replace("D_fc1", "down")
            .replace("D_fc2", "up");
        if ours == name {
            // The file has short names for relative positions.
            let name = name.replace("attn.rel_", "attn.rel_pos_");
            base.insert(name, value);
        } else {
            adapters.insert(ours, value);
        }
    }
    (base, adapters)
}
