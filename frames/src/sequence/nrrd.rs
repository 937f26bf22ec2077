//! Headers of NRRD: `field: value` lines, `key:=value` lines, and an empty line at the end.

use super::header::{Axes, Compression, Data, Header, Meaning, Sample, spacing};

/// Reads the header of a file.
///
/// # Errors
/// Names the field, with its value and what was expected.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Data), String> {
    let mut fields = Fields::default();
    let mut at = 0;
    loop {
        let rest = &super::head(bytes)[at.min(super::head(bytes).len())..];
        let line_end = rest.iter().position(|&byte| byte == b'\n');
        let end = line_end.unwrap_or(rest.len());
        let line = String::from_utf8_lossy(&rest[..end]);
        at += end + 1;
        let line = line.trim_end();
        fields.take(line)?;
        if !line.is_empty() && line_end.is_some() {
            continue;
        }
        let data = match fields.data.take() {
            // Only a header whose samples are elsewhere may end with the file.
            None if line_end.is_none() => {
                return Err("the header does not end with an empty line".to_owned());
            }
            None => Data::Here { at },
            Some(name) => Data::Beside { name, skipped: fields.skipped },
        };
        return Ok((fields.header()?, data));
    }
}

/// Values of the fields that matter, of those that occurred.
#[derive(Default)]
struct Fields {
    sizes: Option<Vec<usize>>,
    sample: Option<Sample>,
    kinds: Vec<String>,
    spacings: Vec<Option<f64>>,
    big_endian: bool,
    compression: Option<Compression>,
    data: Option<String>,
    skipped: i64,
}

impl Fields {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with('#') || line.contains(":=") {
            return Ok(());
        }
        let Some((field, value)) = line.split_once(": ") else { return Ok(()) };
        let value = value.trim();
        let expected = |what: &str| format!("{field}: {value:?}, expected {what}");
        match field {
            "type" => {
                self.sample =
                    Some(sample(value).ok_or_else(|| expected("a number of at most 64 bits"))?);
            }
            "sizes" => {
                let sizes: Result<_, _> = value.split_whitespace().map(str::parse).collect();
                self.sizes = Some(sizes.map_err(|_| expected("numbers"))?);
            }
            "kinds" => {
                self.kinds = value.split_whitespace().map(str::to_ascii_lowercase).collect();
            }
            "spacings" => {
                self.spacings = value.split_whitespace().map(|mm| mm.parse().ok()).collect();
            }
            "space directions" => self.spacings = lengths(value),
            "endian" => {
                self.big_endian = match value {
                    "little" => false,
                    "big" => true,
                    _ => return Err(expected("little or big")),
                };
            }
            "encoding" => {
                self.compression = Some(match value {
                    "raw" => Compression::None,
                    "gzip" | "gz" => Compression::Gzip,
                    _ => return Err(expected("raw or gzip")),
                });
            }
            "data file" | "datafile" => self.data = Some(value.to_owned()),
            "byte skip" | "byteskip" => {
                self.skipped = value.parse().map_err(|_| expected("a number"))?;
                if self.skipped < -1 {
                    return Err(expected("-1 or more"));
                }
            }
            "line skip" | "lineskip" if value != "0" => return Err(expected("0")),
            _ => {}
        }
        Ok(())
    }

    fn header(self) -> Result<Header, String> {
        let missing = |field: &str| format!("the field {field:?} is missing");
        let sizes = self.sizes.ok_or_else(|| missing("sizes"))?;
        let sample = self.sample.ok_or_else(|| missing("type"))?;
        let compression = self.compression.ok_or_else(|| missing("encoding"))?;
        let meaning = |place: usize| match self.kinds.get(place).map(String::as_str) {
            Some("list" | "time") => Meaning::Frames,
            Some(kind) if kind.contains("color") || kind.contains("vector") => Meaning::Channels,
            _ => Meaning::Space,
        };
        let axes: Vec<_> =
            sizes.iter().enumerate().map(|(place, &len)| (len, meaning(place))).collect();
        let mm = axes.iter().enumerate().filter(|(_, (_, meaning))| *meaning == Meaning::Space);
        let mut mm = mm.map(|(place, _)| self.spacings.get(place).copied().flatten());
        let spacing_mm = match (mm.next().flatten(), mm.next().flatten()) {
            (Some(width), Some(height)) => spacing(width, height),
            _ => None,
        };
        let axes = Axes::of(&axes)?;
        Ok(Header { sample, big_endian: self.big_endian, compression, axes, spacing_mm })
    }
}

/// Lengths of vectors such as `(0.1,0,0) (0,0.1,0) none`, one for each axis.
fn lengths(text: &str) -> Vec<Option<f64>> {
    let mut lengths = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(vector) = rest.strip_prefix('(') {
            let (inside, after) = vector.split_once(')').unwrap_or((vector, ""));
            let numbers: Option<Vec<f64>> =
                inside.split(',').map(|number| number.trim().parse().ok()).collect();
            let square = |numbers: Vec<f64>| numbers.iter().map(|n| n * n).sum::<f64>().sqrt();
            lengths.push(numbers.map(square));
            rest = after.trim_start();
        } else {
            let (_none, after) = rest.split_once(' ').unwrap_or((rest, ""));
            lengths.push(None);
            rest = after.trim_start();
        }
    }
    lengths
}

fn sample(name: &str) -> Option<Sample> {
    Some(match name {
        "signed char" | "int8" | "int8_t" => Sample::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => Sample::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => {
            Sample::I16
        }
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Sample::U16,
        "int" | "signed int" | "int32" | "int32_t" => Sample::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => Sample::U32,
        "float" => Sample::F32,
        "double" => Sample::F64,
        _ => return None,
    })
}
