//! Messages to systemd, and the end of a stuck service.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::harness::{Edge, LIMIT, Place, edge_command};
use crate::service::LOOP;
use crate::tiny;

const EMBEDDED: &str = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"";

#[test]
fn systemd_gets_ready_watchdog_and_stopping() {
    let place = Place::new(2);
    let config = place.config(LOOP, EMBEDDED);
    let path = place.path("notify");
    let name = format!("medsa-edge-test-{}", std::process::id());
    for (address, socket) in [
        (path.clone(), UnixDatagram::bind(&path).unwrap()),
        (format!("@{name}"), {
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            UnixDatagram::bind_addr(&address).unwrap()
        }),
    ] {
        let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
        command.env("NOTIFY_SOCKET", address).env("WATCHDOG_USEC", "400000");
        let mut edge = Edge::spawn(&mut command);
        hear(&socket, "READY=1");
        hear(&socket, "STATUS=the source delivers frames");
        (0..3).for_each(|_| hear(&socket, "WATCHDOG=1"));
        edge.signal("TERM");
        hear(&socket, "STOPPING=1");
        assert!(edge.wait().success());
    }
}

#[test]
fn no_signs_of_life_without_watchdog_sec() {
    let place = Place::new(2);
    let config = place.config("loop = false", EMBEDDED);
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
    let mut edge = Edge::spawn(command.env("NOTIFY_SOCKET", path).env_remove("WATCHDOG_USEC"));
    assert!(edge.wait().success());
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1000];
    let mut heard = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    assert_eq!(heard.first().unwrap(), "READY=1");
    assert!(heard.contains(&"STOPPING=1".to_owned()), "{heard:?}");
    assert!(!heard.contains(&"WATCHDOG=1".to_owned()), "{heard:?}");
}

#[test]
fn signs_of_life_continue_after_a_panic() {
    let place = Place::new(2);
    let config = place.config(LOOP, EMBEDDED);
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "400000");
    let edge = Edge::spawn(command.env("MEDSA_INJECT_PANIC", "watchdog"));
    edge.logged("the task watchdog panicked: injected by MEDSA_INJECT_PANIC");
    (0..3).for_each(|_| hear(&socket, "WATCHDOG=1"));
}

#[test]
fn stuck_stage_ends_the_process_with_code_70() {
    let place = Place::new(2);
    tiny::build_of(place.folder.path(), tiny::slow_encoder(), tiny::decoder(), "0.1.0");
    let config = place.config(LOOP, &format!("{EMBEDDED}\n[watchdog]\nstuck_s = 1"));
    let path = place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
    let mut edge = Edge::spawn(command.env("NOTIFY_SOCKET", path));
    let line = edge.logged("is stuck");
    assert!(line.contains("encoding is stuck for 1."), "{line}");
    hear(&socket, "READY=1");
    assert_eq!(edge.wait().code(), Some(70));
}

/// Waits for one of several messages.
fn hear(socket: &UnixDatagram, expected: &str) {
    let deadline = Instant::now() + LIMIT;
    let mut buffer = [0; 1000];
    let mut heard = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).unwrap();
        let length = socket.recv(&mut buffer);
        let length = length.unwrap_or_else(|error| panic!("no {expected}: {heard:?}: {error}"));
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text == expected {
            return;
        }
        heard.push(text);
    }
}
