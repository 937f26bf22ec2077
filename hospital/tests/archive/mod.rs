//! Archives for one test, Orthanc and `storescp` of DCMTK, and worklists.
// Each test file uses only a part of this module.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use medsa_test_inputs::program;
use tempfile::TempDir;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Folder of Orthanc's plugins on Debian.
const PLUGINS: &str = "/usr/share/orthanc/plugins";

/// An archive with storage commitment and a REST API, killed at the end.
pub struct Orthanc {
    pub dicom: u16,
    pub http: u16,
    child: Child,
    _folder: TempDir,
}

/// A planned examination of a worklist.
pub struct Planned {
    /// In Latin-1, as many systems have it.
    pub name: &'static str,
    pub id: &'static str,
    pub accession: &'static str,
    pub study_uid: &'static str,
    pub modality: &'static str,
    /// `YYYYMMDD`.
    pub date: String,
    pub time: &'static str,
}

impl Planned {
    /// Writes the file of a worklist, by `dump2dcm` of DCMTK.
    pub fn write(&self, path: &Path) {
        let Self { name, id, accession, study_uid, modality, date, time } = self;
        let dump = format!(
            "(0008,0005) CS [ISO_IR 100]\n(0008,0050) SH [{accession}]\n\
             (0008,0090) PN [House^Gregory]\n(0010,0010) PN [{name}]\n(0010,0020) LO [{id}]\n\
             (0010,0030) DA [19480229]\n(0010,0040) CS [F]\n(0020,000d) UI [{study_uid}]\n\
             (0032,1060) LO [Ultrasound of the neck]\n(0040,1001) SH [RP-{id}]\n\
             (0040,0100) SQ\n(fffe,e000) na\n(0008,0060) CS [{modality}]\n(0040,0001) AE [MEDSA]\n\
             (0040,0002) DA [{date}]\n(0040,0003) TM [{time}]\n(0040,0007) LO [Carotid]\n\
             (0040,0009) SH [SPS-{id}]\n(fffe,e00d) na\n(fffe,e0dd) na\n"
        );
        let text = path.with_extension("dump");
        let latin_1: Vec<u8> = dump.chars().map(|c| u8::try_from(c).unwrap()).collect();
        std::fs::write(&text, latin_1).unwrap();
        let output = Command::new("dump2dcm").arg(&text).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_file(text).unwrap();
    }
}

impl Orthanc {
    /// `reports`: port of the device for reports of storage commitment.
    pub fn start(reports: u16) -> Self {
        Self::start_at(free_port(), reports)
    }

    /// Starts at a port for DICOM.
    pub fn start_at(dicom: u16, reports: u16) -> Self {
        Self::start_with(dicom, reports, &[])
    }

    /// Starts with a worklist.
    pub fn with_worklist(planned: &[Planned]) -> Self {
        Self::start_with(free_port(), free_port(), planned)
    }

    fn start_with(dicom: u16, reports: u16, planned: &[Planned]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let worklist = folder.path().join("worklist");
        std::fs::create_dir(&worklist).unwrap();
        for (number, planned) in planned.iter().enumerate() {
            planned.write(&worklist.join(format!("{number}.wl")));
        }
        let http = free_port();
        let plugins = ["libModalityWorklists.so", "libOrthancDicomWeb.so"]
            .map(|name| format!("\"{PLUGINS}/{name}\""))
            .join(", ");
        let config = format!(
            r#"{{ "Name": "test", "StorageDirectory": "{0}", "IndexDirectory": "{0}",
                "DicomAet": "ORTHANC", "DicomCheckCalledAet": true, "DicomPort": {dicom},
                "HttpPort": {http}, "AuthenticationEnabled": false, "SslEnabled": false,
                "Plugins": [{plugins}],
                "Worklists": {{ "Enable": true, "Database": "{1}" }},
                "DicomModalities": {{ "medsa": ["MEDSA", "127.0.0.1", {reports}] }} }}"#,
            folder.path().display(),
            worklist.display()
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

/// A worklist of DCMTK, killed at the end.
pub struct WorklistScp {
    pub port: u16,
    child: Child,
    _folder: TempDir,
}

impl WorklistScp {
    /// Its AE title is `RIS`.
    pub fn start(planned: &[Planned]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let files = folder.path().join("RIS");
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("lockfile"), "").unwrap();
        for (number, planned) in planned.iter().enumerate() {
            planned.write(&files.join(format!("{number}.wl")));
        }
        let child = Command::new("wlmscpfs")
            .args(["--disable-file-reject", "--single-process", "--data-files-path"])
            .arg(folder.path())
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("wlmscpfs listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, child, _folder: folder }
    }
}

impl Drop for WorklistScp {
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
