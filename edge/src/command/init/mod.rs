//! `medsa-edge init`: a first configuration for a source.

mod answers;
mod questions;
mod text;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::Error;
use crate::files;
use answers::Answers;
use questions::Terminal;

/// Writes a commented configuration for a source. Asks for the answers that the options do not give.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Video device, DICOM file, image, folder of images, video file, or address such as
    /// rtsp://10.0.0.7/live or igtl://10.0.0.7:18944.
    #[arg(long)]
    source: Option<String>,
    /// `embedded`, or the address of an MQTT broker such as mqtts://broker.example:8883.
    #[arg(long)]
    broker: Option<String>,
    /// Folder for captures, or `none`.
    #[arg(long)]
    records: Option<String>,
    /// Configuration file to write.
    #[arg(long, value_name = "FILE", default_value = "edge.toml")]
    out: PathBuf,
    /// Replaces the file if it exists.
    #[arg(long)]
    force: bool,
}

/// Runs the command: asks on standard error, reads standard input. Returns the next steps.
///
/// # Errors
/// [`Error`]; then no file is written.
pub fn run(args: &Args) -> Result<String, Error> {
    // Before the questions, so that nobody answers them in vain.
    if !args.force && args.out.exists() {
        return Err(exists(&args.out));
    }
    let mut answers = io::stdin().lock();
    let mut terminal = Terminal { answers: &mut answers, questions: &mut io::stderr() };
    let answers = Answers {
        source: terminal.source(args.source.as_deref())?,
        broker: terminal.broker(args.broker.as_deref())?,
        records: terminal.records(args.records.as_deref())?,
    };
    let text = text::configuration(&answers.placed(&args.out)?, &args.out);
    let config = Config::parse(&args.out, &text)?;
    write(&args.out, &text, args.force)?;
    let (out, build) = (args.out.display(), config.build.path);
    let build = match build.exists() {
        true => String::new(),
        false => format!("Put a build there: {}\n", build.display()),
    };
    Ok(format!(
        "{out} is written.\n{build}Check it: medsa-edge check {out}\n\
         Run it: medsa-edge run --config {out}"
    ))
}

fn exists(out: &Path) -> Error {
    Error::Argument {
        argument: "--out".into(),
        found: format!("{}, which exists", out.display()),
        expected: "a new file, or --force to replace it",
    }
}

fn write(out: &Path, text: &str, force: bool) -> Result<(), Error> {
    let mut options = File::options();
    match force {
        true => options.write(true).create(true).truncate(true),
        false => options.write(true).create_new(true),
    };
    let mut file = options.open(out).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(out),
        _ => files::Error::io(out)(error).into(),
    })?;
    Ok(file.write_all(text.as_bytes()).map_err(files::Error::io(out))?)
}
