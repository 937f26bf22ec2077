//! A capture stores what was on the screen: the frame and the masks that the page showed.

use std::path::PathBuf;

use image::{GrayImage, RgbImage};
use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::Message as _;
use medsa_wire::{Command, RecordMessage};
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::{fact, fill, notice};
use super::{get, request};
use crate::harness::{Edge, FRAME, Mosquitto, Observer, Place, external, wait_until};

const KEPT: &str = "[records]\nfolder = \"kept\"";

const JSON: &str = "Content-Type: application/json\r\n";

pub const FROZEN: &str = "document.querySelector('#stage').dataset.state === 'frozen'";

/// Number of frames of the clip; the blue values of neighbours differ by 16.
const FRAMES: u32 = 14;

/// Keeps the pixels of the canvas at the moment of each capture, sampled at the centres of the
/// frame's pixels.
fn watch(browser: &mut Browser) {
    let (width, height) = FRAME;
    browser.value(&format!(
        "(() => {{
          const fetched = window.fetch;
          window.shots = [];
          const look = (body) => {{
            const c = document.querySelector('#image');
            const {{ data }} = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            const s = Math.min(c.width / {width}, c.height / {height});
            const [left, top] = [(c.width - s * {width}) / 2, (c.height - s * {height}) / 2];
            const pixels = [];
            for (let y = 0; y < {height}; y++) {{
              for (let x = 0; x < {width}; x++) {{
                const at = Math.floor(top + s * (y + 0.5)) * c.width + Math.floor(left + s * (x + 0.5));
                pixels.push(data[4 * at], data[4 * at + 1], data[4 * at + 2]);
              }}
            }}
            shots.push({{ body: JSON.parse(body), pixels }});
          }};
          window.fetch = (path, request) => {{
            if (path === 'capture') look(request.body);
            return fetched(path, request);
          }};
        }})()"
    ));
}

/// A place with a clip of a texture that moves in a circle.
pub fn place() -> Place {
    let place = Place::new(FRAMES);
    for index in 0..FRAMES {
        let angle = std::f32::consts::TAU * index as f32 / FRAMES as f32;
        let (dx, dy) = (6.0 * angle.cos(), 4.0 * angle.sin());
        let blue = 16 * index.min(FRAMES - index) as u8;
        let image = RgbImage::from_fn(FRAME.0, FRAME.1, |x, y| {
            let (x, y) = (x as f32 - dx, y as f32 - dy);
            let texture = (x * 0.31).sin() + (y * 0.27).cos() + (0.11 * (x + 2.0 * y)).sin();
            let grey = (100.0 + 25.0 * texture) as u8;
            image::Rgb([grey, grey, blue])
        });
        image.save(place.clip.join(format!("{index:03}.png"))).unwrap();
    }
    place
}

/// Runs the service with the clip at 20 frames per second and two objects.
pub fn start(place: &Place, source: &str, broker: &str, more: &str) -> (Edge, String) {
    let settings = format!(
        "{broker}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n{KEPT}\n{more}\n\
         [[prompt]]\nobject = 3\npoints = [\"108,76\"]"
    );
    let config = place.config(&format!("{source}\nrate_fps = 20\nblank = []"), &settings);
    let edge = Edge::run(&config);
    let line = edge.logged("metrics and health at http://");
    (edge, line.rsplit('/').next().unwrap().to_owned())
}

/// Shows masks as opaque areas, without large markers on them.
pub fn open(address: &str) -> Browser {
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.wait_until("!document.querySelector('#facts').textContent.includes('no mask yet')");
    fill(&mut browser);
    browser.value(
        "document.querySelector('#opacity').value = 100; \
         document.querySelectorAll('#objects button')[7].click()",
    );
    browser.wait_until(&fact("Tap the structure"));
    watch(&mut browser);
    browser
}

fn records(address: &str) -> Vec<Value> {
    let listed: Value = serde_json::from_str(&get(address, "/records").1).unwrap();
    listed["records"].as_array().unwrap().clone()
}

/// Waits for the record number `count` and returns its folder and description.
pub fn newest(place: &Place, address: &str, count: usize) -> (PathBuf, Value) {
    wait_until("the record", || records(address).len() >= count);
    // Not the first of the list: it is sorted by the time of capture of the frame. Names begin with
    // the number of the capture.
    let records = records(address);
    let id = records.iter().map(|record| record["id"].as_str().unwrap()).max().unwrap().to_owned();
    let folder = place.folder.path().join("kept").join(id);
    let record = std::fs::read(folder.join("record.json")).unwrap();
    (folder, serde_json::from_slice(&record).unwrap())
}

