//! Appearance of the page on all supported screens, in light and dark mode.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::browser::Browser;
use super::page::{LIVE, fact};
use super::run;
use super::users::{USERS, unlock};
use crate::harness::{Mosquitto, Place};
use medsa_test_inputs::needs;

/// Width and height in CSS pixels, and the size of a pixel in mm: 7 inches with 800 x 480, 10.1
/// inches with 1024 x 600 and 1280 x 800, 15.6 inches with 1920 x 1080; a phone of 6.1 inches, and
/// upright kiosks of 10.1 and 21.5 inches.
pub(super) const SCREENS: [(u32, u32, f64); 8] = [
    (800, 480, 0.1906),
    (1024, 600, 0.2162),
    (1280, 800, 0.1700),
    (1920, 1080, 0.1799),
    (390, 844, 0.1666),
    (844, 390, 0.1666),
    (800, 1280, 0.1700),
    (1080, 1920, 0.2480),
];

const DIALOGS: [&str; 12] = [
    "#ask",
    "#captures",
    "#review",
    "#discarding",
    "#naming",
    "#signIn",
    "#examination",
    "#patient",
    "#cleaning",
    "#settings",
    "#build",
    "#sure",
];

/// Languages, English last, with the texts for a good mask and for the other build.
pub(super) const LANGUAGES: [[&str; 3]; 4] = [
    ["de", "gut", "ultrasound-clicks 1.2.0 verwenden"],
    ["es", "bueno", "Usar ultrasound-clicks 1.2.0"],
    ["fr", "bon", "Utiliser ultrasound-clicks 1.2.0"],
    ["en", "good", "Use ultrasound-clicks 1.2.0"],
];

/// Smallest touch target for gloved fingers.
pub(super) const TARGET_MM: f64 = 12.0;

/// Elements that are cut off, cover others, or reach over the edge of the screen.
pub(super) const CLIPPED: &str = "(() => {
  const wrong = [];
  const box = (e) => e.getBoundingClientRect();
  const name = (e) => `${e.id || e.className || e.tagName} ${e.textContent.trim().slice(0, 30)}`;
  const seen = (e) => e.checkVisibility() && box(e).width > 0;
  const all = [...document.querySelectorAll('main *, dialog[open] *')].filter(seen);
  for (const e of all) {
    const r = box(e);
    if (r.left < -1 || r.top < -1 || r.right > innerWidth + 1 || r.bottom > innerHeight + 1) wrong.push(`outside: ${name(e)}`);
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline') wrong.push(`wide: ${name(e)}`);
    if (e.matches('aside, footer, button, #facts') && e.scrollHeight > e.clientHeight + 1) wrong.push(`high: ${name(e)}`);
  }
  const parts = [...document.querySelectorAll('main button, #facts, #image, footer')].filter(seen)
    .filter((e) => e.id === 'image' || (!e.closest('#stage') && getComputedStyle(e).position !== 'absolute'));
  for (const [i, a] of parts.entries()) {
    for (const b of parts.slice(i + 1)) {
      const [p, q] = [box(a), box(b)];
      if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1) {
        wrong.push(`over each other: ${name(a)}, ${name(b)}`);
      }
    }
  }
  return wrong.join('; ');
})()";

/// Buttons and inputs that are too small for a screen, or not wholly on it.
fn wrong(within: &str, (width, height, mm_per_px): (u32, u32, f64)) -> String {
    let smallest = TARGET_MM / mm_per_px;
    format!(
        "[...document.querySelectorAll('{within} button, {within} input')].filter((e) => {{ \
           const r = e.getBoundingClientRect(); \
           return e.checkVisibility() && (r.width < {smallest} || r.height < {smallest} \
             || r.left < 0 || r.top < 0 || r.right > {width} || r.bottom > {height}); \
         }}).map((e) => `${{e.id}} ${{e.textContent}}`).join()"
    )
}

