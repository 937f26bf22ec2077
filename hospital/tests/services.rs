//! Services against a real archive (Orthanc), the tools of DCMTK, and peers that misbehave.

mod archive;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use archive::{LIMIT, Orthanc, StoreScp, free_port, wait_until};
use medsa_frames::Clip;
use medsa_hospital::{
    Error, Instance, Node, Reference, Report, Reports, request_commitment, store, verify,
};
use medsa_test_inputs::{asset, needs};

const CINE: &str = "examples_ybr_color.dcm";
const STILL: &str = "examples_rgb_color.dcm";

fn node(port: u16, called: &str) -> Node {
    Node {
        address: format!("127.0.0.1:{port}"),
        called: called.to_owned(),
        calling: "MEDSA".to_owned(),
        tls: None,
        timeout: LIMIT,
    }
}

fn instances(names: &[&str]) -> Vec<Instance> {
    names.iter().map(|name| Instance::read(asset(name)).unwrap()).collect()
}

/// Pixels of all frames.
fn pixels(path: &Path) -> Vec<Vec<u8>> {
    let clip = Clip::open(path).unwrap();
    (0..clip.len()).map(|index| clip.frame(index).unwrap().rgb).collect()
}

fn reports(port: u16) -> (Reports, Receiver<Report>) {
    let (sender, received) = mpsc::channel();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let receive = move |report| sender.send(report).is_ok();
    (Reports::listen(address, "MEDSA", receive).unwrap(), received)
}

#[test]
fn instances_are_stored_in_an_archive_once_and_unchanged() {
    needs!("orthanc", "dicom");
    let orthanc = Orthanc::start(free_port());
    let node = node(orthanc.dicom, "ORTHANC");
    verify(&node).unwrap();
    let sent = instances(&[CINE, STILL]);
    assert_eq!(store(&node, &sent).unwrap().warnings, []);
    // Again, as after a lost answer.
    store(&node, &sent).unwrap();
    assert_eq!(orthanc.get("/instances").matches('"').count(), 4, "two names");
    for (instance, name) in sent.iter().zip([CINE, STILL]) {
        let found = orthanc.file(instance.uid());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("found.dcm");
        std::fs::write(&path, found).unwrap();
        assert!(pixels(&path) == pixels(&asset(name)), "{name} has changed");
    }
}

#[test]
fn archive_reports_the_instances_that_it_keeps() {
    needs!("orthanc", "dicom");
    let (reports, received) = reports(0);
    let orthanc = Orthanc::start(reports.address().port());
    let node = node(orthanc.dicom, "ORTHANC");
    let sent = instances(&[STILL]);
    store(&node, &sent).unwrap();
    let known = Reference::from(&sent[0]);
    let unknown = Reference { uid: "2.25.123".to_owned(), ..known.clone() };
    request_commitment(&node, "2.25.77", &[known.clone(), unknown.clone()]).unwrap();
    let report = received.recv_timeout(LIMIT).unwrap();
    assert_eq!((report.transaction.as_str(), &report.committed), ("2.25.77", &vec![known.uid]));
    // No such object instance.
    assert_eq!(report.failed, [(unknown.uid, 0x0112)]);
}

#[test]
fn instances_are_converted_for_an_archive_that_knows_implicit_vr_only() {
    needs!("dcmtk", "dicom");
    let scp = StoreScp::start(&["--implicit"]);
    store(&node(scp.port, "ANY"), &instances(&[STILL])).unwrap();
    let stored = scp.files();
    let [stored] = &stored[..] else { panic!("{stored:?}") };
    assert!(pixels(stored) == pixels(&asset(STILL)));
}

#[test]
fn refusals_say_who_refused_what() {
    needs!("orthanc", "dcmtk", "dicom");
    let orthanc = Orthanc::start(free_port());
    let error = verify(&node(orthanc.dicom, "OTHER")).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }) && error.may_pass(), "{error}");
    let said = error.to_string();
    assert!(said.starts_with("OTHER at 127.0.0.1:") && said.contains("called AE title"), "{said}");

    let scp = StoreScp::start(&["--implicit"]);
    let node = node(scp.port, "ANY");
    // JPEG cannot be written in another transfer syntax.
    let error = store(&node, &instances(&["SC_rgb_jpeg_gdcm.dcm"])).unwrap_err();
    assert!(matches!(error, Error::NotOffered { .. }) && !error.may_pass(), "{error}");
    assert!(error.to_string().contains("transfer syntax 1.2.840.10008.1.2.4.70"), "{error}");
    let reference = Reference { class: "1.2".to_owned(), uid: "1.3".to_owned() };
    let error = request_commitment(&node, "2.25.1", &[reference]).unwrap_err();
    assert!(error.to_string().ends_with("does not accept storage commitment"), "{error}");
    let error = Instance::read(asset("axe.min.js")).unwrap_err();
    assert!(error.to_string().contains("axe.min.js"), "{error}");
}

#[test]
fn peers_that_are_silent_or_cut_the_connection_do_not_hang() {
    needs!("dicom");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let node = Node { timeout: Duration::from_millis(200), ..node(port, "ANY") };
    let error = verify(&node).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }) && error.may_pass(), "{error}");
    // Nonsense instead of an answer, and the end in the middle of one.
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[2, 0, 0, 0, 0, 9, 0], &[7; 4000]] {
        let answering = {
            let listener = listener.try_clone().unwrap();
            thread::spawn(move || {
                // The first connection may be that of the silent peer.
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
            })
        };
        assert!(store(&node, &instances(&[STILL])).is_err());
        drop(TcpStream::connect(("127.0.0.1", port)));
        answering.join().unwrap();
    }
    drop(listener);
    let error = verify(&node).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn reports_survive_strangers() {
    needs!("dcmtk");
    let (reports, received) = reports(0);
    let port = reports.address().port();
    let long = [&[1, 0, 0xff, 0xff, 0xff, 0xff][..], &[0; 100_000]].concat();
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[4, 0, 0, 0, 0, 4, 1, 2, 3, 4], &long] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _ = stream.write_all(bytes);
    }
    let echo = |called: &str| {
        let mut echo = Command::new("echoscu");
        echo.args(["-aec", called, "127.0.0.1", &port.to_string()]);
        echo.output().unwrap().status.success()
    };
    assert!(echo("MEDSA"));
    assert!(!echo("OTHER"));
    assert!(received.try_recv().is_err());
    drop(reports);
    wait_until("the address is free", || TcpListener::bind(("127.0.0.1", port)).is_ok());
}
