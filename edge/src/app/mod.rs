//! The application: builds the parts of the service from the configuration, connects them, and
//! supervises their tasks.

mod check;
mod objects;
mod service;
mod setup;
mod tasks;

pub use check::check;
pub use service::Service;
