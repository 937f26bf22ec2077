//! Live frames and masks: the WebSocket `/live`.

use std::net::TcpStream;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{MaskMessage, Message as _};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use super::{get, request, run, secret};
use crate::harness::{
    Edge, FRAME, LIMIT, Mosquitto, Observer, Place, external, free_port, wait_until,
};
use crate::service::{LOOP, is_left};

/// A client of `/live`.
struct Client(WebSocket<TcpStream>);

enum LiveMessage {
    Frame {
        id: u64,
        age_us: u32,
        size: (u16, u16),
        spacing_mm: [f32; 2],
        /// Number of regions with scales of their own.
        regions: usize,
        jpeg: Vec<u8>,
    },
    Mask(Box<MaskMessage>),
    Text(Value),
}

impl Client {
    fn connect(address: &str, origin: Option<&str>) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut request = format!("ws://{address}/live").into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next message, not answered yet.
    fn hear(&mut self) -> LiveMessage {
        match self.0.read().unwrap() {
            Message::Text(text) => LiveMessage::Text(serde_json::from_str(&text).unwrap()),
            Message::Binary(bytes) if bytes[0] == 2 => {
                LiveMessage::Mask(Box::new(MaskMessage::decode(&bytes[9..]).unwrap()))
            }
            Message::Binary(bytes) => {
                assert_eq!(bytes[0], 1);
                let short = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
                let float = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
                LiveMessage::Frame {
                    id: u64::from_le_bytes(bytes[1..9].try_into().unwrap()),
                    age_us: u32::from_le_bytes(bytes[17..21].try_into().unwrap()),
                    size: (short(21), short(23)),
                    spacing_mm: [float(25), float(29)],
                    regions: bytes[33].into(),
                    jpeg: bytes[34 + 16 * usize::from(bytes[33])..].to_vec(),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Answers all messages until `choose` accepts one, which stays unanswered.
    fn wait<T>(&mut self, mut choose: impl FnMut(LiveMessage) -> Option<T>) -> T {
        loop {
            if let Some(found) = choose(self.hear()) {
                return found;
            }
            self.say("");
        }
    }

    fn wait_for_frame(&mut self) -> u64 {
        self.wait(
            |message| if let LiveMessage::Frame { id, .. } = message { Some(id) } else { None },
        )
    }

    fn wait_for_mask(&mut self, mut choose: impl FnMut(&MaskMessage) -> bool) {
        self.wait(|message| match message {
            LiveMessage::Mask(mask) if choose(&mask) => Some(()),
            _ => None,
        });
    }

    fn wait_for_text(&mut self, mut choose: impl FnMut(&Value) -> bool) -> Value {
        self.wait(|message| match message {
            LiveMessage::Text(text) if choose(&text) => Some(text),
            _ => None,
        })
    }
}

#[test]
fn frames_state_their_pixel_spacing() {
    let place = Place::new(1);
    let broker = external(&format!("mqtt://127.0.0.1:{}", free_port()));
    let settings = format!("{broker}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true");
    let source = format!("{LOOP}\npixel_spacing_mm = [0.5, 0.25]");
    let edge = Edge::run(&place.config(&source, &settings));
    let line = edge.logged("metrics and health at http://");
    let mut client = Client::connect(line.rsplit('/').next().unwrap(), None).unwrap();
    client.say("");
    let spacing_mm = client.wait(|message| match message {
        LiveMessage::Frame { spacing_mm, regions, .. } => Some((spacing_mm, regions)),
        _ => None,
    });
    // Down the rows, along a row.
    assert_eq!(spacing_mm, ([0.5, 0.25], 0));
}

#[test]
fn frames_and_masks_are_sent_without_a_broker() {
    let place = Place::new(1);
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let (_edge, address) = run(&place, &url, "control = true", "");
    let own = format!("http://{address}");
    let mut client = Client::connect(&address, Some(&own)).unwrap();
    client.say("");
    let status = client.wait_for_text(|text| text["kind"] == "status");
    assert_eq!((&status["broker"], &status["activity"]), (&"away".into(), &"running".into()));
    assert_eq!((&status["build"], &status["records"]), (&"tiny 1.0.0".into(), &Value::Null));
    client.say("");
    let prompts = client.wait_for_text(|text| text["kind"] == "prompts");
    assert_eq!(prompts["objects"][0]["points"][0]["positive"], true);
    client.say("");
    client.wait_for_mask(|mask| mask.object == 0 && mask.mask.area_cells() > 0 && !is_left(mask));
    client.say("");
    let (age_us, size, spacing_mm, jpeg) = client.wait(|message| match message {
        LiveMessage::Frame { age_us, size, spacing_mm, jpeg, .. } => {
            Some((age_us, size, spacing_mm, jpeg))
        }
        _ => None,
    });
    assert!(age_us > 0);
    // Unknown.
    assert_eq!(spacing_mm, [0.0; 2]);
    assert_eq!((u32::from(size.0), u32::from(size.1)), FRAME);
    let image = image::load_from_memory(&jpeg).unwrap().into_rgb8();
    for (x, y) in [(5, 5), (120, 10), (64, 90)] {
        let found = image.get_pixel(x, y).0.map(i16::from);
        let expected = [x as i16, y as i16, 60];
        let off = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).max().unwrap();
        assert!(off < 12, "({x}, {y}): {found:?}, expected {expected:?}");
    }
    client.say("");
    // Prompts of other clients are shown too.
    let point = r#"{"object": 3, "change": {"Add": {"x": 20, "y": 20, "positive": true}}}"#;
    let json = "Content-Type: application/json\r\n";
    assert_eq!(request(&address, "POST", "/prompt", json, point.as_bytes()).0, 204);
    client.wait_for_text(|text| text["objects"][1]["object"] == 3);
    client.say("");
    client.wait_for_mask(|mask| mask.object == 3);
    client.say("");
    assert_eq!(request(&address, "POST", "/command", json, b"\"Freeze\"").0, 204);
    client.wait_for_text(|text| text["activity"] == "frozen");
    // A new client gets the frozen frame and its masks.
    let mut late = Client::connect(&address, None).unwrap();
    late.say("");
    late.wait_for_mask(|mask| mask.object == 3);
    late.say("");
    late.wait_for_frame();
}

#[test]
fn slow_client_gets_fewer_frames_but_not_older_ones() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut client = Client::connect(&address, None).unwrap();
    client.say("");
    let before = client.wait_for_frame();
    let frames = || -> u64 {
        let metrics = get(&address, "/metrics").1;
        let line = metrics.lines().find_map(|line| line.strip_prefix("medsa_frames_total "));
        line.unwrap().parse().unwrap()
    };
    let now = frames();
    wait_until("more frames", || frames() > now + 30);
    client.say("");
    let after = client.wait_for_frame();
    assert!(after >= before + 30, "{before} {after}");
}

#[test]
fn client_that_never_answers_gets_one_frame_and_is_disconnected() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    observer.wait_for_mask("a mask", |_| true);
    let mut client = Client::connect(&address, None).unwrap();
    client.say("");
    let mut frames = 0;
    while let Ok(message) = client.0.read() {
        frames += u32::from(matches!(&message, Message::Binary(bytes) if bytes[0] == 1));
    }
    assert_eq!(frames, 1);
    wait_until("its seat is free", || {
        (0..4).map(|_| Client::connect(&address, None)).all(|client| client.is_ok())
    });
}

#[test]
fn foreign_origins_and_wrong_tokens_get_no_frames() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    secret(&place, "http.token", "a-token-of-some-length");
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let settings = "control = true\ntoken_file = \"http.token\"";
    let (_edge, address) = run(&place, &broker.url(), settings, "");
    observer.wait_for_mask("a mask", |_| true);
    assert_eq!(Client::connect(&address, Some("http://evil.example")).err(), Some(403));
    for wrong in ["", "a-token-of-other-length"] {
        let mut client = Client::connect(&address, None).unwrap();
        client.say(wrong);
        match client.0.read().unwrap() {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 4401),
            other => panic!("{other:?}"),
        }
    }
    let mut client = Client::connect(&address, None).unwrap();
    client.say("a-token-of-some-length");
    client.wait_for_frame();
}

#[test]
fn number_of_viewers_is_limited() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut seated: Vec<_> = (0..4).map(|_| Client::connect(&address, None).unwrap()).collect();
    assert_eq!(Client::connect(&address, None).err(), Some(503));
    seated.pop();
    wait_until("a seat", || Client::connect(&address, None).is_ok());
}
