//! Linux video devices: USB grabbers and cameras.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use medsa_frames::{Frame, MAX_SIDE_PX};
use rustix::time::{ClockId, clock_gettime};
use v4l::buffer::{Flags, Metadata, Type};
use v4l::capability::Flags as Capability;
use v4l::format::{Colorspace, Quantization};
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC, Fraction};

use super::decode::{Cut, MjpegSplitter, YuvEncoding, YuyvLayout, decode_jpeg, decode_yuyv};
use super::event::Received;
use super::live::{Connection, Dial, Fault};
use crate::config::{V4l2Config, V4l2Format};

/// Number of buffers requested: one is read while the others are filled.
const BUFFERS: u32 = 4;

/// Event that `poll` waits for: data (`POLLIN`).
const READABLE: i16 = 1;

/// Largest plausible gap in the driver's frame numbers; a larger one means that the device
/// restarted its count.
const MAX_MISSED: u32 = 1000;

/// Largest plausible age of a driver timestamp; an older one belongs to another clock.
const MAX_AGE: Duration = Duration::from_secs(2);

impl Dial for V4l2Config {
    type Connection = Grabber;

    fn name(&self) -> String {
        format!("video device {}", self.device.display())
    }

    fn connect(&self) -> Result<Grabber, String> {
        // The crate panics on driver values that it does not know.
        let connected = catch_unwind(AssertUnwindSafe(|| self.open()));
        connected.unwrap_or_else(|_| {
            Err("the driver returned a value that the V4L2 library does not know".into())
        })
    }
}

impl V4l2Config {
    fn open(&self) -> Result<Grabber, String> {
        let device = Device::with_path(&self.device).map_err(|error| error.to_string())?;
        let capabilities = device.query_caps().map_err(|error| error.to_string())?.capabilities;
        if !capabilities.contains(Capability::VIDEO_CAPTURE | Capability::STREAMING) {
            return Err("the device cannot stream captured frames".into());
        }
        let format = self.negotiate(&device)?;
        self.set_rate(&device);
        let (width, height, fourcc) = (format.width, format.height, format.fourcc);
        tracing::info!("{}: {fourcc} of {width} x {height} px", self.device.display());
        let mut stream = Stream::with_buffers(&device, Type::VideoCapture, BUFFERS)
            .map_err(|error| format!("cannot allocate buffers: {error}"))?;
        // `next` queues the first buffer itself, so the driver must accept the others here.
        let queued = (1..BUFFERS).take_while(|&index| stream.queue(index as usize).is_ok()).count();
        if queued == 0 {
            return Err("the driver grants one buffer, expected at least two".into());
        }
        stream.start().map_err(|error| format!("cannot start the stream: {error}"))?;
        Ok(Grabber { stream: Some(stream), decoding: self.decoding(&format), last_sequence: None })
    }

    /// Requests format and size. The driver may answer with others, which is an error.
    fn negotiate(&self, device: &Device) -> Result<Format, String> {
        let now = device.format().map_err(|error| format!("cannot read the format: {error}"))?;
        let (width, height) = self.frame_size.unwrap_or((now.width, now.height));
        let wanted = match self.format {
            V4l2Format::Mjpeg => FourCC::new(b"MJPG"),
            V4l2Format::Yuyv => FourCC::new(b"YUYV"),
        };
        let granted = device.set_format(&Format::new(width, height, wanted)).map_err(|error| {
            format!("cannot set format {wanted} of {width} x {height} px: {error}")
        })?;
        let found = (granted.width, granted.height, granted.fourcc);
        let too_large = width.max(height) > MAX_SIDE_PX;
        if too_large || found != (width, height, wanted) {
            let (granted_width, granted_height, fourcc) = found;
            return Err(format!(
                "gives {fourcc} of {granted_width} x {granted_height} px, expected {wanted} of \
                 {width} x {height} px, at most {MAX_SIDE_PX} px"
            ));
        }
        Ok(granted)
    }

