//! Measurements by hand on a frozen image.

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::hands::{Bench, FROZEN};
use super::page::{LIVE, fact, hold, notice, place_of};
use crate::harness::{Mosquitto, Place, wait_until};
use crate::scale::configured;

/// Millimetres down the rows and along a row.
const SCALE: &str = "pixel_spacing_mm = [0.5, 0.25]";

const NOTHING: &str = "document.querySelector('#results').hidden";

/// Position on the page of a part of the canvas, as where measurements are placed.
fn part(browser: &mut Browser, x: f64, y: f64) -> [f64; 2] {
    let at = browser.value(&format!(
        "(() => {{ const r = document.querySelector('#image').getBoundingClientRect(); \
         return [r.left + {x} * r.width, r.top + {y} * r.height]; }})()"
    ));
    [0, 1].map(|axis| at[axis].as_f64().unwrap())
}

/// Moves a finger from one position of the page to another.
fn slide(browser: &mut Browser, from: [f64; 2], to: [f64; 2]) {
    let between = [0, 1].map(|axis| (from[axis] + to[axis]) / 2.0);
    browser.touch(&[from, between, to]);
}

/// Numbers in the results, with the number of each measurement first.
fn numbers(browser: &mut Browser) -> Vec<f64> {
    let text = browser.value("document.querySelector('#results').textContent");
    let text = text.as_str().unwrap().to_owned();
    let parts = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// Waits until the results are these numbers, each with the largest difference.
fn wait_for(browser: &mut Browser, expected: &[(f64, f64)]) {
    wait_until(&format!("results {expected:?}"), || {
        let found = numbers(browser);
        let near = |(found, (value, off)): (&f64, &(f64, f64))| (found - value).abs() <= *off;
        found.len() == expected.len() && found.iter().zip(expected).all(near)
    });
}

/// Begins to measure with a measurement of a kind.
fn begin(bench: &mut Bench, kind: &str) {
    bench.browser.tap("#measure");
    bench.browser.wait_until(&format!("!document.querySelector('#{kind}').hidden"));
    bench.browser.tap(&format!("#{kind}"));
    bench.browser.wait_until(&format!("!({NOTHING})"));
}

/// An ellipse of 100 x 80 mm has a circumference of 283.6 mm.
#[test]
fn outlines_are_labelled_and_heads_have_a_circumference() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source("");
    bench.browser.value(
        "import(location.origin + '/page.js').then(({ facts }) => { window.made = facts; \
         window.head = { parts: 1, areaPx: 10, longestPx: 9, shortestPx: 8, \
         physical: { areaMm2: 6283, longestMm: 100, shortestMm: 80 } }; }), null",
    );
    bench.browser.wait_until("!!window.made");
    let mut value = |call: &str| bench.browser.value(&format!("made.{call}"));
    let words = "map(([, words]) => words)";
    let sizes = ["Area: 6283 mm²", "Diameters: 100 × 80 mm"];
    let around = "Circumference: 284 mm";
    assert_eq!(
        value(&format!("sizes(head, 'fetal head').{words}")),
        json!([sizes[0], sizes[1], around])
    );
    assert_eq!(value(&format!("sizes(head, 'forehead').{words}")), json!(sizes));
    assert_eq!(value(&format!("sizes(head).{words}")), json!(sizes));

    assert_eq!(value("caption({ measured: head }, 'nerve', 'size')"), "nerve  100 × 80 mm");
    assert_eq!(value("caption({ measured: head }, undefined, 'size')"), "100 × 80 mm");
    assert_eq!(value("caption({ measured: head }, 'nerve', 'name')"), "nerve");
    assert_eq!(value("caption({ measured: head }, 'nerve', 'none')"), "");
    // Pixels would say nothing.
    let unscaled = "{ measured: { ...head, physical: null } }";
    assert_eq!(value(&format!("caption({unscaled}, 'nerve', 'size')")), "nerve");
}

