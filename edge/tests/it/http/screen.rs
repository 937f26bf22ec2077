//! Appearance of the page on all supported screens, in light and dark mode.

use super::browser::Browser;
use super::page::{LIVE, fact};
use super::run;
use crate::harness::{Mosquitto, Place};
use medsa_test_inputs::needs;

/// Width and height in CSS pixels, and the size of a pixel in mm: 10.1 inches with 1024 x 600 and
/// 1280 x 800, a phone of 6.1 inches.
const SCREENS: [(u32, u32, f64); 3] =
    [(1024, 600, 0.2162), (1280, 800, 0.1700), (390, 844, 0.1666)];

/// Languages, with the texts for a good mask and for the other build.
const LANGUAGES: [[&str; 3]; 2] = [
    ["de", "gut", "ultrasound-clicks 1.2.0 verwenden"],
    ["en", "good", "Use ultrasound-clicks 1.2.0"],
];

/// Smallest touch target for gloved fingers.
const TARGET_MM: f64 = 12.0;

#[test]
fn touch_targets_are_large_enough_and_visible() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::start(1024, 600);
    let everywhere = LANGUAGES.iter().flat_map(|spoken| SCREENS.map(|screen| (spoken, screen)));
    for ([language, good, other], (width, height, mm_per_px)) in everywhere {
        browser.speak(language);
        browser.resize(width, height);
        browser.open(&format!("http://{address}/"));
        browser.wait_until(LIVE);
        browser.wait_until(&fact(good));
        let screen = format!("{width}x{height}-{language}");
        let smallest = TARGET_MM / mm_per_px;
        let wrong = |within: &str| {
            format!(
                "[...document.querySelectorAll('{within} button, {within} input')].filter((e) => {{ \
                   const r = e.getBoundingClientRect(); \
                   return r.width < {smallest} || r.height < {smallest} || r.left < 0 || r.top < 0 \
                     || r.right > {width} || r.bottom > {height}; \
                 }}).map((e) => `${{e.id}} ${{e.textContent}}`).join()"
            )
        };
        assert_eq!(browser.value(&wrong("main")), "", "{screen}");
        // Devices with another build and a repository.
        browser.value(
            "document.querySelectorAll('#build [hidden]').forEach((e) => { e.hidden = false; })",
        );
        browser.value(&format!("document.querySelector('#other').textContent = '{other}'"));
        for dialog in ["#ask", "#captures", "#build", "#sure"] {
            browser.value(&format!("document.querySelector('{dialog}').showModal()"));
            assert_eq!(browser.value(&wrong(dialog)), "", "{dialog} at {screen}");
            browser.value(&format!("document.querySelector('{dialog}').close()"));
        }
        let picture = browser.value("document.querySelector('#picture').clientHeight");
        assert!(picture.as_f64().unwrap() >= 250.0, "{screen}: {picture}");
        let cut = browser.value(
            "[...document.querySelectorAll('button, footer')].filter((e) => \
               e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().bottom > innerHeight + 1 \
             ).map((e) => e.id + e.textContent).join()",
        );
        assert_eq!(cut, "", "{screen}");
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            browser.screenshot(&format!("{screen}-{scheme}"));
        }
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
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
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
fn texts_have_enough_contrast_in_light_and_dark() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::start(1024, 600);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.open(&format!("http://{address}/"));
        browser.wait_until(LIVE);
        // Without records, the button for captures is disabled.
        browser.wait_until("document.querySelector('#capture').disabled");
        browser.value("document.querySelector('#showBuild').click()");
        browser.wait_until("document.querySelector('#card').textContent !== ''");
        let found = browser.value(LOWEST_CONTRAST);
        let (lowest, count) = (found[0].as_f64().unwrap(), found[2].as_u64().unwrap());
        println!("{scheme}: lowest contrast of {count} texts {lowest:.1} ({})", found[1]);
        assert!(lowest >= 4.5, "{scheme}: {found}");
        assert!(count > 30, "{scheme}: {found}");
    }
}
