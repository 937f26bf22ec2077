//! Records on their way to the archive of a hospital.

#[path = "../../../hospital/tests/archive/mod.rs"]
pub mod peers;

use std::net::SocketAddr;
use std::path::Path;

use medsa_edge::config::{ArchiveConfig, Config};
use medsa_frames::{Clip, Segmentation};
use medsa_hospital::Reports;
use medsa_test_inputs::needs;
use peers::{Orthanc, StoreScp};
use serde_json::Value;

use crate::harness::{Edge, Place, external, free_port, wait_until};
use crate::http::records::capture;
use crate::http::{get, request};
use crate::service::LOOP;

/// A device that sends to an archive at a port.
pub struct Device {
    pub place: Place,
    pub settings: String,
}

impl Device {
    pub fn new(port: u16, more: &str) -> Self {
        let broker = external(&format!("mqtt://127.0.0.1:{}", free_port()));
        let settings = format!(
            "{broker}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n\
             [records]\nfolder = \"kept\"\n\
             [archive]\naddress = \"127.0.0.1:{port}\"\ncalled_ae = \"ORTHANC\"\n{more}"
        );
        Self { place: Place::new(2), settings }
    }

    pub fn run(&self) -> (Edge, String) {
        let edge = Edge::run(&self.place.config(&format!("{LOOP}\nblank = []"), &self.settings));
        let line = edge.logged("metrics and health at http://");
        let address = line.rsplit('/').next().unwrap().to_owned();
        (edge, address)
    }
}

fn progress(address: &str, id: &str) -> Value {
    let (_, body) = get(address, &format!("/records/{id}"));
    serde_json::from_str::<Value>(&body).unwrap()["archive"].clone()
}

pub fn wait_for(address: &str, id: &str, state: &str) {
    wait_until(&format!("{id} is {state}"), || progress(address, id)["state"] == state);
}

/// Number of instances in an archive.
pub fn count(orthanc: &Orthanc) -> usize {
    orthanc.get("/instances").matches('"').count() / 2
}

#[test]
fn record_is_sent_and_the_archive_keeps_it() {
    needs!("orthanc");
    let reports = free_port();
    let orthanc = Orthanc::start(reports);
    let device = Device::new(orthanc.dicom, &format!("commitment = \"127.0.0.1:{reports}\""));
    let (edge, address) = device.run();
    let id = capture(&address);
    wait_for(&address, &id, "kept");
    // The frame and the masks, as they are on the device.
    assert_eq!(count(&orthanc), 2);
    let folder = Path::new(&device.place.path("kept")).join(&id);
    let record: Value =
        serde_json::from_slice(&std::fs::read(folder.join("record.json")).unwrap()).unwrap();
    let found = |part: &str| {
        let path = device.place.folder.path().join(part);
        let uid = record["dicom"][part]["instance"].as_str().unwrap();
        std::fs::write(&path, orthanc.file(uid)).unwrap();
        path
    };
    let pixels = |path| Clip::open(path).unwrap().frame(0).unwrap().rgb;
    assert!(pixels(found("frame")) == pixels(folder.join("frame.dcm")));
    let mask = |path| Segmentation::open(path).unwrap().mask(1).unwrap();
    assert!(mask(found("segmentation")) == mask(folder.join("segmentation.dcm")));
    // After a restart, it is known.
    drop(edge);
    let (_edge, address) = device.run();
    assert_eq!(progress(&address, &id)["state"], "kept");
    let second = capture(&address);
    wait_for(&address, &second, "kept");
    assert!(get(&address, "/metrics").1.contains("medsa_records_archived_total 1\n"));
}

#[test]
fn records_wait_for_an_archive_that_is_away_and_survive_a_kill() {
    needs!("orthanc");
    let port = free_port();
    let device = Device::new(port, "");
    let (edge, address) = device.run();
    let ids = [capture(&address), capture(&address)];
    edge.logged("next attempt in");
    assert_eq!(progress(&address, &ids[0])["state"], "waiting");
    edge.signal("KILL");
    drop(edge);
    let orthanc = Orthanc::start_at(port, free_port());
    let (edge, address) = device.run();
    for id in &ids {
        wait_for(&address, id, "sent");
    }
    assert_eq!(count(&orthanc), 4);
    // The oldest first.
    edge.logged(&format!("record {} is in the archive", ids[0]));
    edge.logged(&format!("record {} is in the archive", ids[1]));
    // Killed while it sends: nothing is lost, and nothing is there twice.
    let third = capture(&address);
    edge.signal("KILL");
    drop(edge);
    let (_edge, address) = device.run();
    wait_for(&address, &third, "sent");
    assert_eq!(count(&orthanc), 6);
}

