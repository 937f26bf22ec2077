//! Conversion of the raw section `[source]` to checked values.

use std::path::Path;
use std::time::Duration;

use medsa_frames::MAX_SIDE_PX;

use super::raw::{RawAtEnd, RawFormat, RawKind, RawPace, RawSource};
use super::{
    AfterLast, ClipConfig, ClipFormat, OpenIgtLinkConfig, Pace, PipeConfig, PipeFormat, SourceKind,
    Timeouts, V4l2Config, V4l2Format,
};
use crate::config::check::Check;
use crate::config::error::Error;
use crate::config::intake::{Intake, Rectangle, Region};

/// Largest number of rectangles to hide.
const MAX_BLANK: usize = 64;

/// Longest name of an OpenIGTLink device, in bytes.
const MAX_DEVICE_NAME: usize = 20;

const MAX_SIDE: i64 = MAX_SIDE_PX as i64;

impl Check<'_> {
    pub(in crate::config) fn source(
        &self,
        raw: &RawSource,
        folder: &Path,
    ) -> Result<SourceKind, Error> {
        self.no_keys_of_other_kinds(raw)?;
        Ok(match raw.kind {
            RawKind::Dicom => SourceKind::Clip(self.clip(raw, ClipFormat::Dicom, folder)?),
            RawKind::Images => SourceKind::Clip(self.clip(raw, ClipFormat::Images, folder)?),
            RawKind::Pipe => SourceKind::Pipe(self.pipe(raw, folder)?),
            RawKind::OpenIgtLink => SourceKind::OpenIgtLink(self.openigtlink(raw)?),
            RawKind::V4l2 => SourceKind::V4l2(self.v4l2(raw, folder)?),
        })
    }

    fn no_keys_of_other_kinds(&self, raw: &RawSource) -> Result<(), Error> {
        use RawKind::{Dicom, Images, OpenIgtLink, Pipe, V4l2};
        const CLIPS: &[RawKind] = &[Dicom, Images];
        const LIVE: &[RawKind] = &[Pipe, OpenIgtLink, V4l2];
        let keys: [(&str, bool, &[RawKind]); 14] = [
            ("path", raw.path.is_some(), CLIPS),
            ("loop", raw.repeat.is_some(), CLIPS),
            ("pace", raw.pace.is_some(), CLIPS),
            ("at_end", raw.at_end.is_some(), CLIPS),
            ("rate_fps", raw.rate_fps.is_some(), &[Dicom, Images, V4l2]),
            ("command", raw.command.is_some(), &[Pipe]),
            ("format", raw.format.is_some(), &[Pipe, V4l2]),
            ("server", raw.server.is_some(), &[OpenIgtLink]),
            ("device_name", raw.device_name.is_some(), &[OpenIgtLink]),
            ("window", raw.window.is_some(), &[OpenIgtLink]),
            ("device", raw.device.is_some(), &[V4l2]),
            ("start_s", raw.start_s.is_some(), LIVE),
            ("stall_s", raw.stall_s.is_some(), LIVE),
            ("max_back_off_s", raw.max_back_off_s.is_some(), LIVE),
        ];
        for (key, is_set, kinds) in keys {
            if is_set && !kinds.contains(&raw.kind) {
                let kind = raw.kind.name();
                let expected = format!("no such key with kind = \"{kind}\"");
                return Err(self.error(&format!("source.{key}"), "set", expected));
            }
        }
        Ok(())
    }

    fn clip(
        &self,
        raw: &RawSource,
        format: ClipFormat,
        folder: &Path,
    ) -> Result<ClipConfig, Error> {
        let interval = self.interval(raw)?;
        let path = raw.path.as_ref().ok_or_else(|| {
            self.error("source.path", "missing", "the path of a file or a folder")
        })?;
        Ok(ClipConfig {
            format,
            path: folder.join(path),
            interval,
            after_last: match (raw.repeat, raw.at_end) {
                (Some(true), _) => AfterLast::Repeat,
                (_, Some(RawAtEnd::Stay)) => AfterLast::Stay,
                (_, Some(RawAtEnd::Reverse)) => AfterLast::Reverse,
                (_, Some(RawAtEnd::Exit) | None) => AfterLast::Exit,
            },
            pace: match raw.pace {
                Some(RawPace::EveryFrame) => Pace::EveryFrame,
                Some(RawPace::Live) | None => Pace::Live,
            },
        })
    }

    fn pipe(&self, raw: &RawSource, folder: &Path) -> Result<PipeConfig, Error> {
        let command = raw.command.as_deref().unwrap_or_default();
        let (program, arguments) = command
            .split_first()
            .filter(|(program, _)| !program.is_empty())
            .filter(|_| !command.iter().any(|text| text.contains('\0')))
            .ok_or_else(|| {
                let found = match &raw.command {
                    Some(command) => format!("{command:?}"),
                    None => "missing".into(),
                };
                let expected = "a program and its arguments, such as [\"ffmpeg\", \"-i\", ...]";
                self.error("source.command", found, expected)
            })?;
        let format = match raw.format {
            Some(RawFormat::Mjpeg) => PipeFormat::Mjpeg,
            Some(RawFormat::Rgb24) => {
                let frame_size = self.frame_size(raw)?.ok_or_else(|| {
                    let expected = "the width and height of frames with format = \"rgb24\"";
                    self.error("source.frame_size", "missing", expected)
                })?;
                PipeFormat::Rgb24 { frame_size }
            }
            other => return Err(self.wrong_format(other, "\"rgb24\" or \"mjpeg\"")),
        };
        Ok(PipeConfig {
            program: program.clone(),
            arguments: arguments.to_vec(),
            folder: folder.to_owned(),
            format,
            timeouts: self.timeouts(raw)?,
        })
    }

    fn openigtlink(&self, raw: &RawSource) -> Result<OpenIgtLinkConfig, Error> {
        let server = raw.server.as_deref().unwrap_or_default();
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
        if !server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_port(port)) {
            let found = raw.server.as_ref().map_or("missing".into(), |text| format!("{text:?}"));
            let expected = "a host and port such as 192.168.1.20:18944";
            return Err(self.error("source.server", found, expected));
        }
        if let Some(name) = &raw.device_name
            && !(1..=MAX_DEVICE_NAME).contains(&name.len())
        {
            let expected = format!("1 to {MAX_DEVICE_NAME} bytes");
            return Err(self.error("source.device_name", format!("{name:?}"), expected));
        }
        let window = raw.window.unwrap_or([0, u16::MAX.into()]);
        let window = match window.map(u16::try_from) {
            [Ok(black), Ok(white)] if black < white => [black, white],
            _ => {
                let expected = "two values of 0 to 65535, the lower first";
                return Err(self.error("source.window", format!("{window:?}"), expected));
            }
        };
        Ok(OpenIgtLinkConfig {
            server: server.to_owned(),
            device_name: raw.device_name.clone(),
            window,
            timeouts: self.timeouts(raw)?,
        })
    }

    fn v4l2(&self, raw: &RawSource, folder: &Path) -> Result<V4l2Config, Error> {
        let device = raw.device.as_ref().ok_or_else(|| {
            self.error("source.device", "missing", "a video device such as /dev/video0")
        })?;
        let format = match raw.format {
            Some(RawFormat::Mjpeg) | None => V4l2Format::Mjpeg,
            Some(RawFormat::Yuyv) => V4l2Format::Yuyv,
            other => return Err(self.wrong_format(other, "\"mjpeg\" or \"yuyv\"")),
        };
        Ok(V4l2Config {
            device: folder.join(device),
            format,
            frame_size: self.frame_size(raw)?,
            interval: self.interval(raw)?,
            timeouts: self.timeouts(raw)?,
        })
    }

    fn wrong_format(&self, found: Option<RawFormat>, expected: &str) -> Error {
        let found = found.map_or("missing".into(), |f| format!("{f:?}").to_lowercase());
        self.error("source.format", found, expected)
    }

    fn interval(&self, raw: &RawSource) -> Result<Option<Duration>, Error> {
        let Some(rate) = raw.rate_fps else { return Ok(None) };
        let rate = self.within("source.rate_fps", rate, 0.1..=240.0)?;
        Ok(Some(Duration::from_secs_f64(rate.recip())))
    }

    fn timeouts(&self, raw: &RawSource) -> Result<Timeouts, Error> {
        let start_s = self.within_or("source.start_s", raw.start_s, 0.1..=60.0, 5.0)?;
        let stall_s = self.within_or("source.stall_s", raw.stall_s, 0.1..=60.0, 1.0)?;
        let back_off_s =
            self.within_or("source.max_back_off_s", raw.max_back_off_s, 0.25..=300.0, 5.0)?;
        let [start, stall, max_back_off] =
            [start_s, stall_s, back_off_s].map(Duration::from_secs_f64);
        Ok(Timeouts { start, stall, max_back_off })
    }

    fn frame_size(&self, raw: &RawSource) -> Result<Option<(u32, u32)>, Error> {
        let Some([width, height]) = raw.frame_size else { return Ok(None) };
        for side in [width, height] {
            self.within("source.frame_size", side, 1..=MAX_SIDE)?;
        }
        Ok(Some((width as u32, height as u32)))
    }

    pub(in crate::config) fn intake(&self, raw: &RawSource) -> Result<Intake, Error> {
        let frame_size = self.frame_size(raw)?;
        let blank = match &raw.blank {
            Some(rectangles) => Some(self.blank(rectangles, frame_size)?),
            None => None,
        };
        let region = match raw.region {
            Some(region) => Some(self.region(region, frame_size)?),
            None => None,
        };
        let pixel_spacing_mm = match raw.pixel_spacing_mm {
            Some([row, column]) => {
                let side = |mm| self.within("source.pixel_spacing_mm", mm, 0.001..=100.0);
                Some([side(row)? as f32, side(column)? as f32])
            }
            None => None,
        };
        Ok(Intake { frame_size, blank, region, pixel_spacing_mm })
    }

    fn blank(
        &self,
        raw: &[[i64; 4]],
        frame_size: Option<(u32, u32)>,
    ) -> Result<Vec<Rectangle>, Error> {
        if raw.is_empty() {
            return Ok(Vec::new());
        }
        let Some((width, height)) = frame_size else {
            let expected = "the width and height that the rectangles of `blank` were drawn for";
            return Err(self.error("source.frame_size", "missing", expected));
        };
        if raw.len() > MAX_BLANK {
            let expected = format!("{MAX_BLANK} rectangles at most");
            return Err(self.error("source.blank", raw.len(), expected));
        }
        let rectangle = |(index, corners): (usize, &[i64; 4])| {
            let [x0, y0, x1, y1] = *corners;
            let fits = 0 <= x0 && x0 < x1 && x1 <= width.into() && 0 <= y0 && y0 < y1;
            if !fits || y1 > height.into() {
                let key = format!("source.blank[{index}]");
                let expected = format!(
                    "[x0, y0, x1, y1] with x0 < x1 and y0 < y1 within {width} x {height} px"
                );
                return Err(self.error(&key, format!("{corners:?}"), expected));
            }
            let [x0, y0, x1, y1] = corners.map(|side| side as u32);
            Ok(Rectangle { x0, y0, x1, y1 })
        };
        raw.iter().enumerate().map(rectangle).collect()
    }

    fn region(&self, raw: [i64; 4], frame_size: Option<(u32, u32)>) -> Result<Region, Error> {
        let [x, y, width, height] = raw;
        let (right, bottom) = frame_size.unwrap_or((MAX_SIDE_PX, MAX_SIDE_PX));
        let fits = |start: i64, length: i64, end: u32| {
            start >= 0 && length >= 1 && start.saturating_add(length) <= end.into()
        };
        if !fits(x, width, right) || !fits(y, height, bottom) {
            let expected = format!("[x, y, width, height] within {right} x {bottom} px");
            return Err(self.error("source.region", format!("{raw:?}"), expected));
        }
        let [x, y, width, height] = raw.map(|side| side as u32);
        Ok(Region { x, y, width, height })
    }
}

impl RawKind {
    /// Name in the configuration file.
    fn name(self) -> &'static str {
        match self {
            Self::Dicom => "dicom",
            Self::Images => "images",
            Self::Pipe => "pipe",
            Self::OpenIgtLink => "openigtlink",
            Self::V4l2 => "v4l2",
        }
    }
}
