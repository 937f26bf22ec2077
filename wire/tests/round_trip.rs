//! Every valid message is unchanged by encoding and decoding, and fits its stated length.

mod common;

use medsa_wire::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn mask_message_round_trips(message in common::mask_message()) {
        assert_round_trip(&message);
    }

    #[test]
    fn prompt_round_trips(message in common::prompt()) {
        assert_round_trip(&message);
    }

    #[test]
    fn record_round_trips(message in common::record()) {
        assert_round_trip(&message);
    }

    #[test]
    fn deleted_record_round_trips(message in common::deleted()) {
        assert_round_trip(&message);
    }

    #[test]
    fn info_round_trips(message in common::info()) {
        assert_round_trip(&message);
    }

    #[test]
    fn stats_round_trip(message in common::stats()) {
        assert_round_trip(&message);
    }

    #[test]
    fn status_round_trips(message in common::status()) {
        assert_round_trip(&message);
    }

    #[test]
    fn cells_round_trip((width, height, cells) in common::cells()) {
        let mask = Mask::from_bits(width, height, cells.iter().copied()).unwrap();
        assert_eq!(mask.bits().collect::<Vec<_>>(), cells);
        assert_eq!(mask.bits().len(), cells.len());
        let mut written = vec![true; cells.len()];
        mask.write_bits(&mut written).unwrap();
        assert_eq!(written, cells);
        assert_eq!(mask.area_cells() as usize, cells.iter().filter(|&&bit| bit).count());
    }
}

#[test]
fn one_variant_messages_round_trip() {
    assert_round_trip(&Availability::Online);
    assert_round_trip(&Availability::Offline);
    assert_round_trip(&Command::Pause);
    assert_round_trip(&Command::Resume);
}

#[test]
fn buffer_one_byte_short_is_refused() {
    let mut buffer = [0; 2];
    let message = "command";
    for len in 0..2 {
        let error = Command::Resume.encode(&mut buffer[..len]).unwrap_err();
        assert_eq!(error, WireError::OverflowsBuffer { message, len, sufficient: 2 });
    }
}

fn assert_round_trip<M: Message + PartialEq + std::fmt::Debug>(message: &M) {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    let bytes = message.encode(&mut buffer).expect("fits MAX_ENCODED_LEN");
    assert_eq!(&M::decode(bytes).unwrap(), message);
}
