//! Freeze: an attacker serves the same repository for ever, to hide newer builds.

use jiff::{SignedDuration, Timestamp};
use medsa_update::Terms;

use crate::lab::{Lab, assert_says};

#[test]
fn unrenewed_repository_expires() {
    let lab = Lab::new();
    let ago = |days: i64| {
        let now = Timestamp::now() - SignedDuration::from_hours(24 * days);
        Terms { now, ..Terms::default() }
    };
    lab.publish_on("2.0.0", &ago(89));
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    let frozen = lab.record();
    lab.publish("3.0.0");
    lab.replay(&frozen);
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    // Two days later.
    lab.publish_on("2.1.0", &ago(91));
    assert_says(&lab.sees(), "timestamp metadata is expired");
    // The operator renews the metadata, without new builds.
    lab.repository.publish(&lab.keys(), &[], &Terms::default()).unwrap();
    assert_eq!(lab.sees().unwrap(), "2.1.0");
}
