//! The patient of captures: from the worklist to the archive.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::{fs, thread};

use chrono::Local;
use medsa_edge::config::Config;
use medsa_test_inputs::{needs, python, repository};
use serde_json::{Value, json};

use crate::archive::peers::{LIMIT, Orthanc, Planned};
use crate::archive::{Device, count, wait_for};
use crate::harness::free_port;
use crate::http::records::{JSON, capture};
use crate::http::{get, request};

pub fn planned() -> [Planned; 2] {
    let first = Planned {
        name: "Müller^Jörg",
        id: "4711",
        accession: "A-1",
        study_uid: "1.2.276.0.1",
        modality: "US",
        date: Local::now().format("%Y%m%d").to_string(),
        time: "083000",
    };
    let second = Planned {
        name: "Meier^Eva",
        id: "4712",
        study_uid: "1.2.276.0.2",
        date: first.date.clone(),
        time: "0715",
        ..first
    };
    [first, second]
}

pub fn device(orthanc: &Orthanc) -> Device {
    let worklist = format!(
        "[worklist]\naddress = \"127.0.0.1:{}\"\ncalled_ae = \"ORTHANC\"\nmodality = \"US\"\n\
         only_this_device = true",
        orthanc.dicom
    );
    Device::new(orthanc.dicom, &worklist)
}

fn put(address: &str, study: &Value) -> (u16, Value) {
    let (status, body) = request(address, "PUT", "/study", JSON, study.to_string().as_bytes());
    (status, serde_json::from_str(&body).unwrap())
}

fn close(address: &str) {
    assert_eq!(request(address, "DELETE", "/study", JSON, b"").0, 204);
}

pub fn current(address: &str) -> Value {
    serde_json::from_str::<Value>(&get(address, "/study").1).unwrap()["study"].clone()
}

/// Studies in the archive, with their patients.
fn archived(orthanc: &Orthanc) -> Vec<Value> {
    serde_json::from_str(&orthanc.get("/studies?expand")).unwrap()
}

#[test]
fn captures_of_a_planned_examination_are_in_its_study() {
    needs!("orthanc", "dcmtk");
    let orthanc = Orthanc::with_worklist(&planned());
    let device = device(&orthanc);
    let (edge, address) = device.run();
    let before = capture(&address);
    let found: Value = serde_json::from_str(&get(&address, "/worklist").1).unwrap();
    let times: Vec<_> = found["examinations"].as_array().unwrap().iter().collect();
    assert_eq!(times.iter().map(|e| &e["time"]).collect::<Vec<_>>(), ["07:15", "08:30"]);
    assert_eq!(found["is_complete"], true);
    let (status, opened) = put(&address, &times[1]["study"]);
    assert_eq!((status, &opened["study"]["uid"]), (200, &json!("1.2.276.0.1")));
    let ids = [capture(&address), capture(&address)];
    // The examination goes on after a restart.
    drop(edge);
    let (edge, address) = device.run();
    assert_eq!(current(&address), opened["study"]);
    let third = capture(&address);
    close(&address);
    let after = capture(&address);
    for id in [&before, &ids[0], &ids[1], &third, &after] {
        wait_for(&address, id, "sent");
    }
    // Frames and masks; outlines end with the study.
    assert_eq!(count(&orthanc), 9);
    let studies = archived(&orthanc);
    assert_eq!(studies.len(), 3);
    let of_patient = |study: &&Value| study["PatientMainDicomTags"]["PatientID"] == "4711";
    let own: Vec<_> = studies.iter().filter(of_patient).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["PatientMainDicomTags"]["PatientName"], "Müller^Jörg");
    assert_eq!(own[0]["PatientMainDicomTags"]["PatientBirthDate"], "19480229");
    let tags = &own[0]["MainDicomTags"];
    assert_eq!(tags["StudyInstanceUID"], "1.2.276.0.1");
    assert_eq!(tags["AccessionNumber"], "A-1");
    assert_eq!(tags["StudyDescription"], "Ultrasound of the neck");
    // Two series of each capture.
    assert_eq!(own[0]["Series"].as_array().unwrap().len(), 6);
    // Lists name the patient; the log does not.
    let listed: Value = serde_json::from_str(&get(&address, "/records").1).unwrap();
    let patients: Vec<_> =
        listed["records"].as_array().unwrap().iter().map(|r| &r["patient"]).collect();
    assert_eq!(patients[0], &Value::Null);
    assert_eq!(patients[1]["name"], "Müller^Jörg");
    let log = edge.logged_until("is in the archive").join("\n");
    assert!(!log.contains("4711") && !log.contains("Müller"), "{log}");
}