    /// Requests the frame rate; not every device supports this.
    fn set_rate(&self, device: &Device) {
        let Some(interval) = self.interval else { return };
        let fraction = Fraction::new(interval.as_micros() as u32, 1_000_000);
        let name = self.device.display();
        match device.set_params(&Parameters::new(fraction)) {
            Ok(granted) => tracing::info!("{name}: frame interval {} s", granted.interval),
            Err(error) => tracing::warn!("{name}: rate_fps has no effect: {error}"),
        }
    }

    fn decoding(&self, format: &Format) -> Decoding {
        match self.format {
            V4l2Format::Mjpeg => Decoding::Mjpeg,
            V4l2Format::Yuyv => Decoding::Yuyv(YuyvLayout {
                width: format.width,
                height: format.height,
                stride: format.stride as usize,
                encoding: encoding(format),
            }),
        }
    }
}

/// Encoding of the samples; where the driver leaves it open, the defaults of V4L2 apply.
fn encoding(format: &Format) -> YuvEncoding {
    match (format.quantization, format.colorspace) {
        (Quantization::FullRange, _) | (Quantization::Default, Colorspace::JPEG) => {
            YuvEncoding::Full
        }
        (_, Colorspace::Rec709 | Colorspace::DCIP3) => YuvEncoding::Bt709,
        _ => YuvEncoding::Bt601,
    }
}

/// A device that is capturing.
pub(super) struct Grabber {
    /// `None` only while dropping.
    stream: Option<Stream<'static>>,
    decoding: Decoding,
    last_sequence: Option<u32>,
}

#[derive(Clone, Copy)]
enum Decoding {
    Mjpeg,
    Yuyv(YuyvLayout),
}

impl Connection for Grabber {
    fn receive(&mut self, wait: Duration) -> Result<Option<Received>, Fault> {
        // Waits here and not in the crate, whose stream is unusable after a timeout. An unplugged
        // device reports that it is readable, and then fails.
        if !self.is_readable(wait)? {
            return Ok(None);
        }
        let (mut bytes, mut about) = self.dequeue()?;
        // Use the newest frame: decoding older ones first would only add delay.
        for _ in 1..BUFFERS {
            if !self.is_readable(Duration::ZERO)? {
                break;
            }
            (bytes, about) = self.dequeue()?;
        }
        let missed = self.missed(about.sequence);
        if about.flags.contains(Flags::ERROR) {
            return Err(Fault::Damaged("the driver marks the frame as damaged".into()));
        }
        let frame = self.decoding.decode(&bytes).map_err(Fault::Damaged)?;
        let timestamp = Duration::from(about.timestamp);
        Ok(Some(Received {
            frame,
            captured: captured(&about, timestamp),
            source_us: Some(timestamp.as_micros() as u64),
            missed,
        }))
    }
}

impl Grabber {
    fn is_readable(&self, wait: Duration) -> Result<bool, Fault> {
        let Some(stream) = &self.stream else { return Ok(false) };
        // Rounds up to whole milliseconds: 0 would not wait.
        let wait_ms = wait.as_micros().div_ceil(1000) as i32;
        match stream.handle().poll(READABLE, wait_ms) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(Fault::Lost(error.to_string())),
        }
    }

    /// Takes a frame from the driver and returns the previous buffer to it.
    fn dequeue(&mut self) -> Result<(Vec<u8>, Metadata), Fault> {
        let Some(stream) = &mut self.stream else {
            return Err(Fault::Lost("the device is closed".into()));
        };
        let (buffer, about) = stream.next().map_err(|error| Fault::Lost(error.to_string()))?;
        let used = buffer.get(..about.bytesused as usize).unwrap_or(buffer);
        Ok((used.to_vec(), *about))
    }

    /// Number of frames lost before this one, according to the driver's count.
    fn missed(&mut self, sequence: u32) -> u32 {
        let last = self.last_sequence.replace(sequence);
        let gap = last.map_or(0, |last| sequence.wrapping_sub(last).wrapping_sub(1));
        if gap > MAX_MISSED { 0 } else { gap }
    }
}

