//! Requests of storage commitment (N-ACTION, PS3.4 annex J).

use dicom_dictionary_std::tags;

use crate::association::Association;
use crate::elements::Writer;
use crate::message::{Command, Kind};
use crate::{COMMITMENT_CLASS, Error, IMPLICIT_VR, Instance, Node};

/// Well-known instance of the service.
pub(crate) const COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";

/// The service in words.
const WHAT: &str = "storage commitment";

/// Type of the action: request storage commitment.
const REQUEST: u16 = 1;

/// An instance that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// UID of its SOP class.
    pub class: String,
    /// UID of the instance.
    pub uid: String,
}

impl From<&Instance> for Reference {
    fn from(instance: &Instance) -> Self {
        Self { class: instance.class().to_owned(), uid: instance.uid().to_owned() }
    }
}

/// Asks the peer to take responsibility for instances. It answers later, with a
/// [`Report`](crate::Report) of the same transaction.
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`], [`Error::Refused`], [`Error::Unexpected`].
pub fn request_commitment(
    node: &Node,
    transaction: &str,
    instances: &[Reference],
) -> Result<(), Error> {
    let mut association = Association::open(node, &[(COMMITMENT_CLASS, IMPLICIT_VR)], WHAT)?;
    let context = association.context(COMMITMENT_CLASS, &[IMPLICIT_VR]);
    let context = context.ok_or_else(|| association.not_offered(WHAT))?;
    let items = instances.iter().map(|Reference { class, uid }| {
        Writer::default()
            .uid(tags::REFERENCED_SOP_CLASS_UID, class)
            .uid(tags::REFERENCED_SOP_INSTANCE_UID, uid)
    });
    let data_set = Writer::default()
        .uid(tags::TRANSACTION_UID, transaction)
        .sequence(tags::REFERENCED_SOP_SEQUENCE, items)
        .into_bytes();
    let request = Command::new(Kind::ActionRequest)
        .uid(tags::REQUESTED_SOP_CLASS_UID, COMMITMENT_CLASS)
        .uid(tags::REQUESTED_SOP_INSTANCE_UID, COMMITMENT_INSTANCE)
        .us(tags::MESSAGE_ID, 1)
        .us(tags::ACTION_TYPE_ID, REQUEST);
    association.send(context.id, request, Some(&data_set))?;
    let answer = association.answer(Kind::ActionResponse, "a response to N-ACTION")?;
    association.accept(&answer, "the request for storage commitment")?;
    association.close();
    Ok(())
}
