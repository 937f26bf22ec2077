//! Certificates of a CA for one test.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Files of the CA: `ca.pem`; `server.pem` for the host "localhost" and `client.pem`, both signed
/// by it; their keys `*.key`. Tests that use it need `openssl`.
pub struct Pki {
    pub folder: TempDir,
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

impl Pki {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        openssl(path, &format!("req -x509 {NEW_KEY} -keyout ca.key -out ca.pem -subj /CN=Test-CA"));
        for (name, host, extension) in [
            ("server", "localhost", "subjectAltName=DNS:localhost"),
            ("client", "bench", "extendedKeyUsage=clientAuth"),
        ] {
            std::fs::write(path.join("extension"), extension).unwrap();
            openssl(
                path,
                &format!("req -new {NEW_KEY} -keyout {name}.key -out request -subj /CN={host}"),
            );
            openssl(
                path,
                &format!(
                    "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial \
                     -extfile extension -out {name}.pem"
                ),
            );
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Lines of configuration for mosquitto.
    pub fn broker(&self) -> String {
        let [cert, key] = ["server.pem", "server.key"].map(|name| self.path(name));
        format!("allow_anonymous true\ncertfile {cert}\nkeyfile {key}")
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
}
