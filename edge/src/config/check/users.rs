//! Checks of the sections `[[user]]`, and of the lock of screens.

use std::time::Duration;

use super::super::error::Error;
use super::super::raw::{RawHttp, RawUser};
use super::super::users::{SignIn, User, UserName};
use super::Check;

/// Largest number of users, so that the list fits a screen.
const MAX_USERS: usize = 64;

impl Check<'_> {
    /// `None` without users.
    pub(super) fn sign_in(
        &self,
        raw: &[RawUser],
        http: Option<&RawHttp>,
    ) -> Result<Option<SignIn>, Error> {
        let minutes = http.and_then(|http| http.lock_after_min);
        if raw.is_empty() {
            let stray = |_| self.error("user", "missing", "a user, with http.lock_after_min");
            return minutes.map(stray).map_or(Ok(None), Err);
        }
        if !http.is_some_and(|http| http.control) {
            let expected = "true with [[user]], because users sign in on the page";
            return Err(self.error("http.control", false, expected));
        }
        if raw.len() > MAX_USERS {
            let expected = format!("at most {MAX_USERS}");
            return Err(self.error("user", format!("{} users", raw.len()), expected));
        }
        let minutes = self.within_or("http.lock_after_min", minutes, 0.01..=1440.0, 10.0)?;
        let mut users: Vec<User> = Vec::new();
        for (index, RawUser { name, pin_hash }) in raw.iter().enumerate() {
            let key = format!("user[{index}].name");
            let wrong = |expected| self.error(&key, format!("{name:?}"), expected);
            let name = UserName::parse(name).map_err(wrong)?;
            if users.iter().any(|user| user.name == name) {
                return Err(wrong("a name of its own"));
            }
            let pin = pin_hash.as_str().unwrap_or_default().parse().map_err(|expected| {
                // The value may be the PIN itself.
                self.error(&format!("user[{index}].pin_hash"), "another value", expected)
            })?;
            users.push(User { name, pin });
        }
        Ok(Some(SignIn { users, lock_after: Duration::from_secs_f64(60.0 * minutes) }))
    }
}
