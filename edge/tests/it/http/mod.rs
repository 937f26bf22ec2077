//! The HTTP server and its page.

mod accessible;
pub mod browser;
mod builds;
mod capture;
mod choose;
mod clip;
mod control;
mod delay;
mod hands;
mod live;
mod look;
mod measure;
mod page;
mod patient;
mod recording;
pub mod records;
mod returned;
mod review;
mod screen;
mod session;
mod stick;
mod tls;
mod users;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::harness::{Edge, Place, external};
use crate::service::LOOP;

/// Status and body of a GET request.
pub fn get(address: &str, path: &str) -> (u16, String) {
    request(address, "GET", path, "", b"")
}

/// Status and body of a request; `headers` are whole lines, including `Host` where it matters.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String) {
    let (head, body) = exchange(address, method, path, headers, body);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// Head and body of a text response.
pub fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (String, String) {
    let stream = TcpStream::connect(address).unwrap();
    let (head, body) = exchange_over(stream, address, method, path, headers, body);
    (head, String::from_utf8(body).unwrap())
}

/// Like [`exchange`], over an open connection.
pub fn exchange_over(
    mut stream: impl Read + Write,
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (String, Vec<u8>) {
    let host = if headers.contains("Host: ") { "" } else { &format!("Host: {address}\r\n") };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer[end + 4..].to_vec())
}

/// Runs the service with these lines under `[http]`, and returns its address.
pub fn run(place: &Place, broker: &str, http: &str, more: &str) -> (Edge, String) {
    let settings =
        format!("{}\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n{more}", external(broker));
    let edge = Edge::run(&place.config(&format!("{LOOP}\nblank = []"), &settings));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap().to_owned();
    (edge, address)
}

/// Creates a file that only its owner can read.
pub fn secret(place: &Place, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = place.write(name, text);
    std::fs::set_permissions(Path::new(&path), std::fs::Permissions::from_mode(0o600)).unwrap();
}
