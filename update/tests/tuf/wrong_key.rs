//! Wrong keys: an attacker signs with keys of their own.

use std::fs;

use medsa_update::{Role, Terms};
use tough::schema::{RoleType, Root};

use crate::lab::{Lab, assert_says};

#[test]
fn repository_with_other_keys_is_refused() {
    let (lab, other) = (Lab::new(), Lab::new());
    other.publish("6.6.6");
    lab.replay(&other.record());
    assert_says(&lab.sees(), "Failed to verify timestamp metadata");
}

#[test]
fn root_with_other_keys_is_refused() {
    let (lab, other) = (Lab::new(), Lab::new());
    let terms = Terms::default();
    let keys = other.path("keys");
    other.repository.replace_keys(Role::Root, &other.keys(), &keys, &terms).unwrap();
    fs::copy(other.metadata("2.root.json"), lab.metadata("2.root.json")).unwrap();
    assert_says(&lab.sees(), "Failed to verify root metadata");
}

#[test]
fn publication_with_other_keys_is_refused() {
    let (lab, other) = (Lab::new(), Lab::new());
    let build = lab.build("liver", "6.6.6");
    let keys = other.keys();
    let error = lab.repository.publish(&keys, &[build], &Terms::default()).unwrap_err();
    assert!(error.to_string().contains("Failed to verify timestamp metadata"), "{error}");
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}

#[test]
fn operator_does_not_sign_a_list_under_a_foreign_root() {
    let (lab, other) = (Lab::new(), Lab::new());
    let terms = Terms::default();
    // A root with the keys of both, signed by an attacker who can write to the repository.
    let theirs = other.read::<Root>("1.root.json").signed;
    let mut root = lab.read::<Root>("1.root.json").signed;
    root.keys.extend(theirs.keys.clone());
    for role in [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
        let more = theirs.roles[&role].keyids.clone();
        root.roles.get_mut(&role).unwrap().keyids.extend(more);
    }
    root.roles.insert(RoleType::Root, theirs.roles[&RoleType::Root].clone());
    other.sign(root, &["root-1.pk8"]);
    let genuine = fs::read(lab.metadata("1.root.json")).unwrap();
    fs::copy(other.metadata("1.root.json"), lab.metadata("1.root.json")).unwrap();
    fs::copy(other.metadata("1.root.json"), other.path("keys/root.json")).unwrap();
    let build = lab.build("liver", "6.6.6");
    lab.repository.publish(&other.keys(), &[build], &terms).unwrap();
    // Without the check, the operator would sign a list with the attacker's build in it.
    let error = lab.repository.publish(&lab.keys(), &[], &terms).unwrap_err();
    assert!(error.to_string().contains("Failed to verify timestamp metadata"), "{error}");
    fs::write(lab.metadata("1.root.json"), genuine).unwrap();
    assert_says(&lab.sees(), "Failed to verify timestamp metadata");
}
