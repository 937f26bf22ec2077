//! Headers of MetaImage: `Key = Value` lines, of which `ElementDataFile` is the last.

use super::header::{Axes, Compression, Data, Header, Meaning, Sample, spacing};

/// True for the start of a header. Its first key is one of these in all known writers.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    let text = &bytes[..bytes.len().min(64)];
    let Some(equals) = text.iter().position(|&byte| byte == b'=') else { return false };
    let key = text[..equals].trim_ascii();
    [&b"ObjectType"[..], b"NDims", b"Comment", b"ObjectSubType"].contains(&key)
}

/// Reads the header of a file.
///
/// # Errors
/// Names the key, with its value and what was expected.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, Data), String> {
    let mut keys = Keys::default();
    let mut at = 0;
    loop {
        let rest = &super::head(bytes)[at.min(super::head(bytes).len())..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err("the header does not end with ElementDataFile".to_owned());
        };
        at += end + 1;
        let line = String::from_utf8_lossy(&rest[..end]);
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        keys.set(key, value)?;
        if key == "ElementDataFile" {
            let data = match value {
                "LOCAL" => Data::Here { at },
                name => Data::Beside { name: name.to_owned(), skipped: keys.header_size },
            };
            return Ok((keys.header()?, data));
        }
    }
}

/// Values of the keys that matter, of those that occurred.
#[derive(Default)]
struct Keys {
    sizes: Option<Vec<usize>>,
    sample: Option<Sample>,
    channels: Option<usize>,
    spacing: Option<Vec<f64>>,
    big_endian: bool,
    compressed: bool,
    header_size: i64,
}

impl Keys {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let expected = |what: &str| format!("{key} = {value:?}, expected {what}");
        let truth = || match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(expected("True or False")),
        };
        match key {
            "ObjectType" if !value.eq_ignore_ascii_case("image") => Err(expected("Image")),
            "DimSize" => {
                self.sizes = Some(numbers(value).ok_or_else(|| expected("numbers"))?);
                Ok(())
            }
            "ElementSpacing" => {
                self.spacing = Some(numbers(value).ok_or_else(|| expected("numbers"))?);
                Ok(())
            }
            // Only if there is no spacing: the size of a pixel, not the distance of two.
            "ElementSize" => {
                self.spacing = self.spacing.take().or(numbers(value));
                Ok(())
            }
            "ElementType" => {
                self.sample =
                    Some(sample(value).ok_or_else(|| expected("MET_UCHAR to MET_DOUBLE"))?);
                Ok(())
            }
            "ElementNumberOfChannels" => {
                self.channels = Some(value.parse().map_err(|_| expected("a number"))?);
                Ok(())
            }
            "BinaryData" if !truth()? => Err(expected("True: numbers as text are not read")),
            "BinaryDataByteOrderMSB" | "ElementByteOrderMSB" => {
                self.big_endian = truth()?;
                Ok(())
            }
            "CompressedData" => {
                self.compressed = truth()?;
                Ok(())
            }
            "HeaderSize" => {
                self.header_size = value.parse().map_err(|_| expected("a number"))?;
                if self.header_size < -1 { Err(expected("-1 or more")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn header(self) -> Result<Header, String> {
        let missing = |key: &str| format!("{key} is missing");
        let sizes = self.sizes.ok_or_else(|| missing("DimSize"))?;
        let sample = self.sample.ok_or_else(|| missing("ElementType"))?;
        let mut axes = vec![(self.channels.unwrap_or(1), Meaning::Channels)];
        let meaning = |place| if place < 2 { Meaning::Space } else { Meaning::Frames };
        axes.extend(sizes.iter().enumerate().map(|(place, &len)| (len, meaning(place))));
        let spacing_mm = match self.spacing.as_deref() {
            Some(&[width, height, ..]) => spacing(width, height),
            _ => None,
        };
        Ok(Header {
            sample,
            big_endian: self.big_endian,
            compression: if self.compressed { Compression::Zlib } else { Compression::None },
            axes: Axes::of(&axes)?,
            spacing_mm,
        })
    }
}

fn numbers<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

fn sample(name: &str) -> Option<Sample> {
    Some(match name.trim_end_matches("_ARRAY") {
        "MET_CHAR" => Sample::I8,
        "MET_UCHAR" => Sample::U8,
        "MET_SHORT" => Sample::I16,
        "MET_USHORT" => Sample::U16,
        "MET_INT" => Sample::I32,
        "MET_UINT" => Sample::U32,
        "MET_FLOAT" => Sample::F32,
        "MET_DOUBLE" => Sample::F64,
        _ => return None,
    })
}
