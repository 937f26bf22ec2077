//! A shift on a ward: taps and captures continue while broker and source are restarted, and no
//! capture is lost. The test is short; `PARTS=soak make bench` runs an hour with a real build and
//! keeps the printed results.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use medsa_edge::config::Protocol;
use medsa_edge::records::{RecordId, Records};
use medsa_test_inputs::needs;
use medsa_wire::{MaskMessage, Message as _, RecordMessage};
use rumqttc::{Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Edge, LIMIT, Mosquitto, Observer, Place, as_mask, external, free_port, signal, wait_until,
};
use crate::http::request;
use crate::service::BUDGET;
use crate::source::{recorded_clip, shell};

/// Environment variable with the duration in seconds.
const SECONDS: &str = "MEDSA_SOAK_S";

/// Environment variable with the build to run instead of a made-up network.
const BUILD: &str = "MEDSA_SOAK_BUILD";

/// Number of objects that are tapped in turns, besides object 0, which the configuration prompts.
const TAPPED: usize = 3;

#[test]
fn no_capture_is_lost_when_the_broker_restarts() {
    needs!("ffmpeg", "mosquitto");
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::configured(free_port(), &lasting(&folder));
    let settings = external(&broker.url());
    shift("mosquitto", &settings, broker.port, Some((broker, folder)));
}

#[test]
fn no_capture_is_lost_with_the_embedded_broker() {
    needs!("ffmpeg", "mosquitto");
    let port = free_port();
    let settings = format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{port}\"");
    shift("embedded", &settings, port, None);
}

/// Configuration of a mosquitto that keeps its clients' messages across restarts.
fn lasting(folder: &TempDir) -> String {
    format!(
        "allow_anonymous true\npersistence true\npersistence_location {}/",
        folder.path().display()
    )
}

fn shift(name: &str, broker: &str, port: u16, restarts: Option<(Mosquitto, TempDir)>) {
    let seconds = env::var(SECONDS).ok().map(|text| text.parse().expect("a number of seconds"));
    let place = Place::new(1);
    let edge = start(&place, broker);
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap().to_owned();
    let url = format!("mqtt://127.0.0.1:{port}");
    let archive = Archive::start(port);
    let mut ward = Ward {
        observer: Observer::start(&url, Protocol::V4),
        address,
        place,
        broker: restarts,
        frame_id: 0,
        ages_us: Vec::new(),
        captured: 0,
    };
    ward.observer.wait_for_mask("a first mask", |_| true);
    let begun = Instant::now();
    let (taps, gaps, at_start) = ward.work(seconds.map(Duration::from_secs), edge.id());
    wait_until("all captures are announced", || archive.ids().len() >= ward.captured);
    let memory = [at_start, memory_mb(edge.id())];
    let kept = ward.end(edge, &archive, &format!("{name}, {:.0} s", begun.elapsed().as_secs_f64()));
    report(&ward, kept, memory, taps, gaps);
}

/// Starts the service on a film of a camera.
fn start(place: &Place, broker: &str) -> Edge {
    let clip = recorded_clip(place.folder.path());
    if let Some(build) = env::var_os(BUILD) {
        fs::copy(&build, &place.build).unwrap();
    }
    let camera = format!(
        "echo $$ >camera; exec ffmpeg -v error -re -stream_loop -1 -i {} -f mjpeg -q:v 3 -",
        clip.display()
    );
    let text = format!(
        "[device]\nid = \"ward\"\n[build]\npath = \"tiny.medsa\"\n\
         [source]\n{}\nblank = []\n[[prompt]]\nobject = 0\npoints = [\"280,270\"]\n\
         [broker]\n{broker}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n\
         [records]\nfolder = \"kept\"\nmin_free_bytes = 0\n[outbox]\npath = \"outbox.redb\"\n",
        shell(&camera, "format = \"mjpeg\"")
    );
    Edge::run(&place.write("edge.toml", &text))
}

/// Prints the number of captures, the memory and the latencies.
fn report(ward: &Ward, kept: usize, [first, last]: [f64; 2], taps: Vec<f64>, gaps: Vec<f64>) {
    println!("captures: {} made, {kept} kept and announced", ward.captured);
    println!("memory: {first:.1} MB at the start, {last:.1} MB at the end\n");
    println!("| seen from outside | number | p50 ms | p95 ms | p99 ms | max ms |");
    println!("|---|---|---|---|---|---|");
    row("tap by HTTP to mask by MQTT", taps);
    row("capture to publish", ward.ages_us.iter().map(|&us| f64::from(us) / 1e3).collect());
    row("fault to the next mask", gaps);
    println!();
}

/// A fault around the device.
#[derive(Clone, Copy)]
enum Fault {
    /// A signal to the program that plays the camera.
    Source(&'static str),
    /// The broker is restarted; a capture is made in between.
    Broker,
}

/// The users and observers of the device.
struct Ward {
    observer: Observer,
    address: String,
    place: Place,
    /// The broker with the folder of its messages; `None` for the embedded one, which is not
    /// restarted.
    broker: Option<(Mosquitto, TempDir)>,
    /// Number of the newest frame that has a mask.
    frame_id: u64,
    /// Time from capture to publication of every mask of the network.
    ages_us: Vec<u32>,
    captured: usize,
}

impl Ward {
    /// Taps, captures and meets faults for a time, or for nine rounds. Returns the milliseconds of
    /// taps and of faults until the next mask, and the memory of the `process` at the start.
    fn work(&mut self, time: Option<Duration>, process: u32) -> (Vec<f64>, Vec<f64>, f64) {
        let begun = Instant::now();
        let faults = [Fault::Source("KILL"), Fault::Broker, Fault::Source("STOP")];
        let possible = |fault: &Fault| self.broker.is_some() || !matches!(fault, Fault::Broker);
        let faults: Vec<_> = faults.into_iter().filter(possible).collect();
        let mut faults = faults.into_iter().cycle();
        let (mut taps, mut gaps, mut memory) = (Vec::new(), Vec::new(), None);
        let (frames_a_round, rounds_a_fault) = if time.is_some() { (20, 60) } else { (2, 3) };
        for round in 0.. {
            if time.map_or(round == 9, |time| begun.elapsed() >= time) {
                break;
            }
            taps.push(self.tap(round));
            if round % 5 == 0 {
                self.capture();
            }
            if round % rounds_a_fault == rounds_a_fault - 1 {
                gaps.push(self.survive(faults.next().unwrap()));
            }
            self.clear(round + 1);
            self.frames(frames_a_round);
            if round == 0 || round == 60 {
                memory = Some(memory_mb(process));
            }
        }
        (taps, gaps, memory.unwrap())
    }

