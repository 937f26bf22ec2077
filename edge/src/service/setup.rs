//! From a configuration to a service that is ready to run.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use medsa_bundle::{Build, Limits, sha256_hex};
use medsa_wire::{Availability, Info, MAX_MASK_SIDE};

use super::Service;
use super::outbound::Outbound;
use crate::config::{BrokerPlace, Config};
use crate::engine::Engine;
use crate::error::Error;
use crate::mqtt::{Credentials, Embedded, LinkOptions, Security};
use crate::outbox::Outbox;
use crate::pipeline::{ClipSource, Meter, Pipeline, Prompts, frame_view};

/// A broker that is away for long is not asked more often than this.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

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
        let clip = config.source.open(&config.file)?;
        let first = clip.frame(0)?;
        let prompts = Prompts::new(frame_view(&first)?.size());
        for prompt in &config.prompts {
            let object = prompt.object;
            prompts
                .set(object, prompt.points.clone(), prompt.bbox)
                .map_err(|source| Error::ConfiguredPrompt { object: object.get(), source })?;
        }
        let build = Build::read(&config.build.path, &Limits::default())?;
        let engine = Engine::load(&build, config.build.threads)?;
        let found = engine.mask_side_px();
        if found > usize::from(MAX_MASK_SIDE) {
            return Err(Error::MaskTooFine { found, limit: MAX_MASK_SIDE });
        }
        let info = info(&config, &build)?;
        let (name, version) = (&info.build_name, &info.build_version);
        let (frames, threads) = (clip.len(), config.build.threads);
        tracing::info!(
            "build {name} {version} on {threads} threads; {frames} frames of {} x {} px",
            first.width,
            first.height
        );
        let source = ClipSource::new(clip, config.source.interval, config.source.after_last);
        let (prompts, meter) = (Arc::new(prompts), Arc::new(Meter::new()));
        let (pipeline, masks) = Pipeline::start(
            source,
            engine,
            config.source.pace,
            prompts.clone(),
            meter.clone(),
            config.output.queue_masks,
        )?;
        Ok(Self { config, info, link, embedded, outbox, pipeline, masks, prompts, meter })
    }
}

/// What the device tells about itself.
fn info(config: &Config, build: &Build) -> Result<Info, Error> {
    let manifest = build.manifest();
    let path = &config.build.path;
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
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
