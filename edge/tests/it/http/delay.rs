//! Time from a tap to its display in the browser: the marker is drawn in the next frame, the mask
//! once the decoder has run. With a real build and a real clip, it measures the delay:
//!
//! ```text
//! MEDSA_DELAY_BUILD=$PWD/demo-out/build.medsa cargo test --release --workspace \
//!     --features medsa-trainer/mpi --test it -- --nocapture http::delay
//! ```

use std::env;
use std::fs;

use medsa_test_inputs::{asset, needs};

use super::browser::Browser;
use super::page::{LIVE, fact, fill, place_of};
use crate::harness::{Edge, FRAME, Place, wait_until};

/// Build to run on an echocardiography cine instead of a made-up network.
const BUILD: &str = "MEDSA_DELAY_BUILD";

const TAPS: usize = 40;

/// Counts frames, and notes when a tap ends, its marker is drawn and its mask is drawn.
const CLOCK: &str = "(() => {
  const clock = window.clock = { frames: 0, images: 0, requests: 0, tap: null, marker: null, mask: null };
  const count = () => { clock.frames += 1; requestAnimationFrame(count); };
  requestAnimationFrame(count);
  addEventListener('pointerup', ({ target, timeStamp }) => {
    if (target.id !== 'image') return;
    Object.assign(clock, { tap: { at: timeStamp, frames: clock.frames }, marker: null, mask: null });
  }, true);
  const wrap = (object, name, before) => {
    const wrapped = object[name];
    object[name] = function (...given) { before.apply(this, given); return wrapped.apply(this, given); };
  };
  wrap(Path2D.prototype, 'arc', () => {
    if (clock.tap) clock.marker ??= [performance.now() - clock.tap.at, clock.frames - clock.tap.frames];
  });
  // Only areas of masks are transparent.
  for (const name of ['fill', 'drawImage']) {
    wrap(CanvasRenderingContext2D.prototype, name, function () {
      if (clock.tap && this.globalAlpha < 1) clock.mask ??= performance.now() - clock.tap.at;
    });
  }
  wrap(window, 'createImageBitmap', () => { clock.images += 1; });
  const fetched = window.fetch;
  window.fetch = async (...given) => {
    clock.requests += 1;
    try { return await fetched(...given); } finally { clock.requests -= 1; }
  };
})()";

#[test]
fn tap_is_marked_in_the_next_frame_and_gets_a_mask() {
    needs!("browser");
    let place = Place::new(2);
    let clip = "kind = \"images\"\npath = \"clip\"\nrate_fps = 30";
    let (size, [x, y], source) = match env::var_os(BUILD) {
        None => (FRAME, [40.0, 40.0], clip.to_owned()),
        Some(build) => {
            fs::copy(&build, &place.build).unwrap();
            let cine = asset("examples_ybr_color.dcm");
            // Inside the left ventricle.
            ((320, 240), [182.0, 115.0], format!("kind = \"dicom\"\npath = {cine:?}"))
        }
    };
    let text = format!(
        "[device]\nid = \"bench\"\n[build]\npath = \"tiny.medsa\"\n[source]\n{source}\n\
         loop = true\nblank = []\n[broker]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n[records]\nfolder = \"kept\"\n"
    );
    let edge = Edge::run(&place.write("edge.toml", &text));
    let line = edge.logged("touchscreen page at ");
    let mut browser = Browser::start(1280, 800);
    browser.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({ "source": CLOCK }));
    browser.open(line.rsplit(' ').next().unwrap());
    browser.wait_until(LIVE);
    fill(&mut browser);
    let (mut markers, mut masks) = (Vec::new(), Vec::new());
    for tap in 0..TAPS {
        let off = (tap % 5) as f64 - 2.0;
        let at = place_of(&mut browser, size, x + off, y + off);
        browser.touch(&[at]);
        browser.wait_until("clock.mask !== null");
        let times = browser.value("[...clock.marker, clock.mask]");
        let [marker_ms, frames, mask_ms] = [0, 1, 2].map(|i| times[i].as_f64().unwrap());
        assert!(frames <= 1.0, "the marker was drawn {frames} frames after the tap");
        markers.push(marker_ms);
        masks.push(mask_ms);
        browser.tap("#clear");
        browser.wait_until(&format!("{} && clock.requests === 0", fact("Tap the structure")));
        // Pending messages have arrived.
        let images = browser.value("clock.tap = null, clock.images").as_u64().unwrap();
        wait_until("two images", || browser.value("clock.images").as_u64() >= Some(images + 2));
    }
    for (what, mut times_ms) in [("tap to marker", markers), ("tap to mask", masks)] {
        times_ms.sort_by(f64::total_cmp);
        let [p50, p95] = [50, 95].map(|part| times_ms[(times_ms.len() - 1) * part / 100]);
        println!("{what} drawn: p50 {p50:.1} ms, p95 {p95:.1} ms of {TAPS}");
    }
    let at = place_of(&mut browser, size, x, y);
    browser.touch(&[at]);
    browser.wait_until("clock.mask !== null");
    browser.screenshot("tapped-fill");
    browser.value("document.querySelector('[data-choice=look] [value=line]').click()");
    browser.wait_until("document.documentElement.dataset.look === 'line'");
    browser.screenshot("tapped");
    edge.signal("USR1");
    for row in ["stage ", "decoder ", "postprocess ", "prompt to mask "] {
        println!("{}", edge.printed(row));
    }
}
