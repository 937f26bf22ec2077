//! Contents of a header, of either kind.

/// Layout of the samples of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) sample: Sample,
    pub(super) big_endian: bool,
    pub(super) compression: Compression,
    pub(super) axes: Axes,
    /// Distance between neighbouring pixels in mm, `[down the rows, along a row]`, if it is known.
    pub(super) spacing_mm: Option<[f32; 2]>,
}

/// An axis of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) len: usize,
    /// Distance between neighbours, in samples.
    pub(super) stride: usize,
}

/// Place of the samples.
#[derive(Debug, PartialEq)]
pub(super) enum Data {
    /// In the same file, from this byte on.
    Here { at: usize },
    /// In another file, after `skipped` bytes; -1: its last bytes.
    Beside { name: String, skipped: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compression {
    None,
    Zlib,
    Gzip,
}

/// Type of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sample {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

/// Meaning of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    Space,
    Channels,
    Frames,
}

impl Sample {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    /// Sample `number` of `data`, which has to hold it.
    pub(super) fn value(self, data: &[u8], number: usize, big_endian: bool) -> f64 {
        let size = self.bytes();
        let mut bytes = [0; 8];
        let stored = &data[number * size..(number + 1) * size];
        // Little endian from here on.
        for (place, byte) in bytes.iter_mut().take(size).enumerate() {
            *byte = stored[if big_endian { size - 1 - place } else { place }];
        }
        let [a, b, c, d, ..] = bytes;
        match self {
            Self::I8 => f64::from(a as i8),
            Self::U8 => f64::from(a),
            Self::I16 => f64::from(i16::from_le_bytes([a, b])),
            Self::U16 => f64::from(u16::from_le_bytes([a, b])),
            Self::I32 => f64::from(i32::from_le_bytes([a, b, c, d])),
            Self::U32 => f64::from(u32::from_le_bytes([a, b, c, d])),
            Self::F32 => f64::from(f32::from_le_bytes([a, b, c, d])),
            Self::F64 => f64::from_le_bytes(bytes),
        }
    }
}

impl Header {
    /// Number of frames; `check` has held the product to its limit.
    pub(super) fn frames(&self) -> usize {
        self.axes.others.iter().map(|axis| axis.len).product()
    }

    /// Number of samples; the sizes have been checked.
    pub(super) fn samples(&self) -> usize {
        self.frames() * self.axes.width.len * self.axes.height.len * self.axes.channels.len
    }
}

/// Axes of the samples.
#[derive(Debug, PartialEq)]
pub(super) struct Axes {
    pub(super) width: Axis,
    pub(super) height: Axis,
    /// A single one for grey values.
    pub(super) channels: Axis,
    /// All further axes; together, they number the frames, the first one fastest.
    pub(super) others: Vec<Axis>,
}

impl Axes {
    /// Axes given as lengths with their meaning, as they lie in the file, the first one fastest. The
    /// first two in space are width and height.
    ///
    /// # Errors
    /// There are less than two axes in space, or too many samples.
    pub(super) fn of(found: &[(usize, Meaning)]) -> Result<Self, String> {
        let mut stride = 1usize;
        let mut space = Vec::new();
        let mut channels = None;
        let mut others = Vec::new();
        for &(len, meaning) in found {
            let axis = Axis { len, stride };
            stride = stride.checked_mul(len).ok_or("too many samples")?;
            match meaning {
                Meaning::Channels if channels.is_none() => channels = Some(axis),
                Meaning::Space if space.len() < 2 => space.push(axis),
                _ => others.push(axis),
            }
        }
        let [width, height] = space[..] else {
            return Err(format!("{} axes in space, expected at least 2", space.len()));
        };
        let channels = channels.unwrap_or(Axis { len: 1, stride: 0 });
        Ok(Self { width, height, channels, others })
    }
}

/// A spacing in mm `[down the rows, along a row]` of one in file order. Programs that do not know it
/// write 1 for both, or leave out what is not positive.
pub(super) fn spacing(width: f64, height: f64) -> Option<[f32; 2]> {
    let is_length = |mm: f64| mm.is_finite() && mm > 0.0;
    let is_known = is_length(width) && is_length(height) && [width, height] != [1.0, 1.0];
    is_known.then_some([height as f32, width as f32])
}