/// Checks that the record holds the frame and the masks of the screenshot number `shot`; returns the
/// number of masks.
fn check(
    browser: &mut Browser,
    shot: usize,
    (folder, record): (PathBuf, Value),
    situation: &str,
) -> usize {
    let shown = browser.value(&format!("shots[{shot}]"));
    assert_eq!(shown["body"]["frame_id"], record["frame"]["id"], "{situation}");
    let pixels: Vec<i32> =
        shown["pixels"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap() as i32).collect();
    let stored = image::open(folder.join("frame.png")).unwrap().into_rgb8();
    let masks: Vec<([i32; 3], GrayImage)> = [(0, [255, 212, 0]), (3, [94, 224, 94])]
        .into_iter()
        .filter(|(number, _)| folder.join(format!("mask-{number}.png")).exists())
        .map(|(number, colour)| {
            let path = folder.join(format!("mask-{number}.png"));
            (colour, image::open(path).unwrap().into_luma8())
        })
        .collect();
    let shown_masks = shown["body"]["masks"].as_array().unwrap();
    assert_eq!(masks.len(), shown_masks.len(), "{situation}: {record}");
    if masks.len() == 2 {
        // Buttons of objects with a prompt have a symbol behind their number.
        let numbers = browser.value(
            "[...document.querySelectorAll('#objects button')].map((e) => e.textContent.split(' ')) \
               .filter((words) => words.length > 1).map(([number]) => Number(number))",
        );
        let stored_numbers: Vec<_> =
            record["objects"].as_array().unwrap().iter().map(|object| &object["object"]).collect();
        assert_eq!(json!(numbers), json!(stored_numbers), "{situation}");
    }
    let near =
        |pixel: &[i32], colour: [i32; 3]| pixel.iter().zip(colour).all(|(a, b)| (a - b).abs() < 24);
    let (mut outside, mut off, mut wrong) = (0, 0, 0);
    for (x, y, pixel) in stored.enumerate_pixels() {
        let at = 3 * (y * FRAME.0 + x) as usize;
        let seen = &pixels[at..at + 3];
        // Along edges, the canvas mixes colours. A cell of the mask is two pixels wide.
        let around = || {
            (x.saturating_sub(2)..=(x + 2).min(FRAME.0 - 1)).flat_map(move |x| {
                (y.saturating_sub(2)..=(y + 2).min(FRAME.1 - 1)).map(move |y| (x, y))
            })
        };
        let inside = |mask: &GrayImage, x, y| mask.get_pixel(x, y).0[0] == 255;
        let covered = masks.iter().any(|(_, mask)| inside(mask, x, y));
        let edge = masks.iter().any(|(_, mask)| {
            around().any(|(other_x, other_y)| inside(mask, other_x, other_y) != inside(mask, x, y))
        });
        // Where masks overlap, one of them is in front.
        let fits =
            |(colour, mask): &([i32; 3], GrayImage)| inside(mask, x, y) && near(seen, *colour);
        let coloured = masks.iter().any(|(colour, _)| near(seen, *colour));
        let right = if covered { masks.iter().any(fits) } else { !coloured };
        wrong += u32::from(!edge && !right);
        if !covered {
            outside += 1;
            off += seen.iter().zip(pixel.0).map(|(a, b)| (a - i32::from(b)).abs()).sum::<i32>();
        }
    }
    // The next frame differs by 16 in blue alone, which would be 5 on average.
    let off = f64::from(off) / f64::from(3 * outside);
    assert!(off < 4.0, "{situation}: the stored frame differs by {off:.1} from the shown one");
    let wrong = f64::from(wrong) / f64::from(FRAME.0 * FRAME.1);
    println!("{situation}: frame differs by {off:.2}, masks by {:.2} % of pixels", 100.0 * wrong);
    assert!(wrong < 0.01, "{situation}: {wrong:.3} of the pixels are not masked as shown");
    masks.len()
}

