//! Verification (C-ECHO, PS3.4 annex A).

use dicom_dictionary_std::tags;

use crate::association::Association;
use crate::message::{Command, Kind};
use crate::{Error, IMPLICIT_VR, Node, VERIFICATION_CLASS};

/// The service in words.
const WHAT: &str = "verification";

/// Asks whether the peer accepts associations of this device (C-ECHO).
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`], [`Error::Refused`], [`Error::Unexpected`].
pub fn verify(node: &Node) -> Result<(), Error> {
    let contexts = [(VERIFICATION_CLASS, IMPLICIT_VR)];
    let mut association = Association::open(node, &contexts, WHAT)?;
    let context = association.context(VERIFICATION_CLASS, &[IMPLICIT_VR]);
    let context = context.ok_or_else(|| association.not_offered(WHAT))?;
    let request = Command::new(Kind::EchoRequest)
        .uid(tags::AFFECTED_SOP_CLASS_UID, VERIFICATION_CLASS)
        .us(tags::MESSAGE_ID, 1);
    association.send(context.id, request, None)?;
    let answer = association.answer(Kind::EchoResponse, "a response to C-ECHO")?;
    association.accept(&answer, "C-ECHO")?;
    association.close();
    Ok(())
}
