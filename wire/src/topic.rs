//! Topics: `medsa/<device>/<channel>`.

use core::fmt::{self, Write};
use core::str::FromStr;

use heapless::String;

use crate::MAX_OBJECT;

/// First level of every topic.
pub const ROOT: &str = "medsa";

/// Longest device name, in bytes.
pub const MAX_DEVICE_LEN: usize = 32;

/// Longest topic or filter, in bytes: root, device and `record/deleted`.
pub const MAX_TOPIC_LEN: usize = ROOT.len() + 1 + MAX_DEVICE_LEN + 1 + "record/deleted".len();

/// A topic of one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The device.
    pub device: DeviceId,
    /// The channel.
    pub channel: Channel,
}

impl Topic {
    /// Parses a topic.
    ///
    /// # Errors
    /// The text is not exactly a topic of this scheme.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let rest = text
            .strip_prefix(ROOT)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or(TopicError::LiesElsewhere)?;
        let (device, channel) = rest.split_once('/').ok_or(TopicError::NamesNoChannel)?;
        Ok(Self { device: DeviceId::parse(device)?, channel: Channel::parse(channel)? })
    }

    /// The topic as text.
    pub fn to_text(&self) -> String<MAX_TOPIC_LEN> {
        text(format_args!("{self}"))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ROOT}/{}/{}", self.device, self.channel)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::parse(text)
    }
}

/// Name of a device: 1 to 32 of `A-Z a-z 0-9 _ -`. It can neither split a topic nor act as a
/// wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(String<MAX_DEVICE_LEN>);

impl DeviceId {
    /// Parses a device name.
    ///
    /// # Errors
    /// The name is empty, too long, or contains another character.
    pub fn parse(name: &str) -> Result<Self, TopicError> {
        if let Some(found) = name.chars().find(|&c| !is_device_char(c)) {
            return Err(TopicError::MisnamesDevice { found });
        }
        if name.is_empty() {
            return Err(TopicError::MeasuresDevice { found: 0 });
        }
        String::try_from(name)
            .map(Self)
            .map_err(|_| TopicError::MeasuresDevice { found: name.len() })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Topic of `channel` on this device.
    pub fn topic(&self, channel: Channel) -> Topic {
        Topic { device: self.clone(), channel }
    }

    /// Topic filter for the masks of all objects: `medsa/<device>/mask/+`.
    pub fn mask_filter(&self) -> String<MAX_TOPIC_LEN> {
        text(format_args!("{ROOT}/{self}/mask/+"))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::parse(name)
    }
}

/// Last part of a topic, which determines the message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// [`Availability`](crate::Availability), from the device; retained, and last will.
    Availability,
    /// [`Info`](crate::Info), from the device, retained.
    Info,
    /// [`MaskMessage`](crate::MaskMessage) of one object, from the device.
    Mask(ObjectId),
    /// [`RecordMessage`](crate::RecordMessage) of a captured frame, from the device.
    Record,
    /// [`RecordDeleted`](crate::RecordDeleted), from the device.
    RecordDeleted,
    /// [`Stats`](crate::Stats), from the device.
    Stats,
    /// [`Status`](crate::Status), from the device, retained.
    Status,
    /// [`PromptMessage`](crate::PromptMessage), to the device.
    Prompt,
    /// [`Command`](crate::Command), to the device.
    Command,
}

impl Channel {
    fn parse(text: &str) -> Result<Self, TopicError> {
        Ok(match text {
            "availability" => Self::Availability,
            "info" => Self::Info,
            "record" => Self::Record,
            "record/deleted" => Self::RecordDeleted,
            "stats" => Self::Stats,
            "status" => Self::Status,
            "prompt" => Self::Prompt,
            "command" => Self::Command,
            _ => match text.strip_prefix("mask/").map(str::as_bytes) {
                // Exactly one digit, because `mask/01` would be a second name of `mask/1`.
                Some(&[digit @ b'0'..=b'9']) => Self::Mask(ObjectId::new(digit - b'0')?),
                _ => return Err(TopicError::NamesNoChannel),
            },
        })
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Availability => formatter.write_str("availability"),
            Self::Info => formatter.write_str("info"),
            Self::Mask(object) => write!(formatter, "mask/{}", object.get()),
            Self::Record => formatter.write_str("record"),
            Self::RecordDeleted => formatter.write_str("record/deleted"),
            Self::Stats => formatter.write_str("stats"),
            Self::Status => formatter.write_str("status"),
            Self::Prompt => formatter.write_str("prompt"),
            Self::Command => formatter.write_str("command"),
        }
    }
}

/// Number of an object, 0 to [`MAX_OBJECT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(u8);

impl ObjectId {
    /// Checks an object number.
    ///
    /// # Errors
    /// The number is above [`MAX_OBJECT`].
    pub fn new(number: u8) -> Result<Self, TopicError> {
        if number <= MAX_OBJECT {
            Ok(Self(number))
        } else {
            Err(TopicError::CountsPastObjects { found: number })
        }
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// An error of parsing a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The first level is not [`ROOT`].
    #[error("topic does not start with `medsa/`")]
    LiesElsewhere,
    /// The device name contains a character that is not allowed.
    #[error("device name holds {found:?}, expected only A-Z a-z 0-9 _ -")]
    MisnamesDevice {
        /// The first such character.
        found: char,
    },
    /// The device name is empty or too long.
    #[error("device name has {found} characters, expected 1 to {MAX_DEVICE_LEN}")]
    MeasuresDevice {
        /// Length found.
        found: usize,
    },
    /// The channel is unknown.
    #[error(
        "topic ends in no known channel, expected availability, info, mask/<object>, record, \
         record/deleted, stats, status, prompt or command"
    )]
    NamesNoChannel,
    /// The object number is above [`MAX_OBJECT`].
    #[error("object is {found}, expected 0 to {MAX_OBJECT}")]
    CountsPastObjects {
        /// Number found.
        found: u8,
    },
}

fn is_device_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn text(arguments: fmt::Arguments<'_>) -> String<MAX_TOPIC_LEN> {
    let mut text = String::new();
    // Invariant: `MAX_TOPIC_LEN` is the length of the longest device with the longest channel.
    text.write_fmt(arguments).expect("MAX_TOPIC_LEN holds every topic");
    text
}