/// The page with all that a device can show: a whole description, and another build.
pub(super) fn open_full(browser: &mut Browser, address: &str, good: &str) {
    browser.open(&format!("http://{address}/"));
    browser.wait_until(LIVE);
    browser.wait_until(&fact(good));
}

#[test]
fn touch_targets_are_large_enough_and_nothing_is_clipped() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::start(1024, 600);
    for (width, height, mm_per_px) in SCREENS {
        browser.resize(width, height);
        open_full(&mut browser, &address, "good");
        let wrong = |within: &str| wrong(within, (width, height, mm_per_px));
        let share = browser.value(
            "(() => { const r = document.querySelector('#image').getBoundingClientRect(); \
             return r.width * r.height / innerWidth / innerHeight; })()",
        );
        let (share, least) = (share.as_f64().unwrap(), if width > height { 0.6 } else { 0.45 });
        println!("{width}x{height}: the image has {:.1} % of the screen", 100.0 * share);
        assert!(share >= least, "{width}x{height}: {share}");
        // Devices with another build and a repository; a deletion for another reason.
        browser.value(
            "document.querySelectorAll('#build [hidden], #noteLine').forEach((e) => { e.hidden = false; })",
        );
        browser.value(
            "document.querySelector('#discardQuestion').textContent = 'Delete the capture of Nov 29, 2026, 1:46:07 PM? It cannot be restored. Why?'",
        );
        for [language, good, other] in LANGUAGES {
            let screen = format!("{width}x{height}-{language}");
            choose(&mut browser, "language", language);
            browser.wait_until(&fact(good));
            for size in ["large", "normal"] {
                choose(&mut browser, "size", size);
                assert_eq!(browser.value(&wrong("main")), "", "{screen}");
                assert_eq!(browser.value(CLIPPED), "", "{screen}, {size}");
            }
            browser.screenshot(&format!("{screen}-dark"));
            browser.value(&format!("document.querySelector('#other').textContent = '{other}'"));
            for dialog in DIALOGS {
                browser.value(&format!("document.querySelector('{dialog}').showModal()"));
                assert_eq!(browser.value(&wrong(dialog)), "", "{dialog} at {screen}");
                assert_eq!(browser.value(CLIPPED), "", "{dialog} at {screen}");
                if dialog == "#settings" {
                    browser.screenshot(&format!("{screen}-settings"));
                }
                browser.value(&format!("document.querySelector('{dialog}').close()"));
            }
        }
        // All buttons over the image, and results of measurements.
        browser.tap("#freeze");
        browser.wait_until("!document.querySelector('#measure').hidden");
        browser.tap("#measure");
        browser.wait_until("!document.querySelector('#ellipse').hidden");
        browser.tap("#ellipse");
        browser.wait_until("!document.querySelector('#results').hidden");
        for [language, good, _] in LANGUAGES {
            let screen = format!("{width}x{height}-{language}");
            choose(&mut browser, "language", language);
            browser.wait_until(&fact(good));
            assert_eq!(browser.value(&wrong("main")), "", "measuring at {screen}");
            assert_eq!(browser.value(CLIPPED), "", "measuring at {screen}");
            browser.screenshot(&format!("{screen}-measuring"));
        }
        browser.tap("#freeze");
        browser.wait_until(LIVE);
    }
}

