//! Checks of the section `[archive]`.

use std::path::Path;
use std::time::Duration;

use super::super::error::Error;
use super::super::raw::RawArchive;
use super::super::values::{ArchiveConfig, ArchiveEncryption};
use super::Check;

impl Check<'_> {
    pub(super) fn archive(&self, raw: &RawArchive, folder: &Path) -> Result<ArchiveConfig, Error> {
        let (host, port) = raw.address.rsplit_once(':').unwrap_or_default();
        if host.is_empty() || !port.parse().is_ok_and(|port: u16| port > 0) {
            let found = format!("{:?}", raw.address);
            return Err(self.error("archive.address", found, "a host and port such as pacs:104"));
        }
        let timeout_s = self.within_or("archive.timeout_s", raw.timeout_s, 1..=600, 30)?;
        let commitment = raw.commitment.as_ref();
        let commitment = commitment.map(|text| self.address("archive.commitment", text));
        Ok(ArchiveConfig {
            address: raw.address.clone(),
            called_ae: self.ae_title("archive.called_ae", &raw.called_ae)?,
            calling_ae: self.ae_title("archive.calling_ae", &raw.calling_ae)?,
            timeout: Duration::from_secs(timeout_s as u64),
            commitment: commitment.transpose()?,
            encryption: self.archive_encryption(raw, folder)?,
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

    fn archive_encryption(
        &self,
        raw: &RawArchive,
        folder: &Path,
    ) -> Result<Option<ArchiveEncryption>, Error> {
        let files = [
            ("ca_file", &raw.ca_file),
            ("client_cert", &raw.client_cert),
            ("client_key", &raw.client_key),
        ];
        if let (false, Some((key, _))) =
            (raw.tls, files.into_iter().find(|(_, path)| path.is_some()))
        {
            let expected = "no such key without archive.tls = true";
            return Err(self.error(&format!("archive.{key}"), "set", expected));
        }
        let path = |path: &Path| folder.join(path);
        let client = match (raw.client_cert.as_deref(), raw.client_key.as_deref()) {
            (Some(cert), Some(key)) => Some((path(cert), path(key))),
            (None, None) => None,
            (Some(_), None) => {
                let expected = "the private key of archive.client_cert";
                return Err(self.error("archive.client_key", "missing", expected));
            }
            (None, Some(_)) => {
                let expected = "the certificate of archive.client_key";
                return Err(self.error("archive.client_cert", "missing", expected));
            }
        };
        let ca_file = raw.ca_file.as_deref().map(path);
        Ok(raw.tls.then_some(ArchiveEncryption { ca_file, client }))
    }
}
