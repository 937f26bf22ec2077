//! The HTTP adapter: `/metrics` for Prometheus, `/health` for supervisors, and, where the
//! configuration wants it, the touchscreen page with prompts, commands and live frames.
//!
//! **Architecture invariant:** everything that changes something, or shows a frame, is behind the
//! [`Guard`](guard::Guard): never there unless configured, never for pages of other origins, and
//! only for clients with the token, where there is one.

mod client;
mod control;
mod error;
mod guard;
mod live;
mod metrics;
mod page;
mod serve;
mod server;
mod state;
mod thumbnail;

pub use client::health_of;
pub use error::Error;
pub use server::Server;
pub(crate) use server::check;
pub(crate) use state::Controls;
