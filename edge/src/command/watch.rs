//! `medsa-edge watch`: masks and reports of devices, as text and images.

mod album;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use medsa_console::println;
use medsa_frames::Clip;
use medsa_wire::topic::{Channel, DeviceId, Topic};
use medsa_wire::{
    Availability, BuildStatus, Degradation, Info, MaskMessage, MaskState, Message as _, Stats,
    Status,
};

use self::album::Album;
use super::run::stop_signal;
use crate::config::{Access, BrokerUrl, Misfit, Protocol};
use crate::error::Error;
use crate::mqtt::{Link, LinkEvent, LinkOptions, Message};

/// Prints a line for every mask that devices publish, and draws the masks.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// URL of the broker.
    #[arg(long, value_name = "mqtt[s]://HOST:PORT", value_parser = str::parse::<BrokerUrl>)]
    broker: BrokerUrl,
    #[command(flatten)]
    access: Access,
    /// MQTT client id. Default: medsa-watch-PID.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Version of MQTT: 4 (3.1.1) or 5.
    #[arg(long, default_value = "4", value_parser = str::parse::<Protocol>)]
    protocol: Protocol,
    /// Watch only this device.
    #[arg(long, value_parser = DeviceId::parse)]
    device: Option<DeviceId>,
    /// Recording that the device plays, to draw masks over its frames. The frame number modulo the
    /// length of the recording selects the frame, so it may be looped.
    #[arg(long, value_name = "PATH")]
    clip: Option<PathBuf>,
    /// Folder for one image (PNG) per frame, of the first device seen.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File for an animation (GIF) of the images.
    #[arg(long, value_name = "FILE")]
    gif: Option<PathBuf>,
    /// File for a sheet (PNG) of up to twelve of the images.
    #[arg(long, value_name = "FILE")]
    strip: Option<PathBuf>,
    /// End after this many masks.
    #[arg(long)]
    count: Option<u64>,
    /// End when a device that was online goes offline.
    #[arg(long)]
    until_offline: bool,
}

/// Runs the command until a limit is reached or a signal arrives.
///
/// # Errors
/// Messages that cannot be decoded are not errors; they are logged and skipped.
pub async fn run(args: &Args) -> Result<(), Error> {
    args.access.check(&args.broker).map_err(|Misfit { key, found, expected }| Error::Argument {
        argument: format!("--{}", key.replace('_', "-")),
        found,
        expected,
    })?;
    let credentials = args.access.load(&args.broker)?;
    let stop = stop_signal()?;
    let mut stop = std::pin::pin!(stop);
    let clip = args.clip.as_deref().map(Clip::open).transpose()?;
    let mut watcher = Watcher {
        album: Album::new(clip, args.out.clone(), args.gif.clone(), args.strip.clone())?,
        masks: 0,
        online: HashSet::new(),
    };
    let client_id = args.client_id.clone();
    let mut link = Link::start(LinkOptions {
        broker: args.broker.clone(),
        credentials,
        protocol: args.protocol,
        client_id: client_id.unwrap_or_else(|| format!("medsa-watch-{}", std::process::id())),
        keep_alive: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        // A user is waiting.
        max_back_off: Duration::from_secs(1),
        last_will: None,
    });
    loop {
        let event = tokio::select! {
            () = &mut stop => break,
            event = link.next() => event,
        };
        match event {
            Some(LinkEvent::Up) => {
                tracing::info!("connected to {}", args.broker);
                let device = args.device.as_ref().map_or("+", DeviceId::as_str);
                let filter = format!("{}/{device}/#", medsa_wire::topic::ROOT);
                // If this fails, the connection is lost, and the link reports that.
                let _ = link.client.subscribe(&filter);
            }
            Some(LinkEvent::Down { reason, retry_in, .. }) => {
                let retry_s = retry_in.as_secs_f32();
                tracing::warn!("no broker: {reason}; next attempt in {retry_s:.2} s");
            }
            Some(LinkEvent::Message(message)) => {
                let outcome = watcher.handle(&message)?;
                let enough = args.count.is_some_and(|count| watcher.masks >= count);
                // Nobody reads any more.
                let enough = enough || medsa_console::is_closed();
                if enough || (args.until_offline && outcome == Outcome::WentOffline) {
                    break;
                }
            }
            Some(LinkEvent::SubscriptionRefused) => {
                tracing::error!("the broker refuses the subscription; check its access rules");
            }
            Some(LinkEvent::Subscribed) => tracing::info!("subscribed"),
            None => break,
        }
    }
    watcher.album.finish()
}

