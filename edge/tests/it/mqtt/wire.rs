//! A network link that stops carrying data without closing the connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::harness::LIMIT;

/// A link between clients and a broker.
pub struct Wire {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Bytes that a new connection carries: to the broker, and from it.
    limits: [usize; 2],
    /// Connections of earlier generations carry nothing any more.
    generation: u32,
    /// A connection has reached its limit.
    stalled: bool,
}

impl Wire {
    pub fn to(broker_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { limits: [usize::MAX; 2], generation: 0, stalled: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Without a broker, the client sees a closed connection.
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker_port)) else { continue };
                carry(&accepting, &client, &broker);
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Stops all present connections; new ones carry data.
    pub fn cut(&self) {
        self.shared.state.lock().unwrap().generation += 1;
    }

    /// Limits new connections to this many bytes to the broker and from it.
    pub fn limit(&self, to_broker: usize, from_broker: usize) {
        let mut state = self.shared.state.lock().unwrap();
        (state.limits, state.stalled) = ([to_broker, from_broker], false);
    }

    /// Waits until a connection has reached its limit.
    pub fn wait_until_stalled(&self) {
        let state = self.shared.state.lock().unwrap();
        let (_state, waited) =
            self.shared.changed.wait_timeout_while(state, LIMIT, |s| !s.stalled).unwrap();
        assert!(!waited.timed_out(), "no connection reached its limit within {LIMIT:?}");
    }
}

fn carry(shared: &Arc<Shared>, client: &TcpStream, broker: &TcpStream) {
    let state = shared.state.lock().unwrap();
    let (generation, [to_broker, from_broker]) = (state.generation, state.limits);
    for (from, to, limit) in [(client, broker, to_broker), (broker, client, from_broker)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let shared = shared.clone();
        thread::spawn(move || carry_one_way(&shared, generation, limit, from, to));
    }
}

fn carry_one_way(
    shared: &Shared,
    generation: u32,
    mut limit: usize,
    mut from: TcpStream,
    mut to: TcpStream,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let passing = length.min(limit);
        if shared.state.lock().unwrap().generation != generation {
            return hold(from, to);
        }
        if to.write_all(&buffer[..passing]).is_err() {
            return;
        }
        limit -= passing;
        if passing < length {
            shared.state.lock().unwrap().stalled = true;
            shared.changed.notify_all();
            return hold(from, to);
        }
    }
    // The other end is closed, so this one is closed too.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Keeps both connections open without reading, until the end of the test.
fn hold(from: TcpStream, to: TcpStream) {
    std::mem::forget((from, to));
}
