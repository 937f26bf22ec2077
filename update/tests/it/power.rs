//! Every state of an update, with an error, a kill and a power cut at every operation in it: the
//! device always starts with a build that is as it was installed, and can be updated again.

use medsa_update::{Disk, Error, Permit, Running, Slots, TRIAL_STARTS};
use sha2::{Digest, Sha256};

use crate::simulated::{Fault, Simulated};
use crate::{any, build, said};

/// A state of an update: what brings a device there, and what it does in it.
struct Stage {
    name: &'static str,
    before: fn(&mut Slots<Simulated>),
    does: fn(&mut Slots<Simulated>) -> Result<(), Error>,
    /// Versions that the device may start with if this does not end well.
    then: &'static [&'static str],
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
        name: "staging over the build before",
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
        name: "going back from a trial",
        before: |slots| {
            on_trial(slots);
            (0..TRIAL_STARTS).for_each(|_| start(slots).unwrap());
        },
        does: start,
        then: &["1.0.0"],
    },
    Stage {
        name: "rolling back",
        before: |slots| {
            install(slots);
            renew(slots, "2.0.0");
        },
        does: |slots| slots.roll_back(ANYWAY).map(drop),
        then: &["1.0.0", "2.0.0"],
    },
    Stage {
        name: "changing to the build before",
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

/// What a device starts with, which has to be as it was installed; "none" of one that never had
/// a build.
pub fn starts_with(disk: &Simulated) -> String {
    let mut slots = Slots::open(disk.clone()).expect("the state is whole");
    match slots.start() {
        Ok(Running { path, build, .. }) => {
            let content = disk.content(path.to_str().unwrap());
            let found =
                Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect::<String>();
            assert_eq!(found, build.sha256);
            build.version.to_string()
        }
        Err(Error::NothingToRun { .. }) => "none".into(),
        Err(error) => panic!("{error}"),
    }
}

/// Another update goes through on what is left.
fn can_be_updated(disk: &Simulated) {
    let mut slots = Slots::open(disk.clone()).unwrap();
    slots.confirm().unwrap();
    renew(&mut slots, "3.0.0");
    assert_eq!(starts_with(disk), "3.0.0");
}

#[test]
fn a_device_starts_with_a_whole_build_whatever_happens_to_an_update() {
    println!(
        "{:32}{:>11}{:>8}{:>8}{:>8}{:>8}{:>10}",
        "state", "operations", "errors", "kills", "hangs", "cuts", "leftovers"
    );
    let mut all = [0; 5];
    for Stage { name, before, does, then } in STAGES {
        let begin = Simulated::default();
        before(&mut Slots::open(begin.clone()).unwrap());
        let begin = begin.after_kill();
        let undisturbed = begin.copy();
        undisturbed.meet(usize::MAX, Fault::Error);
        does(&mut Slots::open(undisturbed.clone()).unwrap()).unwrap();
        let operations = undisturbed.operations();
        assert!(operations >= 4, "{name}");
        // Errors, kills, hangs, cuts, leftovers.
        let mut counts = [0; 5];
        for number in 1..=operations {
            for fault in FAULTS {
                let disk = begin.copy();
                let mut slots = Slots::open(disk.clone()).unwrap();
                disk.meet(number, fault);
                let result = does(&mut slots);
                let what = format!("{name}, {fault:?} at operation {number}: {}", said(result));
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
                    let version = starts_with(&disk);
                    assert!(then.contains(&version.as_str()), "{what}: starts with {version}");
                    can_be_updated(&disk);
                }
                if fault == Fault::Error {
                    // The same process goes on, too.
                    disk.meet(usize::MAX, Fault::Error);
                    let _ = does(&mut slots);
                    can_be_updated(&disk);
                }
            }
        }
        print_line(name, &operations.to_string(), counts);
        all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
    }
    print_line("all", "", all);
}

fn print_line(name: &str, operations: &str, counts: [usize; 5]) {
    let [errors, kills, hangs, cuts, leftovers] = counts;
    println!("{name:32}{operations:>11}{errors:>8}{kills:>8}{hangs:>8}{cuts:>8}{leftovers:>10}");
}

#[test]
fn a_build_that_is_never_confirmed_is_gone_back_from() {
    let disk = Simulated::default();
    on_trial(&mut Slots::open(disk.clone()).unwrap());
    // Each start is of another process: the one before was killed, or hung and was killed.
    for _ in 0..TRIAL_STARTS {
        assert_eq!(starts_with(&disk), "2.0.0");
    }
    let mut slots = Slots::open(disk.clone()).unwrap();
    let running = slots.start().unwrap();
    assert_eq!(running.build.version.to_string(), "1.0.0");
    assert_eq!(running.went_back.unwrap(), "it was not confirmed in 3 starts");
    assert!(!running.on_trial);
    // Not by itself again, but when an operator insists.
    let again = said(stage(&mut slots, "2.0.0"));
    assert!(again.starts_with("nerve 2.0.0 has failed on this device before"), "{again}");
    let (bytes, offer) = build("2.0.0");
    let permit = Permit { failed_before: true, ..Permit::default() };
    slots.stage(&offer, &mut &bytes[..], permit, &mut any).unwrap();
}

#[test]
fn without_a_way_back_the_device_keeps_what_is_whole() {
    let disk = Simulated::default();
    on_trial(&mut Slots::open(disk.clone()).unwrap());
    disk.spoil("a.medsa");
    for _ in 0..=TRIAL_STARTS {
        assert_eq!(starts_with(&disk), "2.0.0");
    }
    can_be_updated(&disk);
}

#[test]
fn a_spoilt_build_is_not_started() {
    let disk = Simulated::default();
    let mut slots = Slots::open(disk.clone()).unwrap();
    install(&mut slots);
    renew(&mut slots, "2.0.0");
    disk.spoil("b.medsa");
    let running = Slots::open(disk.clone()).unwrap().start().unwrap();
    assert_eq!(running.build.version.to_string(), "1.0.0");
    assert_eq!(running.went_back.unwrap(), "slot B does not hold what was installed in it");
    disk.spoil("a.medsa");
    assert_eq!(starts_with(&disk), "none");
    disk.spoil("state.json");
    let refused = said(Slots::open(disk.clone()).map(drop));
    assert!(
        refused.starts_with("state.json: its content is not that of its checksum"),
        "{refused}"
    );
    assert!(disk.open("state.json").is_ok());
}
