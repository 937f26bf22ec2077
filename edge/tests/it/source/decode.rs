//! Camera frames encoded by ffmpeg, compared with ffmpeg's own decoding.

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, Luma};
use medsa_edge::source::decode::{YuvEncoding, YuyvLayout, decode_jpeg, decode_yuyv};
use medsa_test_inputs::needs;

use super::{differences, ffmpeg};

const WIDTH: u32 = 322;
const HEIGHT: u32 = 242;

/// A test image with all colours, sharp edges and gradients.
const IMAGE: &str = "-f lavfi -i testsrc2=size=322x242 -frames:v 1";

/// Exact rounding, and chroma upsampled without smoothing.
const EXACT: &str = "-sws_flags accurate_rnd+full_chroma_int+full_chroma_inp";

#[test]
fn jpeg_of_every_sampling_is_decoded() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.jpg");
    for (format, tolerance) in [("yuvj444p", 1.0), ("yuvj422p", 3.0), ("yuvj420p", 4.0)] {
        ffmpeg(&format!("-y {IMAGE} -q:v 2 -pix_fmt {format} -f mjpeg {}", path.display()));
        let expected =
            ffmpeg(&format!("-i {} {EXACT} -f rawvideo -pix_fmt rgb24 -", path.display()));
        let frame = decode_jpeg(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((frame.width, frame.height), (WIDTH, HEIGHT));
        let (mean, _) = differences(&frame.rgb, &expected);
        assert!(mean < tolerance, "{format}: {mean}");
    }
}

#[test]
fn grey_jpeg_is_decoded() {
    let image = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([(x / 2 + y / 4) as u8]));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&image).unwrap();
    let frame = decode_jpeg(&jpeg).unwrap();
    let expected: Vec<u8> = image.iter().flat_map(|&grey| [grey; 3]).collect();
    let (_, largest) = differences(&frame.rgb, &expected);
    assert!(largest <= 4, "{largest}");
    assert!(frame.rgb.chunks(3).all(|pixel| pixel == [pixel[0]; 3]));
}

#[test]
fn jpeg_without_huffman_tables_is_decoded() {
    needs!("ffmpeg");
    let jpeg = ffmpeg(&format!("{IMAGE} -huffman default -pix_fmt yuvj422p -f mjpeg -"));
    let (without, removed) = without_huffman_tables(&jpeg);
    assert!(removed > 0);
    assert_eq!(decode_jpeg(&without).unwrap(), decode_jpeg(&jpeg).unwrap());
}

#[test]
fn truncated_jpeg_is_refused() {
    needs!("ffmpeg");
    let jpeg = ffmpeg(&format!("{IMAGE} -f mjpeg -"));
    assert!(decode_jpeg(&jpeg).is_ok());
    for part in 1..8 {
        assert!(decode_jpeg(&jpeg[..part * jpeg.len() / 8]).is_err(), "{part} of 8 parts");
    }
    assert!(decode_jpeg(&[]).is_err());
    // A size above the limit, for which no memory is allocated.
    let mut huge = jpeg.clone();
    let size = huge.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap() + 5;
    huge[size..size + 4].fill(0xff);
    assert!(decode_jpeg(&huge).is_err());
}

/// Most of them decode, because data bytes may have any value.
#[test]
fn altered_jpegs_never_panic() {
    needs!("ffmpeg");
    for format in ["yuvj420p", "yuvj422p", "yuvj444p"] {
        let image = "-f lavfi -i testsrc2=size=50x34 -frames:v 1";
        let jpeg = ffmpeg(&format!("{image} -pix_fmt {format} -f mjpeg -"));
        for at in 0..jpeg.len() {
            for change in [0x10, 0xff] {
                let mut altered = jpeg.clone();
                altered[at] ^= change;
                drop(decode_jpeg(&altered));
            }
        }
    }
}

#[test]
fn yuyv_matches_ffmpeg() {
    needs!("ffmpeg");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.yuv");
    for (encoding, filter, tags) in [
        (YuvEncoding::Bt601, "bt601:out_range=tv", "in_color_matrix=bt601:in_range=tv"),
        (YuvEncoding::Bt709, "bt709:out_range=tv", "in_color_matrix=bt709:in_range=tv"),
        (YuvEncoding::Full, "bt601:out_range=pc", "in_color_matrix=bt601:in_range=pc"),
    ] {
        // Flat areas, where chroma interpolation makes no difference.
        let image = "-f lavfi -i smptebars=size=322x242 -frames:v 1";
        ffmpeg(&format!(
            "-y {image} -vf scale=out_color_matrix={filter} -f rawvideo -pix_fmt yuyv422 {}",
            path.display()
        ));
        let expected = ffmpeg(&format!(
            "-f rawvideo -pix_fmt yuyv422 -s {WIDTH}x{HEIGHT} -i {} -vf scale={tags}:\
             flags=accurate_rnd+full_chroma_int -f rawvideo -pix_fmt rgb24 -",
            path.display()
        ));
        let stride = 2 * WIDTH as usize;
        let layout = YuyvLayout { width: WIDTH, height: HEIGHT, stride, encoding };
        let frame = decode_yuyv(&std::fs::read(&path).unwrap(), layout).unwrap();
        let (mean, _) = differences(&frame.rgb, &expected);
        assert!(mean < 1.5, "{encoding:?}: {mean}");
    }
}

/// The stream without its Huffman tables, and the number of segments removed.
fn without_huffman_tables(jpeg: &[u8]) -> (Vec<u8>, usize) {
    let mut kept = jpeg[..2].to_vec();
    let (mut at, mut removed) = (2, 0);
    while jpeg[at + 1] != 0xda {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let segment = &jpeg[at..at + 2 + length];
        if jpeg[at + 1] == 0xc4 {
            removed += 1;
        } else {
            kept.extend(segment);
        }
        at += segment.len();
    }
    kept.extend(&jpeg[at..]);
    (kept, removed)
}
