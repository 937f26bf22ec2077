//! Wrong clock: a device without a clock still knows that its time cannot be right.

use jiff::{SignedDuration, Timestamp};
use medsa_update::{Terms, WithoutClock};

use crate::lab::{Lab, assert_says, sees};

fn in_days(days: i64) -> Terms {
    Terms { now: Timestamp::now() + SignedDuration::from_hours(24 * days), ..Terms::default() }
}

#[test]
fn clock_before_the_publication_counts_as_wrong() {
    let lab = Lab::new();
    lab.publish_on("2.0.0", &in_days(10));
    assert_says(&lab.sees(), "the clock says");
    // The device remembers the later publication.
    lab.publish_on("3.0.0", &in_days(-1));
    assert_says(&lab.sees(), "the clock says");
}

#[test]
fn ignoring_expiry_keeps_the_protection_against_rollback() {
    let lab = Lab::new();
    let sees = || sees(lab.device_with(&lab.url(), WithoutClock::IgnoreExpiry));
    lab.publish_on("2.0.0", &in_days(10));
    assert_eq!(sees().unwrap(), "2.0.0");
    let old = lab.record();
    // The clock is known to be wrong, so that expiry cannot be checked.
    lab.publish_on("3.0.0", &Terms { online_days: -20, ..in_days(10) });
    assert_eq!(sees().unwrap(), "3.0.0");
    lab.replay(&old);
    assert_says(
        &sees(),
        "version 3 of timestamp metadata when we had previously fetched version 4",
    );
}

#[test]
fn plausible_clock_enforces_expiry() {
    let lab = Lab::new();
    lab.publish_on("2.0.0", &Terms { online_days: -1, ..Terms::default() });
    for without_clock in [WithoutClock::Refuse, WithoutClock::IgnoreExpiry] {
        let said = sees(lab.device_with(&lab.url(), without_clock));
        assert_says(&said, "timestamp metadata is expired");
    }
}
