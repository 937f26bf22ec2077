//! Expiry of every kind of metadata.

use medsa_update::{Role, Terms};

use crate::lab::{Lab, assert_says};

#[test]
fn expired_metadata_is_refused_and_named() {
    let valid = Terms::default();
    let lab = Lab::new();
    lab.publish_on("2.0.0", &Terms { targets_days: -1, ..valid });
    assert_says(&lab.sees(), "targets metadata is expired");
    lab.publish_on("3.0.0", &Terms { online_days: -1, ..valid });
    assert_says(&lab.sees(), "timestamp metadata is expired");
    lab.publish("4.0.0");
    assert_eq!(lab.sees().unwrap(), "4.0.0");
    let expired = Terms { root_days: -1, ..valid };
    lab.repository.replace_keys(Role::Root, &lab.keys(), &lab.path("keys"), &expired).unwrap();
    assert_says(&lab.sees(), "root metadata is expired");
    lab.repository.replace_keys(Role::Root, &lab.keys(), &lab.path("keys"), &valid).unwrap();
    assert_eq!(lab.sees().unwrap(), "4.0.0");
}
