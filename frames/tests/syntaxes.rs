//! Transfer syntaxes: all of the standard are decoded or refused in words.

mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::{env, fs};

use common::{BIG_ENDIAN, DicomFile, EXPLICIT_VR, JPEG_LS, RLE};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use medsa_frames::{Clip, Frame, TransferSyntax};
use medsa_test_inputs::{asset, needs, repository};
use sha2::{Digest, Sha256};
use tempfile::tempdir;

#[test]
fn documentation_lists_all_transfer_syntaxes() {
    let path = repository().join("docs/src/device/transfer-syntaxes.md");
    let expected = documentation();
    if env::var_os("MEDSA_WRITE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == expected,
        "docs/src/device/transfer-syntaxes.md is out of date; write it anew with \
         `MEDSA_WRITE_DOCS=1 cargo test --release -p medsa-frames --test syntaxes`"
    );
}

fn documentation() -> String {
    let mut text = "# Transfer syntaxes of DICOM files

A transfer syntax is the form in which a DICOM file stores its elements and pixels. The service and \
                    the trainer read the syntaxes marked \"read\", and refuse all others with their name \
                    and the reason. This page is written by a test of the crate `frames`.

| Transfer syntax | UID | | Pixels, or reason |
|---|---|---|---|
"
    .to_owned();
    for syntax in TransferSyntax::all() {
        let what = if syntax.is_decoded() { "read" } else { "refused" };
        let (name, uid, why) = (syntax.name, syntax.uid, syntax.description());
        writeln!(text, "| {name} | {uid} | {what} | {why} |").unwrap();
    }
    text
}

#[test]
fn every_transfer_syntax_is_opened_or_refused_in_words() {
    let mut decoded = 0;
    for syntax in TransferSyntax::all() {
        let error = error_of(DicomFile::new(syntax.uid).text(0x0008, 0x0016, b"UI", "1.2"));
        let named = format!("transfer syntax {} ({}) is not supported: ", syntax.name, syntax.uid);
        if syntax.is_decoded() {
            decoded += 1;
            assert!(!error.contains("transfer syntax"), "{error}");
        } else {
            assert!(error.contains(&named) && error.contains(syntax.description()), "{error}");
        }
    }
    assert_eq!((TransferSyntax::all().len(), decoded), (63, 21));
    let video = error_of(DicomFile::new("1.2.840.10008.1.2.4.102"));
    assert!(video.contains("MPEG-4 AVC/H.264 High Profile / Level 4.1 (1.2.840.10008.1.2.4.102)"));
    assert!(video.contains("video; convert it"), "{video}");
    let private = error_of(DicomFile::new("1.2.3"));
    assert!(
        private.contains("the transfer syntax (1.2.3) is not one of the standard"),
        "{private}"
    );
}

#[test]
fn big_endian_samples_are_reversed_by_their_size() {
    let made = |bits, photometric, samples| {
        DicomFile::new(BIG_ENDIAN).image(samples, photometric, [1, 2], bits)
    };
    let bytes = made(8, "RGB", 3).element(0x7fe0, 0x0010, b"OB", &[1, 2, 3, 4, 5, 6]);
    assert_eq!(first(bytes).rgb, [1, 2, 3, 4, 5, 6]);
    // In words, each holds two bytes.
    let words = made(8, "RGB", 3).element(0x7fe0, 0x0010, b"OW", &[2, 1, 4, 3, 6, 5]);
    assert_eq!(first(words).rgb, [1, 2, 3, 4, 5, 6]);
    let window = |file: DicomFile| {
        file.text(0x0028, 0x1050, b"DS", "128").text(0x0028, 0x1051, b"DS", "255").text(
            0x0028,
            0x1056,
            b"CS",
            "LINEAR_EXACT",
        )
    };
    let grey = window(made(16, "MONOCHROME2", 1)).element(0x7fe0, 0x0010, b"OW", &[0, 128, 1, 44]);
    assert_eq!(first(grey).rgb, [128, 128, 128, 255, 255, 255]);
    let wide = window(made(32, "MONOCHROME2", 1));
    let wide = wide.element(0x7fe0, 0x0010, b"OW", &[0, 0, 0, 128, 0, 1, 0, 0]);
    assert_eq!(first(wide).rgb, [128, 128, 128, 255, 255, 255]);
}

