//! Certificates and their private keys, in PEM form.

use std::fs::File;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Error, secret};

/// All certificates of a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let bad = |error: &pem::Error| bad(path, "certificate", error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(file).collect();
    let found = found.map_err(|error| bad(&error))?;
    if found.is_empty() { Err(bad(&pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// The private key in a file that only its owner and group can read.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let file = secret::open(path)?;
    PrivateKeyDer::from_pem_reader(file).map_err(|error| bad(path, "private key", &error))
}

/// Converts an error of `rustls` about a certificate and a key that do not belong together.
pub(crate) fn misfit(certificate: &Path, key: &Path) -> impl FnOnce(rustls::Error) -> Error {
    let (path, key) = (certificate.to_owned(), key.to_owned());
    move |error| {
        let reason = format!("does not belong to the key {}: {error}", key.display());
        Error::Credential { path, reason }
    }
}

fn bad(path: &Path, item: &str, error: &pem::Error) -> Error {
    let reason = match error {
        pem::Error::NoItemsFound => format!("holds no {item}, expected one in PEM form"),
        error => format!("expected a {item} in PEM form: {error}"),
    };
    Error::Credential { path: path.to_owned(), reason }
}
