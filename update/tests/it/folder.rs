//! Slots in a folder of the file system.

use std::io;
use std::path::Path;

use medsa_update::{Error, Folder, Name, Permit, SlotRole, Slots};

use crate::{any, build, said};

fn stage(slots: &mut Slots<Folder>, version: &str, permit: Permit) -> Result<(), Error> {
    let (bytes, offer) = build(version);
    slots.stage(&offer, &mut &bytes[..], permit, &mut any)
}

const ANYWAY: Permit = Permit { downgrade: true, failed_before: false };

fn slots(folder: &Path) -> Slots<Folder> {
    Slots::open(Folder::open(folder).unwrap()).unwrap()
}

#[test]
fn build_is_staged_confirmed_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut there = slots(folder.path());
    assert!(said(there.start()).contains("neither slot holds the build that was installed"));
    assert_eq!(said(there.switch()), "switch: no build is staged");
    stage(&mut there, "1.0.0", Permit::default()).unwrap();
    let first = there.switch().unwrap();
    assert_eq!((first.slot, first.on_trial), (Name::A, false));
    assert_eq!(first.path, folder.path().join("a.medsa"));
    assert_eq!(std::fs::read(first.path).unwrap(), build("1.0.0").0);
    assert_eq!(said(there.roll_back(ANYWAY)), "rollback: there is no previous build");
    let refused = said(there.roll_back(Permit::default()));
    assert!(
        refused.starts_with("nerve 1.0.0 is confirmed; use --danger-allow-downgrade"),
        "{refused}"
    );
    stage(&mut there, "2.0.0", Permit::default()).unwrap();
    // A start still gets the first build.
    drop(there);
    let mut there = slots(folder.path());
    assert_eq!(there.start().unwrap().build.version.to_string(), "1.0.0");
    let second = there.switch().unwrap();
    assert_eq!((second.slot, second.on_trial), (Name::B, true));
    let refused = said(stage(&mut there, "3.0.0", Permit::default()));
    assert_eq!(refused, "nerve 2.0.0 is on trial: confirm it or roll it back first");
    there.confirm().unwrap();
    assert_eq!(said(there.switch()), "switch: no build is staged");
    let back = there.roll_back(ANYWAY).unwrap();
    assert_eq!((back.slot, back.build.version.to_string().as_str()), (Name::A, "1.0.0"));
    assert!(!back.on_trial);
    // The version that was rolled back from is no lower limit any more.
    stage(&mut there, "1.5.0", Permit::default()).unwrap();
    assert_eq!(said(there.roll_back(ANYWAY)), "rollback: there is no previous build");
}

#[test]
fn downgrade_needs_the_permit_of_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let mut there = slots(folder.path());
    stage(&mut there, "1.4.0", Permit::default()).unwrap();
    there.switch().unwrap();
    let refused = said(stage(&mut there, "1.3.9", Permit::default()));
    assert_eq!(
        refused,
        "nerve 1.3.9 is older than 1.4.0, which this device has confirmed; \
         use --danger-allow-downgrade to install it anyway"
    );
    let permit = Permit { downgrade: true, ..Permit::default() };
    stage(&mut there, "1.3.9", permit).unwrap();
    there.switch().unwrap();
    there.confirm().unwrap();
    // Each name of a build has its own limit.
    let (bytes, mut offer) = build("0.1.0");
    offer.build.name = "vessel".into();
    there.stage(&offer, &mut &bytes[..], Permit::default(), &mut any).unwrap();
}

#[test]
fn build_that_differs_from_its_offer_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut there = slots(folder.path());
    stage(&mut there, "1.0.0", Permit::default()).unwrap();
    there.switch().unwrap();
    let before = there.state().clone();
    let (bytes, offer) = build("2.0.0");
    let mut corrupt = bytes.clone();
    corrupt[150_000] ^= 1;
    let mut put =
        |bytes: &mut dyn io::Read| said(there.stage(&offer, bytes, Permit::default(), &mut any));
    let sha256 = &offer.build.sha256;
    let refused = put(&mut &corrupt[..]);
    assert!(refused.starts_with("nerve 2.0.0: received SHA-256 "), "{refused}");
    assert!(refused.ends_with(&format!(", expected SHA-256 {sha256}")), "{refused}");
    let refused = put(&mut &bytes[..199_999]);
    assert_eq!(refused, "nerve 2.0.0: received 199999 bytes, expected 200000 bytes");
    let refused = put(&mut io::repeat(7));
    assert_eq!(refused, "nerve 2.0.0: received more than 200000 bytes, expected 200000 bytes");
    struct Gone;
    impl io::Read for Gone {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the stick was pulled out"))
        }
    }
    assert_eq!(put(&mut Gone), "nerve 2.0.0: the stick was pulled out");
    let mut slow = |_: &Path| Err("112 ms, at most 80 are accepted".to_owned());
    let refused = said(there.stage(&offer, &mut &bytes[..], Permit::default(), &mut slow));
    assert_eq!(refused, "nerve 2.0.0 is not accepted: 112 ms, at most 80 are accepted");
    let mut huge = offer.clone();
    huge.bytes = 1 << 60;
    let refused = said(there.stage(&huge, &mut &bytes[..], Permit::default(), &mut any));
    assert!(refused.contains(" bytes free, and the update needs 1152921504623624192"), "{refused}");
    assert_eq!(*there.state(), before);
    assert_eq!(slots_after(there, folder.path()), "1.0.0");
}

/// Version that the next process starts with.
fn slots_after(now: Slots<Folder>, folder: &Path) -> String {
    drop(now);
    slots(folder).start().unwrap().build.version.to_string()
}

#[test]
fn folder_is_open_in_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Folder::open(folder.path()).unwrap();
    let second = Folder::open(folder.path());
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(first);
    Folder::open(folder.path()).unwrap();
}

#[test]
fn change_uses_the_previous_build_and_does_not_mark_the_other_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut there = slots(folder.path());
    let standing = |slots: &Slots<Folder>| [Name::A, Name::B].map(|n| slots.state().standing(n));
    stage(&mut there, "1.0.0", Permit::default()).unwrap();
    there.switch().unwrap();
    assert_eq!(said(there.change()), "change: there is no previous build");
    stage(&mut there, "2.0.0", Permit::default()).unwrap();
    assert_eq!(standing(&there), [Some(SlotRole::InUse), Some(SlotRole::Staged)]);
    // With a staged build, it is a switch.
    there.change().unwrap();
    assert_eq!(standing(&there), [Some(SlotRole::Rollback), Some(SlotRole::OnTrial)]);
    assert_eq!(said(there.change()), "nerve 2.0.0 is on trial: confirm it or roll it back first");
    there.confirm().unwrap();
    assert_eq!(standing(&there), [Some(SlotRole::Previous), Some(SlotRole::InUse)]);
    let first = there.change().unwrap();
    assert_eq!((first.slot, first.on_trial), (Name::A, true));
    there.confirm().unwrap();
    assert!(there.state().failed.is_empty());
    assert_eq!(there.change().unwrap().build.version.to_string(), "2.0.0");
    // A failed trial marks the build as failed.
    there.roll_back(Permit::default()).unwrap();
    assert_eq!(standing(&there), [Some(SlotRole::InUse), Some(SlotRole::Failed)]);
    assert_eq!(said(there.change()), "change: the previous build has failed on this device");
}
