//! Frames that a program, such as ffmpeg, GStreamer or libcamera, writes to its standard output.

mod child;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use medsa_frames::Frame;
use rustix::fs::{Access, access};

use super::decode::{Cut, MjpegSplitter, decode_jpeg};
use super::event::Received;
use super::live::{Connection, Dial, Fault};
use crate::config::{PipeConfig, PipeFormat};
use child::{Child, Output};

/// Bytes of MJPEG read at a time.
const PART_BYTES: usize = 64 << 10;

impl Dial for PipeConfig {
    type Connection = Pipe;

    fn name(&self) -> String {
        format!("program {}", self.program)
    }

    fn connect(&self) -> Result<Pipe, String> {
        let child = Child::start(self)?;
        let cutter = match self.format {
            PipeFormat::Rgb24 { frame_size: (width, height) } => {
                Cutter::Rgb24 { width, height, rgb: Vec::new(), filled: 0 }
            }
            PipeFormat::Mjpeg => Cutter::Mjpeg(MjpegSplitter::default()),
        };
        Ok(Pipe { child, cutter })
    }
}

impl PipeConfig {
    /// True if the program exists and may be executed.
    pub(super) fn is_there(&self) -> bool {
        let may_run = |path: PathBuf| path.is_file() && access(&path, Access::EXEC_OK).is_ok();
        if self.program.contains('/') {
            return may_run(self.folder.join(&self.program));
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| may_run(folder.join(&self.program)))
    }
}

/// A running program.
pub(super) struct Pipe {
    child: Child,
    cutter: Cutter,
}

/// Cuts bytes into frames.
enum Cutter {
    Rgb24 { width: u32, height: u32, rgb: Vec<u8>, filled: usize },
    Mjpeg(MjpegSplitter),
}

impl Connection for Pipe {
    fn receive(&mut self, wait: Duration) -> Result<Option<Received>, Fault> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(frame) = self.cutter.next_frame().map_err(Fault::Damaged)? {
                let captured = Instant::now();
                return Ok(Some(Received { frame, captured, source_us: None, missed: 0 }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // Also ends a stream of bytes that never forms a frame.
            if left.is_zero() {
                return Ok(None);
            }
            let child = &mut self.child;
            let output = self.cutter.fill(|space| child.read(space, left));
            match output.map_err(Fault::Lost)? {
                Output::Bytes(_) => {}
                Output::Nothing => return Ok(None),
                Output::End => return Err(Fault::Lost(self.child.exit_reason())),
            }
        }
    }
}

impl Cutter {
    /// Lets `read` write into the buffer of the current frame.
    fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<Output, String>,
    ) -> Result<Output, String> {
        match self {
            Self::Rgb24 { width, height, rgb, filled } => {
                // The configuration limits both sides.
                rgb.resize(3 * *width as usize * *height as usize, 0);
                let output = read(&mut rgb[*filled..])?;
                if let Output::Bytes(count) = output {
                    *filled += count;
                }
                Ok(output)
            }
            Self::Mjpeg(splitter) => {
                let mut part = [0; PART_BYTES];
                let output = read(&mut part)?;
                if let Output::Bytes(count) = output {
                    splitter.push(&part[..count]);
                }
                Ok(output)
            }
        }
    }

    /// The next frame, if it is complete.
    fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        match self {
            Self::Rgb24 { width, height, rgb, filled } => {
                if *filled == 0 || *filled < rgb.len() {
                    return Ok(None);
                }
                *filled = 0;
                let (width, height, rgb) = (*width, *height, std::mem::take(rgb));
                Ok(Some(Frame { width, height, rgb, pixel_spacing_mm: None }))
            }
            Self::Mjpeg(splitter) => match splitter.next_cut() {
                Some(Cut::Whole(jpeg)) => decode_jpeg(&jpeg).map(Some),
                Some(Cut::Damaged(reason)) => Err(reason),
                None => Ok(None),
            },
        }
    }
}
