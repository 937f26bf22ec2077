//! Users who sign in on the page, and their PINs, which are kept as hashes.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use aws_lc_rs::rand;
use serde::Serialize;

use super::text::is_invisible;

/// Sign-in of users on the page.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Users, at least one, each with a name of its own.
    pub users: Vec<User>,
    /// Time without a touch after which a screen locks.
    pub lock_after: Duration,
}

/// A user of the page.
#[derive(Clone, Debug)]
pub struct User {
    /// Name, shown on the page and stored in captures.
    pub name: UserName,
    /// Hash of the PIN.
    pub pin: PinHash,
}

/// Name of a user: 1 to 64 visible characters, without those that separate parts of names in DICOM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

impl UserName {
    const MAX: usize = 64;

    /// Accepted texts, in words.
    pub(super) const EXPECTED: &str = "1 to 64 visible characters without \\ ^ =";

    /// Checks a name and removes blanks around it.
    ///
    /// # Errors
    /// Accepted texts.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let name = text.trim();
        let is_wrong = |c: char| is_invisible(c) || "\\^=".contains(c);
        if name.is_empty() || name.chars().count() > Self::MAX || name.contains(is_wrong) {
            return Err(Self::EXPECTED);
        }
        Ok(Self(name.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// A PIN of 4 to 12 digits.
pub struct Pin(String);

impl FromStr for Pin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(4..=12).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("4 to 12 digits");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Name of the hash function in the text of a hash.
const SCHEME: &str = "pbkdf2-sha256";

/// Iterations for new hashes, as OWASP recommends. They take about half a second on a small board.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// Salted hash of a PIN: PBKDF2 with HMAC-SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct PinHash {
    iterations: NonZeroU32,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl PinHash {
    /// Hashes a PIN with a random salt.
    pub fn new(Pin(pin): &Pin) -> Self {
        let (mut salt, mut hash) = ([0; 16], [0; 32]);
        // Invariant: aws-lc ends the process if the system has no random numbers.
        rand::fill(&mut salt).expect("the system has random numbers");
        pbkdf2::derive(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, pin.as_bytes(), &mut hash);
        Self { iterations: ITERATIONS, salt, hash }
    }

    /// True for the right PIN. Takes a fraction of a second, however wrong the PIN is.
    pub fn verify(&self, pin: &str) -> bool {
        let Self { iterations, salt, hash } = self;
        pbkdf2::verify(PBKDF2_HMAC_SHA256, *iterations, salt, pin.as_bytes(), hash).is_ok()
    }
}

/// The text for the configuration.
impl fmt::Display for PinHash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, hash] = [&self.salt[..], &self.hash].map(hex::encode);
        write!(to, "{SCHEME}:{}:{salt}:{hash}", self.iterations)
    }
}

/// Without the hash, which is a secret.
impl fmt::Debug for PinHash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("PinHash")
    }
}

impl FromStr for PinHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.strip_prefix(SCHEME)?.strip_prefix(':')?.split(':');
            let iterations: NonZeroU32 = parts.next()?.parse().ok()?;
            let (mut salt, mut hash) = ([0; 16], [0; 32]);
            hex::decode_to_slice(parts.next()?, &mut salt).ok()?;
            hex::decode_to_slice(parts.next()?, &mut hash).ok()?;
            // More would take longer than a user waits.
            let is_sound = (100_000..=10_000_000).contains(&iterations.get());
            (parts.next().is_none() && is_sound).then_some(Self { iterations, salt, hash })
        };
        parse().ok_or("the text that `medsa-edge pin` prints")
    }
}
