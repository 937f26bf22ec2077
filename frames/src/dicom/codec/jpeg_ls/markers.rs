//! Marker segments (T.87 annex C).

use super::super::{StreamInfo, u16_at};
use super::model::{Parameters, Presets};
use super::scan::{Interleave, Scan};

/// Headers of a stream.
pub(super) struct Stream<'a> {
    pub(super) info: StreamInfo,
    scans: Vec<ScanHeader<'a>>,
}

/// Header of a scan, and its data.
struct ScanHeader<'a> {
    /// Components, counted from 0.
    components: Vec<usize>,
    interleave: Interleave,
    parameters: Parameters,
    data: &'a [u8],
}

const SOI: u16 = 0xffd8;
const EOI: u16 = 0xffd9;
const SOS: u16 = 0xffda;
const DRI: u16 = 0xffdd;
const APP8: u16 = 0xffe8;
const SOF55: u16 = 0xfff7;
const LSE: u16 = 0xfff8;

impl<'a> Stream<'a> {
    /// Reads all headers up to the end of the image, which must be there.
    pub(super) fn read(stream: &'a [u8]) -> Result<Self, String> {
        let mut info = None;
        let mut identifiers = Vec::new();
        let mut presets = Presets::default();
        let mut scans = Vec::new();
        let mut at = 2;
        if u16_at(stream, 0) != Some(SOI) {
            return Err("no start of an image (SOI marker) found".to_owned());
        }
        loop {
            let marker =
                u16_at(stream, at).ok_or("the end of the image (EOI marker) is missing")?;
            if marker == 0xffff {
                at += 1;
                continue;
            }
            if marker == EOI {
                let info = info.ok_or("no frame header (SOF55 marker) found")?;
                return Ok(Self { info, scans });
            }
            let len = usize::from(u16_at(stream, at + 2).ok_or("a marker segment ends early")?);
            let segment = stream.get(at + 4..at + 2 + len).ok_or("a marker segment ends early")?;
            at += 2 + len;
            match marker {
                SOF55 if info.is_none() => {
                    let (found, names) = frame_header(segment)?;
                    (info, identifiers) = (Some(found), names);
                }
                LSE => presets = presets_of(segment)?,
                SOS => {
                    let bits = info.as_ref().ok_or("a scan before the frame header")?.bits;
                    let end = scan_end(&stream[at..]);
                    let data = &stream[at..at + end];
                    scans.push(scan_header(segment, &identifiers, presets, bits, data)?);
                    at += end;
                }
                DRI if segment.iter().any(|&byte| byte != 0) => {
                    return Err("restart intervals are not supported".to_owned());
                }
                APP8 if segment.starts_with(b"mrfx") && segment.get(4) != Some(&0) => {
                    return Err("colour transforms of HP are not supported".to_owned());
                }
                0xff80..=0xffff => {}
                other => return Err(format!("bytes {other:04x} instead of a marker")),
            }
        }
    }

    /// Decodes all scans to samples `[H, W, S]`.
    pub(super) fn decode(&self) -> Result<Vec<u16>, String> {
        let count = self.info.components as usize;
        let (width, height) = (self.info.width as usize, self.info.height as usize);
        let mut seen = vec![false; count];
        let mut samples = vec![0; width * height * count];
        for header in &self.scans {
            header.components.iter().for_each(|&component| seen[component] = true);
            let mut scan =
                Scan::new(header.data, header.parameters, width, header.components.len());
            for row in samples.chunks_exact_mut(width * count) {
                scan.decode_row(header.interleave)?;
                for (line, &component) in scan.lines().zip(&header.components) {
                    let places = row[component..].iter_mut().step_by(count);
                    places.zip(line).for_each(|(place, &value)| *place = value);
                }
            }
        }
        if seen.contains(&false) {
            return Err("a component has no scan".to_owned());
        }
        Ok(samples)
    }
}

/// Reads size and format, and the identifiers of the components.
fn frame_header(segment: &[u8]) -> Result<(StreamInfo, Vec<u8>), String> {
    let &[bits, h1, h0, w1, w0, components, ref rest @ ..] = segment else {
        return Err("the frame header ends early".to_owned());
    };
    let info = StreamInfo {
        width: u16::from_be_bytes([w1, w0]).into(),
        height: u16::from_be_bytes([h1, h0]).into(),
        components: components.into(),
        bits: bits.into(),
    };
    let specifications = rest.as_chunks::<3>().0;
    if specifications.len() < usize::from(components) || !(2..=16).contains(&bits) {
        return Err("the frame header is damaged".to_owned());
    }
    if specifications.iter().any(|specification| specification[1] != 0x11) {
        return Err("subsampled components are not supported".to_owned());
    }
    Ok((info, specifications.iter().map(|specification| specification[0]).collect()))
}

fn presets_of(segment: &[u8]) -> Result<Presets, String> {
    let word = |index: usize| u16_at(segment, 1 + 2 * index).ok_or("coding parameters end early");
    match segment.first() {
        Some(1) => Ok(Presets {
            highest: word(0)?,
            thresholds: [word(1)?, word(2)?, word(3)?],
            reset: word(4)?,
        }),
        _ => Err("palettes and sizes in LSE segments are not supported".to_owned()),
    }
}

fn scan_header<'a>(
    segment: &[u8],
    identifiers: &[u8],
    presets: Presets,
    bits: u32,
    data: &'a [u8],
) -> Result<ScanHeader<'a>, String> {
    let count = usize::from(*segment.first().ok_or("a scan header ends early")?);
    let specifications = segment.get(1..1 + 2 * count).ok_or("a scan header ends early")?;
    let &[near, interleave, _] = segment.get(1 + 2 * count..).unwrap_or_default() else {
        return Err("a scan header ends early".to_owned());
    };
    let interleave = match (interleave, count) {
        (_, 0) => return Err("a scan without components".to_owned()),
        (0..=2, 1) | (1, _) => Interleave::Line,
        (2, _) => Interleave::Sample,
        _ => return Err("several components in a scan that is not interleaved".to_owned()),
    };
    let mut components = Vec::with_capacity(count);
    for &[identifier, table] in specifications.as_chunks().0 {
        if table != 0 {
            return Err("palettes are not supported".to_owned());
        }
        let component = identifiers.iter().position(|&name| name == identifier);
        components.push(component.ok_or("a scan of an unknown component")?);
    }
    let parameters = Parameters::new(bits, near.into(), presets)?;
    Ok(ScanHeader { components, interleave, parameters, data })
}

/// Length of the data of a scan: up to the next marker.
fn scan_end(bytes: &[u8]) -> usize {
    let marker = |pair: &[u8]| pair[0] == 0xff && pair[1] & 0x80 != 0;
    bytes.windows(2).position(marker).unwrap_or(bytes.len())
}
