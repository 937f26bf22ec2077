//! Records exist completely or not at all, despite kills and full disks.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use medsa_edge::config::Budget;
use medsa_edge::records::{Capture, RecordId, Records};
use medsa_wire::DeletionReason;
use sha2::{Digest, Sha256};

use super::captures::{AMPLE, CAPTURED_US, SIZE, capture, without_objects};
use crate::harness::LIMIT;

/// Environment variable that names the folder to a child process.
const FOLDER: &str = "MEDSA_TEST_RECORDS";

/// Lines of a child process that runs `test` until it is killed, in every round at another moment.
fn lines_until_killed(test: &str, folder: &Path, round: u64) -> Vec<String> {
    let (mut child, lines) = start_child(this_test(test, folder));
    let mut reported = vec![lines.recv_timeout(LIMIT).expect("a first line")];
    let killed_at = Instant::now() + Duration::from_micros(round * 7919 % 40_009);
    while let Ok(line) = lines.recv_timeout(killed_at.saturating_duration_since(Instant::now())) {
        reported.push(line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reported.extend(lines.iter());
    reported
}

#[test]
fn killed_process_leaves_all_reported_and_only_complete_records() {
    let mut unfinished = 0;
    for round in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let reported = lines_until_killed("keeps_capturing", folder.path(), round);
        let left = names(folder.path());
        unfinished += usize::from(left.iter().any(|name| name.starts_with(".unfinished-")));
        let records = Records::open(folder.path(), AMPLE).unwrap();
        let there = records.list(usize::MAX).unwrap();
        let mut expected: BTreeSet<String> = there.iter().map(RecordId::to_string).collect();
        expected.insert(".lock".into());
        assert_eq!(names(folder.path()), expected, "what was not finished is removed");
        for id in &there {
            records.read(id).unwrap();
        }
        for line in &reported {
            let (id, sha256) = line.split_once(' ').unwrap();
            let id = RecordId::parse(id).unwrap();
            let json = fs::read(records.folder_of(&id).join("record.json")).unwrap();
            assert_eq!(hex::encode(Sha256::digest(json)), sha256, "record {id}");
        }
        let unreported = there.len() - reported.len();
        assert!(unreported <= 1, "{unreported} records that were not reported");
    }
    println!("{unfinished} of 60 were killed while they wrote");
    assert!(unfinished > 0, "none of 60 was killed while it wrote");
}

#[test]
#[ignore = "killed by the test above"]
fn keeps_capturing() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let records = Records::open(Path::new(&folder), AMPLE).unwrap();
    for frame_id in 0.. {
        let captured_us = CAPTURED_US + frame_id;
        let kept = records.keep(&Capture { frame_id, captured_us, ..capture() }).unwrap();
        println!("kept {} {}", kept.id, hex::encode(kept.message.record_sha256));
    }
}

#[test]
fn killed_process_leaves_all_or_nothing_of_a_deleted_record() {
    let mut interrupted = 0;
    for round in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let reported = lines_until_killed("keeps_deleting", folder.path(), round);
        let hidden = |name: &String| name.starts_with(".deleted-");
        let files = |name: &String| fs::read_dir(folder.path().join(name)).unwrap().count();
        let left = names(folder.path());
        interrupted +=
            usize::from(left.iter().filter(|name| hidden(name)).any(|name| files(name) > 0));
        let records = Records::open(folder.path(), AMPLE).unwrap();
        for id in records.list(usize::MAX).unwrap() {
            records.read(&id).unwrap();
            assert!(!reported.contains(&id.to_string()), "{id} was deleted");
        }
        let deletions = records.deletions().unwrap();
        for id in &reported {
            assert!(deletions.iter().any(|deletion| deletion.id.to_string() == *id), "{id}");
        }
        for deletion in &deletions {
            assert_eq!(deletion.reason, DeletionReason::Test);
            records.forget(deletion).unwrap();
        }
        // Of deleted records, nothing remained but names.
        assert!(!names(folder.path()).iter().any(hidden));
        for name in left.iter().filter(|name| hidden(name)) {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
    }
    println!("{interrupted} of 60 were killed while they removed files");
}

