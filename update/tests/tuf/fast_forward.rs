//! Fast-forward: a thief of the online key publishes the highest version, which the operator cannot
//! exceed.

use std::num::NonZeroU64;

use medsa_update::{Role, Terms};
use tough::schema::{Snapshot, Timestamp};

use crate::lab::{Lab, assert_says};

#[test]
fn new_online_key_resets_the_versions() {
    let lab = Lab::new();
    let honest = lab.record();
    let last = NonZeroU64::MAX;
    let mut snapshot = lab.read::<Snapshot>("2.snapshot.json").signed;
    snapshot.version = last;
    let snapshot = lab.sign(snapshot, &["online-1.pk8"]);
    let mut timestamp = lab.read::<Timestamp>("timestamp.json").signed;
    timestamp.version = last;
    let listed = timestamp.meta.get_mut("snapshot.json").unwrap();
    (listed.version, listed.length, listed.hashes) = (last, Some(*snapshot.length()), None);
    lab.sign(timestamp, &["online-1.pk8"]);
    assert_eq!(lab.sees().unwrap(), "1.0.0");

    // The operator's metadata is older now, and stays so.
    lab.replay(&honest);
    lab.publish("2.0.0");
    assert_says(&lab.sees(), "had previously fetched version 18446744073709551615");

    let terms = Terms::default();
    lab.repository.replace_keys(Role::Online, &lab.keys(), &lab.path("keys"), &terms).unwrap();
    assert_eq!(lab.sees().unwrap(), "2.0.0");
}