impl Drop for Grabber {
    fn drop(&mut self) {
        // The crate panics when a device that is being unplugged does not stop.
        let stream = self.stream.take();
        if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
            tracing::warn!("the video device did not stop cleanly");
        }
    }
}

impl Decoding {
    fn decode(self, bytes: &[u8]) -> Result<Frame, String> {
        match self {
            Self::Yuyv(layout) => decode_yuyv(bytes, layout),
            Self::Mjpeg => {
                let mut splitter = MjpegSplitter::default();
                splitter.push(bytes);
                match splitter.next_cut() {
                    Some(Cut::Whole(jpeg)) => decode_jpeg(&jpeg),
                    Some(Cut::Damaged(reason)) => Err(reason),
                    None => Err(format!("{} bytes are not a complete JPEG stream", bytes.len())),
                }
            }
        }
    }
}

/// Time of capture on this machine's clock: the driver's time if it uses the same clock, else now.
fn captured(about: &Metadata, timestamp: Duration) -> Instant {
    let now = Instant::now();
    if about.flags & Flags::TIMESTAMP_MASK != Flags::TIMESTAMP_MONOTONIC {
        return now;
    }
    let monotonic = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    let age = monotonic.checked_sub(timestamp).filter(|age| *age <= MAX_AGE);
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use image::codecs::jpeg::JpegEncoder;
    use v4l::Timestamp;

    use super::*;

    #[test]
    fn padded_jpeg_is_decoded_and_truncated_jpeg_is_refused() {
        let mut jpeg = Vec::new();
        let grey = RgbImage::from_pixel(32, 16, image::Rgb([90; 3]));
        JpegEncoder::new(&mut jpeg).encode_image(&grey).unwrap();
        let padded = [jpeg.as_slice(), &[0; 100]].concat();
        let frame = Decoding::Mjpeg.decode(&padded).unwrap();
        assert_eq!((frame.width, frame.height), (32, 16));
        assert!(frame.rgb.iter().all(|byte| byte.abs_diff(90) <= 2));
        let bytes = jpeg.len() - 2;
        let error = Decoding::Mjpeg.decode(&jpeg[..bytes]).unwrap_err();
        assert_eq!(error, format!("{bytes} bytes are not a complete JPEG stream"));
    }

    #[test]
    fn gaps_in_driver_sequence_are_missed_frames() {
        let mut grabber = Grabber { stream: None, decoding: Decoding::Mjpeg, last_sequence: None };
        let sequence = [7, 8, 11, 11, u32::MAX, 1, 2];
        let missed = sequence.map(|sequence| grabber.missed(sequence));
        // A repeated number or a large leap means that the device restarted its count.
        assert_eq!(missed, [0, 0, 2, 0, 0, 1, 0]);
    }

    #[test]
    fn driver_timestamp_is_used_only_with_monotonic_clock() {
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let old = now.saturating_sub(Duration::from_millis(800));
        let about =
            |flags| Metadata { flags, timestamp: Timestamp::from(old), ..Metadata::default() };
        let monotonic = captured(&about(Flags::TIMESTAMP_MONOTONIC), old);
        assert!(monotonic.elapsed() >= Duration::from_millis(800));
        let other = captured(&about(Flags::TIMESTAMP_COPY), old);
        assert!(other > monotonic);
    }

    #[test]
    fn yuv_encoding_follows_v4l2_defaults() {
        let format = Format::new(64, 48, FourCC::new(b"YUYV"));
        let with =
            |quantization, colorspace| encoding(&Format { quantization, colorspace, ..format });
        let default = Quantization::Default;
        assert_eq!(with(default, Colorspace::SMPTE170M), YuvEncoding::Bt601);
        assert_eq!(with(default, Colorspace::SRGB), YuvEncoding::Bt601);
        assert_eq!(with(default, Colorspace::Rec709), YuvEncoding::Bt709);
        assert_eq!(with(default, Colorspace::JPEG), YuvEncoding::Full);
        assert_eq!(with(Quantization::FullRange, Colorspace::SRGB), YuvEncoding::Full);
    }
}
