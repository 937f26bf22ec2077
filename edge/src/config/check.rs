//! From what was typed to what it means, value by value.

use medsa_sam::typed::parse_point;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use medsa_update::{WithoutClock, address};
use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::{DeviceId, MAX_DEVICE_LEN, ObjectId};
use tracing_subscriber::EnvFilter;

use super::broker::{Access, MAX_PACKET_BYTES, Misfit, Protocol};
use super::error::Error;
use super::intake::Deidentification;
use super::raw::{
    RawBroker, RawBrokerKind, RawBuild, RawConfig, RawDegrade, RawFormat, RawHttp, RawLog,
    RawLogTo, RawOutbox, RawOutput, RawPrompt, RawRecords, RawUpdate, RawWithoutClock,
};
use super::source::SourceConfig;
use super::values::{
    BrokerConfig, BrokerPlace, Budget, BuildConfig, Config, ConfiguredPrompt, DegradeConfig,
    Encryption, Following, Format, HttpConfig, HttpControl, IntendedUse, Limits, LogConfig,
    LogFile, LogTo, OutboxConfig, OutputConfig, RecordsConfig, UpdateConfig,
};

/// The configuration that `text`, the content of `file`, means; otherwise what is wrong with it,
/// the first of every section.
pub(super) fn parse(file: &Path, text: &str) -> Result<Config, Vec<Error>> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| vec![syntax(file, text, &error)])?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let check = Check { file };
    let mut problems = Problems(Vec::new());
    let device = problems.kept(check.device(&raw.device.id));
    let board = problems.kept(check.board(&raw.device.board));
    let build = problems.kept(check.build(&raw.build, folder));
    let build_path = folder.join(&raw.build.path);
    let source = problems.kept(check.source(&raw.source, folder));
    let prompts = problems.kept(check.prompts(&raw.prompt));
    let http = raw.http.map(|raw| check.http(&raw, folder)).transpose();
    let http = problems.kept(http);
    if let (Some(source), Some(Some(http))) = (&source, &http) {
        problems.kept(check.pictures_leave_masked(http, source));
    }
    let broker = problems.kept(check.broker(&raw.broker, folder, &raw.device.id));
    let output = problems.kept(check.output(&raw.output));
    let records = raw.records.map(|records| check.records(&records, folder)).transpose();
    let records = problems.kept(records);
    let outbox = raw.outbox.map(|raw| check.outbox(&raw, folder)).transpose();
    let outbox = problems.kept(outbox);
    let degrade = raw.degrade.map(|raw| check.degrade(&raw, folder)).transpose();
    let degrade = problems.kept(degrade);
    let update = raw.update.map(|raw| check.update(&raw, &build_path, folder)).transpose();
    let update = problems.kept(update);
    let stuck_s = check.within_or("watchdog.stuck_s", raw.watchdog.stuck_s, 1.0..=60.0, 4.0);
    let stuck_s = problems.kept(stuck_s);
    let log = problems.kept(check.log(&raw.log, folder));
    let whole = || {
        Some(Config {
            file: file.to_owned(),
            device: device?,
            board: board?,
            build: build?,
            source: source?,
            prompts: prompts?,
            following: match raw.follow.enabled {
                Some(false) => Following::Off,
                _ => Following::On,
            },
            http: http?,
            broker: broker?,
            output: output?,
            records: records?,
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

/// What is wrong, in the order of the file's sections.
struct Problems(Vec<Error>);

impl Problems {
    /// A value, unless it is wrong.
    fn kept<T>(&mut self, checked: Result<T, Error>) -> Option<T> {
        checked.map_err(|error| self.0.push(error)).ok()
    }
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
        let confirm_min =
            self.within_or("build.confirm_min", raw.confirm_min, 0.01..=1440.0, 5.0)?;
        let confirm_after = Duration::from_secs_f64(60.0 * confirm_min);
        Ok(BuildConfig { path: folder.join(&raw.path), confirm_after, threads })
    }

    fn update(&self, raw: &RawUpdate, build: &Path, folder: &Path) -> Result<UpdateConfig, Error> {
        if build.is_file() {
            let found = format!("{}, a file", build.display());
            return Err(self.error("build.path", found, "a folder of slots, for [update]"));
        }
        let repository = raw.repository.as_ref().map(|text| {
            address(text, folder).map_err(|_| {
                let expected = "a folder, file:///folder or https://server/folder";
                self.error("update.repository", format!("{text:?}"), expected)
            })
        });
        let repository = repository.transpose()?;
        let every = raw.every_h.map(|hours| {
            let hours = self.within("update.every_h", hours, 0.001..=8760.0)?;
            if repository.is_none() {
                return Err(self.error("update.every_h", hours, "no such key without repository"));
            }
            Ok(Duration::from_secs_f64(3600.0 * hours))
        });
        Ok(UpdateConfig {
            root: folder.join(&raw.root),
            repository,
            name: raw.name.clone(),
            every: every.transpose()?,
            without_clock: match raw.without_clock {
                RawWithoutClock::Refuse => WithoutClock::Refuse,
                RawWithoutClock::IgnoreExpiry => WithoutClock::IgnoreExpiry,
            },
        })
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

    fn http(&self, raw: &RawHttp, folder: &Path) -> Result<HttpConfig, Error> {
        let listen = self.address("http.listen", &raw.listen)?;
        let kiosk = raw.kiosk.as_ref().map(|text| self.address("http.kiosk", text)).transpose()?;
        if let Some(kiosk) = kiosk.filter(|kiosk| !raw.control || !kiosk.ip().is_loopback()) {
            let expected = "a loopback address such as 127.0.0.1:9090, with control = true";
            return Err(self.error("http.kiosk", kiosk, expected));
        }
        let encryption = self.encryption(raw, folder)?;
        let control = match (raw.control, &raw.token_file) {
            (false, None) => HttpControl::Off,
            (false, Some(_)) => {
                let expected =
                    "no such key without control = true: metrics and health ask for none";
                return Err(self.error("http.token_file", "set", expected));
            }
            (true, Some(path)) => HttpControl::Token(folder.join(path)),
            (true, None) => HttpControl::ThisMachine,
        };
        let intended_use = match raw.diagnostic {
            false => IntendedUse::NotDiagnostic,
            true => IntendedUse::Diagnostic,
        };
        let http = HttpConfig { listen, kiosk, control, encryption, intended_use };
        if http.is_shared() && http.control == HttpControl::ThisMachine {
            let expected =
                format!("a file with a token, because others than this machine reach {listen}");
            return Err(self.error("http.token_file", "missing", expected));
        }
        if raw.control && http.is_shared() && http.encryption == Encryption::Off {
            let expected = format!(
                "a certificate, and its key in http.key, because others read what is sent to \
                 {listen}; or behind_proxy = true where a proxy encrypts it"
            );
            return Err(self.error("http.certificate", "missing", expected));
        }
        Ok(http)
    }

    fn encryption(&self, raw: &RawHttp, folder: &Path) -> Result<Encryption, Error> {
        match (&raw.certificate, &raw.key) {
            (None, None) if raw.behind_proxy => Ok(Encryption::Proxy),
            (None, None) => Ok(Encryption::Off),
            (Some(_), Some(_)) if raw.behind_proxy => {
                let expected = "false with http.certificate: the proxy encrypts, or the service";
                Err(self.error("http.behind_proxy", true, expected))
            }
            (Some(certificate), Some(key)) => {
                let [certificate, key] = [certificate, key].map(|path| folder.join(path));
                Ok(Encryption::Own { certificate, key })
            }
            (Some(_), None) => {
                Err(self.error("http.key", "missing", "the private key of http.certificate"))
            }
            (None, Some(_)) => {
                Err(self.error("http.certificate", "missing", "the certificate of http.key"))
            }
        }
    }

    /// Pictures do not leave the device unless somebody has said what there is to hide.
    fn pictures_leave_masked(&self, http: &HttpConfig, source: &SourceConfig) -> Result<(), Error> {
        let shown = http.control != HttpControl::Off && http.is_shared();
        if shown && source.intake.deidentification() == Deidentification::Unmasked {
            let listen = http.listen;
            let expected = format!(
                "what there is to hide, because http.control shows pictures to others at {listen}"
            );
            return Err(self.error("source.blank", "missing", expected));
        }
        Ok(())
    }

    fn broker(&self, raw: &RawBroker, folder: &Path, device: &str) -> Result<BrokerConfig, Error> {
        let access = access(raw, folder);
        let place = match (raw.kind, &raw.listen, &raw.url) {
            (RawBrokerKind::Embedded, listen, None) => {
                let listen = listen.as_deref().unwrap_or("127.0.0.1:1883");
                let address = self.address("broker.listen", listen)?;
                self.no_access(&access)?;
                BrokerPlace::Embedded { listen: address }
            }
            (RawBrokerKind::External, None, Some(url)) => {
                let url = url.parse().map_err(|expected: &str| {
                    self.error("broker.url", without_password(url), expected)
                })?;
                access.check(&url).map_err(|Misfit { key, found, expected }| {
                    self.error(&format!("broker.{key}"), found, expected)
                })?;
                BrokerPlace::External { url, access }
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
        let connect_timeout_s =
            self.within_or("broker.connect_timeout_s", raw.connect_timeout_s, 1..=60, 5)?;
        let limit = self.within_or(
            "broker.max_payload_bytes",
            raw.max_payload_bytes,
            512..=MAX_PACKET_BYTES as i64,
            4096,
        )?;
        Ok(BrokerConfig {
            place,
            protocol,
            client_id: self.client_id(raw.client_id.as_deref(), device)?,
            keep_alive: Duration::from_secs(keep_alive_s as u64),
            connect_timeout: Duration::from_secs(connect_timeout_s as u64),
            max_payload_bytes: limit as usize,
        })
    }

    /// The embedded broker neither encrypts nor asks who comes.
    fn no_access(&self, access: &Access) -> Result<(), Error> {
        let Access { ca_file, client_cert, client_key, user, password_file } = access;
        let paths = [
            ("ca_file", ca_file),
            ("client_cert", client_cert),
            ("client_key", client_key),
            ("password_file", password_file),
        ];
        let user = user.is_some().then_some("user");
        let found = paths.into_iter().find_map(|(key, path)| path.is_some().then_some(key));
        let Some(key) = user.or(found) else { return Ok(()) };
        let expected = "no such key with kind = \"embedded\": the embedded broker knows neither \
                        TLS nor users; where the network is not to be trusted, run another broker \
                        and use kind = \"external\"";
        Err(self.error(&format!("broker.{key}"), "set", expected))
    }

    fn client_id(&self, typed: Option<&str>, device: &str) -> Result<String, Error> {
        let Some(id) = typed else { return Ok(format!("medsa-edge-{device}")) };
        if (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(id.to_owned());
        }
        let expected = "1 to 128 printable ASCII characters without spaces";
        Err(self.error("broker.client_id", format!("{id:?}"), expected))
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
        Ok(RecordsConfig {
            folder: folder.join(&raw.folder),
            budget: Budget { max_bytes: max_bytes as u64, min_free_bytes: min_free as u64 },
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
        let stray = of_files.into_iter().find(|(_, set)| *set && raw.to != RawLogTo::File);
        if let Some((key, _)) = stray {
            return Err(self.error(key, "set", "no such key without to = \"file\""));
        }
        let to = match (raw.to, &raw.file) {
            (RawLogTo::Stderr, _) => LogTo::Stderr,
            (RawLogTo::Journald, _) => LogTo::Journald,
            (RawLogTo::File, None) => {
                return Err(self.error("log.file", "missing", "a file with to = \"file\""));
            }
            (RawLogTo::File, Some(file)) => {
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

fn access(raw: &RawBroker, folder: &Path) -> Access {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
    Access {
        ca_file: path(&raw.ca_file),
        client_cert: path(&raw.client_cert),
        client_key: path(&raw.client_key),
        user: raw.user.clone(),
        password_file: path(&raw.password_file),
    }
}

/// A URL for a message: whoever typed a password into it is told without it.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("\"{scheme}://...@{address}\""),
        _ => format!("{url:?}"),
    }
}

/// A line for a message: a password is no key, but where somebody makes it one, no log has it.
fn without_secret(line: &str) -> String {
    match line.split_once('=') {
        Some((key, _)) if key.contains("pass") => format!("{key}= ..."),
        _ => line.to_owned(),
    }
}

/// A syntax error in one line, with the line that it is about.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count();
    Error::Syntax {
        file: path.to_owned(),
        line: line + 1,
        text: without_secret(text.lines().nth(line).unwrap_or_default().trim()),
        reason: error.message().replace('\n', ", "),
    }
}
