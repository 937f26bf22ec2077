//! Archives for one test: Orthanc, and `storescp` of DCMTK.
// Each test file uses only a part of this module.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use medsa_test_inputs::program;
use tempfile::TempDir;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// An archive with storage commitment and a REST API, killed at the end.
pub struct Orthanc {
    pub dicom: u16,
    http: u16,
    child: Child,
    _folder: TempDir,
}

impl Orthanc {
    /// `reports`: port of the device for reports of storage commitment.
    pub fn start(reports: u16) -> Self {
        Self::start_at(free_port(), reports)
    }

    /// Starts at a port for DICOM.
    pub fn start_at(dicom: u16, reports: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let http = free_port();
        let config = format!(
            r#"{{ "Name": "test", "StorageDirectory": "{0}", "IndexDirectory": "{0}",
                "DicomAet": "ORTHANC", "DicomCheckCalledAet": true, "DicomPort": {dicom},
                "HttpPort": {http}, "AuthenticationEnabled": false, "SslEnabled": false,
                "DicomModalities": {{ "medsa": ["MEDSA", "127.0.0.1", {reports}] }} }}"#,
            folder.path().display()
        );
        let file = folder.path().join("orthanc.json");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program("Orthanc").expect("the test needs `orthanc`"))
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orthanc = Self { dicom, http, child, _folder: folder };
        for port in [http, dicom] {
            wait_until("Orthanc listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        orthanc
    }

    /// Answer to a GET request, as text.
    pub fn get(&self, path: &str) -> String {
        String::from_utf8(self.request("GET", path, "")).unwrap()
    }

    /// The file of an instance.
    pub fn file(&self, uid: &str) -> Vec<u8> {
        let found = String::from_utf8(self.request("POST", "/tools/lookup", uid)).unwrap();
        let path = found.split('"').find(|part| part.starts_with("/instances/"));
        let path = path.unwrap_or_else(|| panic!("{uid} is not stored: {found}"));
        self.request("GET", &format!("{path}/file"), "")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]);
        assert!(head.contains(" 200 "), "{method} {path}: {head}");
        answer[end + 4..].to_vec()
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A receiver of instances, killed at the end.
pub struct StoreScp {
    pub port: u16,
    child: Child,
    folder: TempDir,
}

impl StoreScp {
    pub fn start(options: &[&str]) -> Self {
        Self::start_at(free_port(), options)
    }

    pub fn start_at(port: u16, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("storescp")
            .args(options)
            .arg("--output-directory")
            .arg(folder.path())
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("storescp listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, child, folder }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for StoreScp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Polls until `done`; for conditions without an event.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
