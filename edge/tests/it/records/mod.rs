//! Records: what is kept of a capture, by whom it can be read, and what it survives.

mod captures;
mod dicom;
mod durable;
mod keep;
