//! Generators of JSON Schemas, with descriptions for readers who do not know Rust, and with units.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::direction::Direction;

/// Generator of stand-alone schemas.
pub(crate) fn draft_2020(direction: Direction) -> SchemaGenerator {
    generator(SchemaSettings::draft2020_12(), direction)
}

/// Generator of schemas in the components of an AsyncAPI document, which are those of draft 7.
pub(crate) fn components(direction: Direction) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = "/components/schemas".into();
    generator(settings, direction)
}

fn generator(settings: SchemaSettings, direction: Direction) -> SchemaGenerator {
    // The device publishes all fields, and accepts messages without optional ones.
    let settings = match direction {
        Direction::FromDevice => settings.for_serialize(),
        Direction::ToDevice => settings.for_deserialize(),
    };
    settings.with_transform(RecursiveTransform(describe)).into_generator()
}

fn describe(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = description(text);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            if let (Some(unit), Some(property)) = (unit(name), property.as_object_mut()) {
                property.insert("x-unit".into(), unit.into());
            }
        }
    }
}

/// Description of a type or field from its documentation: paragraphs on one line each, and JSON's
/// name for `None`.
fn description(documentation: &str) -> String {
    let paragraphs: Vec<_> =
        documentation.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    paragraphs.join("\n\n").replace("`None`", "`null`")
}

/// Unit of a field, which is the end of its name.
fn unit(name: &str) -> Option<&str> {
    let (_, end) = name.rsplit_once('_')?;
    ["us", "ms", "px", "mm", "mm2"].contains(&end).then_some(end)
}