#[test]
#[ignore = "killed by the test above"]
fn keeps_deleting() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let records = Records::open(Path::new(&folder), AMPLE).unwrap();
    let kept: Vec<RecordId> = (0..4).map(|_| records.keep(&capture()).unwrap().id).collect();
    for id in
        kept.into_iter().chain(std::iter::from_fn(|| Some(records.keep(&capture()).unwrap().id)))
    {
        records.delete(&id, DeletionReason::Test).unwrap();
        println!("kept {id}");
    }
}

/// The states in which a kill can leave a deletion.
#[test]
fn interrupted_deletion_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let [stays, whole, half, empty] = [(); 4].map(|()| records.keep(&capture()).unwrap());
    drop(records);
    for kept in [&whole, &half, &empty] {
        let hidden = folder.path().join(format!(".deleted-{}.WrongPatient", kept.id));
        fs::rename(&kept.folder, &hidden).unwrap();
        if kept.id == half.id {
            fs::remove_file(hidden.join("frame.dcm")).unwrap();
        } else if kept.id == empty.id {
            fs::remove_dir_all(&hidden).unwrap();
            fs::create_dir(&hidden).unwrap();
        }
    }
    // Names that this program does not give are left alone.
    fs::create_dir(folder.path().join(".deleted-unknown")).unwrap();

    let records = Records::open(folder.path(), AMPLE).unwrap();
    assert_eq!(records.list(9).unwrap(), [stays.id]);
    records.read(&stays.id).unwrap();
    let mut deletions = records.deletions().unwrap();
    deletions.sort_by_key(|deletion| deletion.id);
    let found: Vec<_> = deletions.iter().map(|deletion| (deletion.id, deletion.reason)).collect();
    assert_eq!(found, [&whole, &half, &empty].map(|kept| (kept.id, DeletionReason::WrongPatient)));
    for deletion in &deletions {
        let hidden = folder.path().join(format!(".deleted-{}.WrongPatient", deletion.id));
        assert_eq!(fs::read_dir(&hidden).unwrap().count(), 0);
        records.forget(deletion).unwrap();
        assert!(!hidden.exists());
    }
    let left = [".lock".to_owned(), ".deleted-unknown".to_owned(), stays.id.to_string()];
    assert_eq!(names(folder.path()), BTreeSet::from(left));
}

#[test]
fn deleted_record_is_gone_from_the_disk_and_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let unlimited = Records::open(folder.path(), AMPLE).unwrap();
    let first = unlimited.keep(&capture()).unwrap();
    drop(unlimited);
    let max_bytes = folder_bytes(&first.folder) * 3 / 2;
    let records = Records::open(folder.path(), Budget { max_bytes, min_free_bytes: 0 }).unwrap();
    records.keep(&capture()).unwrap_err();
    assert!(first.folder.join("frame.dcm").exists());
    assert!(first.folder.join("segmentation.dcm").exists());
    records.delete(&first.id, DeletionReason::WrongStructure).unwrap();
    assert!(!first.folder.exists());
    let mut folders = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(!folders.any(|path| path.is_dir() && fs::read_dir(path).unwrap().count() > 0));
    assert!(records.list(9).unwrap().is_empty());
    for gone in [
        records.read(&first.id).map(drop),
        records.image(&first.id, "frame.png").map(drop),
        records.delete(&first.id, DeletionReason::Test),
    ] {
        let error = gone.unwrap_err().to_string();
        assert!(error.contains("No such file or directory"), "{error}");
    }
    let second = records.keep(&capture()).unwrap();
    assert!(second.id > first.id);
    records.read(&second.id).unwrap();
}

