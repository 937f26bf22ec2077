//! Tests of the database.

use super::*;

fn message(number: u8) -> Message {
    Message {
        topic: "records".into(),
        payload: vec![number].into(),
        retention: Retention::Passing,
        delivery: Delivery::AtLeastOnce,
        properties: Properties::default(),
    }
}

fn outbox(path: &Path) -> Outbox {
    Outbox { max_names: 3, ..Outbox::open(path, 100).unwrap() }
}

#[test]
fn oldest_delivered_names_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder.path().join("outbox.redb"));
    let put = |name: &str| outbox.put_named(name, &[message(1)]).unwrap();
    let waiting = put("b").start;
    for name in ["c", "a", "d"] {
        outbox.delete(&[put(name).start]).unwrap();
    }
    put("e");
    let state = ["a", "b", "c", "d", "e"].map(|name| outbox.delivered(name).unwrap());
    use Delivered::{All, Never, NotYet};
    assert_eq!(state, [Never, NotYet, Never, All, NotYet]);
    outbox.delete(&[waiting]).unwrap();
    put("f");
    assert_eq!(outbox.delivered("b").unwrap(), Never);
}

#[test]
fn withdrawn_messages_make_room_and_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&folder.path().join("outbox.redb"), 3).unwrap();
    outbox.put_named("first", &[message(1), message(2)]).unwrap();
    outbox.put_named("second", &[message(3)]).unwrap();
    assert!(outbox.put(&[message(4)]).is_err());
    assert_eq!(outbox.replace_named("first", &[message(5), message(6)]).unwrap(), 3..5);
    assert_eq!(outbox.delivered("first").unwrap(), Delivered::Never);
    assert_eq!(outbox.delivered("second").unwrap(), Delivered::NotYet);
    let waiting = outbox.read(0, 9).unwrap();
    let payloads: Vec<u8> = waiting.iter().map(|(_, message)| message.payload[0]).collect();
    assert_eq!(payloads, [3, 5, 6]);
    // Without room, nothing is withdrawn.
    assert!(outbox.replace_named("second", &[message(7), message(8)]).is_err());
    assert_eq!(outbox.delivered("second").unwrap(), Delivered::NotYet);
    assert_eq!(outbox.replace_named("unknown", &[]).unwrap(), 5..5);
}

#[test]
fn message_is_being_sent_from_its_handing_to_its_confirmation() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(&folder.path().join("outbox.redb"));
    outbox.put_named("first", &[message(1)]).unwrap();
    outbox.put_named("second", &[message(2), message(3)]).unwrap();
    let sending = || ["first", "second", "other"].map(|name| outbox.is_sending(name).unwrap());
    assert_eq!(sending(), [false; 3]);
    let handing = outbox.handing();
    handing.begin(0);
    assert_eq!(sending(), [true, false, false]);
    handing.begin(1);
    assert_eq!(sending(), [true, true, false]);
    outbox.delete(&[0]).unwrap();
    assert_eq!(sending(), [false, true, false]);
    // The connection is lost.
    drop(handing);
    assert_eq!(sending(), [false; 3]);
}

#[test]
fn file_without_format_is_accepted_and_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.redb");
    let before = outbox(&path);
    before.put_named("kept", &[message(1)]).unwrap();
    let transaction = before.database.begin_write().unwrap();
    assert!(transaction.delete_table(FORMAT).unwrap());
    transaction.commit().unwrap();
    drop(before);
    let now = outbox(&path);
    assert_eq!(now.delivered("kept").unwrap(), Delivered::NotYet);
    let format = now.database.begin_read().unwrap().open_table(FORMAT).unwrap();
    assert_eq!(format.get(()).unwrap().unwrap().value(), NEWEST_FORMAT);
}

#[test]
fn file_of_newer_format_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.redb");
    let newer = outbox(&path);
    newer.put_named("kept", &[message(1)]).unwrap();
    let transaction = newer.database.begin_write().unwrap();
    transaction.open_table(FORMAT).unwrap().insert((), 2).unwrap();
    transaction.commit().unwrap();
    drop(newer);
    let error = Outbox::open(&path, 100).err().unwrap().to_string();
    assert_eq!(
        error,
        format!(
            "{}: outbox: format 2 is newer than this program supports (1): install a newer \
             medsa-edge, or move the file elsewhere; nothing in it was changed",
            path.display()
        )
    );
    let database = Database::create(&path).unwrap();
    let messages = database.begin_read().unwrap().open_table(MESSAGES).unwrap();
    assert_eq!(messages.len().unwrap(), 1);
}
