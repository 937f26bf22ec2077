//! DICOM network services of a hospital, as a device uses them: sending instances to an archive
//! (C-STORE, or STOW-RS of DICOMweb), having it confirm that it keeps them (storage commitment), the worklist of planned
//! examinations (C-FIND), reports of what became of them (MPPS), and verification (C-ECHO).
//! PS3.7 defines the messages, PS3.8 the associations, PS3.4 the services.
//!
//! `dicom-ul` holds the association, `reqwest` speaks HTTP. Messages are encoded here: they are flat lists of elements in
//! implicit VR little endian.
//!
//! **Architecture invariants:** everything blocks, with a time limit for each step. Peers are hostile:
//! what they send is read up to a limit, and never panics. Names of patients are in data sets only,
//! never in errors and logs.
#![forbid(unsafe_code)]

mod association;
mod commitment;
mod elements;
mod error;
mod instance;
mod message;
mod node;
mod performed;
mod reports;
mod store;
mod verification;
mod web;
mod worklist;

pub use commitment::{Reference, request_commitment};
pub use error::Error;
pub use instance::Instance;
pub use node::{Node, Tls};
pub use performed::{EndedStep, PerformedSeries, PerformedStep, begin_step, end_step};
pub use reports::{Report, Reports};
pub use store::{Stored, store};
pub use verification::verify;
pub use web::{Authorization, WebServer, store_web};
pub use worklist::{Worklist, WorklistItem, WorklistQuery, find_worklist};

/// SOP class of storage commitment (PS3.4 annex J).
const COMMITMENT_CLASS: &str = "1.2.840.10008.1.20.1";

/// SOP class of verification (PS3.4 annex A).
const VERIFICATION_CLASS: &str = "1.2.840.10008.1.1";

/// SOP class of the modality worklist (PS3.4 annex K).
const WORKLIST_CLASS: &str = "1.2.840.10008.5.1.4.31";

/// Transfer syntax that every peer has to accept.
const IMPLICIT_VR: &str = "1.2.840.10008.1.2";
