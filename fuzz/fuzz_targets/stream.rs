//! Frames from cameras and other programs; the first byte selects the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medsa_edge::source::decode::{
    Cut, MjpegSplitter, YuvEncoding, YuyvLayout, decode_jpeg, decode_yuyv,
};

fuzz_target!(|data: &[u8]| {
    let Some((&form, bytes)) = data.split_first() else { return };
    match form % 3 {
        0 => decode(bytes),
        1 => split(bytes),
        _ => yuyv(bytes),
    }
});

fn decode(jpeg: &[u8]) {
    let Ok(frame) = decode_jpeg(jpeg) else { return };
    assert_eq!(frame.rgb.len(), 3 * frame.width as usize * frame.height as usize);
}

/// Splits a stream in pieces whose length is given by the first byte.
fn split(bytes: &[u8]) {
    let Some((&length, stream)) = bytes.split_first() else { return };
    let mut splitter = MjpegSplitter::default();
    for piece in stream.chunks(usize::from(length).max(1)) {
        splitter.push(piece);
        while let Some(cut) = splitter.next_cut() {
            if let Cut::Whole(jpeg) = cut {
                decode(&jpeg);
            }
        }
    }
}

fn yuyv(bytes: &[u8]) {
    let Some((&[width, height, stride, encoding], pixels)) = bytes.split_first_chunk() else {
        return;
    };
    let encodings = [YuvEncoding::Bt601, YuvEncoding::Bt709, YuvEncoding::Full];
    let layout = YuyvLayout {
        width: width.into(),
        height: height.into(),
        stride: stride.into(),
        encoding: encodings[usize::from(encoding) % 3],
    };
    let Ok(frame) = decode_yuyv(pixels, layout) else { return };
    assert_eq!(frame.rgb.len(), 3 * usize::from(width) * usize::from(height));
}
