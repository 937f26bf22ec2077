//! Warnings of libraries, printed to the standard error stream.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use medsa_console::eprintln;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Crate whose warnings are printed: faults of files that were tolerated.
const SOURCE: &str = "medsa_frames";

/// Prints the warnings of the reader of frames from now on, each once.
pub fn print() {
    tracing_subscriber::registry().with(Printer::default()).init();
}

/// Prints each warning once: a file may be opened many times.
#[derive(Default)]
struct Printer {
    printed: Mutex<HashSet<String>>,
}

impl<S: Subscriber> Layer<S> for Printer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !metadata.target().starts_with(SOURCE) {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        // A thread that panicked did not change the set.
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.insert(message.0.clone()) {
            eprintln!("warning: {}", message.0);
        }
    }
}

/// Text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
