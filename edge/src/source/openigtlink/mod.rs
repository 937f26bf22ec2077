//! IMAGE messages of an OpenIGTLink server: research ultrasound systems, PLUS, 3D Slicer.
//!
//! The format is that of <http://openigtlink.org/developers/spec>, header versions 1 and 2.

mod header;
mod image;

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crc::{CRC_64_ECMA_182, Crc, Table};
use medsa_frames::MAX_SIDE_PX;

use super::event::Received;
use super::live::{Connection, Dial, Fault};
use crate::config::OpenIgtLinkConfig;
use header::{HEADER_BYTES, Header};

/// Longest wait for a connection to each address of the server.
const CONNECT: Duration = Duration::from_secs(2);

/// Largest body in bytes: the largest colour frame, and 1 MiB for headers and metadata.
const MAX_BODY_BYTES: u64 = 3 * (MAX_SIDE_PX as u64).pow(2) + (1 << 20);

/// Bytes read at a time.
const PART_BYTES: usize = 64 << 10;

/// Checksum of the body.
const CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_ECMA_182);

impl Dial for OpenIgtLinkConfig {
    type Connection = Client;

    fn name(&self) -> String {
        format!("OpenIGTLink server {}", self.server)
    }

    fn connect(&self) -> Result<Client, String> {
        let addresses = self.server.to_socket_addrs().map_err(|error| error.to_string())?;
        let stream = connect_to_one(addresses)?;
        Ok(Client {
            stream,
            device_name: self.device_name.clone(),
            window: self.window,
            bytes: Vec::new(),
            expected: Part::Header,
        })
    }
}

fn connect_to_one(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, String> {
    let mut reason = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(reason)
}

/// Connection to a server, which sends without requests.
pub(super) struct Client {
    stream: TcpStream,
    /// Name of the only device whose images are used; `None` for any.
    device_name: Option<String>,
    /// 16-bit sample values shown as black and as white.
    window: [u16; 2],
    /// Bytes received of the expected part.
    bytes: Vec<u8>,
    expected: Part,
}

/// Part of a message.
enum Part {
    Header,
    Body(Header),
    /// Rest of a body that is skipped.
    Unneeded {
        bytes: usize,
    },
}

impl Connection for Client {
    fn receive(&mut self, wait: Duration) -> Result<Option<Received>, Fault> {
        let deadline = Instant::now() + wait;
        loop {
            let wanted = match &self.expected {
                Part::Header => HEADER_BYTES,
                // MAX_BODY_BYTES fits a usize.
                Part::Body(header) => header.body_bytes as usize,
                Part::Unneeded { bytes } => (*bytes).min(PART_BYTES),
            };
            if !self.fill(wanted, deadline)? {
                return Ok(None);
            }
            let bytes = std::mem::take(&mut self.bytes);
            match std::mem::replace(&mut self.expected, Part::Header) {
                Part::Header => self.expected = self.after_header(&bytes).map_err(Fault::Lost)?,
                Part::Unneeded { bytes: left } if left > wanted => {
                    self.expected = Part::Unneeded { bytes: left - wanted };
                }
                Part::Unneeded { .. } => {}
                Part::Body(header) => {
                    return self.image(&header, &bytes).map(Some).map_err(Fault::Damaged);
                }
            }
        }
    }
}

impl Client {
    /// Receives until `wanted` bytes have arrived; false if that takes longer than `deadline`.
    /// Memory grows with the bytes received, not with the announced length.
    fn fill(&mut self, wanted: usize, deadline: Instant) -> Result<bool, Fault> {
        let lost = |error: std::io::Error| Fault::Lost(error.to_string());
        let mut part = [0; PART_BYTES];
        while self.bytes.len() < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.stream.set_read_timeout(Some(left)).map_err(lost)?;
            let space = (wanted - self.bytes.len()).min(PART_BYTES);
            match self.stream.read(&mut part[..space]) {
                Ok(0) => return Err(Fault::Lost("the server closed the connection".into())),
                Ok(count) => self.bytes.extend_from_slice(&part[..count]),
                Err(error) if is_temporary(error.kind()) => {}
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(true)
    }

    /// The part that follows a header. After an invalid header the connection must be closed,
    /// because the start of the next message is unknown.
    fn after_header(&self, bytes: &[u8]) -> Result<Part, String> {
        let header = Header::parse(bytes)?;
        if header.body_bytes > MAX_BODY_BYTES {
            let (kind, found) = (&header.kind, header.body_bytes);
            return Err(format!(
                "{kind} message has {found} bytes, expected at most {MAX_BODY_BYTES}"
            ));
        }
        let is_wanted = header.kind == "IMAGE"
            && self.device_name.as_ref().is_none_or(|name| *name == header.device_name);
        Ok(match header.body_bytes as usize {
            _ if is_wanted => Part::Body(header),
            0 => Part::Header,
            bytes => Part::Unneeded { bytes },
        })
    }

    fn image(&self, header: &Header, body: &[u8]) -> Result<Received, String> {
        let captured = Instant::now();
        let found = CRC64.checksum(body);
        if found != header.crc {
            let expected = header.crc;
            return Err(format!(
                "CRC of the body is {found:016x}, the header says {expected:016x}"
            ));
        }
        let frame = image::parse(header.content(body)?, self.window)?;
        Ok(Received { frame, captured, source_us: header.timestamp_us, missed: 0 })
    }
}

fn is_temporary(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
