//! Storage of instances (C-STORE, PS3.4 annex B).

use std::collections::BTreeSet;

use dicom_dictionary_std::tags;

use crate::association::Association;
use crate::message::{Command, Kind, MEDIUM};
use crate::{Error, Instance, Node};

/// Statuses with which an instance is stored, but changed or not as expected (PS3.4 table B.2-1).
const WARNINGS: [u16; 3] = [0xb000, 0xb006, 0xb007];

/// Instances are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Warnings of the peer: UID of an instance, and status.
    pub warnings: Vec<(String, u16)>,
}

/// Sends instances over one association, in their order.
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`] before anything is sent, [`Error::Refused`] at the
/// first instance that is refused, [`Error::Unexpected`], [`Error::File`]. Sending all of them again
/// does no harm: an archive knows an instance by its UID.
pub fn store(node: &Node, instances: &[Instance]) -> Result<Stored, Error> {
    // A context for each transfer syntax: with several in one, the peer would choose for all
    // instances of the class.
    let contexts: BTreeSet<_> = instances
        .iter()
        .flat_map(|instance| {
            instance.transfer_syntaxes().into_iter().map(|syntax| (instance.class(), syntax))
        })
        .collect();
    let contexts: Vec<_> = contexts.into_iter().collect();
    let words = |instance: &Instance| {
        let syntaxes = instance.transfer_syntaxes().join(" or ");
        format!("class {} in transfer syntax {syntaxes}", instance.class())
    };
    let all: BTreeSet<_> = instances.iter().map(words).collect();
    let all = all.into_iter().collect::<Vec<_>>().join(", ");
    let mut association = Association::open(node, &contexts, &all)?;
    let contexts = instances.iter().map(|instance| {
        let context = association.context(instance.class(), &instance.transfer_syntaxes());
        context.ok_or_else(|| association.not_offered(&words(instance)))
    });
    let contexts = contexts.collect::<Result<Vec<_>, _>>()?;
    let mut stored = Stored::default();
    for (number, (instance, context)) in instances.iter().zip(contexts).enumerate() {
        let request = Command::new(Kind::StoreRequest)
            .uid(tags::AFFECTED_SOP_CLASS_UID, instance.class())
            // Invariant: a record has a few instances.
            .us(tags::MESSAGE_ID, number as u16 + 1)
            .us(tags::PRIORITY, MEDIUM)
            .uid(tags::AFFECTED_SOP_INSTANCE_UID, instance.uid());
        let data_set = instance.data_set(&context.transfer_syntax)?;
        association.send(context.id, request, Some(&data_set))?;
        let answer = association.answer(Kind::StoreResponse, "a response to C-STORE")?;
        match answer.status() {
            0 => {}
            status if WARNINGS.contains(&status) => {
                stored.warnings.push((instance.uid().to_owned(), status));
            }
            status => {
                let request = format!("C-STORE of {}", instance.uid());
                return Err(association.refused(&answer, &request, status));
            }
        }
    }
    association.close();
    Ok(stored)
}
