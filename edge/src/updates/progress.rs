//! Work on builds that is under way, and the state that is reported of it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::port::BuildState;

/// Kind of work on builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Switches to a build that a user chose, also while an update downloads.
    Choose,
    /// Loads a build again.
    Load,
    /// Looks for a newer build.
    Update,
}

/// Jobs under way, and failure of the last one.
pub(super) struct Progress {
    jobs: Mutex<Jobs>,
    state: watch::Sender<BuildState>,
}

struct Jobs {
    loading: bool,
    updating: bool,
    failed: Option<String>,
}

impl Progress {
    /// No job is under way; `failed` is the failure at the start.
    pub fn new(failed: Option<String>) -> Self {
        let jobs = Jobs { loading: false, updating: false, failed };
        Self { state: watch::Sender::new(jobs.state()), jobs: Mutex::new(jobs) }
    }

    /// Subscribes to the state.
    pub fn state(&self) -> watch::Receiver<BuildState> {
        self.state.subscribe()
    }

    /// Begins a job; false if another one is under way that it must not meet.
    pub fn begin(&self, job: Job) -> bool {
        self.change(|jobs| {
            let is_free = !jobs.loading && (!jobs.updating || job == Job::Choose);
            if is_free {
                *jobs.flag(job) = true;
                jobs.failed = None;
            }
            is_free
        })
    }

    /// Ends a job, with the reason if it failed.
    pub fn end(&self, job: Job, failed: Option<String>) {
        self.change(|jobs| {
            *jobs.flag(job) = false;
            jobs.failed = failed.or(jobs.failed.take());
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Jobs) -> T) -> T {
        // The flags are consistent after every statement.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut jobs);
        let state = jobs.state();
        self.state.send_if_modified(|now| std::mem::replace(now, state.clone()) != state);
        changed
    }
}

impl Jobs {
    fn flag(&mut self, job: Job) -> &mut bool {
        match job {
            Job::Choose | Job::Load => &mut self.loading,
            Job::Update => &mut self.updating,
        }
    }

    fn state(&self) -> BuildState {
        match &self.failed {
            _ if self.loading => BuildState::Loading,
            Some(reason) => BuildState::Failed { reason: reason.clone() },
            None if self.updating => BuildState::Updating,
            None => BuildState::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_build_does_not_wait_for_an_update() {
        let progress = Progress::new(None);
        let state = progress.state();
        assert!(progress.begin(Job::Update));
        assert!(!progress.begin(Job::Load) && !progress.begin(Job::Update));
        assert!(progress.begin(Job::Choose) && !progress.begin(Job::Choose));
        assert_eq!(*state.borrow(), BuildState::Loading);
        progress.end(Job::Choose, None);
        assert_eq!(*state.borrow(), BuildState::Updating);
        progress.end(Job::Update, None);
        assert_eq!(*state.borrow(), BuildState::Idle);
    }

    #[test]
    fn failure_is_reported_until_the_next_job() {
        let progress = Progress::new(Some("gone".to_owned()));
        let state = progress.state();
        assert_eq!(*state.borrow(), BuildState::Failed { reason: "gone".into() });
        assert!(progress.begin(Job::Update) && progress.begin(Job::Choose));
        progress.end(Job::Choose, Some("damaged".to_owned()));
        progress.end(Job::Update, None);
        assert_eq!(*state.borrow(), BuildState::Failed { reason: "damaged".into() });
    }
}
