//! Construction of the service from a configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use medsa_engine::{Engine, Workers};
use medsa_wire::Availability;
use tokio::sync::watch;

use super::objects::objects;
use super::service::Service;
use crate::config::{BrokerPlace, Config, OutboxConfig, RecordsConfig, Security};
use crate::degrade::Degrading;
use crate::error::Error;
use crate::files::secret;
use crate::hospital::{self, PacsArchive, RisSteps, RisWorklist};
use crate::http;
use crate::meter::Meter;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::{Credentials, Embedded, LinkOptions, Messages, RecordOutbox};
use crate::pipeline::{Bell, Capacity, Network, Objects, Pipeline, Role, Slot};
use crate::port::{Announcements, Archive, Failures, LinkState, Names, Observer, Steps, Worklist};
use crate::records::{Recorder, RecorderOptions, Records};
use crate::source::{self, Opened, Player};
use crate::updates::{self, BuildFile, Reloader, Started};

/// Longest wait between two attempts to connect to the broker.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

impl Service {
    /// Opens the source, loads the build and starts the pipeline. The embedded broker starts
    /// first, so that clients can connect while the build loads.
    ///
    /// # Errors
    /// The first part of the configuration that cannot be used.
    pub fn start(config: Config) -> Result<Self, Error> {
        let messages = Messages { device: config.device.clone(), format: config.output.format };
        let (embedded, link) = connection(&config, &messages)?;
        let outbox = outbox(&config)?;
        let announcements = outbox.clone().map(|outbox| -> Arc<dyn Announcements> {
            Arc::new(RecordOutbox { outbox, messages: messages.clone() })
        });
        let http = config.http.as_ref().map(http::Server::listen).transpose()?.map(Arc::new);
        if config.http.as_ref().is_some_and(|http| http.sign_in.is_some())
            && let Err(error) = secret::open(&config.file)
        {
            tracing::warn!("hashes of PINs: {error}");
        }
        let Opened { source, frame_size } = source::open(&config.source, &config.file)?;
        let bell = Arc::new(Bell::default());
        let objects = Arc::new(objects(&config, frame_size, bell.clone())?);
        let Started { network, name: in_use, fallback } = updates::start(&config)?;
        let slot = Slot::new(network, smaller(&config)?);
        if in_use != updates::MAIN {
            slot.replace(slot.primary(), Role::Other);
        }
        let player = Player::new(source, config.source.pace(), config.source.intake.clone());
        let source = player.state();
        let meter = Arc::new(Meter::new());
        let (pipeline, masks) = Pipeline::start(
            player,
            slot.clone(),
            objects.clone(),
            bell,
            meter.clone(),
            Capacity { masks: config.output.queue_masks, cine: config.cine },
        )?;
        let failures = Failures::default();
        let archive = open_archive(&config, &meter)?;
        let steps = open_steps(&config)?;
        let options = RecorderOptions {
            device: config.device.clone(),
            board: config.board.to_string(),
            announcements: announcements.clone(),
            meter: meter.clone(),
            failures: failures.clone(),
            stick: config.records.as_ref().and_then(|records| records.stick.clone()),
            study_timeout: config
                .records
                .as_ref()
                .map(|records| records.study_timeout)
                .unwrap_or_default(),
            archive: archive.clone().map(|archive| -> Arc<dyn Archive> { archive }),
            steps: steps.clone().map(|steps| -> Arc<dyn Steps> { steps }),
        };
        let names = Names::default();
        let recorder = recorder(&config, &pipeline, objects.clone(), names.clone(), options)?;
        let reports = match archive.zip(recorder.clone()) {
            Some((archive, recorder)) => hospital::start(archive, recorder, failures.clone())?,
            None => None,
        };
        if let Some(steps) = steps {
            hospital::report(steps, failures.clone())?;
        }
        let worklist = config.worklist.as_ref().map(RisWorklist::new).transpose()?;
        let config = Arc::new(config);
        let reloader = Reloader::new(
            config.clone(),
            slot.clone(),
            meter.clone(),
            failures.clone(),
            &in_use,
            fallback,
        );
        reloader.check_others();
        let degrading = config.degrade.as_ref();
        let degrading =
            degrading.map(|degrade| Degrading::new(degrade, slot.clone(), meter.clone()));
        let broker = watch::Sender::new(LinkState::Down);
        let observer = Observer {
            meter,
            source,
            activity: objects.activities(),
            degradation: slot.degradation(),
            builds: reloader.state(),
            offered: reloader.offered(),
            broker: broker.subscribe(),
            announcements,
            failures,
            disks: Arc::new(disks(&config)),
            slot,
        };
        Ok(Self {
            config,
            reloader,
            link,
            messages,
            embedded,
            outbox,
            pipeline,
            masks,
            objects,
            names,
            recorder,
            worklist: worklist.map(|worklist| -> Arc<dyn Worklist> { Arc::new(worklist) }),
            reports,
            http,
            degrading: degrading.transpose()?,
            broker,
            observer,
        })
    }
}

