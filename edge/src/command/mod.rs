//! The commands of `medsa-edge`.

pub mod accept;
pub mod check;
pub mod run;
pub mod segment;
pub mod watch;
