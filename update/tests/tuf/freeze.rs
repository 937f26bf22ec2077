//! Somebody lets a device see the same repository for ever, so that it learns of nothing new.

use jiff::{SignedDuration, Timestamp};
use medsa_update::Terms;

use crate::lab::{Lab, assert_says};

#[test]
fn what_was_the_latest_is_good_for_a_while_only() {
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
    // The operator signs anew, without anything new.
    lab.repository.publish(&lab.keys(), &[], &Terms::default()).unwrap();
    assert_eq!(lab.sees().unwrap(), "2.1.0");
}
