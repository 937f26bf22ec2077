//! Transport of a repository's files, from a server or from a folder.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Component;
use std::time::Duration;

use futures_util::stream;
use tough::{
    Bytes, DefaultTransport, HttpTransportBuilder, Transport, TransportError, TransportErrorKind,
    TransportStream, async_trait,
};
use url::Url;

/// Size in bytes of the chunks in which files are read.
const CHUNK: usize = 1 << 16;

/// Transport for `https://`, `http://` and `file://`. tough's own transport for files does not
/// decode the path of an address, and so finds nothing on a stick with a space in its name; and it
/// would wait for ever at a pipe.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    server: DefaultTransport,
}

impl Reach {
    /// Creates the transport; `patience` is the longest time for a file from a server.
    pub fn new(patience: Duration) -> Self {
        let http = HttpTransportBuilder::new().timeout(patience);
        Self { server: DefaultTransport::new_with_http_settings(http) }
    }
}

#[async_trait]
impl Transport for Reach {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        if url.scheme() != "file" {
            return self.server.fetch(url).await;
        }
        let refused = move |error: io::Error, url: &Url| {
            let kind = match error.kind() {
                ErrorKind::NotFound => TransportErrorKind::FileNotFound,
                _ => TransportErrorKind::Other,
            };
            TransportError::new_with_cause(kind, url, error)
        };
        let mut file = open(&url).map_err(|error| refused(error, &url))?;
        let mut failed = false;
        let chunks = std::iter::from_fn(move || {
            let mut chunk = vec![0; CHUNK];
            let read = if failed { Ok(0) } else { file.read(&mut chunk) };
            match read {
                Ok(0) => None,
                Ok(read) => {
                    chunk.truncate(read);
                    Some(Ok(Bytes::from(chunk)))
                }
                Err(error) => {
                    failed = true;
                    Some(Err(refused(error, &url)))
                }
            }
        });
        Ok(Box::pin(stream::iter(chunks)))
    }
}

fn open(url: &Url) -> io::Result<File> {
    let refused = |reason| io::Error::new(ErrorKind::InvalidInput, reason);
    let path = url.to_file_path().map_err(|()| refused("not a path of this machine"))?;
    // An escaped `..` leads out of the folder once it is a path.
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("not in the repository"));
    }
    if !fs::metadata(&path)?.is_file() {
        return Err(refused("not a plain file"));
    }
    File::open(path)
}
