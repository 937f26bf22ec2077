//! `medsa-edge check`: check of a configuration.

use std::path::PathBuf;

use crate::app;
use crate::config::{Config, Examined};
use crate::error::Error;

/// Checks everything that `run` and captures need (values, build, source, files, folders) and lists
/// all problems. Changes nothing, opens no port and makes no connection. Loads the build, which takes
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
    let Examined { problems, config, sections } = Config::examine(&file)?;
    let mut problems: Vec<Error> = problems.into_iter().map(Error::from).collect();
    let checked = config.map(|config| (app::check(&config), config.device));
    match checked {
        Some((Ok((build, vectors)), device)) if problems.is_empty() => {
            return Ok(format!(
                "{}: ready to run: device {device}, build {build} with {vectors} acceptance vectors",
                file.display(),
            ));
        }
        Some((Err(found), _)) => {
            // A section with a problem was checked in part, which may cause others.
            let is_whole = |problem: &Error| {
                problem.section().is_none_or(|section| !sections.contains(section))
            };
            problems.extend(found.into_iter().filter(is_whole));
        }
        _ => {}
    }
    Err(Error::NotReady { file, problems })
}
