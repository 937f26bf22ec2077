//! Conversion of the raw configuration to checked values, section by section.

mod broker;
mod builds;
mod hospital;
mod http;
mod users;

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use medsa_sam::prompt::Point;
use medsa_sam::typed::parse_point;
use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::{DeviceId, MAX_DEVICE_LEN, ObjectId};
use tracing_subscriber::EnvFilter;

use super::error::Error;
use super::raw::{
    RawCine, RawConfig, RawDegrade, RawFormat, RawLog, RawLogTo, RawOutbox, RawOutput, RawPrompt,
    RawRecords,
};
use super::source::SourceConfig;
use super::values::{
    Budget, CineConfig, Config, ConfiguredPrompt, DegradeConfig, Following, Format, Limits,
    LogConfig, LogFile, LogTo, OutboxConfig, OutputConfig, RecordsConfig,
};

/// Checks `text`, the content of `file`. On failure, returns the first error of each section, at least
/// one.
pub(super) fn parse(file: &Path, text: &str) -> Result<Config, Vec<Error>> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| vec![syntax(file, text, &error)])?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let check = Check { file };
    let mut problems = Problems(Vec::new());
    let device = problems.keep(check.device(&raw.device.id));
    let board = problems.keep(check.board(&raw.device.board));
    let build = problems.keep(check.build(&raw.build, folder));
    let build_path = folder.join(&raw.build.path);
    let source = match &raw.source {
        Some(raw) => {
            let kind = problems.keep(check.source(raw, folder));
            let intake = problems.keep(check.intake(raw));
            kind.zip(intake).map(|(kind, intake)| SourceConfig { kind, intake })
        }
        None => {
            let expected = "the section [source], which says where frames come from";
            problems.keep(Err(check.error("source", "missing", expected)))
        }
    };
    let prompts = check.prompts(&raw.prompt, &mut problems);
    let presets = problems.keep(check.presets(&raw.preset, raw.build.others.is_some()));
    let cine = problems.keep(check.cine(&raw.cine));
    let sign_in = problems.keep(check.sign_in(&raw.user, raw.http.as_ref())).flatten();
    let http = raw.http.map(|raw| check.http(&raw, folder, sign_in)).transpose();
    let http = problems.keep(http);
    if let (Some(source), Some(Some(http))) = (&source, &http) {
        problems.keep(check.shown_frames_masked(http, source));
    }
    let broker = problems.keep(check.broker(&raw.broker, folder, &raw.device.id));
    let output = problems.keep(check.output(&raw.output));
    let records = raw.records.map(|records| check.records(&records, folder)).transpose();
    let records = problems.keep(records);
    let archive = match (&raw.archive, &raw.dicomweb) {
        (None, None) => Ok(None),
        (Some(raw), None) => check.archive(raw, folder).map(Some),
        (None, Some(raw)) => check.dicomweb(raw, folder).map(Some),
        (Some(_), Some(_)) => {
            Err(check.error("dicomweb", "set", "one of [archive] and [dicomweb], not both"))
        }
    };
    let archive = problems.keep(archive);
    let has_worklist = raw.worklist.is_some();
    let worklist = raw.worklist.map(|raw| check.worklist(&raw, folder)).transpose();
    let worklist = problems.keep(worklist);
    if matches!(records, Some(None)) {
        let archive = raw.dicomweb.is_some().then_some("[dicomweb]");
        let archive = raw.archive.is_some().then_some("[archive]").or(archive);
        let worklist = has_worklist.then_some("[worklist]");
        if let Some(section) = archive.or(worklist) {
            let expected = format!("with {section}: the folder of the captures");
            problems.keep::<()>(Err(check.error("records", "missing", expected)));
        }
    }
    let outbox = raw.outbox.map(|raw| check.outbox(&raw, folder)).transpose();
    let outbox = problems.keep(outbox);
    let degrade = raw.degrade.map(|raw| check.degrade(&raw, folder)).transpose();
    let degrade = problems.keep(degrade);
    let update = raw.update.map(|raw| check.update(&raw, &build_path, folder)).transpose();
    let update = problems.keep(update);
    let stuck_s = check.within_or("watchdog.stuck_s", raw.watchdog.stuck_s, 1.0..=60.0, 4.0);
    let stuck_s = problems.keep(stuck_s);
    let log = problems.keep(check.log(&raw.log, folder));
    let whole = || {
        Some(Config {
            file: file.to_owned(),
            device: device?,
            board: board?,
            build: build?,
            source: source?,
            prompts: prompts?,
            presets: presets?,
            following: match raw.follow.enabled {
                Some(false) => Following::Off,
                _ => Following::On,
            },
            cine: cine?,
            http: http?,
            broker: broker?,
            output: output?,
            records: records?,
            archive: archive?,
            worklist: worklist?,
            outbox: outbox?,
            degrade: degrade?,
            update: update?,
            stuck_after: Duration::from_secs_f64(stuck_s?),
            log: log?,
        })
    };
    match whole() {
        Some(config) if problems.0.is_empty() => Ok(config),
        _ => Err(problems.0),
    }
}

