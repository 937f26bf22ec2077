//! From a configuration to a service that is ready to run.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use medsa_bundle::{Build, Limits};
use medsa_frames::MAX_SIDE_PX;
use medsa_wire::{Availability, Info, MAX_MASK_SIDE};
use sha2::{Digest, Sha256};

use super::degrading::Degrading;
use super::outbound::Outbound;
use super::recorder::Recorder;
use super::reload::Reloader;
use super::status::Statuses;
use super::{Service, installed};
use crate::config::{BrokerPlace, Config, RecordsConfig};
use crate::error::Error;
use crate::http;
use crate::mqtt::{Credentials, Embedded, LinkOptions, Security};
use crate::outbox::Outbox;
use crate::pipeline::{Bell, Change, Meter, Network, Objects, Pipeline, Slot};
use crate::records::{BuildIdentity, Records};
use crate::source::{self, Opened, Player};
use medsa_engine::{Engine, Inlined, Workers};

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
        let load = |path| {
            let workers = Workers::new(config.build.threads);
            Ok::<_, Error>(BuildFile::open(path)?.load(&config, &workers)?.network)
        };
        let smaller = config.degrade.as_ref().and_then(|degrade| degrade.smaller_build.as_deref());
        let build = installed::to_start(&config.build.path)?;
        let slot = Slot::new(load(&build)?, smaller.map(load).transpose()?);
        let player = Player::new(source, config.source.pace(), config.source.intake.clone());
        let source = player.state();
        let (objects, meter) = (Arc::new(objects), Arc::new(Meter::new()));
        let (pipeline, masks) = Pipeline::start(
            player,
            slot.clone(),
            objects.clone(),
            bell,
            meter.clone(),
            config.output.queue_masks,
        )?;
        let recorder = match &config.records {
            None => None,
            Some(RecordsConfig { folder, budget }) => {
                let records = Records::open(folder, *budget)?;
                let (newest, meter) = (pipeline.newest(), meter.clone());
                let outbox = outbox.clone();
                let board = config.board.to_string();
                Some(Recorder::start(records, outbox, out, board, newest, meter)?)
            }
        };
        let config = Arc::new(config);
        let reloader = Reloader::new(config.clone(), slot.clone(), meter.clone());
        let degrading = config.degrade.as_ref();
        let degrading =
            degrading.map(|degrade| Degrading::new(degrade, slot.clone(), meter.clone()));
        let statuses = Statuses {
            source,
            activity: objects.activities(),
            degradation: slot.degradation(),
            build: reloader.state(),
        };
        Ok(Self {
            config,
            slot,
            reloader: Arc::new(reloader),
            link,
            embedded,
            outbox,
            pipeline,
            masks,
            objects,
            recorder,
            http,
            meter,
            degrading: degrading.transpose()?,
            statuses,
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

/// The file of a build, which may be put in another's place at any time: this one stays open.
pub(super) struct BuildFile {
    path: PathBuf,
    file: File,
    pub sha256: [u8; 32],
}

/// A build that is ready to run.
pub(super) struct Loaded {
    pub build: Build,
    pub network: Network<Engine>,
}

impl BuildFile {
    /// The file that is at `path` at present.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let sha256 = sha256(&file).map_err(Error::io(path))?;
        file.rewind().map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, sha256 })
    }

    /// Loads the build, which computes on `workers`.
    ///
    /// # Errors
    /// The build's.
    pub fn load(&self, config: &Config, workers: &Workers) -> Result<Loaded, Error> {
        let build = Build::read_file(&self.file, &self.path, &Limits::default())?;
        let engine = Engine::load_on(&build, workers)?;
        for Inlined { block, reason } in engine.inlined() {
            tracing::warn!("block {block} is computed node by node, slowly: {reason}");
        }
        let found = engine.mask_side_px();
        if found > usize::from(MAX_MASK_SIDE) {
            return Err(Error::MaskTooFine { found, limit: MAX_MASK_SIDE });
        }
        let manifest = build.manifest();
        let (name, version) = (manifest.name.clone(), manifest.version.clone());
        tracing::info!("build {name} {version} on {} threads", config.build.threads);
        let (sha256, classes) = (self.sha256, manifest.classes.clone());
        let identity = Arc::new(BuildIdentity { name, version, sha256, classes });
        let manifest = Some(manifest.clone());
        let network = Network { segmenter: engine, build: identity, manifest };
        // What cannot be told is refused here.
        info(config, &network)?;
        Ok(Loaded { build, network })
    }
}

fn sha256(file: &File) -> io::Result<[u8; 32]> {
    // A file that is longer is refused when it is read.
    let mut reader = BufReader::new(file.take(Limits::default().build_bytes));
    let mut hash = Sha256::new();
    loop {
        let read = reader.fill_buf()?;
        if read.is_empty() {
            return Ok(hash.finalize().into());
        }
        hash.update(read);
        let length = read.len();
        reader.consume(length);
    }
}

/// What the device tells about itself.
pub(super) fn info(config: &Config, network: &Network<Engine>) -> Result<Info, Error> {
    let (build, input_size) = (&network.build, network.segmenter.preprocess().input_size);
    Ok(Info {
        build_name: bounded("name", &build.name)?,
        build_version: bounded("version", &build.version)?,
        build_sha256: build.sha256,
        board: config.board.clone(),
        edge_version: bounded("edge version", env!("CARGO_PKG_VERSION"))?,
        input_size_px: u16::try_from(input_size).map_err(|_| medsa_engine::Error::Manifest {
            key: "preprocess.input_size",
            found: input_size.to_string(),
            expected: "at most 65535".into(),
        })?,
    })
}

/// A text that fits the message.
fn bounded<const N: usize>(key: &'static str, text: &str) -> Result<heapless::String<N>, Error> {
    let too_long = |_| medsa_engine::Error::Manifest {
        key,
        found: text.to_owned(),
        expected: format!("a text of at most {N} bytes"),
    };
    Ok(heapless::String::try_from(text).map_err(too_long)?)
}
