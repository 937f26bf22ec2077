//! Checks of the sections about the hospital's network: `[archive]`, `[dicomweb]` and
//! `[worklist]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::super::error::Error;
use super::super::raw::{RawArchive, RawDicomWeb, RawPeer, RawWorklist};
use super::super::values::{
    ArchiveConfig, DicomWebConfig, PeerConfig, PeerEncryption, WebLogin, WorklistConfig,
};
use super::Check;

impl Check<'_> {
    pub(super) fn archive(&self, raw: &RawArchive, folder: &Path) -> Result<ArchiveConfig, Error> {
        let commitment = raw.commitment.as_ref();
        let commitment = commitment.map(|text| self.address("archive.commitment", text));
        Ok(ArchiveConfig::Dicom {
            peer: self.peer("archive", &raw.peer(), folder)?,
            commitment: commitment.transpose()?,
        })
    }

    pub(super) fn dicomweb(
        &self,
        raw: &RawDicomWeb,
        folder: &Path,
    ) -> Result<ArchiveConfig, Error> {
        let key = "dicomweb.url";
        let url = Url::parse(&raw.url).ok().filter(|url| {
            ["http", "https"].contains(&url.scheme())
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().or(url.fragment()).is_none()
        });
        let Some(url) = url else {
            let expected = "an address such as https://pacs.example.org/dicom-web, without a user";
            return Err(self.error(key, "no such address", expected));
        };
        let set = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        let files = [
            ("ca_file", &raw.ca_file),
            ("client_cert", &raw.client_cert),
            ("client_key", &raw.client_key),
        ];
        let first = files.into_iter().find(|(_, path)| path.is_some());
        if let ("http", Some((key, _))) = (url.scheme(), first) {
            let expected = "no such key with http://, which is not encrypted";
            return Err(self.error(&format!("dicomweb.{key}"), "set", expected));
        }
        let login = match (&raw.user, set(&raw.password_file), set(&raw.token_file)) {
            (None, None, None) => None,
            (Some(user), Some(password), None) => Some(WebLogin::User(user.clone(), password)),
            (None, None, Some(token)) => Some(WebLogin::Token(token)),
            _ => {
                let expected = "user and password_file together, or token_file alone";
                return Err(self.error("dicomweb", "a part of them", expected));
            }
        };
        let timeout_s = self.within_or("dicomweb.timeout_s", raw.timeout_s, 1..=600, 60)?;
        Ok(ArchiveConfig::Web(DicomWebConfig {
            url,
            timeout: Duration::from_secs(timeout_s as u64),
            login,
            encryption: PeerEncryption {
                ca_file: set(&raw.ca_file),
                client: self.client(
                    "dicomweb",
                    raw.client_cert.as_deref(),
                    raw.client_key.as_deref(),
                    folder,
                )?,
            },
        }))
    }

    pub(super) fn worklist(
        &self,
        raw: &RawWorklist,
        folder: &Path,
    ) -> Result<WorklistConfig, Error> {
        // A code string of DICOM (PS3.5 6.2).
        let is_code = |text: &&String| {
            let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            (1..=16).contains(&text.len()) && text.bytes().all(allowed)
        };
        let key = "worklist.modality";
        if let Some(text) = raw.modality.as_ref().filter(|text| !is_code(text)) {
            return Err(self.error(key, format!("{text:?}"), "a modality such as US or ES"));
        }
        Ok(WorklistConfig {
            peer: self.peer("worklist", &raw.peer(), folder)?,
            modality: raw.modality.clone(),
            only_this_device: raw.only_this_device.unwrap_or(false),
            report: raw.report.unwrap_or(false),
        })
    }

    fn peer(&self, section: &str, raw: &RawPeer, folder: &Path) -> Result<PeerConfig, Error> {
        let key = |name: &str| format!("{section}.{name}");
        let (host, port) = raw.address.rsplit_once(':').unwrap_or_default();
        if host.is_empty() || !port.parse().is_ok_and(|port: u16| port > 0) {
            let found = format!("{:?}", raw.address);
            return Err(self.error(&key("address"), found, "a host and port such as pacs:104"));
        }
        let timeout_s = self.within_or(&key("timeout_s"), raw.timeout_s, 1..=600, 30)?;
        Ok(PeerConfig {
            address: raw.address.to_owned(),
            called_ae: self.ae_title(&key("called_ae"), raw.called_ae)?,
            calling_ae: self.ae_title(&key("calling_ae"), raw.calling_ae)?,
            timeout: Duration::from_secs(timeout_s as u64),
            encryption: self.peer_encryption(section, raw, folder)?,
        })
    }

    /// AE titles are 1 to 16 characters (PS3.5 6.2).
    fn ae_title(&self, key: &str, text: &str) -> Result<String, Error> {
        let is_title = (1..=16).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\')
            && text.trim() == text;
        if is_title {
            return Ok(text.to_owned());
        }
        let expected = "1 to 16 printable ASCII characters without backslash";
        Err(self.error(key, format!("{text:?}"), expected))
    }

    fn peer_encryption(
        &self,
        section: &str,
        raw: &RawPeer,
        folder: &Path,
    ) -> Result<Option<PeerEncryption>, Error> {
        let files = [
            ("ca_file", raw.ca_file),
            ("client_cert", raw.client_cert),
            ("client_key", raw.client_key),
        ];
        if let (false, Some((key, _))) =
            (raw.tls, files.into_iter().find(|(_, path)| path.is_some()))
        {
            let expected = format!("no such key without {section}.tls = true");
            return Err(self.error(&format!("{section}.{key}"), "set", expected));
        }
        let client = self.client(section, raw.client_cert, raw.client_key, folder)?;
        let ca_file = raw.ca_file.map(|path| folder.join(path));
        Ok(raw.tls.then_some(PeerEncryption { ca_file, client }))
    }

    /// Certificate and private key of this device.
    fn client(
        &self,
        section: &str,
        cert: Option<&Path>,
        key: Option<&Path>,
        folder: &Path,
    ) -> Result<Option<(PathBuf, PathBuf)>, Error> {
        let missing = |key: &str, other: &str| {
            let expected = format!("that of {section}.{other}");
            Err(self.error(&format!("{section}.{key}"), "missing", expected))
        };
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some((folder.join(cert), folder.join(key)))),
            (None, None) => Ok(None),
            (Some(_), None) => missing("client_key", "client_cert"),
            (None, Some(_)) => missing("client_cert", "client_key"),
        }
    }
}