#[test]
fn geometry_gives_known_values() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source("");
    bench.browser.value(
        "import(location.origin + '/page.js').then((page) => { window.geometry = page.geometry; }), null",
    );
    bench.browser.wait_until("!!window.geometry");
    let mut value = |call: &str| bench.browser.value(&format!("geometry.{call}"));
    let mut near = |call: &str, expected: f64, off: f64| {
        let found = value(call).as_f64().unwrap();
        assert!((found - expected).abs() <= off, "{call}: {found}, expected {expected}");
    };
    let (o, x, y) = ("{x: 0, y: 0}", "{x: 3, y: 0}", "{x: 0, y: 4}");
    near(&format!("distance({x}, {y})"), 5.0, 1e-12);
    near(&format!("angle({x}, {o}, {y})"), 90.0, 1e-9);
    near(&format!("angle({o}, {x}, {y})"), 53.130_102_354, 1e-6);
    near(&format!("angle({x}, {o}, {{x: -1, y: 0}})"), 180.0, 1e-9);
    near(&format!("angle({x}, {o}, {{x: 1, y: -1}})"), 45.0, 1e-9);
    // A circle is exact; complete elliptic integrals give the others.
    near("circumference(2, 2)", 4.0 * std::f64::consts::PI, 1e-12);
    near("circumference(2, 1)", 9.688_448_220_547_9, 1e-8);
    near("circumference(3, 1)", 13.364_893_220_555_3, 1e-6);
    near("circumference(10, 1)", 40.639_741_801_009, 1e-3);
    near("circumference(0, 0)", 0.0, 0.0);
    near("area(3, 2)", 6.0 * std::f64::consts::PI, 1e-12);
    // An axis from (-4, 1) to (4, 1); the other is as high as the third point.
    let ends = "{x: -4, y: 1}, {x: 4, y: 1}, {x: 3, y: 4}";
    near(&format!("halfAxes({ends})[0]"), 4.0, 1e-12);
    near(&format!("halfAxes({ends})[1]"), 3.0, 1e-12);
    near(&format!("otherEnd({ends}).x"), 0.0, 1e-12);
    near(&format!("otherEnd({ends}).y"), 4.0, 1e-12);
    near("fromLine({x: 5, y: 3}, {x: -1, y: 0}, {x: 1, y: 0})", 5.0, 1e-12);
    bench.end();
}

#[test]
fn distance_is_measured_moved_and_removed() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source(SCALE);
    begin(&mut bench, "distance");
    let (left, right) =
        (part(&mut bench.browser, 0.38, 0.35), part(&mut bench.browser, 0.62, 0.35));
    let (a, b) = (bench.at(20.0, 40.0), bench.at(84.0, 64.0));
    slide(&mut bench.browser, left, a);
    // The finger comes down beside the end.
    slide(&mut bench.browser, [right[0] + 6.0, right[1] - 5.0], [b[0] + 6.0, b[1] - 5.0]);
    bench.browser.screenshot("distance");
    // 64 px of 0.25 mm and 24 px of 0.5 mm.
    wait_for(&mut bench.browser, &[(1.0, 0.0), (20.0, 0.2)]);
    // The line moves all of it.
    let (middle, below) = (bench.at(52.0, 52.0), bench.at(60.0, 70.0));
    slide(&mut bench.browser, middle, below);
    wait_for(&mut bench.browser, &[(1.0, 0.0), (20.0, 0.2)]);
    let end = bench.at(92.0, 82.0);
    hold(&mut bench.browser, end);
    bench
        .browser
        .wait_until("document.querySelector('#remove').textContent === 'Remove measurement'");
    bench.browser.tap("#remove");
    bench.browser.wait_until(NOTHING);
    bench.browser.tap("#undo");
    bench.browser.wait_until(&format!("!({NOTHING})"));
    bench.browser.tap("#redo");
    bench.browser.wait_until(NOTHING);
    // Fingers that measure set no prompts.
    bench.tap(100.0, 80.0);
    bench.browser.wait_until(&notice("Drag the ends"));
    bench.drag((20.0, 20.0), (100.0, 80.0));
    assert_eq!(bench.browser.value("sent.length"), 0);
    bench.browser.tap("#measure");
    bench.tap(100.0, 80.0);
    bench.wait("1 point");
    bench.end();
}

