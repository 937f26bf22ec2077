//! The commands of `medsa-edge`.

pub mod accept;
pub mod check;
pub mod init;
pub mod pin;
pub mod rollback;
pub mod run;
pub mod segment;
pub mod status;
pub mod update;
pub mod watch;
