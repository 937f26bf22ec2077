//! Transfer syntaxes of DICOM (PS3.6 table A-1), and the encoding of pixels by each.

use super::DicomProblem;

/// A transfer syntax of the standard.
#[derive(Debug)]
pub struct TransferSyntax {
    /// Unique identifier.
    pub uid: &'static str,
    /// Name in PS3.6.
    pub name: &'static str,
    pub(super) handling: Handling,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Handling {
    Decoded(Encoding),
    /// Refused, for this reason.
    Refused(&'static str),
}

/// Encoding of the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    /// One value for all frames.
    Native,
    /// Uncompressed frames in fragments.
    Encapsulated,
    /// Frames in fragments, each compressed with Deflate.
    DeflatedFrame,
    Jpeg,
    JpegLs,
    Jpeg2000,
    RunLength,
}

pub(super) const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
pub(super) const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const DEFLATED_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
const JPEG_EXTENDED: &str = "1.2.840.10008.1.2.4.51";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.57";
const JPEG_LOSSLESS_FIRST_ORDER: &str = "1.2.840.10008.1.2.4.70";
const PAPYRUS: &str = "1.2.840.10008.1.20";

impl TransferSyntax {
    /// All transfer syntaxes, in the order of their identifiers.
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// True if files of this transfer syntax can be opened.
    pub fn is_decoded(&self) -> bool {
        matches!(self.handling, Handling::Decoded(_))
    }

    /// Handling in words: how the pixels are decoded, or why the file is refused.
    pub fn description(&self) -> &'static str {
        match self.handling {
            Handling::Refused(reason) => reason,
            Handling::Decoded(Encoding::Jpeg2000) => {
                "one or three components, signed or unsigned, up to 32 bits"
            }
            Handling::Decoded(Encoding::JpegLs) => {
                "2 to 16 bits, one or three components, interleaved or not"
            }
            Handling::Decoded(Encoding::Jpeg) => match self.uid {
                JPEG_LOSSLESS | JPEG_LOSSLESS_FIRST_ORDER => {
                    "one or three components, 2 to 16 bits"
                }
                JPEG_EXTENDED => "8 or 12 bits; with 12 bits, colour must not be subsampled",
                _ => "8 bits",
            },
            Handling::Decoded(Encoding::RunLength) => "8, 16 or 32 bits",
            Handling::Decoded(Encoding::DeflatedFrame) => "1, 8, 16 or 32 bits",
            Handling::Decoded(Encoding::Native | Encoding::Encapsulated) => "1, 8, 16 or 32 bits",
        }
    }

    /// Transfer syntax of a file; `uid` must be given without padding.
    pub(super) fn find(uid: &str) -> Result<&'static Self, DicomProblem> {
        ALL.iter()
            .find(|syntax| syntax.uid == uid)
            .ok_or_else(|| DicomProblem::UnknownTransferSyntax { uid: uid.to_owned() })
    }

    /// # Errors
    /// This crate does not decode the transfer syntax.
    pub(super) fn encoding(&self) -> Result<Encoding, DicomProblem> {
        match self.handling {
            Handling::Decoded(encoding) => Ok(encoding),
            Handling::Refused(reason) => {
                Err(DicomProblem::TransferSyntax { name: self.name, uid: self.uid, reason })
            }
        }
    }

    /// True if the elements do not state their types.
    pub(super) fn is_implicit(&self) -> bool {
        [IMPLICIT_LITTLE_ENDIAN, PAPYRUS].contains(&self.uid)
    }

    pub(super) fn is_big_endian(&self) -> bool {
        self.uid == EXPLICIT_BIG_ENDIAN
    }

    /// True if everything after the file meta group is compressed.
    pub(super) fn is_deflated(&self) -> bool {
        self.uid == DEFLATED_LITTLE_ENDIAN
    }
}

const VIDEO: &str = "video; convert it to a DICOM file with JPEG frames first";
const STREAM: &str = "live video or audio of a network stream, not a file of frames";
const REMOTE: &str = "the pixels are on a server (JPIP), not in the file";
const HIERARCHICAL: &str = "hierarchical JPEG, a retired process; no decoder of it is included";
const ARITHMETIC: &str = "arithmetic coding, a retired process; no decoder of it is included";
const PART_2: &str = "transforms of JPEG 2000 part 2; no decoder of them is included";
const NO_DECODER: &str = "no decoder of JPEG XL is included";
const NOT_BINARY: &str = "not a binary DICOM file; the transfer syntax is retired";

use Handling::{Decoded, Refused};

const fn syntax(uid: &'static str, name: &'static str, handling: Handling) -> TransferSyntax {
    TransferSyntax { uid, name, handling }
}

