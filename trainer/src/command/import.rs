use std::path::PathBuf;

use clap::{Args, ValueEnum};
use medsa_console::println;
use medsa_sam::PointOrder;
use medsa_sam::image::Fit;
use medsa_trainer::Checkpoint;

#[derive(Args)]
pub struct Import {
    /// Checkpoint, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// File to write
    #[arg(long)]
    out: PathBuf,
    /// Give images and clicks to the network as the released Med-SA code does, to train an adapter
    /// for use there
    #[arg(long)]
    released: bool,
    /// First coordinate of clicks in its training [default: column; row for a checkpoint of the
    /// released Med-SA code]
    #[arg(long, value_enum)]
    points: Option<Points>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Points {
    Xy,
    Yx,
}

impl Import {
    pub fn run(self) -> anyhow::Result<()> {
        let Self { base, out, released, points } = self;
        let mut checkpoint = Checkpoint::read(&base)?;
        if released {
            checkpoint.feed_as_released();
        }
        let of_checkpoint = &mut checkpoint.config.decoder.points;
        *of_checkpoint = match points {
            Some(Points::Xy) => PointOrder::Xy,
            Some(Points::Yx) => PointOrder::Yx,
            None => *of_checkpoint,
        };
        // Building the network once checks that every tensor exists and fits.
        checkpoint.sam(None)?;
        checkpoint.write(&out)?;
        let parameters: usize = checkpoint.weights.values().map(|value| value.len()).sum();
        println!(
            "{}: {} tensors, {:.2} M parameters, input {} px, sha256 {}",
            out.display(),
            checkpoint.weights.len(),
            parameters as f64 / 1e6,
            checkpoint.config.preprocess.input_size,
            checkpoint.origin.sha256
        );
        if checkpoint.config.preprocess.fit == Fit::Stretch {
            let first = match checkpoint.config.decoder.points {
                PointOrder::Xy => "column",
                PointOrder::Yx => "row",
            };
            println!(
                "as in the released Med-SA code: images scaled to 0..1 and stretched to a square; \
                 clicks with their {first} first"
            );
        }
        if checkpoint.weights.keys().any(|name| name.contains(".Depth_Adapter.")) {
            println!(
                "its Depth adapters connect the slices of a volume; they have no effect on single frames"
            );
        }
        Ok(())
    }
}