#[test]
fn full_disk_refuses_the_record_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let child = this_test("fills_the_disk", folder.path());
    // Blocks of 512 or 1024 bytes: no room for a colour frame of 640 x 480.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ && ulimit -f 100 && exec \"$@\"", "sh"]);
    limited.arg(child.get_program()).args(child.get_args()).env(FOLDER, folder.path());
    let (mut child, lines) = start_child(limited);
    let kept: Vec<String> = lines.iter().collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(kept.len(), 2, "one before and one after");
    let records = Records::open(folder.path(), AMPLE).unwrap();
    let mut expected = BTreeSet::from([".lock".to_owned()]);
    for id in records.list(usize::MAX).unwrap() {
        records.read(&id).unwrap();
        expected.insert(id.to_string());
    }
    assert_eq!((expected.len(), &names(folder.path())), (3, &expected));
}

#[test]
#[ignore = "run by the test above, with a limit on the size of files"]
fn fills_the_disk() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let records = Records::open(folder, AMPLE).unwrap();
    let keep = |capture: &Capture| {
        records
            .keep(capture)
            .map(|kept| println!("kept {} {}", kept.id, hex::encode(kept.message.record_sha256)))
    };
    keep(&capture()).unwrap();
    let before = names(folder);
    let error = keep(&without_objects((640, 480))).unwrap_err().to_string();
    let reason = "the disk is full: File too large (os error 27); not stored";
    assert!(
        error.starts_with(&format!("{}: no room for a record of ", folder.display())),
        "{error}"
    );
    assert!(error.ends_with(reason), "{error}");
    assert_eq!(names(folder), before);
    keep(&capture()).unwrap();
}

#[test]
fn records_beyond_the_budget_are_refused_until_others_are_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let unlimited = Records::open(folder.path(), AMPLE).unwrap();
    let first = unlimited.keep(&capture()).unwrap();
    drop(unlimited);
    let bytes = folder_bytes(&first.folder);

    let max_bytes = bytes * 5 / 2;
    let records = Records::open(folder.path(), Budget { max_bytes, min_free_bytes: 0 }).unwrap();
    records.keep(&capture()).unwrap();
    let before = names(folder.path());
    let error = records.keep(&capture()).unwrap_err().to_string();
    let used: u64 =
        records.list(9).unwrap().iter().map(|id| folder_bytes(&records.folder_of(id))).sum();
    assert!(error.starts_with(&format!("{}: no room for a record of ", folder.path().display())));
    let reason = format!(
        " bytes: {used} bytes are used, and with it at most {max_bytes} are allowed \
         (records.max_bytes); not stored"
    );
    assert!(error.ends_with(&reason), "{error}");
    assert_eq!(names(folder.path()), before);

    let elsewhere = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
    fs::rename(&first.folder, elsewhere.path().join(first.id.to_string())).unwrap();
    let kept = records.keep(&capture()).unwrap();
    assert_eq!(records.list(9).unwrap().len(), 2);
    records.read(&kept.id).unwrap();
}

#[test]
fn min_free_bytes_refuses_records() {
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { min_free_bytes: u64::MAX / 2, ..AMPLE };
    let records = Records::open(folder.path(), budget).unwrap();
    let error = records.keep(&without_objects(SIZE)).unwrap_err().to_string();
    let reason = "and 9223372036854775807 must stay free (records.min_free_bytes); not stored";
    assert!(error.ends_with(reason), "{error}");
    assert!(records.list(9).unwrap().is_empty());
}

/// A test of this file as a separate process.
fn this_test(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let path = format!("records::durable::{name}");
    command.args(["--exact", &path, "--ignored", "--nocapture"]).env(FOLDER, folder);
    command
}

/// The child, and the rest of its lines that begin with `kept `.
fn start_child(mut command: Command) -> (Child, Receiver<String>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = kept_lines(child.stdout.take().unwrap());
    (child, lines)
}

fn kept_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        // The last line of a killed process may be incomplete.
        while stdout.read_line(&mut line).is_ok() && line.ends_with('\n') {
            if let Some((_, kept)) = line.trim_end().split_once("kept ")
                && sender.send(kept.to_owned()).is_err()
            {
                break;
            }
            line.clear();
        }
    });
    lines
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn folder_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
