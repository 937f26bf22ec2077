//! The text of the configuration.

use std::path::Path;

use super::answers::{Answers, Broker, Source};
use crate::config::Config;

/// The configuration for the answers; `out` is the path of the file.
pub(super) fn configuration(answers: &Answers, out: &Path) -> String {
    let (out, device) = (out.display(), quoted(&Config::default_device()));
    let Answers { source, broker, records } = answers;
    let (source, broker, records) =
        (self::source(source), self::broker(broker), self::records(records.as_deref(), broker));
    format!(
        r#"# Configuration of `medsa-edge run`, written by `medsa-edge init`. Relative paths start at the
# folder of this file. edge.example.toml lists every key with its range and default.
#   medsa-edge check {out}
#   medsa-edge run --config {out}

[device]
# Name of the device in MQTT topics and records. Give each device its own.
id = {device}

[build]
# The build to run: a file, or a folder of slots.
path = "build.medsa"

[source]
{source}
# Rectangles to hide, because they identify the patient: [x0, y0, x1, y1] in pixels of the frames,
# whose size is then required. [] hides nothing. Captures are refused until this is set.
# frame_size = [1920, 1080]
# blank = [[0, 0, 1920, 60]]
# Distance between pixels in mm, [down the rows, along a row]. Measurements are then in mm. Default:
# the value of the source, if it states one.
# pixel_spacing_mm = [0.2, 0.2]

# A prompt from the first frame on: a click on object 0. Others come from the page and over MQTT.
# [[prompt]]
# object = 0
# points = ["160,120"]

[http]
# Address of the page, /metrics, /health and /ready. For other machines, also set a token and a
# certificate.
listen = "127.0.0.1:9090"
# True to serve the page, and to accept prompts and commands.
control = true

[broker]
{broker}

{records}

# Without this section, the log goes to the terminal, or to the journal under systemd.
# [log]
# to = "file"
# file = "edge.log"
"#
    )
}

fn source(source: &Source) -> String {
    match source {
        Source::Camera(device) => format!(
            "# A camera or grabber. Names under /dev/v4l/by-id/ stay the same when other devices are \
             plugged in.\nkind = \"v4l2\"\ndevice = {}\n# \"mjpeg\" or \"yuyv\".\n\
             format = \"mjpeg\"",
            quoted(device)
        ),
        Source::Dicom(path) => clip("dicom", "A DICOM file of one or many frames.", path),
        Source::Images(path) => {
            clip("images", "An image, or a folder of images in the order of their names.", path)
        }
        Source::Video(path) => {
            let input = ["-re", "-stream_loop", "-1", "-i", path];
            pipe("A video, played by ffmpeg without end.", &input)
        }
        Source::Stream(address) => {
            let comment = "A stream, received by ffmpeg. It starts again when it ends. A password in \
                           the address is\n# visible to all who can read this file.";
            // RTSP over UDP loses parts of frames.
            let tcp: &[&str] = match address.starts_with("rtsp") {
                true => &["-rtsp_transport", "tcp"],
                false => &[],
            };
            pipe(comment, &[tcp, &["-i", address]].concat())
        }
        Source::OpenIgtLink(server) => format!(
            "# IMAGE messages of an OpenIGTLink server.\nkind = \"openigtlink\"\nserver = {}",
            quoted(server)
        ),
    }
}

fn clip(kind: &str, comment: &str, path: &str) -> String {
    format!(
        "# {comment}\nkind = \"{kind}\"\npath = {}\n# True to start again after the last frame.\n\
         loop = true",
        quoted(path)
    )
}

fn pipe(comment: &str, input: &[&str]) -> String {
    let command = [&["ffmpeg", "-v", "error"], input, &["-f", "mjpeg", "-q:v", "3", "-"]].concat();
    let command: Vec<_> = command.into_iter().map(quoted).collect();
    format!("# {comment}\nkind = \"pipe\"\nformat = \"mjpeg\"\ncommand = [{}]", command.join(", "))
}

fn broker(broker: &Broker) -> String {
    match broker {
        Broker::Embedded => {
            "# A broker inside the service. It asks for no password: leave it on a \
                             loopback address.\nkind = \"embedded\"\nlisten = \"127.0.0.1:1883\""
                .into()
        }
        Broker::External(url) => format!(
            "kind = \"external\"\nurl = {}\n# Access, if the broker requires it.\n\
             # user = \"bedside-1\"\n# password_file = \"broker.password\"",
            quoted(url)
        ),
    }
}

fn records(folder: Option<&str>, broker: &Broker) -> String {
    let Some(folder) = folder else {
        return "# Without this section, captures are refused.\n# [records]\n\
                # folder = \"records\""
            .into();
    };
    let records = format!(
        "[records]\n# Folder of captures: frame, masks, prompts and measurements.\nfolder = {}",
        quoted(folder)
    );
    match broker {
        Broker::Embedded => records,
        Broker::External(_) => format!(
            "{records}\n\n[outbox]\n# Announcements of captures that wait for the broker.\n\
             path = \"outbox.redb\""
        ),
    }
}

/// A TOML string. The escapes of JSON are also those of TOML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
