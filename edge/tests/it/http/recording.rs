//! A session on the page, recorded as a video for the documentation (`tools/record-session.sh`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use medsa_frames::Clip;
use serde_json::json;

use super::browser::Browser;
use super::hands::FROZEN;
use super::page::{LIVE, fact, notice, place_of};
use crate::harness::Edge;

/// Folder with `build.medsa`, `cine.dcm`, and in the end `session.webm`.
const FOLDER: &str = "MEDSA_SESSION";

/// Frames of the source per second.
const RATE: usize = 20;

/// Shows fingers and captions, which a video of the page alone would lack.
const STAGE: &str = "(() => {
  const add = (css) => { const e = document.body.appendChild(document.createElement('div'));
    e.style.cssText = 'position: fixed; z-index: 9; pointer-events: none; ' + css; return e; };
  window.caption = (text) => { const open = [...document.querySelectorAll('dialog[open]')].pop();
    (open ?? document.body).append(line); line.textContent = text; };
  const line = add('left: 50%; top: 8px; transform: translateX(-50%); padding: 4px 14px; \
    border-radius: 6px; background: #000c; color: #fff; font: 20px sans-serif; white-space: nowrap');
  const finger = (event) => { const dot = add('width: 44px; height: 44px; border-radius: 50%; \
    background: #fff8; border: 2px solid #fff'); (event.target.closest('dialog') ?? document.body).append(dot);
    dot.style.left = event.clientX - 24 + 'px'; dot.style.top = event.clientY - 24 + 'px';
    setTimeout(() => dot.remove(), 700); };
  addEventListener('pointerdown', finger, true);
})()";

/// Screenshots with their times.
struct Film {
    browser: Browser,
    folder: PathBuf,
    shots: Vec<Instant>,
}

impl Film {
    fn shoot(&mut self) {
        let format = json!({ "format": "jpeg", "quality": 90 });
        let taken = self.browser.call("Page.captureScreenshot", format);
        let file = self.folder.join(format!("{}.jpg", self.shots.len()));
        std::fs::write(file, STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()).unwrap();
        self.shots.push(Instant::now());
    }

    fn caption(&mut self, text: &str) {
        println!("{text}");
        self.browser.value(&format!("caption({text:?})"));
    }

    fn run(&mut self, seconds: f64) {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end {
            self.shoot();
        }
    }

    /// Records until an expression of the page is true, and a little longer.
    fn run_until(&mut self, expression: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.browser.value(expression) != true {
            assert!(Instant::now() < end, "not within a minute: {expression}");
            self.shoot();
        }
        self.run(1.5);
    }

    fn tap(&mut self, selector: &str) {
        self.browser.tap(selector);
        self.run(1.0);
    }

    /// Writes a video, in which each screenshot lasts until the next.
    fn develop(self, file: &Path) {
        let mut list = String::from("ffconcat version 1.0\n");
        for (number, pair) in self.shots.windows(2).enumerate() {
            let lasts = (pair[1] - pair[0]).as_secs_f64();
            writeln!(list, "file {number}.jpg\nduration {lasts:.4}").unwrap();
        }
        let seconds = (self.shots[self.shots.len() - 1] - self.shots[0]).as_secs_f64();
        println!("{} screenshots in {seconds:.0} s", self.shots.len());
        std::fs::write(self.folder.join("list.txt"), list).unwrap();
        let done = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-f", "concat", "-i"])
            .arg(self.folder.join("list.txt"))
            .args([
                "-vf",
                "fps=10",
                "-c:v",
                "libvpx-vp9",
                "-b:v",
                "0",
                "-crf",
                "42",
                "-row-mt",
                "1",
            ])
            .arg(file)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// A folder of images: the cine forth and back, a lifted probe for four seconds, and the cine again.
fn scene(folder: &Path) -> (u32, u32) {
    let clip = Clip::open(folder.join("cine.dcm")).unwrap();
    let read = |index| {
        let frame = clip.frame(index).unwrap();
        image::RgbImage::from_raw(frame.width, frame.height, frame.rgb).unwrap()
    };
    let frames: Vec<_> = (0..clip.len()).map(read).collect();
    let size = frames[0].dimensions();
    let images = folder.join("scene");
    let _ = std::fs::remove_dir_all(&images);
    std::fs::create_dir(&images).unwrap();
    // A probe in air shows echoes near its surface alone.
    let mut lifted = frames[0].clone();
    for (_, y, pixel) in lifted.enumerate_pixels_mut() {
        if y > size.1 / 6 {
            pixel.0 = [0; 3];
        }
    }
    let period = 2 * (clip.len() - 1);
    for number in 0..120 * RATE {
        let step = number % period;
        let at = if step < clip.len() { step } else { period - step };
        let away = (40 * RATE..44 * RATE).contains(&number);
        let image = if away { &lifted } else { &frames[at] };
        image.save(images.join(format!("{number:04}.png"))).unwrap();
    }
    size
}

#[test]
#[ignore = "records a video; run by tools/record-session.sh"]
fn session() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("set by tools/record-session.sh"));
    let size = scene(&folder);
    let shots = folder.join("shots");
    std::fs::create_dir_all(&shots).unwrap();
    let config = folder.join("edge.toml");
    let text = format!(
        "[device]\nid = \"session\"\n[build]\npath = \"build.medsa\"\n\
         [source]\nkind = \"images\"\npath = \"scene\"\nrate_fps = {RATE}\nat_end = \"stay\"\nblank = []\n\
         [http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n\
         [broker]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n\
         [records]\nfolder = \"records\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let edge = Edge::run(&config);
    let line = edge.logged("touchscreen page at ");
    let mut browser = Browser::start(1024, 600);
    browser.open(line.rsplit(' ').next().unwrap());
    browser.wait_until(LIVE);
    browser.value(STAGE);
    let mut film = Film { browser, folder: shots, shots: Vec::new() };

    film.caption("A live image: echocardiography, four chambers");
    film.run(4.0);
    film.caption("Tap the left ventricle");
    let at = place_of(&mut film.browser, size, 182.0, 115.0);
    film.browser.touch(&[at]);
    film.run_until(&fact("good"));
    film.caption("It stays outlined while it moves");
    film.run(29.0);
    film.caption("The probe is lifted");
    film.run_until(&fact("lost"));
    film.caption("Lost: no outline is shown");
    film.run_until(&fact("good"));
    film.caption("The image returns, and so does the outline");
    film.run(12.0);

    film.caption("Freeze");
    film.tap("#freeze");
    film.run_until(FROZEN);
    film.caption("Scroll back through the last seconds");
    for _ in 0..12 {
        film.browser.tap("#cine [name=back]");
        film.run(0.25);
    }
    film.run(2.0);
    film.caption("Capture");
    film.tap("#capture");
    film.run_until(&notice("Saved."));
    film.caption("Resume");
    film.tap("#freeze");
    film.run_until(LIVE);
    film.caption("Look at the capture again");
    film.tap("#showCaptures");
    film.run_until("document.querySelector('#list button') !== null");
    film.caption("Saved captures");
    film.run(2.0);
    film.tap("#list button");
    film.run_until("document.querySelector('#review').open");
    film.caption("Image, outline and measurements, as they were on the screen");
    film.run(5.0);
    assert!(film.browser.complaints().is_empty(), "{:?}", film.browser.complaints());
    film.develop(&folder.join("session.webm"));
}
