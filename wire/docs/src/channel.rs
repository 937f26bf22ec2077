//! Topics with their messages.

use medsa_wire::json::ToJson;
use medsa_wire::{
    Availability, Command, Info, MaskMessage, PromptMessage, RecordDeleted, RecordMessage, Stats,
    Status,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::direction::Direction;
use crate::{examples, schema};

/// A channel of a device, with the type of its messages.
pub struct Channel {
    /// Topic without `medsa/<device>/`. Braces enclose a parameter.
    pub address: &'static str,
    /// Purpose of the messages.
    pub summary: &'static str,
    /// Sender of the messages.
    pub direction: Direction,
    /// MQTT quality of service.
    pub qos: u8,
    /// True if the broker keeps the last message for later subscribers.
    pub retained: bool,
    /// Length of the longest compact message in bytes.
    pub max_len: usize,
    /// Example of a message in the compact form.
    pub compact: Vec<u8>,
    /// The same example in the JSON form.
    pub json: Value,
    /// Schema of the JSON form, as a reference to a definition of the generator.
    pub(crate) reference: fn(&mut SchemaGenerator) -> Schema,
    root: fn(SchemaGenerator) -> Schema,
}

impl Channel {
    /// Name without slashes and parameters, such as `record-deleted`.
    pub fn key(&self) -> String {
        self.kind().replace('/', "-")
    }

    /// Topic without device and object, such as `record/deleted`.
    pub fn kind(&self) -> &'static str {
        self.address.strip_suffix("/{object}").unwrap_or(self.address)
    }

    /// JSON Schema (draft 2020-12) of the JSON form.
    pub fn json_schema(&self) -> Value {
        (self.root)(schema::draft_2020(self.direction)).to_value()
    }

    fn new<M: ToJson + JsonSchema>(address: &'static str, example: &M) -> Self {
        let mut buffer = vec![0; M::MAX_ENCODED_LEN];
        let compact = example.encode(&mut buffer).expect("examples are valid").to_vec();
        Self {
            address,
            summary: "",
            direction: Direction::FromDevice,
            qos: 1,
            retained: false,
            max_len: M::MAX_ENCODED_LEN,
            compact,
            json: example.to_json(),
            reference: |generator| generator.subschema_for::<M>(),
            root: SchemaGenerator::into_root_schema_for::<M>,
        }
    }

    fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    fn retained(self) -> Self {
        Self { retained: true, ..self }
    }

    fn sent_once(self) -> Self {
        Self { qos: 0, ..self }
    }

    fn received(self) -> Self {
        Self { direction: Direction::ToDevice, ..self }
    }
}

/// All channels. A test compares them with the table in `wire/SPEC.md`.
pub fn channels() -> Vec<Channel> {
    vec![
        Channel::new::<Availability>("availability", &examples::availability())
            .summary("The device is connected or not; `Offline` is also its last will.")
            .retained(),
        Channel::new::<Info>("info", &examples::info())
            .summary("Software and build of the device.")
            .retained(),
        Channel::new::<MaskMessage>("mask/{object}", &examples::mask())
            .summary("Mask of one object on one frame, with measurements.")
            .sent_once(),
        Channel::new::<RecordMessage>("record", &examples::record())
            .summary("A capture was stored on the device."),
        Channel::new::<RecordDeleted>("record/deleted", &examples::deleted())
            .summary("A user deleted a record from the device."),
        Channel::new::<Stats>("stats", &examples::stats())
            .summary("Counters and latencies, every 10 s.")
            .sent_once(),
        Channel::new::<Status>("status", &examples::status())
            .summary("State of the device, published when it changes.")
            .retained(),
        Channel::new::<PromptMessage>("prompt", &examples::prompt())
            .summary("Changes the prompt of one object. Publish without the retain flag.")
            .received(),
        Channel::new::<Command>("command", &examples::command())
            .summary("Command to the device. Publish without the retain flag.")
            .received(),
    ]
}
