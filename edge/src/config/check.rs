//! From what was typed to what it means, value by value.

use medsa_sam::typed::parse_point;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::{DeviceId, MAX_DEVICE_LEN, ObjectId};

use super::raw::{RawBroker, RawBrokerKind, RawBuild, RawConfig, RawOutput, RawPrompt, RawRecords};
use super::{
    BrokerConfig, BrokerPlace, BuildConfig, Config, ConfiguredPrompt, OutputConfig, RecordsConfig,
};
use crate::error::Error;
use crate::mqtt::{MAX_PACKET_BYTES, Protocol};
use crate::pipeline::Following;
use crate::records::Budget;

/// The configuration that `text`, the content of `file`, means.
pub(super) fn parse(file: &Path, text: &str) -> Result<Config, Error> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let check = Check { file };
    Ok(Config {
        file: file.to_owned(),
        device: check.device(&raw.device.id)?,
        board: check.board(&raw.device.board)?,
        build: check.build(&raw.build, folder)?,
        source: check.source(&raw.source, folder)?,
        prompts: check.prompts(&raw.prompt)?,
        following: match raw.follow.enabled {
            Some(false) => Following::Off,
            _ => Following::On,
        },
        broker: check.broker(&raw.broker)?,
        output: check.output(&raw.output)?,
        records: raw.records.map(|records| check.records(&records, folder)).transpose()?,
    })
}

/// Checks values of one file.
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

    fn build(&self, raw: &RawBuild, folder: &Path) -> Result<BuildConfig, Error> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = match raw.threads {
            Some(threads) => self.within("build.threads", threads, 1..=64)? as usize,
            None => cores.get(),
        };
        let threads = NonZeroUsize::new(threads).unwrap_or(cores);
        Ok(BuildConfig { path: folder.join(&raw.path), threads })
    }

    fn prompts(&self, raw: &[RawPrompt]) -> Result<Vec<ConfiguredPrompt>, Error> {
        let mut prompts: Vec<ConfiguredPrompt> = Vec::new();
        for (index, prompt) in raw.iter().enumerate() {
            let key = format!("prompt[{index}].object");
            let object = u8::try_from(prompt.object).ok().and_then(|n| ObjectId::new(n).ok());
            let object = object
                .ok_or_else(|| self.error(&key, prompt.object, format!("0 to {MAX_OBJECT}")))?;
            if prompts.iter().any(|p| p.object == object) {
                return Err(self.error(&key, prompt.object, "a number that no other prompt has"));
            }
            let points = prompt.points.iter().map(|text| {
                let key = format!("prompt[{index}].points");
                parse_point(text)
                    .map_err(|expected| self.error(&key, format!("{text:?}"), expected))
            });
            let points = points.collect::<Result<Vec<_>, _>>()?;
            if points.is_empty() && prompt.bbox.is_none() {
                let key = format!("prompt[{index}]");
                return Err(self.error(&key, "empty", "points, a box, or both"));
            }
            prompts.push(ConfiguredPrompt { object, points, bbox: prompt.bbox });
        }
        Ok(prompts)
    }

    fn broker(&self, raw: &RawBroker) -> Result<BrokerConfig, Error> {
        let place = match (raw.kind, &raw.listen, &raw.url) {
            (RawBrokerKind::Embedded, listen, None) => {
                let listen = listen.as_deref().unwrap_or("127.0.0.1:1883");
                let address = listen.parse().map_err(|_| {
                    let expected = "an address and port such as 127.0.0.1:1883";
                    self.error("broker.listen", format!("{listen:?}"), expected)
                })?;
                BrokerPlace::Embedded { listen: address }
            }
            (RawBrokerKind::External, None, Some(url)) => {
                let url = url.parse().map_err(|expected: &str| {
                    self.error("broker.url", format!("{url:?}"), expected)
                })?;
                BrokerPlace::External(url)
            }
            (RawBrokerKind::External, _, None) => {
                return Err(self.error("broker.url", "missing", "a URL such as mqtt://host:1883"));
            }
            (RawBrokerKind::External, Some(listen), _) => {
                let expected = "no such key with kind = \"external\"";
                return Err(self.error("broker.listen", format!("{listen:?}"), expected));
            }
            (RawBrokerKind::Embedded, _, Some(url)) => {
                let expected = "no such key with kind = \"embedded\"";
                return Err(self.error("broker.url", format!("{url:?}"), expected));
            }
        };
        let protocol = match raw.protocol {
            None | Some(4) => Protocol::V4,
            Some(5) => Protocol::V5,
            Some(other) => {
                return Err(self.error("broker.protocol", other, "4 (MQTT 3.1.1) or 5"));
            }
        };
        let keep_alive_s = self.within_or("broker.keep_alive_s", raw.keep_alive_s, 5..=600, 5)?;
        let limit = self.within_or(
            "broker.max_payload_bytes",
            raw.max_payload_bytes,
            512..=MAX_PACKET_BYTES as i64,
            4096,
        )?;
        Ok(BrokerConfig {
            place,
            protocol,
            keep_alive: Duration::from_secs(keep_alive_s as u64),
            max_payload_bytes: limit as usize,
        })
    }

    fn output(&self, raw: &RawOutput) -> Result<OutputConfig, Error> {
        let queue = self.within_or("output.queue_masks", raw.queue_masks, 1..=1024, 32)?;
        let interval_s =
            self.within_or("output.stats_interval_s", raw.stats_interval_s, 1..=3600, 10)?;
        Ok(OutputConfig {
            queue_masks: queue as usize,
            stats_interval: Duration::from_secs(interval_s as u64),
        })
    }

    fn records(&self, raw: &RawRecords, folder: &Path) -> Result<RecordsConfig, Error> {
        let (max, min_free) = (raw.max_bytes, raw.min_free_bytes);
        let max_bytes = self.within_or("records.max_bytes", max, 1 << 20..=1 << 40, 8 << 30)?;
        let min_free = self.within_or("records.min_free_bytes", min_free, 0..=1 << 40, 1 << 30)?;
        Ok(RecordsConfig {
            folder: folder.join(&raw.folder),
            budget: Budget { max_bytes: max_bytes as u64, min_free_bytes: min_free as u64 },
        })
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
        value_error(self.file, key, found, expected)
    }
}

pub(crate) fn value_error(
    file: &Path,
    key: &str,
    found: impl Display,
    expected: impl Display,
) -> Error {
    Error::ConfigValue {
        file: file.to_owned(),
        key: key.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

/// A syntax error in one line, with the line that it is about.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count();
    Error::ConfigSyntax {
        file: path.to_owned(),
        line: line + 1,
        text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        reason: error.message().replace('\n', ", "),
    }
}
