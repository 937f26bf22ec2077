//! Every state of an update, with an error, a kill, a hang and a power cut at every operation in
//! it: the device always starts with the build that was installed, old or new, and can be updated
//! again. This also holds for states that an older or a newer program has written.

use std::{fs, io};

use medsa_update::{Disk, Error, Permit, Running, Slots, TRIAL_STARTS};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::formats;
use crate::simulated::{Fault, Simulated};
use crate::{any, build, said};

/// A state of an update: how a device gets there, and the operation that is disturbed.
struct Stage {
    name: &'static str,
    before: fn(&mut Slots<Simulated>),
    does: fn(&mut Slots<Simulated>) -> Result<(), Error>,
    /// Versions that the device may start with after a disturbance.
    then: &'static [&'static str],
}

/// Program that wrote the state with which the disturbed operation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    /// This program.
    This,
    /// The last program without format numbers: the operation migrates the state.
    Unnumbered,
    /// A newer program with more fields: this one runs after a downgrade.
    WithMoreFields,
}

const STAGES: [Stage; 9] = [
    Stage {
        name: "first build",
        before: |_| {},
        does: |slots| stage(slots, "1.0.0").and_then(|()| slots.switch().map(drop)),
        then: &["none", "1.0.0"],
    },
    Stage {
        name: "staging",
        before: install,
        does: |slots| stage(slots, "2.0.0"),
        then: &["1.0.0"],
    },
    Stage {
        name: "staging over the previous build",
        before: |slots| {
            install(slots);
            renew(slots, "1.5.0");
        },
        does: |slots| stage(slots, "2.0.0"),
        then: &["1.5.0"],
    },
    Stage {
        name: "switching",
        before: |slots| {
            install(slots);
            stage(slots, "2.0.0").unwrap();
        },
        does: |slots| slots.switch().map(drop),
        then: &["1.0.0", "2.0.0"],
    },
    Stage { name: "starting on trial", before: on_trial, does: start, then: &["2.0.0"] },
    Stage {
        name: "confirming",
        before: |slots| {
            on_trial(slots);
            start(slots).unwrap();
        },
        does: |slots| slots.confirm(),
        then: &["2.0.0"],
    },
    Stage {
        name: "rolling back from a trial",
        before: |slots| {
            on_trial(slots);
            (0..TRIAL_STARTS).for_each(|_| start(slots).unwrap());
        },
        does: start,
        then: &["1.0.0"],
    },
    Stage {
        name: "rolling back a confirmed build",
        before: |slots| {
            install(slots);
            renew(slots, "2.0.0");
        },
        does: |slots| slots.roll_back(ANYWAY).map(drop),
        then: &["1.0.0", "2.0.0"],
    },
    Stage {
        name: "changing to the previous build",
        before: |slots| {
            install(slots);
            renew(slots, "2.0.0");
        },
        does: |slots| slots.change().map(drop),
        then: &["1.0.0", "2.0.0"],
    },
];

const ANYWAY: Permit = Permit { downgrade: true, failed_before: false };

const FAULTS: [Fault; 5] =
    [Fault::Error, Fault::Kill, Fault::Hang, Fault::CutBefore, Fault::CutInside];

fn stage(slots: &mut Slots<Simulated>, version: &str) -> Result<(), Error> {
    let (bytes, offer) = build(version);
    slots.stage(&offer, &mut &bytes[..], Permit::default(), &mut any)
}

fn start(slots: &mut Slots<Simulated>) -> Result<(), Error> {
    slots.start().map(drop)
}

fn install(slots: &mut Slots<Simulated>) {
    stage(slots, "1.0.0").unwrap();
    slots.switch().unwrap();
    start(slots).unwrap();
}

fn renew(slots: &mut Slots<Simulated>, version: &str) {
    stage(slots, version).unwrap();
    slots.switch().unwrap();
    start(slots).unwrap();
    slots.confirm().unwrap();
}

