//! The service and its binary against real brokers, with a network that takes only milliseconds.

mod archive;
mod check;
mod choose;
mod config;
mod console;
mod counts;
mod degrade;
mod harness;
mod http;
mod init;
mod layers;
mod log;
mod monitoring;
mod mqtt;
mod outbox;
mod pin;
mod pipeline;
mod records;
mod reload;
mod scale;
mod segment;
mod service;
mod slots;
mod soak;
mod source;
mod status;
mod study;
mod supervision;
#[path = "../../../engine/tests/it/tiny.rs"]
mod tiny;
mod update;
mod watch;
mod watchdog;
