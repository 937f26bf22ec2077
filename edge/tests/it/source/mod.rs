//! Sources as the service opens them, with real programs, servers and files.

mod decode;
mod hostile;
mod intake;
mod openigtlink;
mod pipe;
mod player;
pub mod service;
mod v4l2;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use medsa_edge::Error;
use medsa_edge::config::Config;
use medsa_edge::source::{self, Event, Opened, Received, Source};
use medsa_test_inputs::data;

use crate::harness::LIMIT;

/// A source, played step by step.
struct Played(Box<dyn Source>);

impl Played {
    /// `lines` are those of `[source]`; relative paths start at `folder`.
    fn open(folder: &Path, lines: &str) -> Self {
        Self(try_open(folder, lines).unwrap().source)
    }

    /// The first event from here on that `choose` accepts.
    fn wait<T>(&mut self, what: &str, mut choose: impl FnMut(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(found) = choose(self.0.next(Duration::from_millis(50))) {
                return found;
            }
        }
        panic!("not within {LIMIT:?}: {what}");
    }

    /// The next frame; only `Starting` and `Nothing` may come before it.
    fn frame(&mut self) -> Received {
        self.wait("a frame", |event| match event {
            Event::Frame(received) => Some(received),
            Event::Nothing | Event::Starting => None,
            other => panic!("{other:?}"),
        })
    }

    /// Reason of the next damaged frame.
    fn damage(&mut self) -> String {
        self.wait("a damaged frame", |event| match event {
            Event::Damaged(error) => Some(error.to_string()),
            _ => None,
        })
    }

    /// Reason of the next loss, and the time until the next attempt.
    fn lost(&mut self) -> (String, Duration) {
        self.wait("a loss", |event| match event {
            Event::Lost { reason, retry_in, .. } => Some((reason.to_string(), retry_in)),
            _ => None,
        })
    }
}

fn try_open(folder: &Path, lines: &str) -> Result<Opened, Error> {
    let text = format!(
        "[device]\nid = \"bench\"\n[build]\npath = \"none\"\n[broker]\nkind = \"embedded\"\n\
         [source]\n{lines}\n"
    );
    let file = folder.join("edge.toml");
    let config = Config::parse(&file, &text)?;
    Ok(source::open(&config.source, &file)?)
}

/// Lines of `[source]` for a shell command.
pub fn shell(script: &str, format: &str) -> String {
    format!("kind = \"pipe\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n{format}")
}

/// Standard output of ffmpeg with these arguments, separated by spaces. Tests that use it need
/// `ffmpeg`.
fn ffmpeg(arguments: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Encodes an endoscopy clip of 20 frames of 562 x 542 px; neither side is a multiple of 16. Tests
/// that use it need `ffmpeg`.
pub fn recorded_clip(folder: &Path) -> PathBuf {
    let (images, clip) = (data("vocalfolds/images"), folder.join("clip.mp4"));
    ffmpeg(&format!(
        "-framerate 20 -pattern_type glob -i {}/*.jpg -vf scale=562:542 -c:v mpeg4 -q:v 2 {}",
        images.display(),
        clip.display()
    ));
    clip
}

/// Mean and largest difference of bytes.
fn differences(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = each().map(u64::from).sum();
    (sum as f64 / a.len() as f64, each().max().unwrap_or(0))
}
