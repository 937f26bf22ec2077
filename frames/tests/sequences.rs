//! MetaImage and NRRD files, as PLUS, 3D Slicer and ITK write them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use medsa_frames::{Clip, FramesError, PixelSpacing, Sequence};
use tempfile::{TempDir, tempdir};

/// Header of PLUS for two frames of 3 x 2 px.
const PLUS: &str = "ObjectType = Image\nNDims = 3\nAnatomicalOrientation = RAI\nBinaryData = True\n\
    BinaryDataByteOrderMSB = False\nCenterOfRotation = 0 0 0\nCompressedData = False\n\
    DimSize = 3 2 2\nElementSpacing = 0.5 0.25 1\nOffset = 0 0 0\n\
    UltrasoundImageOrientation = MF\nElementType = MET_UCHAR\n\
    Seq_Frame0000_ProbeToTrackerTransform =1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n\
    Seq_Frame0000_Timestamp = 0.05\nElementDataFile = LOCAL\n";

const SAMPLES: [u8; 12] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255];

fn write(name: &str, parts: &[&[u8]]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, parts.concat()).unwrap();
    (folder, path)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Red values of all frames.
fn reds(path: &Path) -> Vec<Vec<u8>> {
    let clip = Clip::open(path).unwrap();
    let frames = (0..clip.len()).map(|index| clip.frame(index).unwrap());
    frames.map(|frame| frame.rgb.iter().step_by(3).copied().collect()).collect()
}

fn error(name: &str, parts: &[&[u8]]) -> String {
    let (_folder, path) = write(name, parts);
    Clip::open(&path).unwrap_err().to_string()
}

#[test]
fn meta_image_of_plus_is_a_clip() {
    let compressed = PLUS.replace("CompressedData = False", "CompressedData = True");
    let crlf = PLUS.replace('\n', "\r\n");
    for (header, samples) in
        [(PLUS, SAMPLES.to_vec()), (&compressed, zlib(&SAMPLES)), (&crlf, SAMPLES.to_vec())]
    {
        let (_folder, path) = write("sweep.igs.mha", &[header.as_bytes(), &samples]);
        let clip = Clip::open(&path).unwrap();
        assert_eq!((clip.len(), clip.is_dicom()), (2, false));
        assert!(clip.warnings().is_empty(), "{:?}", clip.warnings());
        let frame = clip.frame(1).unwrap();
        assert_eq!((frame.width, frame.height), (3, 2));
        assert_eq!(frame.rgb[9..], [90, 90, 90, 100, 100, 100, 255, 255, 255]);
        // Down the rows, along a row.
        assert_eq!(frame.pixel_spacing_mm, Some(PixelSpacing::Uniform([0.25, 0.5])));
        assert_eq!(clip.frame_name(1).unwrap(), "sweep.igs.mha-1");
        assert!(matches!(clip.frame(2), Err(FramesError::FrameRange { len: 2, .. })));
    }
}

#[test]
fn spacing_of_one_is_unknown() {
    let header = PLUS.replace("0.5 0.25 1", "1 1 1");
    let (_folder, path) = write("a.mha", &[header.as_bytes(), &SAMPLES]);
    assert_eq!(Clip::open(&path).unwrap().frame(0).unwrap().pixel_spacing_mm, None);
}

#[test]
fn colours_are_channels_and_a_fourth_one_is_dropped() {
    let header = PLUS.replace("DimSize = 3 2 2", "ElementNumberOfChannels = 4\nDimSize = 3 1 1");
    let (_folder, path) = write("a.mha", &[header.as_bytes(), &SAMPLES]);
    let frame = Clip::open(&path).unwrap().frame(0).unwrap();
    assert_eq!(frame.rgb, [0, 10, 20, 40, 50, 60, 80, 90, 100]);
    let two = PLUS.replace("DimSize = 3 2 2", "ElementNumberOfChannels = 2\nDimSize = 3 2 1");
    let said = error("a.mha", &[two.as_bytes(), &SAMPLES]);
    assert!(said.ends_with("a.mha: 2 channels, expected 1, 3 or 4"), "{said}");
}