#[test]
fn lock_and_sign_in_fit_all_screens() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", USERS);
    let mut browser = Browser::start(1024, 600);
    open_full(&mut browser, &address, "good");
    // Locked first, then signed in.
    for (dialog, opener) in [("#signIn", "#unlock"), ("#settings", "#showSettings")] {
        for screen in SCREENS {
            let (width, height, _) = screen;
            browser.resize(width, height);
            for [language, good, _] in LANGUAGES {
                choose(&mut browser, "language", language);
                browser.wait_until(&fact(good));
                for size in ["large", "normal"] {
                    choose(&mut browser, "size", size);
                    let place = format!("{dialog} at {width}x{height}-{language}, {size}");
                    assert_eq!(browser.value(&wrong("main", screen)), "", "{place}");
                    assert_eq!(browser.value(CLIPPED), "", "{place}");
                    browser.value(&format!("document.querySelector('{opener}').click()"));
                    assert_eq!(browser.value(&wrong(dialog, screen)), "", "{place}");
                    assert_eq!(browser.value(CLIPPED), "", "{place}");
                    browser
                        .screenshot(&format!("{width}x{height}-{language}-users-{}", &dialog[1..]));
                    browser.value(&format!("document.querySelector('{dialog}').close()"));
                }
            }
        }
        if dialog == "#signIn" {
            unlock(&mut browser, "2580");
            browser.wait_until("!document.documentElement.hasAttribute('data-locked')");
        }
    }
}

/// Clicks on choices of the settings, as `name=value`.
pub(super) fn choose(browser: &mut Browser, name: &str, value: &str) {
    let choice = format!("[data-choice={name}] [value={value}]");
    browser.value(&format!("document.querySelector('{choice}').click()"));
}

#[test]
fn settings_stay_on_the_device() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::start(1024, 600);
    // The page is dark whatever the system prefers.
    browser.prefer("light");
    open_full(&mut browser, &address, "good");
    let theme = "getComputedStyle(document.querySelector('aside')).color";
    assert_eq!(browser.value("document.documentElement.dataset.theme"), "dark");
    let dark = browser.value(theme);
    let panel = "document.querySelector('aside').getBoundingClientRect()";
    assert!(browser.value(&format!("{panel}.left > 500")).as_bool().unwrap());
    browser.tap("#showSettings");
    for (name, value) in
        [("theme", "light"), ("hand", "left"), ("size", "large"), ("language", "de")]
    {
        browser.tap(&format!("[data-choice={name}] [value={value}]"));
        let pressed = format!(
            "document.querySelector('[data-choice={name}] [value={value}]').ariaPressed === 'true'"
        );
        browser.wait_until(&pressed);
    }
    browser.screenshot("settings");
    browser.tap("#settings .close");
    browser.wait_until(&fact("gut"));
    open_full(&mut browser, &address, "gut");
    assert_ne!(browser.value(theme), dark);
    assert!(browser.value(&format!("{panel}.left < 20")).as_bool().unwrap());
    assert_eq!(browser.value("document.documentElement.lang"), "de");
    browser.screenshot("left-handed");
    // Settings of another version of the page are ignored.
    browser.value("localStorage.setItem('settings', '{\"theme\": \"pink\", \"hand\": 3}')");
    open_full(&mut browser, &address, "good");
    assert_eq!(browser.value("document.documentElement.dataset.theme"), "dark");
    browser.value("localStorage.setItem('settings', 'no JSON')");
    open_full(&mut browser, &address, "good");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

/// Mean brightness of the part of the screen that an element covers, 0 to 255.
fn brightness(browser: &mut Browser, selector: &str) -> f64 {
    let clip = browser.value(&format!(
        "(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); \
         return {{ x: r.x, y: r.y, width: r.width, height: r.height, scale: 1 }}; }})()"
    ));
    let parameters = serde_json::json!({ "format": "png", "clip": clip });
    let taken = browser.call("Page.captureScreenshot", parameters);
    let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
    let grey = image::load_from_memory(&png).unwrap().into_luma8();
    grey.pixels().map(|pixel| f64::from(pixel.0[0])).sum::<f64>() / grey.len() as f64
}