/// Errors found so far, in the order of the file's sections.
struct Problems(Vec<Error>);

impl Problems {
    /// Returns the value, or records the error.
    fn keep<T>(&mut self, checked: Result<T, Error>) -> Option<T> {
        checked.map_err(|error| self.0.push(error)).ok()
    }
}

/// Checks the values of one file.
pub(super) struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn device(&self, id: &str) -> Result<DeviceId, Error> {
        DeviceId::parse(id).map_err(|_| {
            let expected = format!("1 to {MAX_DEVICE_LEN} of A-Z a-z 0-9 _ -");
            self.error("device.id", format!("{id:?}"), expected)
        })
    }

    fn board(&self, board: &str) -> Result<heapless::String<32>, Error> {
        heapless::String::try_from(board).map_err(|_| {
            self.error("device.board", format!("{board:?}"), "a name of at most 32 bytes")
        })
    }

    /// The prompts; `None` if one has a problem.
    fn prompts(&self, raw: &[RawPrompt], problems: &mut Problems) -> Option<Vec<ConfiguredPrompt>> {
        let mut prompts: Vec<ConfiguredPrompt> = Vec::new();
        for (index, prompt) in raw.iter().enumerate() {
            let object = problems.keep(self.object(index, prompt, &prompts));
            let points = problems.keep(self.points(index, prompt));
            if let Some((object, points)) = object.zip(points) {
                prompts.push(ConfiguredPrompt { object, points, bbox: prompt.bbox });
            }
        }
        (prompts.len() == raw.len()).then_some(prompts)
    }

    fn object(
        &self,
        index: usize,
        raw: &RawPrompt,
        others: &[ConfiguredPrompt],
    ) -> Result<ObjectId, Error> {
        let key = format!("prompt[{index}].object");
        let object = u8::try_from(raw.object).ok().and_then(|n| ObjectId::new(n).ok());
        let object =
            object.ok_or_else(|| self.error(&key, raw.object, format!("0 to {MAX_OBJECT}")))?;
        if others.iter().any(|other| other.object == object) {
            return Err(self.error(&key, raw.object, "a number that no other prompt uses"));
        }
        Ok(object)
    }

    fn points(&self, index: usize, raw: &RawPrompt) -> Result<Vec<Point>, Error> {
        let points = raw.points.iter().map(|text| {
            let key = format!("prompt[{index}].points");
            parse_point(text).map_err(|expected| self.error(&key, format!("{text:?}"), expected))
        });
        let points = points.collect::<Result<Vec<_>, _>>()?;
        if points.is_empty() && raw.bbox.is_none() {
            let key = format!("prompt[{index}]");
            return Err(self.error(&key, "empty", "points, a box, or both"));
        }
        Ok(points)
    }

    fn cine(&self, raw: &RawCine) -> Result<CineConfig, Error> {
        let CineConfig { keep, max_bytes } = CineConfig::default();
        let keep_s = self.within_or("cine.keep_s", raw.keep_s, 0.0..=60.0, keep.as_secs_f64())?;
        let key = "cine.max_bytes";
        let max = self.within_or(key, raw.max_bytes, 1 << 20..=4 << 30, max_bytes as i64)?;
        Ok(CineConfig { keep: Duration::from_secs_f64(keep_s), max_bytes: max as usize })
    }

    fn outbox(&self, raw: &RawOutbox, folder: &Path) -> Result<OutboxConfig, Error> {
        let key = "outbox.max_messages";
        let max = self.within_or(key, raw.max_messages, 1..=10_000_000, 100_000)?;
        Ok(OutboxConfig { path: folder.join(&raw.path), max_messages: max as u64 })
    }

    fn output(&self, raw: &RawOutput) -> Result<OutputConfig, Error> {
        let queue = self.within_or("output.queue_masks", raw.queue_masks, 1..=1024, 32)?;
        let interval_s =
            self.within_or("output.stats_interval_s", raw.stats_interval_s, 1..=3600, 10)?;
        Ok(OutputConfig {
            format: match raw.format {
                RawFormat::Postcard => Format::Postcard,
                RawFormat::Json => Format::Json,
                RawFormat::Both => Format::Both,
            },
            queue_masks: queue as usize,
            stats_interval: Duration::from_secs(interval_s as u64),
        })
    }

    fn address(&self, key: &str, typed: &str) -> Result<SocketAddr, Error> {
        typed.parse().map_err(|_| {
            let expected = "an address and port such as 127.0.0.1:1883";
            self.error(key, format!("{typed:?}"), expected)
        })
    }

    fn records(&self, raw: &RawRecords, folder: &Path) -> Result<RecordsConfig, Error> {
        let (max, min_free) = (raw.max_bytes, raw.min_free_bytes);
        let max_bytes = self.within_or("records.max_bytes", max, 1 << 20..=1 << 40, 8 << 30)?;
        let min_free = self.within_or("records.min_free_bytes", min_free, 0..=1 << 40, 1 << 30)?;
        let key = "records.study_timeout_min";
        let timeout_min = self.within_or(key, raw.study_timeout_min, 5..=1440, 120)?;
        Ok(RecordsConfig {
            folder: folder.join(&raw.folder),
            budget: Budget { max_bytes: max_bytes as u64, min_free_bytes: min_free as u64 },
            stick: raw.stick.as_ref().map(|path| folder.join(path)),
            study_timeout: Duration::from_secs(60 * timeout_min as u64),
        })
    }

    fn degrade(&self, raw: &RawDegrade, folder: &Path) -> Result<DegradeConfig, Error> {
        let hot_c = self.within_or("degrade.hot_c", raw.hot_c, 30.0..=120.0, 80.0)?;
        let cool_c = self.within_or("degrade.cool_c", raw.cool_c, 20.0..=hot_c, hot_c - 10.0)?;
        let key = "degrade.max_encoder_ms";
        let max_encoder_ms = raw.max_encoder_ms.map(|ms| self.within(key, ms, 1.0..=60_000.0));
        let hold_s = self.within_or("degrade.hold_s", raw.hold_s, 0.5..=600.0, 15.0)?;
        Ok(DegradeConfig {
            limits: Limits {
                hot_c,
                cool_c,
                max_encoder_ms: max_encoder_ms.transpose()?,
                hold: Duration::from_secs_f64(hold_s),
            },
            smaller_build: raw.smaller_build.as_ref().map(|path| folder.join(path)),
            thermal_file: raw.thermal_file.as_ref().map(|path| folder.join(path)),
        })
    }

    fn log(&self, raw: &RawLog, folder: &Path) -> Result<LogConfig, Error> {
        if let Some(level) = &raw.level {
            let parsed = EnvFilter::try_new(level);
            parsed.map_err(|error| {
                let expected = format!("a filter such as info or medsa_edge=debug,warn: {error}");
                self.error("log.level", format!("{level:?}"), expected)
            })?;
        }
        let of_files = [
            ("log.file", raw.file.is_some()),
            ("log.max_bytes", raw.max_bytes.is_some()),
            ("log.keep", raw.keep.is_some()),
        ];
        let stray = of_files.into_iter().find(|(_, set)| *set && raw.to != Some(RawLogTo::File));
        if let Some((key, _)) = stray {
            return Err(self.error(key, "set", "no such key without to = \"file\""));
        }
        let to = match (raw.to, &raw.file) {
            (None, _) => LogTo::Terminal,
            (Some(RawLogTo::Stderr), _) => LogTo::Stderr,
            (Some(RawLogTo::Journald), _) => LogTo::Journald,
            (Some(RawLogTo::File), None) => {
                return Err(self.error("log.file", "missing", "a file with to = \"file\""));
            }
            (Some(RawLogTo::File), Some(file)) => {
                let range = 1 << 16..=1 << 30;
                let max_bytes =
                    self.within_or("log.max_bytes", raw.max_bytes, range, 10 << 20)? as u64;
                let keep = self.within_or("log.keep", raw.keep, 1..=100, 5)? as u64;
                LogTo::File(LogFile { path: folder.join(file), max_bytes, keep })
            }
        };
        Ok(LogConfig { to, level: raw.level.clone() })
    }

    pub(super) fn within_or<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: Option<T>,
        range: RangeInclusive<T>,
        default: T,
    ) -> Result<T, Error> {
        value.map_or(Ok(default), |value| self.within(key, value, range))
    }

    pub(super) fn within<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> Result<T, Error> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.error(key, value, format!("{} to {}", range.start(), range.end())))
    }

    pub(super) fn error(&self, key: &str, found: impl Display, expected: impl Display) -> Error {
        Error::value(self.file, key, found, expected)
    }
}

