//! Answers to the questions, and their meaning.

use std::path::{self, Path};

use medsa_frames::{Clip, FramesError};

use crate::config::BrokerUrl;
use crate::error::Error;
use crate::files;

/// Schemes of streams that ffmpeg reads.
const STREAMS: [&str; 9] = ["rtsp", "rtsps", "rtmp", "http", "https", "udp", "rtp", "srt", "tcp"];

/// Endings of names of videos.
const VIDEOS: [&str; 11] =
    ["mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "ts", "mjpeg"];

/// Port of OpenIGTLink servers.
const OPENIGTLINK_PORT: u16 = 18944;

/// All answers.
pub(super) struct Answers {
    pub source: Source,
    pub broker: Broker,
    /// Folder for captures; `None` refuses them.
    pub records: Option<String>,
}

/// Source of frames.
pub(super) enum Source {
    /// Path of a video device.
    Camera(String),
    /// Path of a DICOM file.
    Dicom(String),
    /// Path of an image or of a folder of images.
    Images(String),
    /// Path of a video, which ffmpeg reads.
    Video(String),
    /// Address of a stream, which ffmpeg reads.
    Stream(String),
    /// `HOST:PORT` of an OpenIGTLink server.
    OpenIgtLink(String),
}

/// Broker for masks, prompts and commands.
pub(super) enum Broker {
    Embedded,
    /// Address of another broker.
    External(String),
}

impl Answers {
    /// The answers for a configuration at `out`, where relative paths start at its folder instead of
    /// the working directory.
    ///
    /// # Errors
    /// [`Error`] if the working directory is not known, or its name is not text.
    pub fn placed(self, out: &Path) -> Result<Self, Error> {
        let here = out.parent().is_none_or(|folder| folder.as_os_str().is_empty());
        let place = |path: String| -> Result<String, Error> {
            if here {
                return Ok(path);
            }
            let whole = path::absolute(&path).map_err(files::Error::io(Path::new(&path)))?;
            let text = whole.to_str().map(str::to_owned);
            text.ok_or_else(|| refused("--out", &whole.display().to_string(), "a path in UTF-8"))
        };
        let source = match self.source {
            Source::Camera(path) => Source::Camera(place(path)?),
            Source::Dicom(path) => Source::Dicom(place(path)?),
            Source::Images(path) => Source::Images(place(path)?),
            Source::Video(path) => Source::Video(place(path)?),
            address @ (Source::Stream(_) | Source::OpenIgtLink(_)) => address,
        };
        Ok(Self { source, records: self.records.map(place).transpose()?, ..self })
    }
}

impl Source {
    /// Reads an answer. A file must exist, because its content says what it is.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown address, [`Error::Clip`] for an unsuitable file.
    pub fn read(answer: &str) -> Result<Self, Error> {
        if let Some((scheme, rest)) = answer.split_once("://") {
            return match scheme {
                "igtl" | "openigtlink" => Ok(Self::OpenIgtLink(with_port(rest))),
                known if STREAMS.contains(&known) => Ok(Self::Stream(answer.to_owned())),
                _ => {
                    Err(refused("--source", answer, "rtsp://, http://, udp://, srt:// or igtl://"))
                }
            };
        }
        let path = Path::new(answer);
        // A device may be plugged in later.
        if path.starts_with("/dev") {
            return Ok(Self::Camera(answer.to_owned()));
        }
        let is_video = |path: &Path| {
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            VIDEOS.iter().any(|video| ending == *video)
        };
        match Clip::open(path) {
            Ok(clip) if clip.is_dicom() => Ok(Self::Dicom(answer.to_owned())),
            Ok(_) => Ok(Self::Images(answer.to_owned())),
            Err(FramesError::Unrecognized { .. }) if is_video(path) => {
                Ok(Self::Video(answer.to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Broker {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn read(answer: &str) -> Result<Self, Error> {
        match answer {
            "embedded" => Ok(Self::Embedded),
            url if url.parse::<BrokerUrl>().is_ok() => Ok(Self::External(url.to_owned())),
            _ => {
                let expected = "embedded, or mqtt://host:1883 or mqtts://host:8883 without a user";
                Err(refused("--broker", answer, expected))
            }
        }
    }
}

/// The folder for captures of an answer; `None` for `none`.
pub(super) fn records(answer: &str) -> Option<String> {
    (answer != "none").then(|| answer.to_owned())
}

/// Adds the usual port to an OpenIGTLink server that has none.
fn with_port(server: &str) -> String {
    let server = server.trim_end_matches('/');
    match server.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => server.to_owned(),
        _ => format!("{server}:{OPENIGTLINK_PORT}"),
    }
}

fn refused(argument: &str, found: &str, expected: &'static str) -> Error {
    Error::Argument { argument: argument.into(), found: format!("{found:?}"), expected }
}
