//! Somebody who has no key of the operator's signs with their own.

use std::fs;

use medsa_update::{Role, Terms};

use crate::lab::{Lab, assert_says};

#[test]
fn a_repository_of_somebody_else_is_refused() {
    let (lab, other) = (Lab::new(), Lab::new());
    other.publish("6.6.6");
    lab.replay(&other.record());
    assert_says(&lab.sees(), "Failed to verify timestamp metadata");
}

#[test]
fn a_root_of_somebody_else_is_refused() {
    let (lab, other) = (Lab::new(), Lab::new());
    let terms = Terms::default();
    let keys = other.path("keys");
    other.repository.replace_keys(Role::Root, &other.keys(), &keys, &terms).unwrap();
    fs::copy(other.metadata("2.root.json"), lab.metadata("2.root.json")).unwrap();
    assert_says(&lab.sees(), "Failed to verify root metadata");
}

#[test]
fn nobody_publishes_without_the_keys() {
    let (lab, other) = (Lab::new(), Lab::new());
    let build = lab.build("liver", "6.6.6");
    let keys = other.keys();
    let error = lab.repository.publish(&keys, &[build], &Terms::default()).unwrap_err();
    assert!(error.to_string().contains("key"), "{error}");
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}