#[test]
fn dim_panel_is_dark_enough_for_dark_rooms() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::start(1024, 600);
    for (width, height, _) in SCREENS {
        browser.resize(width, height);
        open_full(&mut browser, &address, "good");
        choose(&mut browser, "theme", "dim");
        // Several objects, the selected one with a mask.
        for object in 1..8 {
            browser
                .value(&format!("document.querySelectorAll('#objects button')[{object}].click()"));
        }
        browser.tap("#image");
        browser.wait_until(&fact("good"));
        browser.screenshot(&format!("{width}x{height}-dim"));
        for part in ["aside", "footer"] {
            let mean = brightness(&mut browser, part);
            println!("{width}x{height}, {part}: mean brightness {mean:.1}");
            assert!(mean <= 30.0, "{width}x{height}, {part}: {mean}");
        }
        browser.value("document.querySelector('#clear').click()");
        browser.wait_until(&fact("Tap the structure"));
    }
}

/// Lowest contrast of all texts with their background, as defined by WCAG, and the element. On the
/// image, the background may be black or white.
const LOWEST_CONTRAST: &str = "(() => {
  const facts = document.querySelector('#facts');
  for (const kind of ['good', 'fair', 'poor', 'lost']) {
    facts.insertAdjacentHTML('beforeend', `<p class=\"mark ${kind}\">${kind}</p>`);
  }
  document.querySelector('#stage').dataset.state = 'stale';
  document.querySelector('#refused').textContent = 'refused';
  const parse = (colour) => {
    // Mixed colours are given as shares.
    const unit = colour.startsWith('color(') ? 255 : 1;
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r * unit, g * unit, b * unit, a];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    if (element.id === 'stage') return [[0, 0, 0], [255, 255, 255]];
    const own = parse(getComputedStyle(element).backgroundColor);
    if (own[3] === 1) return [own];
    return behind(element.parentElement).map((under) => over(own, under));
  };
  let lowest = [99, ''];
  let count = 0;
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (!text.length) continue;
    count += 1;
    for (const under of behind(element)) {
      const [a, b] = [light(over(parse(getComputedStyle(element).color), under)), light(under)];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < lowest[0]) lowest = [contrast, element.id || element.className || element.textContent];
    }
  }
  return [...lowest, count];
})()";

#[test]
fn texts_have_enough_contrast_in_all_themes() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::start(1024, 600);
    for scheme in ["light", "dark", "dim"] {
        browser.open(&format!("http://{address}/"));
        browser.wait_until(LIVE);
        choose(&mut browser, "theme", scheme);
        // Without records, the button for captures is disabled.
        browser.wait_until("document.querySelector('#capture').disabled");
        // The button of the settings closes them, and opens this.
        browser.value("document.querySelector('#showBuild').click()");
        browser.wait_until("document.querySelector('#card').textContent !== ''");
        let found = browser.value(LOWEST_CONTRAST);
        let (lowest, count) = (found[0].as_f64().unwrap(), found[2].as_u64().unwrap());
        println!("{scheme}: lowest contrast of {count} texts {lowest:.1} ({})", found[1]);
        assert!(lowest >= 4.5, "{scheme}: {found}");
        assert!(count > 30, "{scheme}: {found}");
    }
}

#[test]
fn screen_is_locked_for_cleaning() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::start(800, 480);
    open_full(&mut browser, &address, "good");
    browser.tap("#showSettings");
    browser.tap("#clean");
    let locked = "document.querySelector('#cleaning').open";
    browser.wait_until(locked);
    browser.screenshot("cleaning");
    browser.press("Escape");
    browser.press("Escape");
    browser.press("f");
    let freeze = "document.querySelector('#freeze')";
    let touched = browser.value(&format!(
        "(() => {{ const r = {freeze}.getBoundingClientRect(); return [r.x + 9, r.y + 9]; }})()"
    ));
    let at = [touched[0].as_f64().unwrap(), touched[1].as_f64().unwrap()];
    browser.touch(&[at]);
    assert_eq!(browser.value(locked), true);
    assert_eq!(browser.value(&format!("{freeze}.ariaPressed")), "false");
    // Half a minute later.
    browser.value(
        "(() => { const now = performance.now.bind(performance); \
           performance.now = () => now() + 30000; })()",
    );
    browser.wait_until(&format!("!{locked}"));
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}