fn on_trial(slots: &mut Slots<Simulated>) {
    install(slots);
    stage(slots, "2.0.0").unwrap();
    slots.switch().unwrap();
}

/// Version that a device starts with, after a check of the file; "none" without a build.
pub fn starts_with(disk: &Simulated) -> String {
    let mut slots = Slots::open(disk.clone()).expect("the state is whole");
    match slots.start() {
        Ok(Running { path, build, .. }) => {
            let content = disk.content(path.to_str().unwrap());
            assert_eq!(hex::encode(Sha256::digest(content)), build.sha256);
            build.version.to_string()
        }
        Err(Error::NothingToRun { .. }) => "none".into(),
        Err(error) => panic!("{error}"),
    }
}

/// Asserts that another update goes through on the disk.
fn can_be_updated(disk: &Simulated) {
    let mut slots = Slots::open(disk.clone()).unwrap();
    slots.confirm().unwrap();
    renew(&mut slots, "3.0.0");
    assert_eq!(starts_with(disk), "3.0.0");
}

/// Rewrites the state as its author would have written it. Returns whether there is one.
fn rewrite(disk: &Simulated, author: Author) -> bool {
    let Some(file) = disk.find(STATE) else { return false };
    let mut state = formats::content(&file);
    assert_eq!(state["format"], 1);
    match author {
        Author::This => {}
        Author::Unnumbered => drop(state.as_object_mut().unwrap().remove("format")),
        Author::WithMoreFields => formats::extend(&mut state),
    }
    disk.put(STATE, &formats::file(&state));
    true
}

const STATE: &str = "state.json";
const TRUST: &str = "trust.json";

#[test]
fn device_starts_with_a_whole_build_after_every_disturbance_of_an_update() {
    println!(
        "{:34}{:>11}{:>8}{:>8}{:>8}{:>8}{:>10}",
        "state", "operations", "errors", "kills", "hangs", "cuts", "leftovers"
    );
    let mut all = [0; 5];
    for stage in STAGES {
        let (operations, counts) = disturb(&stage, Author::This).unwrap();
        print_line(stage.name, &operations.to_string(), counts);
        all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
    }
    print_line("all", "", all);
}

#[test]
fn state_of_an_older_or_newer_program_survives_every_disturbance_of_an_update() {
    let mut disturbed = 0;
    for author in [Author::Unnumbered, Author::WithMoreFields] {
        for stage in STAGES {
            disturbed += usize::from(disturb(&stage, author).is_some());
        }
    }
    // All but the first build, before which there is no state.
    assert_eq!(disturbed, 2 * (STAGES.len() - 1));
}

/// Disturbs every operation of a stage in every way. Returns the number of operations, and the
/// counts of errors, kills, hangs, cuts and leftovers; `None` without a state to begin with.
fn disturb(stage: &Stage, author: Author) -> Option<(usize, [usize; 5])> {
    let Stage { name, before, does, then } = stage;
    let begin = Simulated::default();
    before(&mut Slots::open(begin.clone()).unwrap());
    let begin = begin.after_kill();
    if !rewrite(&begin, author) && author != Author::This {
        return None;
    }
    let undisturbed = begin.copy();
    undisturbed.meet(usize::MAX, Fault::Error);
    does(&mut Slots::open(undisturbed.clone()).unwrap()).unwrap();
    keeps_unknown_fields(&undisturbed, author);
    let operations = undisturbed.operations();
    assert!(operations >= 4, "{name}");
    let mut counts = [0; 5];
    for number in 1..=operations {
        for fault in FAULTS {
            let disk = begin.copy();
            let mut slots = Slots::open(disk.clone()).unwrap();
            disk.meet(number, fault);
            let result = does(&mut slots);
            let what = format!("{name}, {author:?}, {fault:?} at {number}: {}", said(result));
            let left: Vec<Simulated> = match fault {
                Fault::Error | Fault::Kill | Fault::Hang => vec![disk.after_kill()],
                _ => disk.leftovers().into_iter().map(|left| disk.after(left)).collect(),
            };
            counts[match fault {
                Fault::Error => 0,
                Fault::Kill => 1,
                Fault::Hang => 2,
                _ => 3,
            }] += 1;
            assert_eq!(disk.started_beside().is_some(), fault == Fault::Hang, "{what}");
            if let Some(version) = disk.started_beside() {
                assert!(then.contains(&version.as_str()), "{what}: starts with {version}");
            }
            for disk in left {
                counts[4] += 1;
                keeps_unknown_fields(&disk, author);
                let version = starts_with(&disk);
                assert!(then.contains(&version.as_str()), "{what}: starts with {version}");
                can_be_updated(&disk);
                keeps_unknown_fields(&disk, author);
            }
            if fault == Fault::Error {
                // The same process can continue, too.
                disk.meet(usize::MAX, Fault::Error);
                let _ = does(&mut slots);
                can_be_updated(&disk);
            }
        }
    }
    Some((operations, counts))
}

