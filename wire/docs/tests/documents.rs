//! The generated schemas and the AsyncAPI document are current and valid, and describe the messages.

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use common::{Forms, converse, generate, strategies};
use medsa_test_inputs::{needs, python, repository, tool};
use medsa_wire::{Availability, Command as DeviceCommand};
use medsa_wire_docs::{Channel, Direction, channels, documents};
use serde_json::Value;
use tempfile::tempdir;

#[test]
fn documentation_has_the_generated_documents() {
    for document in documents() {
        let path = reference(&document.path);
        if env::var_os("MEDSA_WRITE_DOCS").is_some() {
            fs::create_dir_all(path.parent().expect("in a folder")).unwrap();
            let text = serde_json::to_string_pretty(&document.content).unwrap();
            fs::write(&path, text + "\n").unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            serde_json::from_str::<Value>(&found).ok().as_ref() == Some(&document.content),
            "{} is out of date; write it anew with `MEDSA_WRITE_DOCS=1 cargo test --release -p \
             medsa-wire-docs --test documents`",
            path.display()
        );
    }
    let known: Vec<PathBuf> = documents().iter().map(|one| reference(&one.path)).collect();
    for entry in fs::read_dir(reference("schemas")).unwrap() {
        let path = entry.unwrap().path();
        assert!(known.contains(&path), "{} is not generated; delete it", path.display());
    }
}

#[test]
fn channels_are_those_of_the_specification() {
    let specification = fs::read_to_string(repository().join("wire/SPEC.md")).unwrap();
    let (_, table) = specification.split_once("| channel |").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let channels = channels();
    assert_eq!(rows.len(), channels.len());
    for row in rows {
        let [_, address, direction, qos, retained, ..] = row[..] else { panic!("{row:?}") };
        let address = address.trim_matches('`').replace("<object>", "{object}");
        let channel = channels.iter().find(|channel| channel.address == address).expect("listed");
        let is_from_device = channel.direction == Direction::FromDevice;
        assert_eq!(direction.starts_with("from the device"), is_from_device, "{address}");
        assert_eq!(qos, channel.qos.to_string(), "{address}");
        assert_eq!(retained.starts_with("yes"), channel.retained, "{address}");
    }
}

#[test]
fn every_field_and_variant_is_described_without_rust() {
    for document in documents() {
        check_descriptions(&document.content, &document.path);
    }
}

