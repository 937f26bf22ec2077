//! An OpenIGTLink server that sends invalid messages.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use crc::{CRC_64_ECMA_182, Crc};

use super::Played;

#[test]
fn damaged_images_affect_no_others() {
    let mut wrong_crc = image(1, 7);
    wrong_crc[57] ^= 1;
    let mut wrong_sample = image(1, 7);
    *wrong_sample.last_mut().unwrap() ^= 1;
    // Announces more pixels than the message holds, with a valid CRC.
    let mut content = content(7);
    for width in [6, 66] {
        content[width] = 0x0f;
    }
    let lying = message(1, "IMAGE", &content);
    let parts =
        [image(1, 5), wrong_crc, wrong_sample, lying, message(1, "IMAGE", &[]), image(2, 6)];
    let (mut source, server) = serve(&[&parts.concat()], End::Open, "");
    assert_eq!(source.frame().frame.rgb, [5; 12]);
    for expected in [
        "CRC of the body is",
        "CRC of the body is",
        "4 bytes of samples, expected 3844",
        "IMAGE has 0 bytes",
    ] {
        let reason = source.damage();
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(source.frame().frame.rgb, [6; 12]);
    drop(source);
    server.join().unwrap();
}

#[test]
fn invalid_header_closes_the_connection() {
    let mut huge = message(1, "TEXT", b"x");
    huge[42..50].copy_from_slice(&u64::MAX.to_be_bytes());
    let mut huge_image = huge.clone();
    huge_image[2..14].copy_from_slice(b"IMAGE\0\0\0\0\0\0\0");
    let mut nameless = message(1, "", b"x");
    nameless[3] = b'E';
    for (bytes, expected) in [
        (huge, "TEXT message has 18446744073709551615 bytes, expected at most 51380224"),
        (huge_image, "IMAGE message has 18446744073709551615 bytes, expected at most 51380224"),
        (message(3, "IMAGE", b"x"), "OpenIGTLink header has version 3, expected 1 or 2"),
        (nameless, "OpenIGTLink header has no readable message type"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(3), "OpenIGTLink header has version 18516"),
    ] {
        let (mut source, server) = serve(&[&bytes], End::Open, "");
        let (reason, _) = source.lost();
        assert!(reason.contains(expected), "{reason}");
        drop(source);
        server.join().unwrap();
    }
}

#[test]
fn invalid_extended_headers_damage_one_image() {
    for (at, value) in [(1, 0xff), (1, 11), (3, 0xff), (4, 0xff), (7, 0xff)] {
        let mut body = extended(&content(7));
        body[at] = value;
        let bytes = [message(2, "IMAGE", &body), image(2, 8)].concat();
        let (mut source, server) = serve(&[&bytes], End::Open, "");
        let reason = source.damage();
        // A longer extended header fits, but leaves too little for the image.
        let expected = ["extended header does not fit", "IMAGE"];
        assert!(expected.iter().any(|text| reason.contains(text)), "{reason}");
        assert_eq!(source.frame().frame.rgb, [8; 12]);
        drop(source);
        server.join().unwrap();
    }
}

#[test]
fn silence_and_partial_messages_lose_the_source() {
    let whole = image(1, 5);
    for (bytes, end, expected) in [
        (&whole[..30], End::Closed, "the server closed the connection"),
        (&whole[..100], End::Closed, "the server closed the connection"),
        (&whole[..100], End::Open, "no frame for 0.30 s"),
        (&[], End::Open, "no frame for 0.30 s"),
    ] {
        let (mut source, server) = serve(&[bytes], end, "start_s = 0.3");
        let (reason, _) = source.lost();
        assert!(reason.contains(expected), "{reason}");
        drop(source);
        server.join().unwrap();
    }
}

#[test]
fn messages_are_received_in_any_pieces() {
    let stream = [message(1, "STATUS", &[9; 70_000]), image(1, 5), image(2, 6)].concat();
    let pieces: Vec<_> = stream.chunks(997).collect();
    let (mut source, server) = serve(&pieces, End::Open, "");
    assert_eq!(source.frame().frame.rgb, [5; 12]);
    assert_eq!(source.frame().frame.rgb, [6; 12]);
    drop(source);
    server.join().unwrap();
}

/// Behaviour of a server after the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It waits until the client disconnects.
    Open,
    Closed,
}

/// A server that sends pieces to one client, and the client.
fn serve(pieces: &[&[u8]], end: End, lines: &str) -> (Played, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        for piece in pieces {
            // The client disconnects when it has seen enough.
            if client.write_all(&piece).is_err() {
                return;
            }
        }
        match end {
            End::Open => wait_until_gone(&mut client),
            End::Closed => drop(client.shutdown(Shutdown::Both)),
        }
    });
    let lines = format!("kind = \"openigtlink\"\nserver = \"127.0.0.1:{port}\"\n{lines}");
    (Played::open(&std::env::temp_dir(), &lines), server)
}

fn wait_until_gone(client: &mut TcpStream) {
    let _ = std::io::copy(client, &mut std::io::sink());
}

/// 4 x 1 pixels of one grey value.
fn image(version: u16, grey: u8) -> Vec<u8> {
    let content = content(grey);
    message(version, "IMAGE", &if version == 1 { content } else { extended(&content) })
}

fn content(grey: u8) -> Vec<u8> {
    let mut content = vec![0, 1, 1, 3, 2, 1, 0, 4, 0, 1, 0, 1];
    content.extend([0; 48]);
    content.extend([0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 1]);
    content.extend([grey; 4]);
    content
}

/// Body of version 2: an extended header, the content, an empty metadata index.
fn extended(content: &[u8]) -> Vec<u8> {
    [&[0, 12, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1], content, &[0, 0]].concat()
}

fn message(version: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend(kind.bytes().chain(std::iter::repeat(0)).take(12));
    bytes.extend(b"Liar".iter().copied().chain(std::iter::repeat(0)).take(20));
    bytes.extend([0; 8]);
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(Crc::<u64>::new(&CRC_64_ECMA_182).checksum(body).to_be_bytes());
    bytes.extend(body);
    bytes
}