#[test]
fn records_are_sent_by_dicomweb() {
    needs!("orthanc");
    let orthanc = Orthanc::start(free_port());
    let mut device = Device::new(1, "");
    let (before, _) = device.settings.split_once("[archive]").unwrap();
    let url = format!("http://127.0.0.1:{}/dicom-web", orthanc.http);
    device.settings = format!("{before}[dicomweb]\nurl = \"{url}\"");
    let (_edge, address) = device.run();
    let id = capture(&address);
    wait_for(&address, &id, "sent");
    assert_eq!(count(&orthanc), 2);
}

/// The archive is not asked again for what it does not take.
#[test]
fn record_that_is_not_taken_is_reported_once() {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    // Offers verification and commitment, but no storage.
    let without_storage = Reports::listen(address, "ORTHANC", |_| true).unwrap();
    let device = Device::new(without_storage.address().port(), "");
    let (edge, address) = device.run();
    let id = capture(&address);
    wait_for(&address, &id, "refused");
    let reason = progress(&address, &id)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("class 1.2.840.10008.5.1.4.1.1.7 in"), "{reason}");
    edge.logged("is NOT in the archive");
    assert!(get(&address, "/metrics").1.contains("medsa_records_not_archived_total 1\n"));
}

#[test]
fn damaged_and_deleted_records_do_not_hold_up_others() {
    needs!("dcmtk");
    let port = free_port();
    let device = Device::new(port, "");
    let (edge, address) = device.run();
    let [damaged, deleted, whole] = [(); 3].map(|()| capture(&address));
    let file = Path::new(&device.place.path("kept")).join(&damaged).join("frame.dcm");
    std::fs::write(file, b"nothing").unwrap();
    let json = "Content-Type: application/json\r\n";
    let path = format!("/records/{deleted}");
    assert_eq!(request(&address, "DELETE", &path, json, br#"{"reason": "Test"}"#).0, 204);
    let scp = StoreScp::start_at(port, &[]);
    wait_for(&address, &whole, "sent");
    assert_eq!(progress(&address, &damaged)["state"], "refused");
    assert_eq!(scp.files().len(), 2);
    drop(edge);
}

#[test]
fn problems_of_the_section_are_named() {
    let base = "[source]\nkind = \"dicom\"\npath = \"c.dcm\"\n[records]\n[archive]\n";
    let refusal = |text: &str| {
        Config::parse(Path::new("edge.toml"), text).expect_err("a wrong value").to_string()
    };
    let whole = format!("{base}address = \"pacs:104\"\ncalled_ae = \"PACS\"\n");
    let archive = Config::parse(Path::new("edge.toml"), &whole).unwrap().archive.unwrap();
    let ArchiveConfig::Dicom { peer: config, .. } = archive else { panic!("no DICOM") };
    assert_eq!((&*config.calling_ae, config.timeout.as_secs()), ("MEDSA", 30));
    for (from, to, said) in [
        ("pacs:104", "pacs", "archive.address is \"pacs\", expected a host and port"),
        ("pacs:104", "pacs:0", "archive.address is \"pacs:0\""),
        ("\"PACS\"", "\"A title of seventeen\"", "archive.called_ae is"),
        ("\"PACS\"", "\"PACS\"\ncalling_ae = \"\"", "archive.calling_ae is \"\""),
        ("\"PACS\"", "\"PACS\"\nca_file = \"a\"", "archive.ca_file is set, expected no such key"),
        (
            "\"PACS\"",
            "\"PACS\"\ntls = true\nclient_cert = \"a\"",
            "archive.client_key is missing, expected that of archive.client_cert",
        ),
        ("\"PACS\"", "\"PACS\"\ncommitment = \"11112\"", "archive.commitment is \"11112\""),
        ("[records]\n", "", "records is missing, expected with [archive]"),
    ] {
        let found = refusal(&whole.replace(from, to));
        assert!(found.contains(said), "{to}: {found}");
    }
    let web = format!(
        "{}[dicomweb]\nurl = \"https://pacs/dicom-web\"\n",
        base.replace("[archive]\n", "")
    );
    assert!(Config::parse(Path::new("edge.toml"), &web).unwrap().archive.is_some());
    for (from, to, said) in [
        (
            "https://pacs",
            "https://a:b@pacs",
            "dicomweb.url is no such address, expected an address",
        ),
        ("https:", "ftp:", "dicomweb.url is no such address"),
        ("https:", "http:", ""),
        ("web\"", "web\"\nuser = \"a\"", "expected user and password_file together"),
        ("web\"", "web\"\nclient_cert = \"a\"", "dicomweb.client_key is missing"),
        ("[dicomweb]", "[archive]\naddress = \"a:1\"\ncalled_ae = \"A\"\n[dicomweb]", "not both"),
        ("[records]\n", "", "records is missing, expected with [dicomweb]"),
    ] {
        let text = web.replace(from, to);
        let said_now = Config::parse(Path::new("edge.toml"), &text).err().map(|e| e.to_string());
        assert!(said_now.unwrap_or_default().contains(said), "{to}");
    }
}