#[test]
fn schemas_accept_messages_and_refuse_others() {
    needs!("venv");
    let some = |forms: Vec<Forms>| forms.into_iter().map(|forms| forms.json).collect();
    let all = |json: [&str; 2]| json.map(str::to_owned).into();
    let messages: [(&str, Vec<String>, &[&str]); 9] = [
        ("availability", all([r#""Online""#, r#""Offline""#]), &[r#""Away""#, "1"]),
        ("info", some(generate(20, strategies::info())), &["{}"]),
        ("mask", some(generate(3, strategies::mask_message())), &["{}"]),
        ("record", some(generate(20, strategies::record())), &["{}"]),
        (
            "record-deleted",
            some(generate(20, strategies::deleted())),
            &[r#"{"id": "", "deleted_us": 1, "reason": "Test"}"#],
        ),
        ("stats", some(generate(20, strategies::stats())), &["{}"]),
        (
            "status",
            some(generate(20, strategies::status())),
            &[
                r#"{"source": "Playing", "activity": "Running", "build": "Idle"}"#,
                r#"{"source": "Playing", "activity": "Running", "build": "Idle",
                    "degradation": {"level": 4, "cause": "Heat"}}"#,
            ],
        ),
        (
            "prompt",
            some(generate(20, strategies::prompt())),
            &[
                r#"{"object": 8, "change": "Clear"}"#,
                r#"{"object": 0, "change": "Clear", "box": null}"#,
                r#"{"object": 0, "change": {"Set": {"points": [], "box": null}}}"#,
                r#"{"object": 0, "change": {"Add": {"x": 1, "y": 1}}}"#,
            ],
        ),
        ("command", all([r#""Pause""#, r#""SwitchBuild""#]), &[r#""Explode""#]),
    ];
    assert_eq!(messages.each_ref().map(|(key, ..)| *key), channels_by_key().as_slice());
    let folder = tempdir().unwrap();
    let (mut schemas, mut lines, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (key, valid, invalid)) in messages.iter().enumerate() {
        let path = folder.path().join(format!("{key}.json"));
        fs::write(&path, document(&format!("schemas/{key}.json")).to_string()).unwrap();
        schemas.push(path);
        let texts = valid.iter().map(String::as_str).chain(invalid.iter().copied());
        lines.extend(texts.map(|text| format!("{number} {}", text.replace('\n', " "))));
        expected.extend(valid.iter().map(|_| true).chain(invalid.iter().map(|_| false)));
    }
    for ((answer, line), expected) in validate(&schemas, &lines).iter().zip(&lines).zip(expected) {
        assert_eq!(answer == "valid", expected, "{line}: {answer}");
    }
}

#[test]
fn asyncapi_document_is_valid() {
    needs!("asyncapi");
    let schema = tool("@asyncapi/specs/schemas/3.0.0.json");
    let document = document("asyncapi.json");
    let mut broken = document.clone();
    broken["operations"]["mask"]["bindings"]["mqtt"]["qos"] = 3.into();
    let answers = validate(&[schema], &[format!("0 {document}"), format!("0 {broken}")]);
    assert_eq!(answers[0], "valid");
    assert_ne!(answers[1], "valid");
    check_references(&document, &document);
}

#[test]
fn all_variants_of_plain_messages_are_in_the_schemas() {
    let texts = |forms: Vec<Forms>| forms.into_iter().map(|forms| forms.json).collect::<Vec<_>>();
    let availability = [Availability::Offline, Availability::Online];
    let commands = [DeviceCommand::Pause, DeviceCommand::SwitchBuild];
    for (key, values) in [
        ("availability", texts(availability.iter().map(Forms::of).collect())),
        ("command", texts(commands.iter().map(Forms::of).collect())),
    ] {
        let channel = channels().into_iter().find(|channel| channel.key() == key).unwrap();
        let schema = channel.json_schema().to_string();
        assert!(values.iter().all(|value| schema.contains(value)), "{key}");
    }
}

fn channels_by_key() -> Vec<String> {
    channels().iter().map(Channel::key).collect()
}

/// Fails if a property or a variant has no description, or a description is that of Rust.
fn check_descriptions(schema: &Value, at: &str) {
    let text = |schema: &Value| schema["description"].as_str().unwrap_or_default().to_owned();
    let description = text(schema);
    assert!(!description.contains("[`") && !description.contains("None"), "{at}: {description}");
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            // The field of a variant is the variant, which is described itself.
            let is_variant = name.starts_with(char::is_uppercase);
            assert!(is_variant || !text(property).is_empty(), "{at}.{name} has no description");
        }
    }
    match schema {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, inner)| check_descriptions(inner, &format!("{at}.{name}")));
        }
        Value::Array(values) => values.iter().for_each(|inner| check_descriptions(inner, at)),
        _ => {}
    }
}

/// Fails if a reference of the document leads nowhere.
fn check_references(part: &Value, document: &Value) {
    if let Some(path) = part["$ref"].as_str() {
        let path = path.strip_prefix('#').expect("within the document");
        assert!(document.pointer(path).is_some(), "{path} does not exist");
    }
    match part {
        Value::Object(fields) => fields.values().for_each(|part| check_references(part, document)),
        Value::Array(parts) => parts.iter().for_each(|part| check_references(part, document)),
        _ => {}
    }
}

fn document(path: &str) -> Value {
    let found = documents().into_iter().find(|document| document.path == path);
    found.expect("it is generated").content
}

/// Answers of the validator, one for each line.
fn validate(schemas: &[PathBuf], lines: &[String]) -> Vec<String> {
    let mut command = Command::new(python());
    command.arg(repository().join("tests/python/validate_json.py")).args(schemas);
    let answers = converse(&mut command, lines);
    assert_eq!(answers.len(), lines.len());
    answers
}

fn reference(path: &str) -> PathBuf {
    repository().join("docs/src/reference").join(path)
}