/// The line for a message, without the value if the key looks like a password or a PIN. There is no
/// such key, but a mistyped one must not put a secret in a log.
fn without_secret(line: &str) -> String {
    match line.split_once('=') {
        Some((key, _)) if key.contains("pass") || key.contains("pin") => format!("{key}= ..."),
        _ => line.to_owned(),
    }
}

/// A syntax error, with the number and text of the line it is in.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count();
    Error::Syntax {
        file: path.to_owned(),
        line: line + 1,
        text: without_secret(text.lines().nth(line).unwrap_or_default().trim()),
        reason: with_suggestion(&error.message().replace('\n', ", ")),
    }
}

/// Smallest similarity of names that are suggested, 0 to 1.
const SIMILAR: f64 = 0.8;

/// The reason of the parser; for an unknown name, with a similar one of those that it expected, if
/// there is one, instead of all.
fn with_suggestion(reason: &str) -> String {
    let similar = || {
        let (what, rest) = reason.split_once('`')?;
        let (name, expected) = rest.split_once('`')?;
        if !what.starts_with("unknown ") {
            return None;
        }
        let expected = expected.split('`').skip(1).step_by(2);
        let similarity = |known: &str| strsim::jaro_winkler(name, known);
        let nearest = expected.max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
        let is_similar = similarity(nearest) >= SIMILAR;
        is_similar.then(|| format!("{what}`{name}`, did you mean `{nearest}`?"))
    };
    similar().unwrap_or_else(|| reason.to_owned())
}