#[test]
fn samples_of_more_bits_are_scaled_and_the_clip_says_so() {
    let header = PLUS
        .replace("MET_UCHAR", "MET_SHORT")
        .replace("ByteOrderMSB = False", "ByteOrderMSB = True")
        .replace("DimSize = 3 2 2", "DimSize = 3 1 1");
    let samples: Vec<u8> = [-1000i16, 0, 1000].iter().flat_map(|s| s.to_be_bytes()).collect();
    let (_folder, path) = write("a.mha", &[header.as_bytes(), &samples]);
    assert_eq!(reds(&path), [[0, 128, 255]]);
    let clip = Clip::open(&path).unwrap();
    assert!(clip.warnings()[0].contains("samples of type int16"), "{:?}", clip.warnings());
    let header = header.replace("MET_SHORT", "MET_FLOAT");
    let samples: Vec<u8> = [f32::NAN, -0.5, 0.5].iter().flat_map(|s| s.to_be_bytes()).collect();
    let (_folder, path) = write("a.mha", &[header.as_bytes(), &samples]);
    assert_eq!(reds(&path), [[0, 0, 255]]);
}

#[test]
fn samples_may_lie_in_a_file_beside_but_nowhere_else() {
    for (skipped, before) in [("0", 0), ("5", 5), ("-1", 7)] {
        let header = PLUS
            .replace("= LOCAL", "= a.raw")
            .replace("NDims", &format!("HeaderSize = {skipped}\nNDims"));
        let (folder, path) = write("a.mhd", &[header.as_bytes()]);
        fs::write(folder.path().join("a.raw"), [&vec![7; before][..], &SAMPLES].concat()).unwrap();
        assert_eq!(reds(&path), [SAMPLES[..6].to_vec(), SAMPLES[6..].to_vec()]);
    }
    for name in ["/etc/passwd", "../a.raw", "b/a.raw", ".."] {
        let said = error("a.mhd", &[PLUS.replace("LOCAL", name).as_bytes()]);
        assert!(said.contains(&format!("samples in {name:?}, expected a file in the same folder")));
    }
    let said = error("a.mhd", &[PLUS.replace("LOCAL", "missing.raw").as_bytes()]);
    assert!(said.contains("missing.raw: cannot be read"), "{said}");
}

#[test]
fn nrrd_of_slicer_has_its_frames_first() {
    // Two frames; the samples of a pixel of both lie beside each other.
    let header = "NRRD0005\n# Complete NRRD file format specification at:\ntype: unsigned char\n\
        dimension: 4\nspace: right-anterior-superior\nsizes: 2 3 2 1\n\
        space directions: none (0.5,0,0) (0,0.2,0.15) (0,0,1)\nkinds: list domain domain domain\n\
        encoding: gzip\nmeasurement frame: (1,0,0)\naxis 0 index type:=numeric\n\n";
    let (_folder, path) = write("a.seq.nrrd", &[header.as_bytes(), &gzip(&SAMPLES)]);
    assert_eq!(reds(&path), [[0, 20, 40, 60, 80, 100], [10, 30, 50, 70, 90, 255]]);
    let spacing = Clip::open(&path).unwrap().frame(0).unwrap().pixel_spacing_mm;
    assert_eq!(spacing, Some(PixelSpacing::Uniform([0.25, 0.5])));
}

#[test]
fn nrrd_of_plus_has_colours_first_and_frames_last() {
    let header = "NRRD0004\ntype: uchar\ndimension: 4\nsizes: 3 2 1 2\nkinds: vector domain domain list\n\
        spacings: nan 0.1 0.2 nan\nencoding: raw\nendian: little\n\n";
    let (_folder, path) = write("a.nrrd", &[header.as_bytes(), &SAMPLES]);
    let clip = Clip::open(&path).unwrap();
    assert_eq!(clip.frame(1).unwrap().rgb, [60, 70, 80, 90, 100, 255]);
    assert_eq!(clip.frame(0).unwrap().pixel_spacing_mm, Some(PixelSpacing::Uniform([0.2, 0.1])));
    let header = "NRRD0004\ntype: ushort\ndimension: 2\nsizes: 3 2\nencoding: raw\nendian: big\n\
        byte skip: -1\ndata file: a.raw";
    let (folder, path) = write("a.nhdr", &[header.as_bytes()]);
    fs::write(folder.path().join("a.raw"), [&[9][..], &SAMPLES].concat()).unwrap();
    assert_eq!(Sequence::open(&path).unwrap().size(), [3, 2]);
    assert_eq!(reds(&path)[0][0], 0);
}

