//! The OpenIGTLink header, which starts every message.

/// Length of a header in bytes.
pub(super) const HEADER_BYTES: usize = 58;

/// Length of the shortest extended header in bytes; it begins the body in version 2.
const EXTENDED_HEADER_BYTES: usize = 12;

/// Header of a message; all numbers are big-endian.
#[derive(Debug)]
pub(super) struct Header {
    version: u16,
    /// Type of the message, such as `IMAGE`.
    pub kind: String,
    /// Name of the sending device.
    pub device_name: String,
    /// Time in microseconds since 1970 on the sender's clock, if it states one.
    pub timestamp_us: Option<u64>,
    /// Length of the body in bytes.
    pub body_bytes: u64,
    /// CRC-64 of the body.
    pub crc: u64,
}

impl Header {
    /// Reads a header of [`HEADER_BYTES`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (Some([high, low]), Some(kind), Some(device_name)) =
            (bytes.first_chunk(), bytes.get(2..14), bytes.get(14..34))
        else {
            return Err(format!("header has {} bytes, expected {HEADER_BYTES}", bytes.len()));
        };
        let version = u16::from_be_bytes([*high, *low]);
        if !(1..=2).contains(&version) {
            return Err(format!("OpenIGTLink header has version {version}, expected 1 or 2"));
        }
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_be_bytes).ok_or_else(|| format!("header ends before byte {at}"))
        };
        Ok(Self {
            version,
            kind: text(kind).ok_or("OpenIGTLink header has no readable message type")?,
            // An unreadable name is accepted: it only selects the device.
            device_name: text(device_name).unwrap_or_default(),
            timestamp_us: timestamp_us(number(34)?),
            body_bytes: number(42)?,
            crc: number(50)?,
        })
    }

    /// The part of the body that the message type defines. In version 2 an extended header precedes
    /// it and metadata follows it.
    pub(super) fn content<'a>(&self, body: &'a [u8]) -> Result<&'a [u8], String> {
        if self.version == 1 {
            return Ok(body);
        }
        let content = || {
            let size = usize::from(u16::from_be_bytes(*body.first_chunk()?));
            let index = usize::from(u16::from_be_bytes(body.get(2..4)?.try_into().ok()?));
            let metadata = u32::from_be_bytes(body.get(4..8)?.try_into().ok()?) as usize;
            let end = body.len().checked_sub(index.checked_add(metadata)?)?;
            if size < EXTENDED_HEADER_BYTES {
                return None;
            }
            body.get(size..end)
        };
        content()
            .ok_or_else(|| format!("extended header does not fit a body of {} bytes", body.len()))
    }
}

/// A zero-padded text; `None` if it is empty or not printable ASCII.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' '))
        .then(|| text.to_owned())
}

/// Converts 32.32 fixed-point seconds to microseconds; 0 means that no time is stated.
fn timestamp_us(fixed: u64) -> Option<u64> {
    let (seconds, part) = (fixed >> 32, fixed & 0xffff_ffff);
    (fixed != 0).then(|| seconds * 1_000_000 + ((part * 1_000_000) >> 32))
}
