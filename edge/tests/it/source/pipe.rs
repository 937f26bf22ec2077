//! Programs that write frames, and their ends.

use std::path::Path;
use std::time::Duration;

use super::{Played, differences, ffmpeg, recorded_clip, shell};
use crate::harness::{LIMIT, signal, wait_until};
use medsa_test_inputs::needs;

const SIZE: (u32, u32) = (562, 542);
const FRAME_BYTES: usize = 3 * 562 * 542;

/// A test image as raw frames, at the rate of a camera.
const CAMERA: &str = "exec ffmpeg -v error -re -f lavfi -i testsrc=size=64x48:rate=50 \
                      -f rawvideo -pix_fmt rgb24 -";
const RAW: &str = "format = \"rgb24\"\nframe_size = [64, 48]";

#[test]
fn raw_frames_match_ffmpeg() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let clip = recorded_clip(folder.path());
    let arguments = format!("-i {} -frames:v 20 -f rawvideo -pix_fmt rgb24 -", clip.display());
    let expected = ffmpeg(&arguments);
    assert_eq!(expected.len(), 20 * FRAME_BYTES);
    let command = format!("exec ffmpeg -v error {arguments}");
    let format = format!("format = \"rgb24\"\nframe_size = [{}, {}]", SIZE.0, SIZE.1);
    let mut source = Played::open(folder.path(), &shell(&command, &format));
    for expected in expected.chunks(FRAME_BYTES) {
        let received = source.frame();
        assert_eq!((received.frame.width, received.frame.height), SIZE);
        assert!(received.frame.rgb == expected);
        assert_eq!((received.source_us, received.frame.pixel_spacing_mm), (None, None));
        assert!(received.captured.elapsed() < LIMIT);
    }
    assert!(source.lost().0.contains("ended with exit status 0"));
}

#[test]
fn mjpeg_frames_match_ffmpeg() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let clip = recorded_clip(folder.path());
    let jpegs = folder.path().join("clip.mjpeg");
    ffmpeg(&format!("-i {} -frames:v 20 -q:v 2 -f mjpeg {}", clip.display(), jpegs.display()));
    let expected = ffmpeg(&format!(
        "-i {} -sws_flags accurate_rnd+full_chroma_int -f rawvideo -pix_fmt rgb24 -",
        jpegs.display()
    ));
    assert_eq!(expected.len(), 20 * FRAME_BYTES);
    let mut source = Played::open(folder.path(), &shell("exec cat clip.mjpeg", MJPEG));
    for expected in expected.chunks(FRAME_BYTES) {
        let (mean, largest) = differences(&source.frame().frame.rgb, expected);
        // Decoders round differently, and interpolate chroma differently.
        assert!(mean < 1.0 && largest < 30, "{mean} {largest}");
    }
}

const MJPEG: &str = "format = \"mjpeg\"";

#[test]
fn stopped_program_is_restarted() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let mut source = Played::open(folder.path(), &shell(&noting_its_number(CAMERA), RAW));
    source.frame();
    let stopped = number_in(folder.path());
    signal("STOP", stopped.parse().unwrap());
    let (reason, retry_in) = source.lost();
    assert_eq!(reason, "program sh: no frame for 1.00 s");
    assert_eq!(retry_in, Duration::from_millis(250));
    source.frame();
    assert_ne!(number_in(folder.path()), stopped);
    assert!(!exists(&stopped));
}

#[test]
fn killed_program_is_restarted() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let mut source = Played::open(folder.path(), &shell(&noting_its_number(CAMERA), RAW));
    source.frame();
    let killed = number_in(folder.path());
    signal("KILL", killed.parse().unwrap());
    assert_eq!(source.lost().0, "program sh: was ended by signal 9");
    source.frame();
    assert!(!exists(&killed));
}

#[test]
fn program_that_ends_is_restarted() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let command = CAMERA.replace("-f rawvideo", "-frames:v 3 -f rawvideo");
    let mut source = Played::open(folder.path(), &shell(&command, RAW));
    for _ in 0..2 {
        let first = source.frame();
        source.frame();
        let third = source.frame();
        assert!(first.frame.rgb != third.frame.rgb);
        let (reason, retry_in) = source.lost();
        assert_eq!(reason, "program sh: ended with exit status 0");
        assert_eq!(retry_in, Duration::from_millis(250));
    }
}

#[test]
fn failing_program_is_retried_with_back_off_and_its_errors_reported() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo first >&2; echo no camera >&2; exit 3";
    let lines = format!("{RAW}\nmax_back_off_s = 0.6");
    let mut source = Played::open(folder.path(), &shell(script, &lines));
    for retry_ms in [250, 500, 600, 600] {
        let (reason, retry_in) = source.lost();
        assert_eq!(reason, "program sh: ended with exit status 3: first / no camera");
        assert_eq!(retry_in, Duration::from_millis(retry_ms));
    }
    let lines = "kind = \"pipe\"\ncommand = [\"no-such-program\"]\nformat = \"mjpeg\"";
    let (reason, _) = Played::open(folder.path(), lines).lost();
    assert!(reason.starts_with("program no-such-program: cannot start it: "), "{reason}");
}

#[test]
fn garbage_is_reported_and_then_loses_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("{MJPEG}\nstart_s = 0.5");
    let mut source = Played::open(folder.path(), &shell("exec cat /dev/urandom", &lines));
    assert!(source.damage().starts_with("damaged frame: "));
    let (reason, _) = source.lost();
    assert!(
        reason.starts_with("program sh: no frame for 0.50 s; the last was damaged: "),
        "{reason}"
    );
}

#[test]
fn damaged_image_affects_no_other() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let image = ffmpeg("-f lavfi -i testsrc=size=64x48 -frames:v 1 -f mjpeg -");
    // A truncated image, and one whose header announces 65535 x 65535 pixels.
    let half = &image[..image.len() / 2];
    let mut huge = image.clone();
    let size = huge.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap() + 5;
    huge[size..size + 4].fill(0xff);
    let stream = [&image, half, &image, &huge, &image].concat();
    std::fs::write(folder.path().join("stream"), stream).unwrap();
    let mut source = Played::open(folder.path(), &shell("exec cat stream", MJPEG));
    let first = source.frame().frame;
    assert!(source.damage().contains("cut short after"));
    assert_eq!(source.frame().frame, first);
    assert!(source.damage().contains("JPEG: "));
    assert_eq!(source.frame().frame, first);
}

#[test]
fn child_processes_end_with_the_program() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let script = format!("sleep 1000 & echo $! >number; {}", &CAMERA["exec ".len()..]);
    let mut source = Played::open(folder.path(), &shell(&script, RAW));
    source.frame();
    let sleeper = number_in(folder.path());
    assert!(exists(&sleeper));
    drop(source);
    wait_until("the program's program ends", || !exists(&sleeper));
}

/// The script, which writes its process id to a file.
fn noting_its_number(script: &str) -> String {
    format!("echo $$ >number; {script}")
}

fn number_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("number")).unwrap().trim().to_owned()
}

/// True if the process runs; a zombie does not count.
fn exists(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}
