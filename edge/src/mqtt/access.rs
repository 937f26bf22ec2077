//! Credentials for the broker: certificates, user and password.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::error::Error;
use crate::config::{Access, BrokerUrl, Security};
use crate::files::{self, pem, secret};

impl Access {
    /// Reads the files of the credentials.
    ///
    /// # Errors
    /// [`Error::File`], which names the file, or [`Error::NoSystemRoots`].
    pub fn load(&self, broker: &BrokerUrl) -> Result<Credentials, Error> {
        let tls = match broker.security {
            Security::Plain => None,
            Security::Tls => Some(self.tls()?),
        };
        let password = self
            .password_file
            .as_deref()
            .map(|path| secret::read_line(path, "password"))
            .transpose()?;
        let login =
            self.user.clone().map(|user| Login { user, password: password.unwrap_or_default() });
        Ok(Credentials { tls, login })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Error> {
        let roots = match &self.ca_file {
            Some(path) => roots_of(path)?,
            None => system_roots()?,
        };
        // Invariant: aws-lc-rs supports the versions that rustls considers safe.
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs supports TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let (chain, private) = (pem::certificates(cert)?, pem::private_key(key)?);
        let config = builder.with_client_auth_cert(chain, private);
        Ok(Arc::new(config.map_err(pem::misfit(cert, key))?))
    }
}

/// Credentials read by [`Access::load`].
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Present with [`Security::Tls`].
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) login: Option<Login>,
}

impl Credentials {
    /// True if a password would be sent.
    pub fn has_password(&self) -> bool {
        self.login.as_ref().is_some_and(|login| !login.password.is_empty())
    }
}

#[derive(Clone)]
pub(super) struct Login {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Login {
    /// Omits the password, which must not get into a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots.add(certificate).map_err(|error| files::Error::Credential {
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