/// Folders of the records and of the outbox, if they are configured.
fn disks(config: &Config) -> BTreeMap<&'static str, PathBuf> {
    let records = config.records.as_ref().map(|records| ("records", records.folder.clone()));
    let outbox = config.outbox.as_ref().map(|outbox| ("outbox", outbox.path.clone()));
    records.into_iter().chain(outbox).collect()
}

/// The outbox, if it is configured.
fn outbox(config: &Config) -> Result<Option<Arc<Outbox>>, Error> {
    let Some(OutboxConfig { path, max_messages }) = &config.outbox else { return Ok(None) };
    let outbox = Outbox::open(path, *max_messages)?;
    tracing::info!("{} messages wait in the outbox", outbox.len()?);
    Ok(Some(Arc::new(outbox)))
}

/// The archive, if it is configured.
fn open_archive(config: &Config, meter: &Arc<Meter>) -> Result<Option<Arc<PacsArchive>>, Error> {
    let Some((archive, records)) = config.archive.as_ref().zip(config.records.as_ref()) else {
        return Ok(None);
    };
    let archive = PacsArchive::open(archive, &records.folder, meter.clone())?;
    Ok(Some(Arc::new(archive)))
}

/// Reports of performed examinations, if they are configured.
fn open_steps(config: &Config) -> Result<Option<Arc<RisSteps>>, Error> {
    let worklist = config.worklist.as_ref().filter(|worklist| worklist.report);
    let Some((worklist, records)) = worklist.zip(config.records.as_ref()) else { return Ok(None) };
    Ok(Some(Arc::new(RisSteps::open(worklist, &records.folder)?)))
}

/// The network of the smaller build, if it is configured.
fn smaller(config: &Config) -> Result<Option<Network<Engine>>, Error> {
    let load = |path| {
        let workers = Workers::new(config.build.threads);
        BuildFile::open(path)?.load(config, &workers).map(|loaded| loaded.network)
    };
    let smaller = config.degrade.as_ref().and_then(|degrade| degrade.smaller_build.as_deref());
    Ok(smaller.map(load).transpose()?)
}

/// The recorder, if a folder for records is configured.
fn recorder(
    config: &Config,
    pipeline: &Pipeline,
    objects: Arc<Objects>,
    names: Names,
    options: RecorderOptions,
) -> Result<Option<Arc<Recorder>>, Error> {
    let Some(RecordsConfig { folder, budget, .. }) = &config.records else { return Ok(None) };
    let records = Records::open(folder, *budget)?;
    Ok(Some(Arc::new(Recorder::start(
        records,
        pipeline.recent(),
        pipeline.cine(),
        objects,
        names,
        options,
    )?)))
}

/// The embedded broker, if it is configured, and the options of the connection.
fn connection(
    config: &Config,
    messages: &Messages,
) -> Result<(Option<Embedded>, LinkOptions), Error> {
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
        tracing::warn!("{broker}: the password is sent without encryption; use mqtts://");
    }
    let last_will = messages.availability(Availability::Offline).map_err(crate::mqtt::Error::from);
    let link = LinkOptions {
        broker,
        credentials,
        protocol: config.broker.protocol,
        client_id: config.broker.client_id.clone(),
        keep_alive: config.broker.keep_alive,
        connect_timeout: config.broker.connect_timeout,
        max_back_off: MAX_BACK_OFF,
        last_will: Some(last_will?),
    };
    Ok((embedded, link))
}
