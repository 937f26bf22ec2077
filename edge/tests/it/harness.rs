//! Processes, brokers and observers. All waits are for events; a time-out means that something is
//! broken.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use medsa_edge::config::{Access, BrokerUrl, Protocol};
use medsa_edge::mqtt::{
    Client, Delivery, Link, LinkEvent, LinkOptions, Message, Properties, Retention,
};
use medsa_wire::topic::{Channel, Topic};
use medsa_wire::{Availability, MaskMessage, Message as _};
use tempfile::TempDir;

use crate::tiny;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const FRAME: (u32, u32) = (128, 96);

/// A mosquitto for one test, killed at the end. Tests that use it need `mosquitto`.
pub struct Mosquitto {
    pub port: u16,
    child: Child,
    folder: TempDir,
}

impl Mosquitto {
    pub fn start() -> Self {
        Self::start_at(free_port())
    }

    pub fn start_at(port: u16) -> Self {
        Self::configured(port, "allow_anonymous true")
    }

    /// Starts with additional lines of configuration.
    pub fn configured(port: u16, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mosquitto.conf");
        // As root, mosquitto would switch to a user that cannot read the files of a test.
        let text = format!("user root\nlistener {port} 127.0.0.1\npersistence false\n{lines}\n");
        std::fs::write(&config, text).unwrap();
        let program = medsa_test_inputs::program("mosquitto");
        let child = Command::new(program.expect("the test needs `mosquitto`"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Self { port, child, folder };
        wait_until("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        broker
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Stops it and starts another on the same port.
    pub fn restart(mut self) -> Self {
        self.kill();
        Self::start_at(self.port)
    }

    /// Stops it and waits for its end.
    pub fn end(mut self) {
        signal("TERM", self.child.id());
        self.child.wait().unwrap();
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        debug_assert!(self.folder.path().exists());
    }
}

/// A running `medsa-edge`, killed at the end.
pub struct Edge {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Edge {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut edge_command(arguments))
    }

    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::piped())
    }

    /// Starts with this standard output; only that of a pipe can be waited for.
    pub fn spawn_with(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary of this package runs");
        let stdout = child.stdout.take().map_or_else(|| mpsc::channel().1, lines);
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    pub fn run(config: &Path) -> Self {
        Self::start(&["run", "--config", config.to_str().unwrap()])
    }

    /// The first line of the log from here on that holds `text`.
    pub fn logged(&self, text: &str) -> String {
        self.logged_until(text).pop().unwrap()
    }

    /// All lines of the log from here on, up to the first that holds `text`.
    pub fn logged_until(&self, text: &str) -> Vec<String> {
        lines_until(&self.stderr, text)
    }

    /// The first line of the output from here on that holds `text`.
    pub fn printed(&self, text: &str) -> String {
        lines_until(&self.stdout, text).pop().unwrap()
    }

    /// All remaining lines of the output, once the process has ended.
    pub fn rest(&self) -> String {
        self.stdout.iter().map(|line| line + "\n").collect()
    }

    pub fn signal(&self, name: &str) {
        signal(name, self.id());
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, process: u32) {
    let mut kill = Command::new("kill");
    assert!(kill.args(["-s", name, &process.to_string()]).status().unwrap().success());
}

pub fn edge_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medsa-edge"));
    command.args(arguments).env_remove("MEDSA_LOG");
    command
}

/// Another client of the broker, subscribed to everything.
pub struct Observer {
    client: Client,
    messages: Receiver<Message>,
    runtime: tokio::runtime::Runtime,
}

impl Observer {
    /// Connected and subscribed when this returns.
    pub fn start(url: &str, protocol: Protocol) -> Self {
        Self::with_access(url, protocol, &Access::default())
    }

    pub fn with_access(url: &str, protocol: Protocol, access: &Access) -> Self {
        Self::subscribed(url, protocol, access, "medsa/#")
    }

    pub fn subscribed(
        url: &str,
        protocol: Protocol,
        access: &Access,
        filter: &'static str,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let broker: BrokerUrl = url.parse().unwrap();
        let (sender, messages) = mpsc::channel();
        let (ready, subscribed) = mpsc::channel();
        let credentials = access.load(&broker).unwrap();
        let port = broker.port;
        let mut link = {
            let _inside = runtime.enter();
            Link::start(LinkOptions {
                broker,
                credentials,
                protocol,
                client_id: format!("observer-{port}"),
                keep_alive: Duration::from_secs(30),
                connect_timeout: Duration::from_secs(5),
                max_back_off: Duration::from_secs(1),
                last_will: None,
            })
        };
        let client = link.client.clone();
        runtime.spawn(async move {
            while let Some(event) = link.next().await {
                match event {
                    LinkEvent::Up => link.client.subscribe(filter).unwrap(),
                    LinkEvent::Subscribed => drop(ready.send(())),
                    LinkEvent::Message(message) => drop(sender.send(message)),
                    _ => {}
                }
            }
        });
        subscribed.recv_timeout(LIMIT).expect("the observer subscribes");
        Self { client, messages, runtime }
    }

    /// The first message from here on that `choose` accepts.
    pub fn wait<T>(&self, what: &str, mut choose: impl FnMut(&Message) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    if let Some(found) = choose(&message) {
                        return found;
                    }
                }
                Err(_) => panic!("not seen within {LIMIT:?}: {what}"),
            }
        }
    }

    pub fn wait_for_mask(
        &self,
        what: &str,
        mut choose: impl FnMut(&MaskMessage) -> bool,
    ) -> MaskMessage {
        self.wait(what, |message| as_mask(message).filter(&mut choose))
    }

    pub fn wait_for_availability(&self, availability: Availability) -> Retention {
        self.wait(&format!("{availability:?}"), |message| {
            let topic = Topic::parse(&message.topic).ok()?;
            let found = (topic.channel == Channel::Availability)
                .then(|| Availability::decode(&message.payload).unwrap())?;
            (found == availability).then_some(message.retention)
        })
    }

    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>) {
        self.publish_with(topic, payload, Properties::default());
    }

    /// Publishes a message with properties of MQTT 5.
    pub fn publish_with(&self, topic: &str, payload: impl Into<Bytes>, properties: Properties) {
        let message = Message { properties, ..message(topic, payload.into(), Retention::Passing) };
        self.runtime.block_on(self.client.publish(message)).unwrap();
    }

    /// Publishes a message that the broker retains; it has done so when this returns.
    pub fn publish_retained(&self, topic: &str, payload: impl Into<Bytes>) {
        let message = message(topic, payload.into(), Retention::Retained);
        let receipt = self.client.deliver(message).unwrap();
        self.runtime.block_on(receipt.confirmed()).unwrap();
    }

    /// Publishes a message of the wire format.
    pub fn send<M: medsa_wire::Message>(&self, topic: &str, message: &M) {
        let mut buffer = vec![0; M::MAX_ENCODED_LEN];
        let payload = message.encode(&mut buffer).unwrap().to_vec();
        self.publish(topic, payload);
    }
}