/// Asserts that the fields of a newer program are still in the state.
fn keeps_unknown_fields(disk: &Simulated, author: Author) {
    if author == Author::WithMoreFields {
        let mut expected = json!({});
        formats::extend(&mut expected);
        let state = formats::content(&disk.find(STATE).unwrap());
        assert_eq!(state["remark"], expected["remark"]);
    }
}

#[test]
fn state_in_a_newer_format_is_refused_and_never_written() {
    let disk = Simulated::default();
    install(&mut Slots::open(disk.clone()).unwrap());
    let newer = formats::file(&json!({ "format": 2, "slots": ["in", "another", "form"] }));
    disk.put(STATE, &newer);
    disk.meet(usize::MAX, Fault::Error);
    let refused = said(Slots::open(disk.clone()).map(drop));
    assert!(refused.starts_with("cannot read state.json: its format is 2"), "{refused}");
    assert_eq!((disk.operations(), disk.find(STATE)), (0, Some(newer)));
}

/// Disks that are left when a newer program replaces a file, in its own format, and is killed or
/// loses its power at any operation; each with a description.
fn left_by_migration(begin: &Simulated, name: &str, newer: &[u8]) -> Vec<(String, Simulated)> {
    let unfinished = name.replace(".json", ".new");
    let migrate = |mut disk: Simulated| -> io::Result<()> {
        disk.create(&unfinished)?;
        disk.append(&unfinished, newer)?;
        disk.sync(&unfinished)?;
        disk.rename(&unfinished, name)?;
        disk.sync_names()
    };
    let mut all = Vec::new();
    for number in 1..=5 {
        for fault in [Fault::Kill, Fault::CutBefore, Fault::CutInside] {
            let disk = begin.copy();
            disk.meet(number, fault);
            // A cut during the last operation comes too late to fail.
            let _ = migrate(disk.clone());
            let left: Vec<Simulated> = match fault {
                Fault::Kill => vec![disk.after_kill()],
                _ => disk.leftovers().into_iter().map(|left| disk.after(left)).collect(),
            };
            all.extend(left.into_iter().map(|disk| (format!("{fault:?} at {number}"), disk)));
        }
    }
    all
}

