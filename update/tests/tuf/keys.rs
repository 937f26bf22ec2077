//! Lost and stolen keys, and keys of several people.

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;

use medsa_update::{Repository, Role, Terms};

use crate::lab::{Lab, assert_says};

#[test]
fn publication_needs_keys_up_to_the_threshold() {
    let lab = Lab::with_keys(2, 3);
    let terms = Terms::default();
    // The first person has one key of each role, the second one more of root and targets.
    let (one, second) = (lab.path("one"), lab.path("second"));
    for (folder, names) in [
        (&one, &["root-1.pk8", "targets-1.pk8", "online-1.pk8", "root.json"][..]),
        (&second, &["root-3.pk8", "targets-3.pk8"][..]),
    ] {
        fs::create_dir(folder).unwrap();
        for name in names {
            fs::copy(lab.path("keys").join(name), folder.join(name)).unwrap();
        }
    }
    let build = [lab.build("liver", "2.0.0")];
    let alone = lab.repository.publish(std::slice::from_ref(&one), &build, &terms).unwrap_err();
    assert!(alone.to_string().contains("targets"), "{alone}");
    assert_eq!(lab.sees().unwrap(), "1.0.0");
    let both = [one.clone(), second];
    lab.repository.publish(&both, &build, &terms).unwrap();
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    let alone = lab.repository.replace_keys(Role::Targets, &[one], &lab.path("new"), &terms);
    let alone = alone.unwrap_err().to_string();
    assert!(alone.contains("too few keys of the root were given"), "{alone}");
    lab.repository
        .replace_keys(Role::Targets, &[&both[..], &lab.keys()].concat(), &lab.path("new"), &terms)
        .unwrap();
    assert_eq!(lab.sees().unwrap(), "2.0.0");
}

#[test]
fn replaced_keys_of_every_role_no_longer_sign() {
    let lab = Lab::new();
    let terms = Terms::default();
    let stolen = lab.path("stolen");
    fs::create_dir(&stolen).unwrap();
    for role in ["root", "targets", "online"] {
        let name = format!("{role}-1.pk8");
        fs::copy(lab.path("keys").join(&name), stolen.join(&name)).unwrap();
    }
    fs::copy(lab.path("keys/root.json"), stolen.join("root.json")).unwrap();
    let mut version = 1;
    for role in [Role::Online, Role::Targets, Role::Root] {
        lab.repository.replace_keys(role, &lab.keys(), &lab.path("keys"), &terms).unwrap();
        version += 1;
        lab.publish(&format!("{version}.0.0"));
        assert_eq!(lab.sees().unwrap(), format!("{version}.0.0"));
        let build = [lab.build("liver", "6.6.6")];
        lab.repository.publish(std::slice::from_ref(&stolen), &build, &terms).unwrap_err();
    }
    let stolen = [stolen];
    lab.repository.replace_keys(Role::Root, &stolen, &lab.path("more"), &terms).unwrap_err();
    // A device that was off all the time follows from the root that it was shipped with.
    fs::remove_dir_all(lab.path("device")).unwrap();
    assert_eq!(lab.sees().unwrap(), "4.0.0");
}

#[test]
fn keys_are_readable_by_their_owner_only_and_never_overwritten() {
    let lab = Lab::new();
    for name in ["root-1.pk8", "targets-1.pk8", "online-1.pk8"] {
        let mode = fs::metadata(lab.path("keys").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let one = (NonZeroU64::MIN, 1);
    let again =
        Repository::create(&lab.path("repository"), &lab.path("keys"), one, &Terms::default());
    let error = again.err().unwrap().to_string();
    assert!(error.contains("holds a repository"), "{error}");
    let two = (NonZeroU64::new(2).unwrap(), 1);
    let few = Repository::create(&lab.path("other"), &lab.path("keys"), two, &Terms::default());
    let error = few.err().unwrap().to_string();
    assert!(error.contains("fewer keys than have to sign"), "{error}");
}

#[test]
fn interrupted_replacement_of_keys_is_completed() {
    let lab = Lab::new();
    let before = lab.record();
    let terms = Terms::default();
    lab.repository.replace_keys(Role::Online, &lab.keys(), &lab.path("keys"), &terms).unwrap();
    // An interruption between the new root and its timestamp.
    let unfinished = lab.path("repository/metadata.new");
    fs::create_dir(&unfinished).unwrap();
    fs::rename(lab.metadata("timestamp.json"), unfinished.join("timestamp.json")).unwrap();
    fs::copy(before.metadata("timestamp.json"), lab.metadata("timestamp.json")).unwrap();
    assert_says(&lab.sees(), "Failed to verify timestamp metadata");
    lab.publish("2.0.0");
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    assert!(!unfinished.exists());
}
