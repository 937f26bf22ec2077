//! Questions on the terminal, for the options that were not given.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::answers::{self, Broker, Source};
use crate::error::Error;
use crate::files;

const SOURCE: &str = "Source: a video device, a DICOM file, an image, a folder of images, a video \
                      file, or an address such as rtsp://10.0.0.7/live or igtl://10.0.0.7:18944";

const BROKER: &str = "MQTT broker: embedded, or an address such as mqtts://broker.example:8883";

const RECORDS: &str = "Folder for captures, or none";

/// Video devices of which the first that exists is offered: that of the package, and the first of
/// the system.
const CAMERAS: [&str; 2] = ["/dev/medsa-camera", "/dev/video0"];

/// Streams of the questions and of their answers.
pub(super) struct Terminal<'a> {
    pub answers: &'a mut dyn BufRead,
    pub questions: &'a mut dyn Write,
}

impl Terminal<'_> {
    /// The source: as `given`, or asked for.
    ///
    /// # Errors
    /// [`Error`] if the given answer is refused, or the answers end.
    pub fn source(&mut self, given: Option<&str>) -> Result<Source, Error> {
        let camera = CAMERAS.into_iter().find(|device| Path::new(device).exists());
        self.option("--source", given, SOURCE, camera, Source::read)
    }

    /// The broker: as `given`, or asked for.
    ///
    /// # Errors
    /// As [`Terminal::source`].
    pub fn broker(&mut self, given: Option<&str>) -> Result<Broker, Error> {
        self.option("--broker", given, BROKER, Some("embedded"), Broker::read)
    }

    /// The folder for captures: as `given`, or asked for.
    ///
    /// # Errors
    /// As [`Terminal::source`].
    pub fn records(&mut self, given: Option<&str>) -> Result<Option<String>, Error> {
        self.option("--records", given, RECORDS, Some("records"), |text| Ok(answers::records(text)))
    }

    /// Reads the value of an option, or asks until an answer is accepted. An empty answer is the
    /// default.
    fn option<T>(
        &mut self,
        name: &str,
        given: Option<&str>,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(given) = given {
            return read(given);
        }
        loop {
            let offered = default.map(|text| format!(" [{text}]")).unwrap_or_default();
            self.say(&format!("{question}{offered}: "))?;
            let Some(line) = self.line()? else {
                let expected = "an answer to the question, or this option";
                return Err(Error::Argument {
                    argument: name.into(),
                    found: "missing".into(),
                    expected,
                });
            };
            let answer = match (line.trim(), default) {
                ("", Some(default)) => default,
                ("", None) => continue,
                (answer, _) => answer,
            };
            match read(answer) {
                Ok(value) => return Ok(value),
                Err(error) => self.say(&format!("{error}\n"))?,
            }
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Error> {
        let said = self.questions.write_all(text.as_bytes());
        Ok(said.and_then(|()| self.questions.flush()).map_err(stream("standard error"))?)
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Result<Option<String>, Error> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(stream("standard input"))?;
        Ok((read > 0).then_some(line))
    }
}

fn stream(name: &str) -> impl FnOnce(io::Error) -> files::Error {
    files::Error::io(Path::new(name))
}