#[test]
fn ellipse_and_angle_are_measured_in_mm() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source(SCALE);
    begin(&mut bench, "ellipse");
    let places = [[0.38, 0.35], [0.62, 0.35], [0.5, 0.23]];
    let [left, right, above] = places.map(|[x, y]| part(&mut bench.browser, x, y));
    let (a, b, top) = (bench.at(30.0, 60.0), bench.at(90.0, 60.0), bench.at(60.0, 45.0));
    slide(&mut bench.browser, left, a);
    slide(&mut bench.browser, right, b);
    // The other axis keeps its length, and moves with this one.
    let high = above[1] - left[1];
    slide(&mut bench.browser, [top[0], a[1] + high], top);
    bench.browser.screenshot("ellipse");
    // In mm, it is a circle with a radius of 7.5 mm.
    wait_for(&mut bench.browser, &[(1.0, 0.0), (47.1, 0.6), (176.7, 4.0)]);
    bench.browser.tap("#clear");
    bench.browser.wait_until(NOTHING);
    bench.browser.tap("#angle");
    bench.browser.wait_until(&format!("!({NOTHING})"));
    let (vertex, along, up) = (bench.at(40.0, 60.0), bench.at(80.0, 60.0), bench.at(60.0, 40.0));
    slide(&mut bench.browser, left, vertex);
    slide(&mut bench.browser, right, along);
    slide(&mut bench.browser, above, up);
    // 5 mm along a row and 10 mm up.
    wait_for(&mut bench.browser, &[(1.0, 0.0), (63.4, 1.0)]);
    bench.end();
}

#[test]
fn distance_has_the_scale_of_its_region() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let http = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true";
    let edge = configured(&place, &broker, "", &["100,120"], http);
    let line = edge.logged("touchscreen page at ");
    let mut browser = Browser::live(1024, 600, line.rsplit(' ').next().unwrap());
    browser.wait_until(&fact(" mm²"));
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    browser.tap("#measure");
    browser.wait_until("!document.querySelector('#distance').hidden");
    browser.tap("#distance");
    browser.wait_until(&format!("!({NOTHING})"));
    let at = |browser: &mut Browser, x, y| place_of(browser, (320, 240), x, y);
    let (left, right) = (part(&mut browser, 0.38, 0.35), part(&mut browser, 0.62, 0.35));
    let (a, b) = (at(&mut browser, 50.0, 80.0), at(&mut browser, 150.0, 80.0));
    slide(&mut browser, left, a);
    slide(&mut browser, right, b);
    wait_for(&mut browser, &[(1.0, 0.0), (20.0, 0.2)]);
    // It reaches over both regions.
    let both = at(&mut browser, 300.0, 80.0);
    slide(&mut browser, b, both);
    wait_for(&mut browser, &[(1.0, 0.0), (250.0, 1.5)]);
    browser.wait_until("document.querySelector('#results').textContent.endsWith(' px')");
    let inside = at(&mut browser, 240.0, 80.0);
    slide(&mut browser, a, inside);
    wait_for(&mut browser, &[(1.0, 0.0), (30.0, 0.6)]);
    browser.wait_until("document.querySelector('#results').textContent.endsWith(' mm')");
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
}

