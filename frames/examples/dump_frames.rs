//! Writes decoded frames as raw RGB, for comparison with other software (`tools/compare-pydicom.py`).
//!
//! Usage: `dump_frames OUT FILE...`. For each file, prints `FILE<TAB>FRAMES<TAB>WIDTH<TAB>HEIGHT` and
//! writes its first, middle and last frame to `OUT/INDEX-FRAME.rgb`, or prints
//! `FILE<TAB>refused<TAB>MESSAGE`.

use std::path::Path;
use std::{env, fs};

use medsa_frames::{Clip, FramesError};

fn main() {
    let mut arguments = env::args_os().skip(1);
    let out = arguments.next().expect("usage: dump_frames OUT FILE...");
    for (index, file) in arguments.enumerate() {
        let name = Path::new(&file).display();
        match dump(Path::new(&file), Path::new(&out), index) {
            Ok(line) => println!("{name}\t{line}"),
            Err(error) => println!("{name}\trefused\t{error}"),
        }
    }
}

fn dump(file: &Path, out: &Path, index: usize) -> Result<String, FramesError> {
    let clip = Clip::open(file)?;
    let mut size = (0, 0);
    for number in [0, clip.len() / 2, clip.len() - 1] {
        let frame = clip.frame(number)?;
        size = (frame.width, frame.height);
        fs::write(out.join(format!("{index}-{number}.rgb")), &frame.rgb).expect("OUT is writable");
    }
    Ok(format!("{}\t{}\t{}", clip.len(), size.0, size.1))
}
