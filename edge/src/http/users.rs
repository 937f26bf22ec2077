//! Sessions of users at screens: sign-in with a PIN, and their end.
//!
//! A session is a random token in memory. It ends when the user locks the screen, when it is not used
//! for the time of `http.lock_after_min`, and with the service. Sign-ins, their ends and wrong PINs are
//! logged in lines that begin with `audit:`.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use super::guard::Refused;
use crate::config::{SignIn, UserName};

/// Header that carries the token of the session.
const HEADER: &str = "medsa-session";

/// Code of refused requests without a session.
const LOCKED: &str = "locked";

/// Code of refused sign-ins.
pub(super) const WRONG_PIN: &str = "wrong-pin";

/// Number of consecutive wrong PINs after which a user has to wait.
const WRONG_PINS: u32 = 5;

/// The first wait; it doubles with each further wrong PIN.
const FIRST_WAIT: Duration = Duration::from_secs(30);

const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Largest number of sessions; the one that was not used for the longest time makes room.
const MAX_SESSIONS: usize = 64;

/// Purpose of a look at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading, which pages also do by themselves.
    Read,
    /// An action of the user, which extends the session.
    Act,
}

/// Signs users in and out.
pub(super) struct Users {
    config: SignIn,
    state: Mutex<State>,
    /// Held while a PIN is checked, so that guesses take one core at most.
    checking: Mutex<()>,
}

struct State {
    sessions: Vec<Session>,
    /// Failures by user, in the order of the configuration.
    failures: Vec<Failures>,
}

struct Session {
    token: String,
    user: UserName,
    used: Instant,
}

/// Tries of a user since the last right PIN.
#[derive(Clone, Default)]
struct Failures {
    count: u32,
    /// Time before which no PIN is checked.
    until: Option<Instant>,
}

impl Users {
    pub(super) fn new(config: SignIn) -> Self {
        let failures = vec![Failures::default(); config.users.len()];
        let state = Mutex::new(State { sessions: Vec::new(), failures });
        Self { config, state, checking: Mutex::default() }
    }

    /// Names of all users.
    pub(super) fn names(&self) -> impl Iterator<Item = &UserName> {
        self.config.users.iter().map(|user| &user.name)
    }

    /// Time without a touch after which a screen locks.
    pub(super) fn lock_after(&self) -> Duration {
        self.config.lock_after
    }

    /// Signs a user in and returns the token of the session. Computes for a fraction of a second.
    ///
    /// # Errors
    /// There is no such user, the PIN is wrong, or too many were.
    pub(super) fn sign_in(&self, name: &str, pin: &str, peer: IpAddr) -> Result<String, Refused> {
        self.sign_in_at(Instant::now(), name, pin, peer)
    }

    fn sign_in_at(
        &self,
        now: Instant,
        name: &str,
        pin: &str,
        peer: IpAddr,
    ) -> Result<String, Refused> {
        let wrong = |reason: String| Refused::new(StatusCode::FORBIDDEN, WRONG_PIN, reason);
        let index = self.names().position(|user| user.as_str() == name);
        let index = index.ok_or_else(|| wrong("there is no such user".into()))?;
        let user = &self.config.users[index];
        self.begin_try(now, index)?;
        let is_right = {
            let _one_at_a_time = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
            user.pin.verify(pin)
        };
        if !is_right {
            tracing::warn!("audit: {}: wrong PIN at {peer}", user.name);
            return Err(wrong(format!("the PIN of {} is wrong", user.name)));
        }
        let mut bytes = [0; 32];
        // Invariant: aws-lc ends the process if the system has no random numbers.
        rand::fill(&mut bytes).expect("the system has random numbers");
        let token = hex::encode(bytes);
        let mut state = self.lock();
        state.failures[index] = Failures::default();
        self.end_unused(&mut state, now);
        if state.sessions.len() >= MAX_SESSIONS
            && let Some(oldest) = (0..MAX_SESSIONS).min_by_key(|&at| state.sessions[at].used)
        {
            signed_out(&state.sessions.swap_remove(oldest), "too many screens");
        }
        let session = Session { token: token.clone(), user: user.name.clone(), used: now };
        state.sessions.push(session);
        tracing::info!("audit: {}: signed in at {peer}", user.name);
        Ok(token)
    }

