//! Decoding of the bytes of one frame to pixels.

mod jpeg;
mod mjpeg;
mod yuyv;

pub use jpeg::decode_jpeg;
pub use mjpeg::{Cut, MAX_JPEG_BYTES, MjpegSplitter};
pub use yuyv::{YuvEncoding, YuyvLayout, decode_yuyv};