#[test]
fn measurement_has_a_scale_within_one_region_only() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source("");
    bench.browser.value(
        "import(location.origin + '/page.js').then((page) => { window.scaleOf = page.scaleOf; }), null",
    );
    bench.browser.wait_until("!!window.scaleOf");
    // An image with a fine inset, and a curve over time on the right.
    bench.browser.value(
        "window.inset = { pixelMm: null, regions: [ \
           { x0: 10, y0: 10, x1: 30, y1: 20, pixelMm: { x: 0.1, y: 0.1 } }, \
           { x0: 70, y0: 0, x1: 100, y1: 60, pixelMm: null }, \
           { x0: 0, y0: 0, x1: 70, y1: 60, pixelMm: { x: 0.5, y: 0.5 } } ] }, null",
    );
    let mut scale = |line: &str, ellipse: &str| {
        let points = |text: &str| {
            let points = text.split(' ').map(|point| {
                let (x, y) = point.split_once(',').unwrap();
                format!("{{x: {x}, y: {y}}}")
            });
            format!("[{}]", points.collect::<Vec<_>>().join(", "))
        };
        let ellipse = if ellipse.is_empty() { "null".into() } else { points(ellipse) };
        bench.browser.value(&format!("scaleOf(inset, {}, {ellipse})?.x ?? null", points(line)))
    };
    assert_eq!(scale("12,12 28,18", ""), 0.1);
    assert_eq!(scale("9.4,12 9.4,40", ""), 0.5);
    assert_eq!(scale("40,5 60,50", ""), 0.5);
    // Into the inset, across it, into the curve, and within it.
    assert_eq!(scale("12,12 31,12", ""), Value::Null);
    assert_eq!(scale("5,15 50,15", ""), Value::Null);
    assert_eq!(scale("60,30 70,30", ""), Value::Null);
    assert_eq!(scale("80,30 90,30", ""), Value::Null);
    // An ellipse around the inset, and one beside it.
    let around = "2,2 60,2 60,50 2,50 2,2";
    assert_eq!(scale(around, "2,15 60,15 31,45"), Value::Null);
    assert_eq!(scale("35,30 60,30 60,50 35,50 35,30", "35,40 60,40 47,50"), 0.5);
    bench.end();
}

#[test]
fn measurements_belong_to_the_frozen_image() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source("");
    begin(&mut bench, "distance");
    bench.browser.wait_until("document.querySelector('#results').textContent.endsWith(' px')");
    // They stay when measuring ends.
    bench.browser.tap("#measure");
    bench.browser.wait_until("document.querySelector('#distance').hidden");
    assert_eq!(bench.browser.value(NOTHING), false);
    bench.browser.tap("#freeze");
    bench.browser.wait_until(LIVE);
    bench.browser.wait_until(NOTHING);
    bench.browser.wait_until("document.querySelector('#measure').hidden");
    bench.browser.tap("#freeze");
    bench.browser.wait_until(FROZEN);
    assert_eq!(bench.browser.value(NOTHING), true);
    // Without the device, they are hidden with the masks.
    begin(&mut bench, "angle");
    assert_eq!(bench.browser.complaints(), Vec::<&Value>::new());
    bench.edge = None;
    bench.browser.wait_until(&notice("No connection"));
    bench.browser.wait_until(NOTHING);
}

#[test]
fn keys_move_the_ends_of_a_measurement() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::with_source("");
    bench.browser.press("m");
    bench.browser.wait_until("!document.querySelector('#distance').hidden");
    bench.browser.tap("#distance");
    bench.browser.wait_until(&format!("!({NOTHING})"));
    let before = numbers(&mut bench.browser)[1];
    bench.browser.value("document.querySelector('#image').focus()");
    // The cursor starts in the centre and moves by 1.28 px.
    for _ in 0..12 {
        bench.browser.press("ArrowLeft");
        bench.browser.press("ArrowUp");
    }
    bench.browser.press("Enter");
    for _ in 0..10 {
        bench.browser.press("ArrowLeft");
    }
    bench.browser.press("Enter");
    for _ in 0..5 {
        bench.browser.press("ArrowLeft");
    }
    wait_for(&mut bench.browser, &[(1.0, 0.0), (before + 12.8, 1.1)]);
    // The cursor has left the end, which stays.
    bench.browser.value("window.drawn = false, requestAnimationFrame(() => { drawn = true; })");
    bench.browser.wait_until("drawn");
    wait_for(&mut bench.browser, &[(1.0, 0.0), (before + 12.8, 1.1)]);
    bench.end();
}