#[test]
fn colours_of_any_depth_are_reduced_to_8_bits() {
    let bytes = |values: [u32; 6], len: usize| {
        values.iter().flat_map(|value| value.to_le_bytes()[..len].to_vec()).collect::<Vec<_>>()
    };
    for (bits, len) in [(16u16, 2), (32, 4)] {
        let one = |value: u32| value * if bits == 16 { 0x0101 } else { 0x0101_0101 };
        let pixels = bytes([0, 1, 2, 253, 254, 255].map(one), len);
        let native = DicomFile::new(EXPLICIT_VR).image(3, "RGB", [1, 2], bits).pixels(&pixels);
        assert_eq!(first(native).rgb, [0, 1, 2, 253, 254, 255], "{bits}");
        let packed = run_length(&pixels, 3, len);
        let packed = DicomFile::new(RLE).image(3, "RGB", [1, 2], bits).fragments(&[&packed]);
        assert_eq!(first(packed).rgb, [0, 1, 2, 253, 254, 255], "{bits} in RLE");
    }
}

/// Pixels of two in RLE: planes of each sample, the highest bytes first.
fn run_length(pixels: &[u8], samples: usize, len: usize) -> Vec<u8> {
    let planes = samples * len;
    let mut stream = vec![0; 64];
    stream[..4].copy_from_slice(&(planes as u32).to_le_bytes());
    for plane in 0..planes {
        let (sample, byte) = (plane / len, len - 1 - plane % len);
        let offset = (64 + 4 * plane) as u32;
        stream[4 + 4 * plane..8 + 4 * plane].copy_from_slice(&offset.to_le_bytes());
        let at = |pixel: usize| pixels[(pixel * samples + sample) * len + byte];
        stream.extend_from_slice(&[1, at(0), at(1), 128]);
    }
    stream
}

#[test]
fn partial_range_of_luma_is_extended() {
    let file = DicomFile::new(EXPLICIT_VR).image(3, "YBR_PARTIAL_422", [1, 2], 8);
    assert_eq!(first(file.pixels(&[16, 235, 128, 128])).rgb, [0, 0, 0, 255, 255, 255]);
}

#[test]
fn palettes_of_high_or_low_bytes_are_told_apart() {
    let palette = |scale: u16| {
        let mut file = DicomFile::new(EXPLICIT_VR).image(1, "PALETTE COLOR", [1, 2], 8);
        for element in [0x1101, 0x1102, 0x1103] {
            file = file.words(0x0028, element, b"US", &[2, 0, 16]);
        }
        for (element, value) in [(0x1201, 10), (0x1202, 20), (0x1203, 30)] {
            file = file.words(0x0028, element, b"OW", &[value * scale, (value + 100) * scale]);
        }
        file.pixels(&[0, 1])
    };
    for scale in [1, 256] {
        assert_eq!(first(palette(scale)).rgb, [10, 20, 30, 110, 120, 130], "{scale}");
    }
}

#[test]
fn deflated_and_encapsulated_pixels_are_read() {
    let pixels = [1, 2, 3, 4];
    let rgb = pixels.map(|value| [value; 3]).concat();
    let deflate = |bytes: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let image = |file: DicomFile| file.image(1, "MONOCHROME2", [2, 2], 8);
    let elements = image(DicomFile::bare()).pixels(&pixels);
    let whole = DicomFile::new("1.2.840.10008.1.2.1.99").raw(&deflate(elements.bytes()));
    assert_eq!(first(whole).rgb, rgb);
    let frame = image(DicomFile::new("1.2.840.10008.1.2.8.1")).fragments(&[&deflate(&pixels)]);
    assert_eq!(first(frame).rgb, rgb);
    let plain = image(DicomFile::new("1.2.840.10008.1.2.1.98")).fragments(&[&pixels]);
    assert_eq!(first(plain).rgb, rgb);
    let short = image(DicomFile::new("1.2.840.10008.1.2.8.1")).fragments(&[&deflate(&[1, 2])]);
    let error = clip(short).frame(0).unwrap_err().to_string();
    assert!(error.contains("bytes of the compressed stream is 2, the header says 4"), "{error}");
}

