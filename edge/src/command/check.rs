//! `medsa-edge check`: check of a configuration.

use std::path::PathBuf;

use crate::app;
use crate::config::Config;
use crate::error::Error;

/// Checks everything that `run` needs (values, build, source, files, folders) and lists all
/// problems. Changes nothing, opens no port and makes no connection. Loads the build, which takes
/// as much memory as the service.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

/// Runs the command; returns a summary of one line.
///
/// # Errors
/// [`Error::NotReady`] with all problems.
pub fn run(args: &Args) -> Result<String, Error> {
    let file = args.config.clone();
    let checked = Config::read_all(&file)
        .map_err(|problems| problems.into_iter().map(Error::from).collect())
        .and_then(|config| Ok((app::check(&config)?, config)));
    match checked {
        Ok(((build, vectors), config)) => Ok(format!(
            "{}: ready to run: device {}, build {build} with {vectors} acceptance vectors",
            file.display(),
            config.device
        )),
        Err(problems) => Err(Error::NotReady { file, problems }),
    }
}
