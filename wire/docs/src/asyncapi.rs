//! AsyncAPI 3.0 document of the topics, from the point of view of the device.

use medsa_wire::FORMAT_VERSION;
use medsa_wire::json::Answer;
use medsa_wire::topic::{MAX_DEVICE_LEN, ROOT};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::channel::Channel;
use crate::direction::Direction;
use crate::schema;

/// Key of the parts about answers to prompts and commands.
const ANSWER: &str = "answer";

/// Form of the payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Compact,
    Json,
}

/// The document.
pub(crate) fn document(channels: &[Channel]) -> Value {
    let objects: Vec<String> =
        (0..=medsa_wire::MAX_OBJECT).map(|object| object.to_string()).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Med-SA",
            "version": format!("{FORMAT_VERSION}"),
            "description": "Messages between a Med-SA device and its clients over MQTT 3.1.1 or 5. \
                The version is that of the format. Topics that end in `/json` carry the JSON form, \
                the others the compact form, which wire/SPEC.md specifies. The device publishes the \
                forms that its configuration selects, and accepts both. With both, `availability` \
                is published in the compact form only. Fields have their unit in `x-unit`.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "channels": with_answer(each(channels, channel), json!({
            "address": null,
            "description": "The response topic of a prompt or a command.",
            "messages": { ANSWER: reference(&["components", "messages", ANSWER]) },
        })),
        "operations": each(channels, operation),
        "components": {
            "messages": with_answer(each(channels, message), answer()),
            "parameters": {
                "device": {
                    "description": format!(
                        "Name of the device: 1 to {MAX_DEVICE_LEN} of A-Z a-z 0-9 _ -"
                    ),
                    "examples": ["bedside-1"],
                },
                "object": { "description": "Object number.", "enum": objects },
            },
            "schemas": schemas(channels),
        },
    })
}

/// Parts of the document by key, for each channel and form.
fn each(channels: &[Channel], part: fn(&Channel, Form) -> Value) -> Map<String, Value> {
    let forms = [Form::Compact, Form::Json];
    let parts = channels.iter().flat_map(|channel| forms.map(|form| (channel, form)));
    parts.map(|(channel, form)| (key(channel, form), part(channel, form))).collect()
}

fn key(channel: &Channel, form: Form) -> String {
    match form {
        Form::Compact => channel.key(),
        Form::Json => format!("{}-json", channel.key()),
    }
}

fn channel(channel: &Channel, form: Form) -> Value {
    let key = key(channel, form);
    let topic = format!("{ROOT}/{{device}}/{}", channel.address);
    let address = match form {
        Form::Compact => topic,
        Form::Json => medsa_wire::json::topic(&topic),
    };
    let parameters: Map<String, Value> = ["device", "object"]
        .into_iter()
        .filter(|name| address.contains(&format!("{{{name}}}")))
        .map(|name| (name.into(), reference(&["components", "parameters", name])))
        .collect();
    json!({
        "address": address,
        "description": channel.summary,
        "parameters": parameters,
        "messages": { &key: reference(&["components", "messages", &key]) },
    })
}

fn operation(channel: &Channel, form: Form) -> Value {
    let key = key(channel, form);
    let action = match channel.direction {
        Direction::FromDevice => "send",
        Direction::ToDevice => "receive",
    };
    let mut operation = json!({
        "action": action,
        "channel": reference(&["channels", &key]),
        "summary": channel.summary,
        "messages": [reference(&["channels", &key, "messages", &key])],
        "bindings": {
            "mqtt": { "qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0" },
        },
    });
    if channel.direction == Direction::ToDevice {
        operation["reply"] = json!({
            "address": {
                "description": "The response topic, a property of MQTT 5. It must not be below \
                    `medsa/`. Without it, there is no answer.",
                "location": "$message.header#/responseTopic",
            },
            "channel": reference(&["channels", ANSWER]),
            "messages": [reference(&["channels", ANSWER, "messages", ANSWER])],
        });
    }
    operation
}

/// Adds a part about answers.
fn with_answer(mut parts: Map<String, Value>, part: Value) -> Map<String, Value> {
    parts.insert(ANSWER.into(), part);
    parts
}

fn answer() -> Value {
    let refused = Answer::Refused {
        code: "prompt-does-not-fit".into(),
        reason: "point (900, 20) is outside of the frame of 320 x 240 px".into(),
    };
    json!({
        "name": ANSWER,
        "title": "answer, JSON form",
        "summary": "Answer to a prompt or a command, with its correlation data.",
        "contentType": "application/json",
        "payload": Value::from(answer_schema(&mut schema::components(Direction::FromDevice))),
        "examples": [{ "name": "refused", "payload": refused }],
    })
}

/// Schema of an answer, as a reference to a definition of the generator.
fn answer_schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Answer>()
}

fn message(channel: &Channel, form: Form) -> Value {
    match form {
        Form::Compact => json!({
            "name": key(channel, form),
            "title": format!("{}, compact form", channel.kind()),
            "summary": channel.summary,
            "contentType": "application/octet-stream",
            "payload": {
                "type": "string",
                "format": "binary",
                "maxLength": channel.max_len,
                "description": format!(
                    "Byte {FORMAT_VERSION} and the fields in the postcard format; see wire/SPEC.md."
                ),
            },
            "examples": [{
                "name": "hexadecimal",
                "summary": "The bytes as hexadecimal digits.",
                "payload": hex::encode(&channel.compact),
            }],
        }),
        Form::Json => json!({
            "name": key(channel, form),
            "title": format!("{}, JSON form", channel.kind()),
            "summary": channel.summary,
            "contentType": "application/json",
            "payload": Value::from((channel.reference)(&mut schema::components(channel.direction))),
            "examples": [{ "name": "json", "payload": channel.json }],
        }),
    }
}

/// Definitions to which the payloads refer.
fn schemas(channels: &[Channel]) -> Map<String, Value> {
    let mut all = Map::new();
    let mut generator = schema::components(Direction::FromDevice);
    answer_schema(&mut generator);
    all.extend(generator.take_definitions(true));
    for direction in [Direction::FromDevice, Direction::ToDevice] {
        let mut generator = schema::components(direction);
        for channel in channels.iter().filter(|channel| channel.direction == direction) {
            (channel.reference)(&mut generator);
        }
        all.extend(generator.take_definitions(true));
    }
    all
}

fn reference(path: &[&str]) -> Value {
    json!({ "$ref": format!("#/{}", path.join("/")) })
}
