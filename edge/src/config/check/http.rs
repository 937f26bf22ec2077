//! Checks of the section `[http]`.

use std::path::Path;

use super::super::error::Error;
use super::super::intake::Deidentification;
use super::super::raw::RawHttp;
use super::super::source::SourceConfig;
use super::super::users::SignIn;
use super::super::values::{Encryption, HttpConfig, HttpControl, IntendedUse};
use super::Check;

impl Check<'_> {
    pub(super) fn http(
        &self,
        raw: &RawHttp,
        folder: &Path,
        sign_in: Option<SignIn>,
    ) -> Result<HttpConfig, Error> {
        let listen = self.address("http.listen", &raw.listen)?;
        let kiosk = raw.kiosk.as_ref().map(|text| self.address("http.kiosk", text)).transpose()?;
        if let Some(kiosk) = kiosk.filter(|kiosk| !raw.control || !kiosk.ip().is_loopback()) {
            let expected = "a loopback address such as 127.0.0.1:9090, with control = true";
            return Err(self.error("http.kiosk", kiosk, expected));
        }
        let encryption = self.encryption(raw, folder)?;
        let control = match (raw.control, &raw.token_file) {
            (false, None) => HttpControl::Off,
            (false, Some(_)) => {
                let expected =
                    "no such key without control = true; metrics and health need no token";
                return Err(self.error("http.token_file", "set", expected));
            }
            (true, Some(path)) => HttpControl::Token(folder.join(path)),
            (true, None) => HttpControl::ThisMachine,
        };
        let intended_use = match raw.diagnostic {
            false => IntendedUse::NotDiagnostic,
            true => IntendedUse::Diagnostic,
        };
        let http = HttpConfig { listen, kiosk, control, encryption, intended_use, sign_in };
        if http.is_shared() && http.control == HttpControl::ThisMachine {
            let expected =
                format!("a file with a token, because other machines can reach {listen}");
            return Err(self.error("http.token_file", "missing", expected));
        }
        if raw.control && http.is_shared() && http.encryption == Encryption::Off {
            let expected = format!(
                "a certificate with its key in http.key, because others can read the traffic of \
                 {listen}; or behind_proxy = true if a proxy encrypts it"
            );
            return Err(self.error("http.certificate", "missing", expected));
        }
        Ok(http)
    }

    fn encryption(&self, raw: &RawHttp, folder: &Path) -> Result<Encryption, Error> {
        match (&raw.certificate, &raw.key) {
            (None, None) if raw.behind_proxy => Ok(Encryption::Proxy),
            (None, None) => Ok(Encryption::Off),
            (Some(_), Some(_)) if raw.behind_proxy => {
                let expected =
                    "false with http.certificate: either a proxy or the service encrypts, not both";
                Err(self.error("http.behind_proxy", true, expected))
            }
            (Some(certificate), Some(key)) => {
                let [certificate, key] = [certificate, key].map(|path| folder.join(path));
                Ok(Encryption::Own { certificate, key })
            }
            (Some(_), None) => {
                Err(self.error("http.key", "missing", "the private key of http.certificate"))
            }
            (None, Some(_)) => {
                Err(self.error("http.certificate", "missing", "the certificate of http.key"))
            }
        }
    }

    /// Requires `source.blank` before frames are shown to other machines.
    pub(super) fn shown_frames_masked(
        &self,
        http: &HttpConfig,
        source: &SourceConfig,
    ) -> Result<(), Error> {
        let shown = http.control != HttpControl::Off && http.is_shared();
        if shown && source.intake.deidentification() == Deidentification::Unmasked {
            let listen = http.listen;
            let expected = format!(
                "the rectangles to hide, because http.control shows frames to others at {listen}"
            );
            return Err(self.error("source.blank", "missing", expected));
        }
        Ok(())
    }
}