fn message(topic: &str, payload: Bytes, retention: Retention) -> Message {
    let (delivery, properties) = (Delivery::AtLeastOnce, Properties::default());
    Message { topic: topic.to_owned(), payload, retention, delivery, properties }
}

pub fn as_mask(message: &Message) -> Option<MaskMessage> {
    let topic = Topic::parse(&message.topic).ok()?;
    matches!(topic.channel, Channel::Mask(_))
        .then(|| MaskMessage::decode(&message.payload).unwrap())
}

/// A folder with a build, a clip and a configuration.
pub struct Place {
    pub folder: TempDir,
    pub build: PathBuf,
    pub clip: PathBuf,
}

impl Place {
    pub fn new(frames: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let build = tiny::build(folder.path());
        let clip = folder.path().join("clip");
        std::fs::create_dir(&clip).unwrap();
        for index in 0..frames {
            let image = image::RgbImage::from_fn(FRAME.0, FRAME.1, |x, y| {
                image::Rgb([(x + index) as u8, y as u8, 60])
            });
            image.save(clip.join(format!("{index:03}.png"))).unwrap();
        }
        Self { folder, build, clip }
    }

    /// Writes a configuration: `source` and `broker` are lines of their sections.
    pub fn config(&self, source: &str, broker: &str) -> PathBuf {
        let text = format!(
            "[device]\nid = \"bench\"\n\
             [build]\npath = \"tiny.medsa\"\nthreads = 1\n\
             [source]\nkind = \"images\"\npath = \"clip\"\n{source}\n\
             [[prompt]]\nobject = 0\npoints = [\"64,48\"]\n\
             [broker]\n{broker}\n\
             [output]\nstats_interval_s = 1\n"
        );
        self.write("edge.toml", &text)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

pub fn external(url: &str) -> String {
    format!("kind = \"external\"\nurl = \"{url}\"")
}

/// A free port that no other test of this run was given. Without the memory, the system could
/// return one port twice before it is used.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Lines up to the first that holds `text`.
fn lines_until(lines: &Receiver<String>, text: &str) -> Vec<String> {
    let deadline = Instant::now() + LIMIT;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                seen.push(line);
                if seen.last().is_some_and(|line| line.contains(text)) {
                    return seen;
                }
            }
            Err(RecvTimeoutError::Timeout) => panic!("no {text:?} within {LIMIT:?}: {seen:#?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("no {text:?} to the end: {seen:#?}"),
        }
    }
}

/// Polls until `done`; for conditions without an event.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(2));
    }
}