    /// Ends the service and prints its table under a heading. Returns the number of captures on the
    /// disk, which are those that were announced.
    fn end(&self, mut edge: Edge, archive: &Archive, heading: &str) -> usize {
        edge.signal("TERM");
        assert!(edge.wait().success());
        let records = Records::open(&self.place.folder.path().join("kept"), BUDGET).unwrap();
        let kept = records.list(usize::MAX).unwrap();
        let kept: BTreeSet<String> = kept.iter().map(RecordId::to_string).collect();
        assert_eq!(kept.len(), self.captured, "captures on the disk");
        assert_eq!(kept, archive.ids(), "captures announced");
        println!("## {heading}\n\n```\n{}```\n", edge.rest());
        kept.len()
    }

    fn post(&self, path: &str, body: &Value) -> u16 {
        let json = "Content-Type: application/json\r\n";
        request(&self.address, "POST", path, json, body.to_string().as_bytes()).0
    }

    /// Taps on an object; returns the milliseconds until its mask arrives.
    fn tap(&mut self, round: usize) -> f64 {
        let object = Self::object(round);
        // At another position in every round.
        let [x, y] = [180 + round * 37 % 200, 170 + round * 53 % 200];
        let point = json!({ "x": x, "y": y, "positive": true });
        let change = json!({ "Set": { "points": [point], "bbox": null } });
        let begun = Instant::now();
        assert_eq!(self.post("/prompt", &json!({ "object": object, "change": change })), 204);
        self.wait("the mask of a tap", |mask| usize::from(mask.object) == object);
        begun.elapsed().as_secs_f64() * 1e3
    }

    /// Clears the object tapped in this round.
    fn clear(&self, round: usize) {
        let body = json!({ "object": Self::object(round), "change": "Clear" });
        assert_eq!(self.post("/prompt", &body), 204);
    }

    fn object(round: usize) -> usize {
        1 + round % TAPPED
    }

    fn capture(&mut self) {
        assert_eq!(self.post("/command", &"Capture".into()), 202);
        self.captured += 1;
    }

    /// Waits for a number of frames.
    fn frames(&mut self, number: u64) {
        let until = self.frame_id + number;
        self.wait("frames go on", |mask| mask.frame_id >= until);
    }

    /// Milliseconds from a fault to the first mask of a later frame.
    fn survive(&mut self, fault: Fault) -> f64 {
        let begun = Instant::now();
        match fault {
            Fault::Source(name) => {
                let camera = fs::read_to_string(self.place.folder.path().join("camera")).unwrap();
                signal(name, camera.trim().parse().unwrap());
            }
            Fault::Broker => {
                let (running, folder) = self.broker.take().expect("only where there is one");
                let port = running.port;
                // The broker saves its state when it is stopped.
                running.end();
                self.capture();
                self.broker = Some((Mosquitto::configured(port, &lasting(&folder)), folder));
            }
        }
        self.frames(20);
        begun.elapsed().as_secs_f64() * 1e3
    }

    /// The first mask from here on that `choose` accepts, including lost objects.
    fn wait(&mut self, what: &str, mut choose: impl FnMut(&MaskMessage) -> bool) {
        let Self { observer, frame_id, ages_us, .. } = self;
        observer.wait(what, |message| {
            let mask = as_mask(message)?;
            *frame_id = mask.frame_id.max(*frame_id);
            if mask.segmented {
                ages_us.push(mask.age_us);
            }
            choose(&mask).then_some(())
        });
    }
}

/// A receiver of record announcements, which also gets those published in its absence.
struct Archive(Arc<Mutex<BTreeSet<String>>>);

impl Archive {
    /// Subscribed when this returns.
    fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("archive", "127.0.0.1", port);
        options.set_clean_session(false).set_keep_alive(Duration::from_secs(5));
        let (client, mut connection) = rumqttc::Client::new(options, 10);
        let ids = Arc::<Mutex<BTreeSet<String>>>::default();
        let (ready, subscribed) = mpsc::channel();
        let heard = ids.clone();
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        client.try_subscribe("medsa/+/record", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let record = RecordMessage::decode(&message.payload).unwrap();
                        heard.lock().unwrap().insert(record.id.to_string());
                    }
                    Ok(_) => {}
                    // The broker is restarting.
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        });
        subscribed.recv_timeout(LIMIT).expect("the archive subscribes");
        Self(ids)
    }

    fn ids(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Resident memory of a process.
fn memory_mb(process: u32) -> f64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}

fn row(what: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |quantile: f64| ms[(ms.len() as f64 * quantile).ceil().max(1.0) as usize - 1];
    let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(at);
    println!("| {what} | {} | {p50:.1} | {p95:.1} | {p99:.1} | {max:.1} |", ms.len());
}
