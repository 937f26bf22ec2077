//! `medsa-edge check`: whether a configuration could be run.

use std::path::PathBuf;

use crate::app;
use crate::config::Config;
use crate::error::Error;

/// Looks at everything that `run` would need (values, build, source, files, folders), and names
/// all that is wrong. Nothing is changed, listened to or connected; the build is loaded, which
/// takes as much memory as the service.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

/// Runs the command; a summary in one line.
///
/// # Errors
/// [`Error::NotReady`] with all that is wrong.
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
