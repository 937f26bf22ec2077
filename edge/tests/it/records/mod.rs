//! Records: content, compatibility and durability.

mod captures;
pub mod dicom;
mod durable;
mod keep;