/// A picture of 4 x 4 px (T.87 annex H.3).
const JPEG_LS_GREY: &str = "ffd8fff7000b080004000401011100ffda0008010100000000c000006c80208e01c0\
                            0000574000006ee6000001bc18000005d800009160ffd9";

#[test]
fn jpeg_ls_example_of_the_standard_is_decoded() {
    let file = DicomFile::new(JPEG_LS).image(1, "MONOCHROME2", [4, 4], 8);
    let stream = hex::decode(JPEG_LS_GREY).unwrap();
    let rgb = first(file.fragments(&[&stream])).rgb;
    let grey: Vec<u8> = rgb.into_iter().step_by(3).collect();
    let expected = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];
    assert_eq!(grey, expected);
}

/// A colour picture of 4 rows and 8 columns by CharLS: by plane, by line, by sample, and by line with
/// errors of at most 2.
const JPEG_LS_COLOUR: [(&str, u8); 4] = [
    (
        "ffd8fff70011080004000803011100021100031100ffda0008010100000000075f6afa89a5489fe795e0ffda\
         000801020000000000000f2a0000037f0c6793db9affda0008010300000000495f04297f40100c3020214402\
         02430200ce340300c0ffd9",
        0,
    ),
    (
        "ffd8fff70011080004000803011100021100031100ffda000c03010002000300000100075f6afa007a6c8000\
         00706104108422221134a92793982aaf4a53fdb6181010a201011e5799b0c080338d00c030ffd9",
        0,
    ),
    (
        "ffd8fff70011080004000803011100021100031100ffda000c030100020003000002000200110acbdbdc1000\
         001bf8de33f3292481ec59968b4f65a494a63604c098ac4604d047c93504a036733580d20300ffd9",
        0,
    ),
    (
        "ffd8fff70011080004000803011100021100031100ffda000c030100020003000201003ef300ee000000cf22\
         4965d4b4ab7974f5aabeef412222257579d442613080ffd9",
        2,
    ),
];

#[test]
fn jpeg_ls_colours_are_decoded_in_any_interleaving() {
    for (stream, error) in JPEG_LS_COLOUR {
        let stream = hex::decode(stream).unwrap();
        let made = |stream: &[u8]| {
            clip(DicomFile::new(JPEG_LS).image(3, "RGB", [4, 8], 8).fragments(&[stream])).frame(0)
        };
        let rgb = made(&stream).unwrap().rgb;
        for (index, pixel) in rgb.chunks(3).enumerate() {
            let (x, y) = ((index % 8) as u8, (index / 8) as u8);
            let expected = [10 + x * 3 + y * 7 % 5, if x < 5 { 40 } else { 200 }, 255 - x * y * 5];
            for (found, expected) in pixel.iter().zip(expected) {
                assert!(found.abs_diff(expected) <= error, "at {x}, {y}: {pixel:?}");
            }
        }
        for len in 1..stream.len() - 2 {
            assert!(made(&stream[..len]).is_err(), "{len} of {} bytes", stream.len());
        }
    }
}

/// A picture of 4 rows and 8 columns in High-Throughput JPEG 2000, by OpenJPH.
const HIGH_THROUGHPUT: &str = "ff4fff510029400000000008000000040000000000000000000000080000000400000000\
                               000000000001070101ff500008000200000002ff52000c00020001000100084001ff5c00\
                               072050505050ff90000a00000000003d0001ff93c015a0ff6ecb8f4cb2d9f9000001b500\
                               c0153005440138f0484cfe40015355000c189bab12535400e09ffe283fd400ffd9";
const HIGH_THROUGHPUT_PIXELS: &str =
    "000d1a2734414e5b07172737475767770e2134475a6d5f72152b41574c62788e";

#[test]
fn high_throughput_jpeg_2000_is_decoded() {
    let stream = hex::decode(HIGH_THROUGHPUT).unwrap();
    for uid in ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"] {
        let file = DicomFile::new(uid).image(1, "MONOCHROME2", [4, 8], 8);
        let grey: Vec<u8> = first(file.fragments(&[&stream])).rgb.into_iter().step_by(3).collect();
        assert_eq!(hex::encode(grey), HIGH_THROUGHPUT_PIXELS, "{uid}");
    }
}

