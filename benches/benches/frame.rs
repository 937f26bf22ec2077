//! Processing of every frame in addition to the network.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use medsa_sam::image::{Fit, Normalization, Preprocess, RgbView};
use medsa_wire::Mask;

fn preprocess(criterion: &mut Criterion) {
    let (width, height) = (640, 480);
    let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 31 % 251) as u8).collect();
    let frame = RgbView::new(width, height, &pixels).expect("the size fits the pixels");
    for (name, normalization) in
        [("min-max", Normalization::MinMax), ("mean-std", Normalization::MeanStd)]
    {
        let preprocess = Preprocess { input_size: 256, normalization, fit: Fit::Pad };
        criterion.bench_function(&format!("preprocess 640x480 to 256 px, {name}"), |bencher| {
            bencher.iter(|| preprocess.run(black_box(frame)));
        });
    }
}

fn mask_code(criterion: &mut Criterion) {
    let disc = |i: usize| {
        let (x, y) = ((i % 256) as i32 - 128, (i / 256) as i32 - 100);
        x * x + y * y < 70 * 70
    };
    criterion.bench_function("run-length code of a 256x256 mask", |bencher| {
        bencher.iter(|| Mask::from_bits(256, 256, (0..256 * 256).map(disc)));
    });
}

criterion_group!(benches, preprocess, mask_code);
criterion_main!(benches);