#[test]
fn capture_stores_the_frame_and_masks_on_the_screen() {
    needs!("browser", "mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let (_edge, address) = start(&place, "loop = true", &external(&broker.url()), "");
    let mut browser = open(&address);
    let mut shots = 0;
    let mut capture = |browser: &mut Browser, press: &str, situation: &str| {
        browser.value(press);
        browser.wait_until(&format!("shots.length === {}", shots + 1));
        let record = newest(&place, &address, shots + 1);
        let masks = check(browser, shots, record, situation);
        shots += 1;
        masks
    };
    // Pressed again where the page refuses, because a busy machine made the image old for a moment.
    const PRESS: &str = "{ const before = shots.length; (function press() { \
        document.querySelector('#capture').click(); \
        if (shots.length === before) requestAnimationFrame(press); })(); }";
    for _ in 0..4 {
        assert_eq!(capture(&mut browser, PRESS, "live"), 2);
    }
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    assert_eq!(capture(&mut browser, PRESS, "frozen"), 2);
    // The oldest frame of the cine buffer, and the one after it.
    let frozen = newest(&place, &address, 5).1;
    let shown =
        |browser: &mut Browser| browser.value("document.querySelector('#stage').dataset.frame");
    for press in [
        "(() => { const bar = document.querySelector('#cine input'); bar.value = 0; \
           bar.dispatchEvent(new Event('input')); })()",
        "document.querySelector('#cine [name=forward]').click()",
    ] {
        let before = shown(&mut browser);
        browser.value(press);
        browser.wait_until(&format!("document.querySelector('#stage').dataset.frame !== {before}"));
        browser.wait_until("document.querySelector('#cine output').textContent.startsWith('−')");
        capture(&mut browser, PRESS, "scrolled back");
        let record = newest(&place, &address, 6).1;
        assert!(record["frame"]["id"].as_u64() > frozen["frame"]["id"].as_u64());
        assert!(record["captured_us"].as_u64() < frozen["captured_us"].as_u64());
    }
    // At the moment when the page learns that the image goes on. It may still show the old frame, and
    // the masks of the next one, which do not go with it, may already be there.
    let resume = format!(
        "document.querySelector('#freeze').click(); (function look() {{ \
           if (document.querySelector('#stage').dataset.state === 'frozen') requestAnimationFrame(look); \
           else {PRESS}; }})()"
    );
    capture(&mut browser, &resume, "after unfreezing");
    // The page has less than a third of the time for itself.
    browser.value(
        "setInterval(() => { const end = performance.now() + 140; while (performance.now() < end); }, 200)",
    );
    // An object may be uncertain or lost for a moment then.
    let masks: usize = (0..4).map(|_| capture(&mut browser, PRESS, "under load")).sum();
    assert!(masks > 0);
    browser.wait_until(&notice("Saved."));
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn capture_of_a_source_that_is_gone_is_refused() {
    needs!("browser", "mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let source = "at_end = \"stay\"";
    let (edge, address) = start(&place, source, &external(&broker.url()), "");
    let mut browser = Browser::start(1024, 600);
    browser.open(&format!("http://{address}/"));
    edge.logged("the service keeps running");
    browser.wait_until("document.querySelector('#stage').dataset.state === 'stale'");
    browser.tap("#capture");
    browser.wait_until(&notice("NOT saved"));
    // Clients that do not look at the age of the frame are refused by the service.
    let refused = || {
        let (status, body) = request(&address, "POST", "/capture", JSON, b"{}");
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    browser.wait_until("parseFloat(document.querySelector('#age').textContent) > 2");
    assert_eq!(refused(), (422, "frame-old".to_owned()));
    observer.send("medsa/bench/command", &Command::Capture);
    edge.logged("medsa/bench/command refused: the newest frame is");
    assert!(records(&address).is_empty());
    assert!(!browser.value(&notice("Saved.")).as_bool().unwrap());
}

#[test]
fn frame_is_kept_for_a_while_and_then_refused() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let (edge, address) = start(&place, "loop = true", &external(&broker.url()), "");
    let mask = observer.wait_for_mask("a mask of a whole turn", |mask| mask.frame_id > 20);
    let body = |frame_id: u64| json!({ "frame_id": frame_id, "masks": [] }).to_string();
    let post = |body: &str| request(&address, "POST", "/capture", JSON, body.as_bytes());
    let earlier = mask.frame_id - 4;
    assert_eq!(post(&body(earlier)).0, 202);
    let (_, record) = newest(&place, &address, 1);
    assert_eq!(record["frame"]["id"], earlier);
    assert_eq!(record["objects"], json!([]));
    observer.wait_for_mask("four seconds later", |mask| mask.frame_id > earlier + 80);
    for (wrong, status, code) in [
        (body(earlier), 422, "frame-gone"),
        (body(1 << 40), 422, "frame-gone"),
        ("{\"frame_id\": -1}".to_owned(), 400, "not-a-message"),
        ("{\"frame\": 1}".to_owned(), 400, "not-a-message"),
    ] {
        let (found, answer) = post(&wrong);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }
    edge.logged("is no longer kept; capture within 3 s");
}

/// Without a frame, a request over MQTT means what a page would show.
#[test]
fn mqtt_capture_stores_the_newest_shown_frame() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let outbox = "[outbox]\npath = \"outbox.redb\"";
    let (_edge, address) = start(&place, "loop = true", &external(&broker.url()), outbox);
    let shown = observer.wait_for_mask("a followed mask", |mask| {
        mask.object == 3 && mask.frame_id > 20 && !mask.segmented
    });
    observer.send("medsa/bench/command", &Command::Capture);
    let stored = observer.wait("the record", |message| {
        let decode = || RecordMessage::decode(&message.payload).unwrap();
        message.topic.ends_with("/record").then(decode)
    });
    // The request takes less than half a second. On the frame of the mask, that of the other object may
    // be missing.
    assert!((shown.frame_id - 1..shown.frame_id + 10).contains(&stored.frame_id), "{stored:?}");
    let (_, record) = newest(&place, &address, 1);
    for object in record["objects"].as_array().unwrap() {
        assert_eq!(object["frame_id"], record["frame"]["id"], "{record}");
    }
    let numbers: Vec<_> = stored.objects.iter().map(|object| object.object).collect();
    assert_eq!(numbers, [0, 3]);
}