struct Watcher {
    album: Album,
    masks: u64,
    online: HashSet<DeviceId>,
}

/// Effect of a message on the end of watching.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A device that was online went offline.
    WentOffline,
    Other,
}

impl Watcher {
    /// Prints and draws a message; one that cannot be decoded is logged and skipped.
    fn handle(&mut self, message: &Message) -> Result<Outcome, Error> {
        if message.topic.ends_with("/json") {
            // A copy of the postcard message.
            return Ok(Outcome::Other);
        }
        let topic = match Topic::parse(&message.topic) {
            Ok(topic) => topic,
            Err(error) => {
                tracing::warn!("{}: {error}", message.topic);
                return Ok(Outcome::Other);
            }
        };
        let payload = &message.payload;
        let handled = match topic.channel {
            Channel::Mask(_) => match MaskMessage::decode(payload) {
                Ok(mask) => {
                    self.masks += 1;
                    println!("{}", mask_line(&topic.device, &mask));
                    return self.album.add(&topic.device, mask).map(|()| Outcome::Other);
                }
                Err(error) => Err(error),
            },
            Channel::Availability => Availability::decode(payload).map(|availability| {
                println!("{}  {availability:?}", topic.device);
                match availability {
                    Availability::Online => self.online.insert(topic.device.clone()),
                    Availability::Offline if self.online.remove(&topic.device) => {
                        return Outcome::WentOffline;
                    }
                    Availability::Offline => false,
                };
                Outcome::Other
            }),
            Channel::Info => Info::decode(payload).map(|info| {
                println!("{}  build {} {}", topic.device, info.build_name, info.build_version);
                Outcome::Other
            }),
            Channel::Stats => Stats::decode(payload).map(|stats| {
                println!("{}", stats_line(&topic.device, &stats));
                Outcome::Other
            }),
            Channel::Status => Status::decode(payload).map(|status| {
                println!("{}", status_line(&topic.device, &status));
                Outcome::Other
            }),
            // Messages to the device, or not of interest here.
            Channel::Prompt | Channel::Command | Channel::Record | Channel::RecordDeleted => {
                Ok(Outcome::Other)
            }
        };
        Ok(handled.unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", message.topic);
            Outcome::Other
        }))
    }
}

fn status_line(device: &DeviceId, status: &Status) -> String {
    let Status { source, activity, degradation, build } = status;
    let level =
        degradation.map(|Degradation { level, cause }| format!("  level {level}: {cause:?}"));
    let build = match build {
        BuildStatus::Idle => String::new(),
        BuildStatus::Loading => "  another build is being loaded".into(),
        BuildStatus::Updating => "  looking for a newer build".into(),
        BuildStatus::Failed { reason } => format!("  the last build was not accepted: {reason}"),
    };
    format!("{device}  source {source:?}  {activity:?}{}{build}", level.unwrap_or_default())
}

fn mask_line(device: &DeviceId, mask: &MaskMessage) -> String {
    let state = match mask.state {
        MaskState::Lost => "  lost",
        MaskState::Uncertain => "  uncertain",
        _ if mask.segmented => "",
        _ => "  followed",
    };
    let reason = mask.reason.map_or_else(String::new, |reason| format!(": {reason:?}"));
    format!(
        "{device}  frame {:>6}  age {:>6.0} ms  object {}  score {:.2}  area {} px{state}{reason}",
        mask.frame_id,
        f64::from(mask.age_us) / 1e3,
        mask.object,
        mask.score,
        mask.measured.as_ref().map_or(0, |measured| measured.area_px)
    )
}

fn stats_line(device: &DeviceId, stats: &Stats) -> String {
    format!(
        "{device}  {} frames, {} dropped, {} masks, {} not published, {} messages refused",
        stats.frames_in,
        stats.frames_dropped.total(),
        stats.masks_out,
        stats.masks_dropped.saturating_add(stats.masks_unpublished),
        stats.refused_messages
    )
}
