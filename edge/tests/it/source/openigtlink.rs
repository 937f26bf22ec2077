//! Images of a real OpenIGTLink server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use medsa_edge::source::Received;
use medsa_frames::PixelSpacing;
use medsa_test_inputs::{needs, python};

use super::Played;
use crate::harness::free_port;

const SIZE: (u32, u32) = (32, 24);

#[test]
fn images_have_spacing_and_time_and_continue_after_a_reconnect() {
    needs!("venv");
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "kind = \"openigtlink\"\nserver = \"127.0.0.1:{port}\"\ndevice_name = \"Probe\"\n\
         window = [0, 510]"
    );
    let mut source = Played::open(folder.path(), &lines);
    let (reason, _) = source.lost();
    let name = format!("OpenIGTLink server 127.0.0.1:{port}: ");
    assert!(reason.starts_with(&name) && reason.contains("refused"), "{reason}");
    let server = Server::start(port);
    // The server may still be starting.
    let mut images = vec![source.wait("an image", |event| match event {
        medsa_edge::source::Event::Frame(received) => Some(received),
        _ => None,
    })];
    images.extend((0..5).map(|_| source.frame()));
    for (n, image) in images.iter().enumerate() {
        check(n, image);
    }
    drop(server);
    let (reason, _) = source.lost();
    assert!(reason.starts_with(&name), "{reason}");
    let _server = Server::start(port);
    let again = source.wait("an image", |event| match event {
        medsa_edge::source::Event::Frame(received) => Some(received),
        _ => None,
    });
    check(0, &again);
}

/// Compares image `n` with what the server's script sends.
fn check(n: usize, image: &Received) {
    let frame = &image.frame;
    assert_eq!((frame.width, frame.height), SIZE);
    let spacing = frame.pixel_spacing_mm.as_ref();
    let [row_mm, column_mm] = spacing.and_then(PixelSpacing::uniform).unwrap();
    assert!((row_mm - 0.3).abs() < 1e-6 && (column_mm - 0.2).abs() < 1e-6);
    let expected_us = 1_700_000_000_250_000 + 1_000_000 * n as u64;
    assert!(image.source_us.unwrap().abs_diff(expected_us) <= 1, "{:?}", image.source_us);
    for (index, pixel) in frame.rgb.chunks(3).enumerate() {
        let (row, column) = (index / SIZE.0 as usize, index % SIZE.0 as usize);
        let place = (n + column + 2 * row) as u8;
        let expected = match n % 3 {
            0 => [place; 3],
            1 => [place, place + 1, place + 2],
            // Half of the value, because of the window.
            _ => [place.div_ceil(2); 3],
        };
        assert_eq!(pixel, expected, "image {n}, row {row}, column {column}");
    }
}

/// The server's script, killed at the end.
struct Server(Child);

impl Server {
    /// Returns when the server listens.
    fn start(port: u16) -> Self {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let script = Path::new(&package).join("tests/python/openigtlink_server.py");
        let mut child = Command::new(python())
            .arg(script)
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "listening");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
