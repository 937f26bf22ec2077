use std::path::PathBuf;

use clap::Args;
use medsa_console::println;
use medsa_sam::PointOrder;
use medsa_sam::image::{Fit, Normalization};
use medsa_trainer::{Adapter, Checkpoint, write_released};

#[derive(Args)]
pub struct ToPytorch {
    /// Base model, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// Adapter
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// File to write, .pth
    #[arg(long)]
    out: PathBuf,
}

impl ToPytorch {
    pub fn run(self) -> anyhow::Result<()> {
        let base = Checkpoint::read(&self.base)?;
        let adapter = self.adapter.as_deref().map(Adapter::read).transpose()?;
        let tensors = write_released(&base, adapter.as_ref(), &self.out)?;
        println!("{}: {tensors} tensors", self.out.display());
        let preprocess = base.config.preprocess;
        let as_released = (preprocess.normalization, preprocess.fit, base.config.decoder.points)
            == (Normalization::Unit, Fit::Stretch, PointOrder::Yx);
        if !as_released {
            println!(
                "the released code scales images to 0..1, stretches them to a square, and gives \
                 clicks with their row first; this model was trained otherwise, so that its \
                 predictions there are worse. `import --released` prepares a base for a training \
                 as there"
            );
        }
        Ok(())
    }
}
