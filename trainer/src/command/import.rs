use std::path::PathBuf;

use clap::Args;
use medsa_trainer::Checkpoint;

#[derive(Args)]
pub struct Import {
    /// The checkpoint, .pth or .safetensors
    #[arg(long)]
    base: PathBuf,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
}

impl Import {
    pub fn run(self) -> anyhow::Result<()> {
        let Self { base, out } = self;
        let checkpoint = Checkpoint::read(&base)?;
        // Building the network once is what proves that every tensor is there and fits.
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
        Ok(())
    }
}