#[test]
fn jpeg_2000_with_more_tiles_than_its_data_can_hold_is_refused() {
    let mut stream = hex::decode(HIGH_THROUGHPUT).unwrap();
    // Width and height of a tile.
    stream[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let file = DicomFile::new("1.2.840.10008.1.2.4.201").image(1, "MONOCHROME2", [4, 8], 8);
    let error = clip(file.fragments(&[&stream])).frame(0).unwrap_err().to_string();
    assert!(error.contains("no valid size (SIZ marker)"), "{error}");
}

#[test]
fn one_image_is_the_same_in_all_lossless_syntaxes() {
    needs!("dicom");
    let frame = |name: &str| Clip::open(asset(name)).unwrap().frame(0).unwrap();
    for (expected, others) in [
        (
            "MR_small.dcm",
            &[
                "MR_small_RLE.dcm",
                "MR_small_bigendian.dcm",
                "MR_small_implicit.dcm",
                "MR_small_jp2klossless.dcm",
                "MR_small_jpeg_ls_lossless.dcm",
            ][..],
        ),
        ("emri_small.dcm", &["emri_small_jpeg_ls_lossless.dcm"]),
        ("SC_rgb_rle.dcm", &["SC_rgb_jpeg_gdcm.dcm"]),
        ("liver_1frame.dcm", &["liver_expb_1frame.dcm"]),
        ("rtdose.dcm", &["rtdose_rle.dcm"]),
    ] {
        let expected = frame(expected);
        assert!(expected.rgb.iter().any(|&value| value != expected.rgb[0]));
        for name in others {
            assert!(frame(name).rgb == expected.rgb, "{name}");
        }
    }
}

#[test]
fn signs_deflate_and_jpeg_ls_are_read_as_by_pydicom() {
    needs!("dicom");
    for (name, sha256) in [
        ("J2K_pixelrep_mismatch.dcm", "61293a1eff3669e741a2c22816bfd084"),
        ("image_dfl.dcm", "d73740a58f34dca22cc374529d2f1c8e"),
        ("SC_rgb_jls_lossy_line.dcm", "bd5344c0a46bc6c0869921680aa72c1e"),
        ("SC_rgb_jls_lossy_sample.dcm", "bd5344c0a46bc6c0869921680aa72c1e"),
    ] {
        let frame = Clip::open(asset(name)).unwrap().frame(0).unwrap();
        let found = hex::encode(Sha256::digest(&frame.rgb));
        assert!(found.starts_with(sha256), "{name}: {found}");
    }
}

#[test]
fn extended_jpeg_of_12_bits_is_read_as_by_pydicom() {
    needs!("dicom");
    let frame = Clip::open(asset("JPGExtended.dcm")).unwrap().frame(0).unwrap();
    let sum: f64 = frame.rgb.iter().map(|&shade| f64::from(shade)).sum();
    let mean = sum / frame.rgb.len() as f64;
    assert!((mean - 32.215).abs() < 0.05, "mean {mean}");
}

#[test]
fn extended_jpeg_cut_short_is_refused() {
    needs!("dicom");
    let whole = fs::read(asset("JPGExtended.dcm")).unwrap();
    let end = whole.windows(2).rposition(|pair| pair == [0xff, 0xd9]).unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("cut.dcm");
    let cut = [&whole[..end], &[0, 0], &whole[end + 2..]].concat();
    fs::write(&path, cut).unwrap();
    let error = Clip::open(&path).unwrap().frame(0).unwrap_err().to_string();
    assert!(error.contains("the end of the image (EOI marker) is missing"), "{error}");
}

fn clip(file: DicomFile) -> Clip {
    let folder = tempdir().unwrap();
    Clip::open(file.write(folder.path())).unwrap()
}

fn first(file: DicomFile) -> Frame {
    clip(file).frame(0).unwrap()
}

fn error_of(file: DicomFile) -> String {
    let folder = tempdir().unwrap();
    Clip::open(file.write(folder.path())).unwrap_err().to_string()
}
