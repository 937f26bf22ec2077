//! From a configuration to a service that is ready to run.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use medsa_bundle::{Build, Limits, sha256_hex};
use medsa_frames::MAX_SIDE_PX;
use medsa_wire::{Availability, Info, MAX_MASK_SIDE};

use super::Service;
use super::outbound::Outbound;
use super::recorder::{Identity, Recorder};
use crate::config::{BrokerPlace, Config, RecordsConfig};
use crate::engine::Engine;
use crate::error::Error;
use crate::http;
use crate::mqtt::{Credentials, Embedded, LinkOptions, Security};
use crate::outbox::Outbox;
use crate::pipeline::{Bell, Change, Meter, Objects, Pipeline};
use crate::records::{BuildIdentity, Records};
use crate::source::{self, Opened, Player};

/// A broker that is away for long is not asked more often than this.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// Width and height that no frame exceeds.
const LARGEST_FRAME: (usize, usize) = (MAX_SIDE_PX as usize, MAX_SIDE_PX as usize);

impl Service {
    /// Opens the source, loads the build and starts the pipeline. The embedded broker comes
    /// first, so that others can connect while the build loads.
    ///
    /// # Errors
    /// Whatever of the configuration cannot be had.
    pub fn start(config: Config) -> Result<Self, Error> {
        let (embedded, broker, credentials) = match &config.broker.place {
            BrokerPlace::Embedded { listen } => {
                let broker = Embedded::start(*listen, config.broker.protocol)?;
                let url = broker.url();
                tracing::info!("embedded broker listens at {url}");
                (Some(broker), url, Credentials::default())
            }
            BrokerPlace::External { url, access } => (None, url.clone(), access.load(url)?),
        };
        if credentials.has_password() && broker.security == Security::Plain && !broker.is_local() {
            tracing::warn!("{broker}: the password is sent where others can read it: use mqtts://");
        }
        let outbox = config.outbox.as_ref();
        let outbox = outbox.map(|outbox| Outbox::open(&outbox.path, outbox.max_messages));
        let outbox = outbox.transpose()?.map(Arc::new);
        if let Some(waiting) = outbox.as_ref().map(|outbox| outbox.len()).transpose()? {
            tracing::info!("{waiting} messages wait in the outbox");
        }
        let http = config.http.as_ref().map(http::Server::listen).transpose()?;
        let out = Outbound { device: config.device.clone(), format: config.output.format };
        let link = LinkOptions {
            broker,
            credentials,
            protocol: config.broker.protocol,
            client_id: config.broker.client_id.clone(),
            keep_alive: config.broker.keep_alive,
            connect_timeout: config.broker.connect_timeout,
            max_back_off: MAX_BACK_OFF,
            last_will: Some(out.availability(Availability::Offline)?),
        };
        let Opened { source, frame_size } = source::open(&config.source, &config.file)?;
        let bell = Arc::new(Bell::default());
        let objects = objects(&config, frame_size, bell.clone())?;
        let Loaded { build, engine, info } = load(&config)?;
        let player = Player::new(source, config.source.pace(), config.source.intake.clone());
        let source_state = player.state();
        let (objects, meter) = (Arc::new(objects), Arc::new(Meter::new()));
        let (pipeline, masks) = Pipeline::start(
            player,
            engine,
            objects.clone(),
            bell,
            meter.clone(),
            config.output.queue_masks,
        )?;
        let recorder = match &config.records {
            None => None,
            Some(RecordsConfig { folder, budget }) => {
                let identity = BuildIdentity {
                    name: info.build_name.to_string(),
                    version: info.build_version.to_string(),
                    sha256: info.build_sha256,
                    classes: build.manifest().classes.clone(),
                };
                let identity = Identity { board: config.board.to_string(), build: identity };
                let records = Records::open(folder, *budget)?;
                let (newest, meter) = (pipeline.newest(), meter.clone());
                let outbox = outbox.clone();
                Some(Recorder::start(records, outbox, out, identity, newest, meter)?)
            }
        };
        Ok(Self {
            config,
            info,
            manifest: Arc::new(build.manifest().clone()),
            link,
            embedded,
            outbox,
            pipeline,
            masks,
            objects,
            recorder,
            http,
            meter,
            source_state,
        })
    }
}

/// The objects of the configuration, for frames of a size, where it is known.
pub(super) fn objects(
    config: &Config,
    frame_size: Option<(usize, usize)>,
    bell: Arc<Bell>,
) -> Result<Objects, Error> {
    let objects = Objects::new(bell, config.following);
    // Of a source that may come later, the first frame decides which prompts fit.
    objects.fit(frame_size.unwrap_or(LARGEST_FRAME), |_, _| {});
    for prompt in &config.prompts {
        let change = Change::Set { points: prompt.points.clone(), bbox: prompt.bbox };
        objects.change(prompt.object, change).map_err(|error| match error {
            Error::Prompt(source) => {
                Error::ConfiguredPrompt { object: prompt.object.get(), source }
            }
            other => other,
        })?;
    }
    Ok(objects)
}

/// A build that is ready to run.
pub(super) struct Loaded {
    pub build: Build,
    pub engine: Engine,
    pub info: Info,
}

/// Loads the build of the configuration.
pub(super) fn load(config: &Config) -> Result<Loaded, Error> {
    let build = Build::read(&config.build.path, &Limits::default())?;
    let engine = Engine::load(&build, config.build.threads)?;
    let slow: Vec<_> = engine.without_kernels().collect();
    if !slow.is_empty() {
        tracing::warn!("no kernels for {}: computed node by node, slowly", slow.join(", "));
    }
    let found = engine.mask_side_px();
    if found > usize::from(MAX_MASK_SIDE) {
        return Err(Error::MaskTooFine { found, limit: MAX_MASK_SIDE });
    }
    let info = info(config, &build)?;
    let (name, version) = (&info.build_name, &info.build_version);
    tracing::info!("build {name} {version} on {} threads", config.build.threads);
    Ok(Loaded { build, engine, info })
}

/// What the device tells about itself.
fn info(config: &Config, build: &Build) -> Result<Info, Error> {
    let manifest = build.manifest();
    let path = &config.build.path;
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let input_size = manifest.preprocess.input_size;
    Ok(Info {
        build_name: bounded("name", &manifest.name)?,
        build_version: bounded("version", &manifest.version)?,
        build_sha256: sha256(&bytes),
        board: config.board.clone(),
        edge_version: bounded("edge version", env!("CARGO_PKG_VERSION"))?,
        input_size_px: u16::try_from(input_size).map_err(|_| Error::Manifest {
            key: "preprocess.input_size",
            found: input_size.to_string(),
            expected: "at most 65535".into(),
        })?,
    })
}

/// A text that fits the message.
fn bounded<const N: usize>(key: &'static str, text: &str) -> Result<heapless::String<N>, Error> {
    heapless::String::try_from(text).map_err(|_| Error::Manifest {
        key,
        found: text.to_owned(),
        expected: format!("a text of at most {N} bytes"),
    })
}

fn sha256(data: &[u8]) -> [u8; 32] {
    let hex = sha256_hex(data);
    // Invariant: 64 hexadecimal digits.
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap_or(0))
}
