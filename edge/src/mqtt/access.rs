//! What a broker and a client show each other to be let in: certificates, user and password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::{BrokerUrl, Security};
use crate::error::Error;
use crate::{pem, secret};

/// Files and names that say who may connect to whom. Secrets are in files of their own, which
/// only their owner and group can read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Access {
    /// Certificates (PEM) that the broker's has to be signed by. Default: those of the system.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) of this client, where the broker asks for one.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// User at the broker.
    #[arg(long)]
    pub user: Option<String>,
    /// File that holds the user's password, and nothing else.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}

/// A key of [`Access`] that does not go with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Name of the field.
    pub key: &'static str,
    /// Its value, or that it is missing.
    pub found: String,
    /// What would go with the others.
    pub expected: &'static str,
}

impl Access {
    /// Checks that no key is there without the one that it needs.
    ///
    /// # Errors
    /// The first [`Misfit`].
    pub fn check(&self, broker: &BrokerUrl) -> Result<(), Misfit> {
        let files = [
            ("ca_file", &self.ca_file),
            ("client_cert", &self.client_cert),
            ("client_key", &self.client_key),
        ];
        if let (Security::Plain, Some((key, Some(path)))) =
            (broker.security, files.into_iter().find(|(_, path)| path.is_some()))
        {
            let found = format!("{:?}", path.display().to_string());
            let expected = "no such key with mqtt://, which is not encrypted: use mqtts://";
            return Err(Misfit { key, found, expected });
        }
        let missing = |key, expected| Err(Misfit { key, found: "missing".into(), expected });
        match self {
            Self { client_cert: Some(_), client_key: None, .. } => {
                missing("client_key", "the private key of client_cert")
            }
            Self { client_cert: None, client_key: Some(_), .. } => {
                missing("client_cert", "the certificate of client_key")
            }
            Self { user: None, password_file: Some(_), .. } => {
                missing("user", "the user whose password is in password_file")
            }
            _ => Ok(()),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Exposed`] and [`Error::Credential`], which name the file.
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
        // Invariant: aws-lc-rs supports the versions that rustls holds to be safe.
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

/// What [`Access::load`] read.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// With [`Security::Tls`].
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) login: Option<Login>,
}

impl Credentials {
    /// Whether a password would be sent.
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
    /// Without the password, which is for no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
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
