//! Services against a real archive (Orthanc), the tools of DCMTK, and peers that misbehave.

mod archive;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use archive::{LIMIT, Orthanc, Planned, StoreScp, WorklistScp, free_port, wait_until};
use medsa_frames::Clip;
use medsa_hospital::{
    Authorization, Error, Instance, Node, Reference, Report, Reports, WebServer, Worklist,
    WorklistItem, WorklistQuery, find_worklist, request_commitment, store, store_web, verify,
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

fn planned() -> [Planned; 3] {
    let neck = Planned {
        name: "Müller^Jörg",
        id: "4711",
        accession: "A-1",
        study_uid: "1.2.276.0.1",
        modality: "US",
        date: "20261201".to_owned(),
        time: "0830",
    };
    let tomorrow = Planned {
        name: "Other^Day",
        id: "4712",
        study_uid: "1.2.276.0.2",
        date: "20261202".to_owned(),
        ..neck
    };
    let endoscopy = Planned {
        name: "Other^Room",
        id: "4713",
        study_uid: "1.2.276.0.3",
        modality: "ES",
        date: "20261201".to_owned(),
        ..neck
    };
    [neck, tomorrow, endoscopy]
}

#[test]
fn worklists_are_queried_by_day_modality_and_station() {
    needs!("orthanc", "dcmtk");
    let (orthanc, dcmtk) = (Orthanc::with_worklist(&planned()), WorklistScp::start(&planned()));
    for node in [node(orthanc.dicom, "ORTHANC"), node(dcmtk.port, "RIS")] {
        let find = |query: WorklistQuery| {
            let Worklist { items, is_complete } = find_worklist(&node, &query).unwrap();
            assert!(is_complete);
            items
        };
        let of_day = |modality: Option<&str>, station: Option<&str>| {
            let text = |text: &str| text.to_owned();
            find(WorklistQuery {
                date: Some("20261201".to_owned()),
                modality: modality.map(text),
                station: station.map(text),
            })
        };
        assert_eq!(find(WorklistQuery::default()).len(), 3, "{}", node.called);
        assert_eq!(of_day(None, Some("MEDSA")).len(), 2, "{}", node.called);
        assert_eq!(of_day(None, Some("OTHER")), []);
        let expected = WorklistItem {
            patient_name: "Müller^Jörg".into(),
            patient_id: "4711".into(),
            birth_date: "19480229".into(),
            sex: "F".into(),
            accession_number: "A-1".into(),
            study_uid: "1.2.276.0.1".into(),
            referring_physician: "House^Gregory".into(),
            procedure_id: "RP-4711".into(),
            procedure: "Ultrasound of the neck".into(),
            step_id: "SPS-4711".into(),
            step: "Carotid".into(),
            modality: "US".into(),
            date: "20261201".into(),
            time: "0830".into(),
        };
        assert_eq!(of_day(Some("US"), Some("MEDSA")), [expected], "{}", node.called);
    }
    // An archive without worklists.
    let scp = StoreScp::start(&[]);
    let error = find_worklist(&node(scp.port, "ANY"), &WorklistQuery::default()).unwrap_err();
    assert!(error.to_string().contains("does not accept worklist queries"), "{error}");
}

fn web_server(port: u16, authorization: Option<Authorization>) -> WebServer {
    let url = format!("http://127.0.0.1:{port}/dicom-web/");
    WebServer::new(&url, None, LIMIT, authorization).unwrap()
}

#[test]
fn instances_are_stored_by_dicomweb_unchanged() {
    needs!("orthanc", "dicom");
    let orthanc = Orthanc::start(free_port());
    let sent = instances(&[CINE, STILL]);
    let server = web_server(orthanc.http, None);
    assert_eq!(store_web(&server, &sent).unwrap().warnings, []);
    store_web(&server, &sent).unwrap();
    assert_eq!(orthanc.get("/instances").matches('"').count(), 4, "two names");
    for (instance, name) in sent.iter().zip([CINE, STILL]) {
        assert!(orthanc.file(instance.uid()) == std::fs::read(asset(name)).unwrap(), "{name}");
    }
}

/// A web server that answers one request, whose head and body it returns.
fn answering(answer: &'static str) -> (u16, thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).unwrap();
            bytes.extend(&part[..read]);
            if let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let mut body = bytes.split_off(end);
        let begun = body.len();
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body[begun..]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        (head, body)
    };
    (port, thread::spawn(serve))
}

#[test]
fn answers_of_web_servers_are_understood() {
    needs!("dicom");
    let sent = instances(&[STILL]);
    let uid = sent[0].uid().to_owned();
    let basic = || Authorization::Basic { user: "bed".into(), password: "se:cret".into() };
    let json = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/dicom+json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let failed = |reason: u16| {
        format!(
            r#"[{{"00081198": {{"vr": "SQ", "Value": [{{
                "00081155": {{"vr": "UI", "Value": ["{uid}"]}},
                "00081197": {{"vr": "US", "Value": [{reason}]}} }}]}} }}]"#
        )
    };
    for (answer, said, may_pass) in [
        (json("409", &failed(0xa900)), "with the status A900H", false),
        (json("202", &failed(0xa700)), "with the status A700H", true),
        (json("200", r#"{"00081198": {"vr": "SQ", "Value": [{}]}}"#), "status 0110H", false),
        (json("409", "no JSON"), "the HTTP status 409", false),
        (json("401", ""), "the HTTP status 401", true),
        (json("503", ""), "the HTTP status 503", true),
        (json("413", ""), "the HTTP status 413", false),
        // Records do not go elsewhere.
        (
            "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "the HTTP status 307",
            true,
        ),
    ] {
        let (port, served) = answering(answer.leak());
        let error = store_web(&web_server(port, Some(basic())), &sent).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.may_pass(), may_pass, "{error}");
        let (head, _) = served.join().unwrap();
        assert!(head.starts_with("POST /dicom-web/studies HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Basic YmVkOnNlOmNyZXQ=\r\n"), "{head}");
        assert!(!error.to_string().contains("cret"), "{error}");
    }
    // A warning: elements were coerced.
    let warned = format!(
        r#"{{"00081199": {{"vr": "SQ", "Value": [{{
            "00081155": {{"vr": "UI", "Value": ["{uid}"]}},
            "00081196": {{"vr": "US", "Value": [45056]}} }}]}} }}"#
    );
    let (port, served) = answering(json("202", &warned).leak());
    let server = web_server(port, Some(Authorization::Bearer("abc".into())));
    assert_eq!(store_web(&server, &sent).unwrap().warnings, [(uid, 0xb000)]);
    let (head, body) = served.join().unwrap();
    assert!(head.contains("authorization: Bearer abc\r\n"), "{head}");
    let file = std::fs::read(asset(STILL)).unwrap();
    assert!(body.windows(file.len()).any(|part| part == file), "the file is in the body");
    let away = store_web(&web_server(1, None), &sent).unwrap_err();
    assert!(matches!(away, Error::Connection { .. }) && away.may_pass(), "{away}");
}