    /// Counts a try as wrong before its PIN is checked, so that guesses at the same time are limited,
    /// too.
    fn begin_try(&self, now: Instant, index: usize) -> Result<(), Refused> {
        let mut state = self.lock();
        let failures = &mut state.failures[index];
        let left = failures.until.and_then(|until| until.checked_duration_since(now));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            let seconds = left.as_secs_f64().ceil();
            let reason = format!("too many wrong PINs; try again after {seconds} s");
            let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "too-many-pins", reason);
            return Err(refused.until(left));
        }
        failures.count = failures.count.saturating_add(1);
        if let Some(more) = failures.count.checked_sub(WRONG_PINS) {
            let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(more)).min(LONGEST_WAIT);
            failures.until = Some(now + wait);
        }
        Ok(())
    }

    /// The user of the session in the headers of a request.
    ///
    /// # Errors
    /// No user is signed in.
    pub(super) fn find(&self, headers: &HeaderMap, purpose: Purpose) -> Result<UserName, Refused> {
        self.find_at(Instant::now(), token(headers), purpose)
    }

    fn find_at(&self, now: Instant, token: &str, purpose: Purpose) -> Result<UserName, Refused> {
        let mut state = self.lock();
        self.end_unused(&mut state, now);
        let session = state.sessions.iter_mut().find(|session| session.has(token));
        let session = session.ok_or_else(|| {
            let reason = "no user is signed in at this screen; sign in with POST /session";
            Refused::new(StatusCode::FORBIDDEN, LOCKED, reason)
        })?;
        if purpose == Purpose::Act {
            session.used = now;
        }
        Ok(session.user.clone())
    }

    /// Ends the session in the headers of a request, if there is one.
    pub(super) fn sign_out(&self, headers: &HeaderMap, why: impl Display) {
        let mut state = self.lock();
        let token = token(headers);
        if let Some(at) = state.sessions.iter().position(|session| session.has(token)) {
            signed_out(&state.sessions.swap_remove(at), why);
        }
    }

    /// Ends sessions that were not used for too long.
    pub(super) fn expire(&self) {
        self.end_unused(&mut self.lock(), Instant::now());
    }

    fn end_unused(&self, state: &mut State, now: Instant) {
        let is_unused =
            |session: &mut Session| now.duration_since(session.used) >= self.config.lock_after;
        for session in state.sessions.extract_if(.., is_unused) {
            signed_out(&session, "not used");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn has(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

fn signed_out(Session { user, .. }: &Session, why: impl Display) {
    tracing::info!("audit: {user}: signed out: {why}");
}

/// The token of the session; empty if there is none, which no session has.
fn token(headers: &HeaderMap) -> &str {
    headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PinHash, User};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn users() -> Users {
        // 100,000 iterations, the fewest that are accepted.
        let pin = "pbkdf2-sha256:100000:000102030405060708090a0b0c0d0e0f:\
                   ee741eb40ba9d5bda0c1ac8a0ec2ff859620e9fac8f36f4aae85639d0567476a";
        let pin: PinHash = pin.parse().unwrap();
        let user = |name| User { name: UserName::parse(name).unwrap(), pin: pin.clone() };
        let users = vec![user("Anna"), user("Ben")];
        Users::new(SignIn { users, lock_after: Duration::from_secs(60) })
    }

    #[test]
    fn waits_after_wrong_pins_grow_for_one_user_until_the_right_one() {
        let (users, mut now) = (users(), Instant::now());
        let code = |now, name, pin| {
            users.sign_in_at(now, name, pin, PEER).map(drop).map_err(|refused| refused.code)
        };
        for _ in 0..WRONG_PINS {
            assert_eq!(code(now, "Anna", "0000"), Err(WRONG_PIN));
        }
        for wait_s in [30, 60, 120, 240, 480, 900, 900] {
            let almost = now + Duration::from_secs(wait_s) - Duration::from_millis(1);
            assert_eq!(code(almost, "Anna", "2580"), Err("too-many-pins"), "{wait_s}");
            now += Duration::from_secs(wait_s);
            assert_eq!(code(now, "Anna", "0000"), Err(WRONG_PIN), "{wait_s}");
        }
        assert_eq!(code(now, "Ben", "2580"), Ok(()));
        assert_eq!(code(now, "Carla", "2580"), Err(WRONG_PIN));
        now += LONGEST_WAIT;
        assert_eq!(code(now, "Anna", "2580"), Ok(()));
        assert_eq!(code(now, "Anna", "0000"), Err(WRONG_PIN));
        assert_eq!(code(now, "Anna", "2580"), Ok(()));
    }

    #[test]
    fn session_ends_without_actions() {
        let (users, begun) = (users(), Instant::now());
        let token = users.sign_in_at(begun, "Ben", "2580", PEER).unwrap();
        assert_eq!(token.len(), 64);
        let at = |seconds, purpose| {
            let found = users.find_at(begun + Duration::from_secs(seconds), &token, purpose);
            found.map(|user| user.to_string()).map_err(|refused| refused.code)
        };
        assert_eq!(at(59, Purpose::Act), Ok("Ben".to_owned()));
        assert_eq!(at(118, Purpose::Read), Ok("Ben".to_owned()));
        assert_eq!(at(119, Purpose::Read), Err(LOCKED));
        for wrong in ["", "0", &token[1..]] {
            assert!(users.find_at(begun, wrong, Purpose::Read).is_err(), "{wrong}");
        }
    }

    #[test]
    fn oldest_session_makes_room() {
        let (users, begun) = (users(), Instant::now());
        let open = |at: usize| {
            let now = begun + Duration::from_millis(at as u64);
            users.sign_in_at(now, "Anna", "2580", PEER).unwrap()
        };
        let tokens: Vec<String> = (0..=MAX_SESSIONS).map(open).collect();
        let is_open = |token: &String| users.find_at(begun, token, Purpose::Read).is_ok();
        assert_eq!(tokens.iter().filter(|token| !is_open(token)).count(), 1);
        assert!(!is_open(&tokens[0]));
    }
}
