//! The HTTP adapter: `/metrics` for Prometheus, `/health` and `/ready` for supervisors, and, if
//! configured, the touchscreen page with prompts, commands and live frames.
//!
//! **Architecture invariant:** everything that changes something or shows a frame is behind the
//! `Guard`. It is served only if configured, never to pages of other origins, and
//! only to clients with the token, if one is required. If users are configured, everything except the
//! live image and the description of the build also needs a user who is signed in.

mod client;
mod control;
mod error;
mod exposition;
mod guard;
mod handling;
mod live;
mod metrics;
mod page;
mod process;
mod records;
mod serve;
mod server;
mod session;
mod state;
mod study;
mod thumbnail;
mod users;

pub use client::health_of;
pub use error::Error;
pub use server::Server;
pub(crate) use server::check;
pub(crate) use state::Controls;
