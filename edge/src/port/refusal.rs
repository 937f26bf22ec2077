//! Refusals of prompts and commands.

use std::fmt;

use crate::pipeline::NotShown;

/// A prompt or command that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Cause, for programs: the page words it in its language.
    pub code: &'static str,
    /// Values found and expected, for people.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The message is not one of the wire format.
    pub(crate) fn not_a_message(reason: impl Into<String>) -> Self {
        Self::new("not-a-message", reason)
    }
}

impl From<NotShown> for Refusal {
    fn from(error: NotShown) -> Self {
        let code = match error {
            NotShown::NotFrozen => "not-frozen",
            NotShown::NoSuchFrame { .. } => "no-such-frame",
            NotShown::Ended => "source-ended",
        };
        Self::new(code, error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.reason)
    }
}
