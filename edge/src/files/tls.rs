//! Encryption of connections that this device opens.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::{Error, pem};

/// Options for connections to servers whose certificates are signed by authorities in `ca_file`, or
/// else by those of the system. `client`: certificate and private key of this device.
///
/// # Errors
/// [`Error::Io`] or [`Error::Credential`], which name the file, or [`Error::NoSystemRoots`].
pub(crate) fn client_config(
    ca_file: Option<&Path>,
    client: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, Error> {
    let roots = match ca_file {
        Some(path) => roots_of(path)?,
        None => system_roots()?,
    };
    // Invariant: aws-lc-rs supports the versions that rustls considers safe.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let Some((cert, key)) = client else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let (chain, private) = (pem::certificates(cert)?, pem::private_key(key)?);
    let config = builder.with_client_auth_cert(chain, private);
    Ok(Arc::new(config.map_err(pem::misfit(cert, key))?))
}

fn roots_of(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots.add(certificate).map_err(|error| Error::Credential {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(Error::NoSystemRoots) } else { Ok(roots) }
}
