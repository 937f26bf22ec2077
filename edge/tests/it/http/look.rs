//! The page compared with committed screenshots of it, `tests/screens/`. After an intended change,
//! `MEDSA_UPDATE_SCREENS=1` writes them anew; look at them before you commit them.

use std::path::PathBuf;

use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

use super::browser::Browser;
use super::capture::FROZEN;
use super::run;
use super::screen::{SCREENS, open_full};
use crate::harness::{Mosquitto, Place};
use medsa_test_inputs::{needs, repository};

/// Side of the squares whose mean colours are compared, in pixels. Another version of the browser
/// draws letters a little differently, which hardly changes these means.
const SQUARE: u32 = 16;

/// Largest difference of a mean colour, of 255.
const TOLERANCE: u8 = 12;

/// Largest share of squares that differ.
const LIMIT: f64 = 0.004;

/// Hides what differs from run to run: times and rates.
const STILL: &str = "document.querySelectorAll('#age, #status, time, #signWords')\
    .forEach((e) => { e.style.visibility = 'hidden'; })";

/// Mean colours of the squares of a screenshot.
fn squares(image: &RgbImage) -> RgbImage {
    let [width, height] = [image.width(), image.height()].map(|side| side.div_ceil(SQUARE));
    image::imageops::resize(image, width, height, FilterType::Triangle)
}

/// Share of squares whose mean colours differ.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let (a, b) = (squares(a), squares(b));
    let differ = |(p, q): &(&image::Rgb<u8>, &image::Rgb<u8>)| {
        p.0.iter().zip(&q.0).any(|(p, q)| p.abs_diff(*q) > TOLERANCE)
    };
    let count = a.pixels().zip(b.pixels()).filter(differ).count();
    count as f64 / f64::from(a.width() * a.height())
}

fn reference(name: &str) -> PathBuf {
    repository().join("edge/tests/screens").join(format!("{name}.jpg"))
}

/// Adds a line to `wrong` if the screen differs from its reference.
fn compare(browser: &mut Browser, name: &str, wrong: &mut Vec<String>) {
    let shown = image::load_from_memory(&browser.picture()).unwrap().into_rgb8();
    let file = reference(name);
    if std::env::var_os("MEDSA_UPDATE_SCREENS").is_some() {
        return DynamicImage::from(shown).save(file).unwrap();
    }
    let expected = image::open(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let expected = expected.into_rgb8();
    if shown.dimensions() != expected.dimensions() {
        wrong.push(format!(
            "{name}: {:?} instead of {:?}",
            shown.dimensions(),
            expected.dimensions()
        ));
        return;
    }
    let share = difference(&shown, &expected);
    println!("{name}: {:.2} % of squares differ", 100.0 * share);
    if share > LIMIT {
        wrong.push(format!(
            "{name}: {:.1} % of squares differ from {}",
            100.0 * share,
            file.display()
        ));
    }
}

#[test]
fn screens_look_like_their_references() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::start(1024, 600);
    let mut wrong = Vec::new();
    for (width, height, _) in SCREENS {
        browser.resize(width, height);
        open_full(&mut browser, &address, "good");
        browser.tap("#freeze");
        browser.wait_until(FROZEN);
        browser.wait_until("!document.querySelector('#measure').hidden");
        browser.value(STILL);
        compare(&mut browser, &format!("{width}x{height}"), &mut wrong);
        browser.value("document.querySelector('#settings').showModal()");
        compare(&mut browser, &format!("{width}x{height}-settings"), &mut wrong);
        browser.value("document.querySelector('#settings').close()");
        browser.tap("#freeze");
        browser.wait_until(super::page::LIVE);
    }
    // The comparison sees a button that is missing.
    browser.resize(1024, 600);
    let whole = image::load_from_memory(&browser.picture()).unwrap().into_rgb8();
    browser.value("document.querySelector('#undo').style.visibility = 'hidden'");
    let without = image::load_from_memory(&browser.picture()).unwrap().into_rgb8();
    let share = difference(&whole, &without);
    assert!(share > LIMIT, "{share}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