#[rustfmt::skip]
const ALL: &[TransferSyntax] = &[
    syntax("1.2.840.10008.1.2", "Implicit VR Little Endian", Decoded(Encoding::Native)),
    syntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", Decoded(Encoding::Native)),
    syntax(
        "1.2.840.10008.1.2.1.98",
        "Encapsulated Uncompressed Explicit VR Little Endian",
        Decoded(Encoding::Encapsulated),
    ),
    syntax(
        "1.2.840.10008.1.2.1.99",
        "Deflated Explicit VR Little Endian",
        Decoded(Encoding::Native),
    ),
    syntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", Decoded(Encoding::Native)),
    syntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", Decoded(Encoding::Jpeg)),
    syntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", Decoded(Encoding::Jpeg)),
    syntax("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", Refused(ARITHMETIC)),
    syntax(
        "1.2.840.10008.1.2.4.53",
        "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
        Decoded(Encoding::Jpeg),
    ),
    syntax(
        "1.2.840.10008.1.2.4.54",
        "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
        Refused(ARITHMETIC),
    ),
    syntax(
        "1.2.840.10008.1.2.4.55",
        "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
        Decoded(Encoding::Jpeg),
    ),
    syntax(
        "1.2.840.10008.1.2.4.56",
        "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
        Refused(ARITHMETIC),
    ),
    syntax(
        "1.2.840.10008.1.2.4.57",
        "JPEG Lossless, Non-Hierarchical (Process 14)",
        Decoded(Encoding::Jpeg),
    ),
    syntax(
        "1.2.840.10008.1.2.4.58",
        "JPEG Lossless, Non-Hierarchical (Process 15)",
        Refused(ARITHMETIC),
    ),
    syntax(
        "1.2.840.10008.1.2.4.59",
        "JPEG Extended, Hierarchical (Process 16 and 18)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.60",
        "JPEG Extended, Hierarchical (Process 17 and 19)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.61",
        "JPEG Spectral Selection, Hierarchical (Process 20 and 22)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.62",
        "JPEG Spectral Selection, Hierarchical (Process 21 and 23)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.63",
        "JPEG Full Progression, Hierarchical (Process 24 and 26)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.64",
        "JPEG Full Progression, Hierarchical (Process 25 and 27)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.65",
        "JPEG Lossless, Hierarchical (Process 28)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.66",
        "JPEG Lossless, Hierarchical (Process 29)",
        Refused(HIERARCHICAL),
    ),
    syntax(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        Decoded(Encoding::Jpeg),
    ),
    syntax(
        "1.2.840.10008.1.2.4.80",
        "JPEG-LS Lossless Image Compression",
        Decoded(Encoding::JpegLs),
    ),
    syntax(
        "1.2.840.10008.1.2.4.81",
        "JPEG-LS Lossy (Near-Lossless) Image Compression",
        Decoded(Encoding::JpegLs),
    ),
    syntax(
        "1.2.840.10008.1.2.4.90",
        "JPEG 2000 Image Compression (Lossless Only)",
        Decoded(Encoding::Jpeg2000),
    ),
    syntax("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", Decoded(Encoding::Jpeg2000)),
    syntax(
        "1.2.840.10008.1.2.4.92",
        "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        Refused(PART_2),
    ),
    syntax(
        "1.2.840.10008.1.2.4.93",
        "JPEG 2000 Part 2 Multi-component Image Compression",
        Refused(PART_2),
    ),
    syntax("1.2.840.10008.1.2.4.94", "JPIP Referenced", Refused(REMOTE)),
    syntax("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", Refused(REMOTE)),
    syntax("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", Refused(VIDEO)),
    syntax(
        "1.2.840.10008.1.2.4.100.1",
        "Fragmentable MPEG2 Main Profile / Main Level",
        Refused(VIDEO),
    ),
    syntax("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", Refused(VIDEO)),
    syntax(
        "1.2.840.10008.1.2.4.101.1",
        "Fragmentable MPEG2 Main Profile / High Level",
        Refused(VIDEO),
    ),
    syntax("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", Refused(VIDEO)),
    syntax(
        "1.2.840.10008.1.2.4.102.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.103",
        "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.103.1",
        "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.104",
        "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.104.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.105",
        "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.105.1",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.106",
        "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        Refused(VIDEO),
    ),
    syntax(
        "1.2.840.10008.1.2.4.106.1",
        "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        Refused(VIDEO),
    ),
    syntax("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", Refused(VIDEO)),
    syntax("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", Refused(VIDEO)),
    syntax("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Refused(NO_DECODER)),
    syntax("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", Refused(NO_DECODER)),
    syntax("1.2.840.10008.1.2.4.112", "JPEG XL", Refused(NO_DECODER)),
    syntax(
        "1.2.840.10008.1.2.4.201",
        "High-Throughput JPEG 2000 Image Compression (Lossless Only)",
        Decoded(Encoding::Jpeg2000),
    ),
    syntax(
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        Decoded(Encoding::Jpeg2000),
    ),
    syntax(
        "1.2.840.10008.1.2.4.203",
        "High-Throughput JPEG 2000 Image Compression",
        Decoded(Encoding::Jpeg2000),
    ),
    syntax("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", Refused(REMOTE)),
    syntax("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", Refused(REMOTE)),
    syntax("1.2.840.10008.1.2.5", "RLE Lossless", Decoded(Encoding::RunLength)),
    syntax("1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation", Refused(NOT_BINARY)),
    syntax("1.2.840.10008.1.2.6.2", "XML Encoding", Refused(NOT_BINARY)),
    syntax(
        "1.2.840.10008.1.2.7.1",
        "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
        Refused(STREAM),
    ),
    syntax(
        "1.2.840.10008.1.2.7.2",
        "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
        Refused(STREAM),
    ),
    syntax("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", Refused(STREAM)),
    syntax(
        "1.2.840.10008.1.2.8.1",
        "Deflated Image Frame Compression",
        Decoded(Encoding::DeflatedFrame),
    ),
    syntax("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", Decoded(Encoding::Native)),];