#[test]
fn captures_never_get_into_the_study_of_another_patient() {
    let device = Device::new(1, "");
    let (edge, address) = device.run();
    let first = json!({ "patient_id": "1", "patient_name": "First^A" });
    let (_, opened) = put(&address, &first);
    let uid = opened["study"]["uid"].as_str().unwrap().to_owned();
    let frame = |id: &str| -> Value {
        serde_json::from_str::<Value>(&get(&address, &format!("/records/{id}")).1).unwrap()["frame"]
            ["id"]
            .clone()
    };
    let shown = frame(&capture(&address));
    // The page still shows the patient before.
    let (_, second) = put(&address, &json!({ "patient_id": "2" }));
    assert_ne!(second["study"]["uid"], uid);
    let ask = |body: Value| {
        let (status, answer) =
            request(&address, "POST", "/capture", JSON, body.to_string().as_bytes());
        let code = serde_json::from_str::<Value>(&answer).unwrap_or_default()["code"].clone();
        (status, code)
    };
    assert_eq!(ask(json!({ "frame_id": shown, "study": uid })), (409, json!("other-patient")));
    assert_eq!(ask(json!({ "frame_id": shown, "study": "" })), (409, json!("other-patient")));
    // An image of the patient before, if it is kept still.
    let (status, code) = ask(json!({ "frame_id": shown }));
    assert!(
        status == 422 && ["earlier-patient", "frame-gone"].contains(&code.as_str().unwrap()),
        "{code}"
    );
    // The outlines of the patient before are gone.
    let record: Value =
        serde_json::from_str(&get(&address, &format!("/records/{}", capture(&address))).1).unwrap();
    assert_eq!((&record["objects"], &record["study"]["patient_id"]), (&json!([]), &json!("2")));
    close(&address);
    assert_eq!(current(&address), Value::Null);
    let unassigned = capture(&address);
    let record: Value =
        serde_json::from_str(&get(&address, &format!("/records/{unassigned}")).1).unwrap();
    assert_eq!(record.get("study"), None);
    drop(edge);
}

#[test]
fn wrong_studies_are_refused_without_being_repeated() {
    let device = Device::new(1, "");
    let (edge, address) = device.run();
    for (body, status, code) in [
        (json!({ "patient_name": "Secret" }), 422, "study-does-not-fit"),
        (json!({ "patient_id": "1", "birth_date": "Secret" }), 422, "study-does-not-fit"),
        (json!({ "patient_id": 1 }), 400, "not-a-message"),
    ] {
        let (found, answer) = put(&address, &body);
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{body}");
        assert!(!answer.to_string().contains("Secret"), "{answer}");
    }
    assert_eq!(current(&address), Value::Null);
    let (status, answer) = get(&address, "/worklist");
    assert!(status == 404 && answer.contains("no-worklist"), "{answer}");
    drop(edge);
    // Nothing answers there.
    let away = "[worklist]\naddress = \"127.0.0.1:1\"\ncalled_ae = \"RIS\"";
    let device = Device::new(1, away);
    let (_edge, address) = device.run();
    let (status, answer) = get(&address, "/worklist");
    assert!(status == 502 && answer.contains("RIS at 127.0.0.1:1"), "{answer}");
}

#[test]
fn problems_of_the_section_are_named() {
    let base = "[source]\nkind = \"dicom\"\npath = \"c.dcm\"\n[records]\n[worklist]\n";
    let whole = format!("{base}address = \"ris:104\"\ncalled_ae = \"RIS\"\n");
    let config = Config::parse(Path::new("edge.toml"), &whole).unwrap();
    assert_eq!(config.worklist.unwrap().peer.calling_ae, "MEDSA");
    assert_eq!(config.records.unwrap().study_timeout.as_secs(), 7200);
    for (from, to, said) in [
        (
            "\"RIS\"",
            "\"RIS\"\nmodality = \"us\"",
            "worklist.modality is \"us\", expected a modality",
        ),
        ("ris:104", "ris", "worklist.address is \"ris\", expected a host and port"),
        ("\"RIS\"", "\"RIS\"\ncommitment = \"a\"", "unknown field `commitment`"),
        ("\"RIS\"", "\"RIS\"\nca_file = \"a\"", "expected no such key without worklist.tls = true"),
        ("[records]\n", "", "records is missing, expected with [worklist]"),
        ("[records]\n", "[records]\nstudy_timeout_min = 1\n", "records.study_timeout_min is 1"),
    ] {
        let error = Config::parse(Path::new("edge.toml"), &whole.replace(from, to));
        let found = error.expect_err("a wrong value").to_string();
        assert!(found.contains(said), "{to}: {found}");
    }
}