#[test]
fn values_of_masks_are_whole_numbers() {
    let (_folder, path) = write("a.mha", &[PLUS.as_bytes(), &SAMPLES]);
    let masks = Sequence::open(&path).unwrap();
    assert_eq!((masks.len(), masks.values(0).unwrap()), (2, SAMPLES[..6].to_vec()));
    let header = PLUS.replace("MET_UCHAR", "MET_DOUBLE").replace("3 2 2", "2 1 1");
    let samples: Vec<u8> = [1f64, 0.5].iter().flat_map(|s| s.to_le_bytes()).collect();
    let (_folder, path) = write("a.mha", &[header.as_bytes(), &samples]);
    let said = Sequence::open(&path).unwrap().values(0).unwrap_err();
    assert_eq!(said, "value 0.5, expected a whole number from 0 to 255");
}

#[test]
fn damaged_files_are_refused_with_what_was_expected() {
    let meta =
        |from: &str, to: &str| error("a.mha", &[PLUS.replace(from, to).as_bytes(), &SAMPLES]);
    for (from, to, said) in [
        ("DimSize = 3 2 2", "DimSize = 3 2 3", "12 bytes of samples, expected 18"),
        ("DimSize = 3 2 2", "DimSize = 3 x 2", "DimSize = \"3 x 2\", expected numbers"),
        ("DimSize = 3 2 2\n", "", "DimSize is missing"),
        ("DimSize = 3 2 2", "DimSize = 3", "1 axes in space, expected at least 2"),
        ("DimSize = 3 2 2", "DimSize = 5000 2 1", "frame of 5000 x 2 px"),
        ("DimSize = 3 2 2", "DimSize = 3 2 30000", "30000 frames"),
        ("DimSize = 3 2 2", "DimSize = 3 2 0", "0 frames"),
        ("DimSize = 3 2 2", "DimSize = 99999999999 99999999999 2", "too many samples"),
        ("DimSize = 3 2 2", "DimSize = 4096 4096 20000", "expected at most 1073741824"),
        ("MET_UCHAR", "MET_LONG_LONG", "ElementType = \"MET_LONG_LONG\", expected MET_UCHAR to"),
        ("BinaryData = True", "BinaryData = False", "expected True: numbers as text are not read"),
        ("CompressedData = False", "CompressedData = True", "the samples cannot be inflated"),
        ("ElementDataFile = LOCAL\n", "", "the header does not end with ElementDataFile"),
        ("ObjectType = Image", "ObjectType = Scene", "ObjectType = \"Scene\", expected Image"),
    ] {
        let found = meta(from, to);
        assert!(found.contains("a.mha") && found.contains(said), "{to}: {found}");
    }
    // A file of a few bytes that would fill the memory.
    let bomb = PLUS
        .replace("CompressedData = False", "CompressedData = True")
        .replace("DimSize = 3 2 2", "DimSize = 4096 4096 60");
    let said = error("a.mha", &[bomb.as_bytes(), &zlib(&vec![0; 1 << 20])]);
    assert!(said.contains("compressed bytes, expected at most"), "{said}");

    let header = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 4 3\nencoding: raw\n\n";
    for (from, to, said) in [
        ("type: uchar\n", "", "the field \"type\" is missing"),
        ("raw", "ascii", "encoding: \"ascii\", expected raw or gzip"),
        ("uchar", "block", "type: \"block\", expected a number"),
        ("4 3", "4 9", "12 bytes of samples, expected 36"),
        ("raw\n\n", "raw\n", "the header does not end with an empty line"),
    ] {
        let text = header.replace(from, to);
        let samples: &[u8] = if to == "raw\n" { b"" } else { &SAMPLES };
        let found = error("a.nrrd", &[text.as_bytes(), samples]);
        assert!(found.contains(said), "{to}: {found}");
    }
}

/// No prefix and no changed byte makes it panic.
#[test]
fn damaged_headers_never_panic() {
    let nrrd = "NRRD0005\ntype: short\ndimension: 3\nsizes: 3 1 2\nkinds: RGB-color domain domain\n\
        encoding: raw\nendian: little\nspace directions: none (1,0) (0,1)\n\n";
    for header in [PLUS, nrrd] {
        let file = [header.as_bytes(), &SAMPLES].concat();
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.mha");
        for at in 0..file.len() {
            fs::write(&path, &file[..at]).unwrap();
            let _ = Clip::open(&path).map(|clip| clip.frame(0));
            for byte in [0, b'9', b'-', b' ', 0xff] {
                let mut changed = file.clone();
                changed[at] = byte;
                fs::write(&path, &changed).unwrap();
                let _ = Clip::open(&path).map(|clip| clip.frame(0));
            }
        }
    }
}
