//! Records: content, compatibility and durability.

mod captures;
mod dicom;
mod durable;
mod keep;