/// Receiver of reports of performed examinations (pynetdicom), killed at the end.
struct Mpps {
    child: Child,
    reports: Receiver<Value>,
}

impl Mpps {
    fn start(port: u16) -> Self {
        let mut child = Command::new(python())
            .arg(repository().join("tests/python/mpps.py"))
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, reports }
    }

    fn next(&self) -> Value {
        self.reports.recv_timeout(LIMIT).expect("a report")
    }
}

impl Drop for Mpps {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn begin_and_end_of_planned_examinations_are_reported() {
    needs!("venv");
    let port = free_port();
    let worklist =
        format!("[worklist]\naddress = \"127.0.0.1:{port}\"\ncalled_ae = \"RIS\"\nreport = true");
    let device = Device::new(1, &worklist);
    let (edge, address) = device.run();
    let planned = json!({
        "patient_id": "4711", "patient_name": "Müller^Jörg", "study_uid": "1.2.276.0.1",
        "accession_number": "A-1", "procedure_id": "RP-1", "procedure": "Neck",
        "step_id": "SPS-1", "step": "Carotid", "modality": "US",
    });
    assert_eq!(put(&address, &planned).0, 200);
    let id = capture(&address);
    // The system is away, and so is the device for a while.
    edge.logged("next attempt in");
    edge.signal("KILL");
    drop(edge);
    let mpps = Mpps::start(port);
    let (edge, address) = device.run();
    let begun = mpps.next();
    assert_eq!(begun["message"], "N-CREATE");
    let attributes = &begun["attributes"];
    assert_eq!(attributes["PerformedProcedureStepStatus"], "IN PROGRESS");
    assert_eq!(attributes["PatientName"], "Müller^Jörg");
    assert_eq!(attributes["PerformedStationAETitle"], "MEDSA");
    assert_eq!(attributes["Modality"], "US");
    let scheduled = &attributes["ScheduledStepAttributesSequence"][0];
    assert_eq!(scheduled["StudyInstanceUID"], "1.2.276.0.1");
    assert_eq!(scheduled["ScheduledProcedureStepID"], "SPS-1");
    assert_eq!(scheduled["RequestedProcedureID"], "RP-1");
    close(&address);
    let ended = mpps.next();
    assert_eq!((&ended["message"], &ended["uid"]), (&json!("N-SET"), &begun["uid"]));
    let attributes = &ended["attributes"];
    assert_eq!(attributes["PerformedProcedureStepStatus"], "COMPLETED");
    let record = fs::read(Path::new(&device.place.path("kept")).join(id).join("record.json"));
    let record: Value = serde_json::from_slice(&record.unwrap()).unwrap();
    let series = attributes["PerformedSeriesSequence"].as_array().unwrap();
    for (series, part) in series.iter().zip(["frame", "segmentation"]) {
        assert_eq!(series["SeriesInstanceUID"], record["dicom"][part]["series"]);
        let image = &series["ReferencedImageSequence"][0];
        assert_eq!(image["ReferencedSOPInstanceUID"], record["dicom"][part]["instance"]);
    }
    assert_eq!(series.len(), 2);
    edge.logged("the end of study 1.2.276.0.1 is reported");
    // Nothing was captured; and a patient who was not planned is not reported.
    put(&address, &planned);
    put(&address, &json!({ "patient_id": "1" }));
    close(&address);
    assert_eq!(mpps.next()["message"], "N-CREATE");
    assert_eq!(mpps.next()["attributes"]["PerformedProcedureStepStatus"], "DISCONTINUED");
    edge.logged("the end of study");
    assert_eq!(
        fs::read_dir(Path::new(&device.place.path("kept")).join(".steps")).unwrap().count(),
        0
    );
    assert!(mpps.reports.try_recv().is_err());
}