#[test]
fn downgrade_after_a_disturbed_migration_works_or_names_the_format() {
    let newer = formats::file(&json!({ "format": 2, "slots": ["in", "another", "form"] }));
    let begin = Simulated::default();
    install(&mut Slots::open(begin.clone()).unwrap());
    let begin = begin.after_kill();
    let (mut works, mut refused) = (0, 0);
    for (what, disk) in left_by_migration(&begin, STATE, &newer) {
        match Slots::open(disk.clone()).map(drop) {
            Ok(()) => {
                works += 1;
                assert_eq!(starts_with(&disk), "1.0.0");
                can_be_updated(&disk);
            }
            Err(Error::NewerFormat { found: 2, supported: 1, .. }) => {
                refused += 1;
                assert_eq!(disk.find(STATE).unwrap(), newer);
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    assert!(works > 0 && refused > 0, "{works} disks work, {refused} are refused");
}

#[test]
fn memory_of_the_repository_counts_after_a_disturbed_migration_or_names_the_format() {
    let newer = formats::file(&json!({ "format": 2, "known": "for another program" }));
    let mut begin = Simulated::default();
    begin.create(TRUST).unwrap();
    begin.append(TRUST, formats::UNNUMBERED_TRUST).unwrap();
    begin.sync(TRUST).unwrap();
    begin.sync_names().unwrap();
    let (mut counts, mut refused) = (0, 0);
    for (what, disk) in left_by_migration(&begin.after_kill(), TRUST, &newer) {
        let left = disk.find(TRUST).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TRUST);
        fs::write(&path, &left).unwrap();
        let seen = formats::look(folder.path());
        if left == newer {
            refused += 1;
            assert!(seen.contains("its format is 2"), "{what}: {seen}");
        } else {
            counts += 1;
            assert!(seen.contains("but it is 2100-01-01T00:00:00Z or later"), "{what}: {seen}");
        }
        assert_eq!(fs::read(&path).unwrap(), left);
    }
    assert!(counts > 0 && refused > 0, "{counts} memories count, {refused} are refused");
}

fn print_line(name: &str, operations: &str, counts: [usize; 5]) {
    let [errors, kills, hangs, cuts, leftovers] = counts;
    println!("{name:34}{operations:>11}{errors:>8}{kills:>8}{hangs:>8}{cuts:>8}{leftovers:>10}");
}

#[test]
fn build_that_is_never_confirmed_is_rolled_back() {
    let disk = Simulated::default();
    on_trial(&mut Slots::open(disk.clone()).unwrap());
    // Each start is of another process: the previous one was killed.
    for _ in 0..TRIAL_STARTS {
        assert_eq!(starts_with(&disk), "2.0.0");
    }
    let mut slots = Slots::open(disk.clone()).unwrap();
    let running = slots.start().unwrap();
    assert_eq!(running.build.version.to_string(), "1.0.0");
    assert_eq!(running.rollback_reason.unwrap(), "it was not confirmed in 3 starts");
    assert!(!running.on_trial);
    // It is not installed again unless an operator insists.
    let again = said(stage(&mut slots, "2.0.0"));
    assert!(again.starts_with("nerve 2.0.0 has failed on this device before"), "{again}");
    let (bytes, offer) = build("2.0.0");
    let permit = Permit { failed_before: true, ..Permit::default() };
    slots.stage(&offer, &mut &bytes[..], permit, &mut any).unwrap();
}

#[test]
fn device_without_a_whole_previous_build_keeps_the_one_on_trial() {
    let disk = Simulated::default();
    on_trial(&mut Slots::open(disk.clone()).unwrap());
    disk.damage("a.medsa");
    for _ in 0..=TRIAL_STARTS {
        assert_eq!(starts_with(&disk), "2.0.0");
    }
    can_be_updated(&disk);
}

#[test]
fn damaged_build_is_not_started() {
    let disk = Simulated::default();
    let mut slots = Slots::open(disk.clone()).unwrap();
    install(&mut slots);
    renew(&mut slots, "2.0.0");
    disk.damage("b.medsa");
    let running = Slots::open(disk.clone()).unwrap().start().unwrap();
    assert_eq!(running.build.version.to_string(), "1.0.0");
    assert_eq!(running.rollback_reason.unwrap(), "slot B does not hold what was installed in it");
    disk.damage("a.medsa");
    assert_eq!(starts_with(&disk), "none");
    disk.damage("state.json");
    let refused = said(Slots::open(disk.clone()).map(drop));
    assert!(
        refused.starts_with("cannot read state.json: its content does not match its checksum"),
        "{refused}"
    );
    assert!(disk.open("state.json").is_ok());
}
