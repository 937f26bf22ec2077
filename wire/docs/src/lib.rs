//! JSON Schemas of the messages, and an AsyncAPI document of the topics, for integrators. Both are
//! generated from the types of `medsa-wire` and describe its JSON form. A test of this crate writes
//! them to the documentation: [`documents`].
#![forbid(unsafe_code)]

mod asyncapi;
mod channel;
mod direction;
mod examples;
mod schema;

use serde_json::Value;

pub use channel::{Channel, channels};
pub use direction::Direction;

/// A generated file.
pub struct Document {
    /// Path in `docs/src/reference`.
    pub path: String,
    /// Content.
    pub content: Value,
}

/// All generated files: a JSON Schema for each channel, and the AsyncAPI document.
pub fn documents() -> Vec<Document> {
    let channels = channels();
    let asyncapi =
        Document { path: "asyncapi.json".into(), content: asyncapi::document(&channels) };
    let schema = |channel: &Channel| Document {
        path: format!("schemas/{}.json", channel.key()),
        content: channel.json_schema(),
    };
    channels.iter().map(schema).chain([asyncapi]).collect()
}
