//! Any bytes give a valid message or an error, never a panic.

mod common;

use medsa_wire::topic::Topic;
use medsa_wire::*;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..300), right_version: bool) {
        if let (true, Some(version)) = (right_version, bytes.first_mut()) {
            *version = FORMAT_VERSION;
        }
        decode_as_everything(&bytes);
    }

    #[test]
    fn random_topics_never_panic(text in "(medsa/)?\\PC{0,60}") {
        if let Ok(topic) = Topic::parse(&text) {
            assert_eq!(topic.to_text().as_str(), text);
        }
    }
}

proptest! {
    #[test]
    fn truncated_mask_messages_are_refused(message in common::mask_message(), cut in 0.0..1.0f64) {
        let bytes = encode(&message);
        let len = (bytes.len() as f64 * cut) as usize;
        assert!(MaskMessage::decode(&bytes[..len]).is_err());
    }

    #[test]
    fn flipped_bits_never_panic(message in common::mask_message(), flips in vec(any::<u32>(), 1..4)) {
        let mut bytes = encode(&message);
        for flip in flips {
            // Half of the flips hit the header, which is short compared with the payload.
            let reach = if flip % 2 == 0 { bytes.len() } else { bytes.len().min(50) };
            let bit = flip as usize / 2 % (reach * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        decode_as_everything(&bytes);
    }

    #[test]
    fn flipped_prompts_never_panic(message in common::prompt(), bit in any::<u32>()) {
        let mut bytes = encode(&message);
        let bit = bit as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        decode_as_everything(&bytes);
    }

    #[test]
    fn flipped_records_never_panic(message in common::record(), bit in any::<u32>()) {
        let mut bytes = encode(&message);
        let bit = bit as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        decode_as_everything(&bytes);
    }

    #[test]
    fn trailing_bytes_are_refused(message in common::mask_message(), extra in 1..9usize) {
        let mut bytes = encode(&message);
        bytes.resize(bytes.len() + extra, 0);
        let message = "mask";
        assert_eq!(MaskMessage::decode(&bytes), Err(WireError::Trails { message, extra }));
    }
}

fn decode_as_everything(bytes: &[u8]) {
    let _ = Availability::decode(bytes);
    let _ = Command::decode(bytes);
    let _ = Info::decode(bytes);
    let _ = Stats::decode(bytes);
    let _ = Status::decode(bytes);
    let _ = PromptMessage::decode(bytes);
    let _ = RecordMessage::decode(bytes);
    let _ = RecordDeleted::decode(bytes);
    if let Ok(message) = MaskMessage::decode(bytes) {
        // A decoded message is usable: it has the stated number of cells, and it can be encoded
        // again.
        let cells = usize::from(message.mask.width()) * usize::from(message.mask.height());
        assert_eq!(message.mask.bits().count(), cells);
        assert_eq!(MaskMessage::decode(&encode(&message)), Ok(message));
    }
}

fn encode<M: Message>(message: &M) -> Vec<u8> {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    message.encode(&mut buffer).expect("valid message").to_vec()
}
