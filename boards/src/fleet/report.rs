//! Judgement of a device's status: has it taken a build, and is it healthy with it?

use medsa_update::{DeviceStatus, HealthStatus, Installed, PhaseStatus, StateAndReason};

/// Status of a device, as `medsa-edge status --json` printed it there.
pub struct Report(pub DeviceStatus);

/// Progress of a device with a build.
pub enum Progress {
    /// The device has confirmed the build and is healthy.
    Confirmed,
    /// The device may still get there.
    Waiting(String),
    /// The device will not get there.
    Failed(String),
}

impl Report {
    /// Parses the output of the device.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let status = serde_json::from_str(text);
        status.map(Self).map_err(|error| format!("its status cannot be read: {error}"))
    }

    /// The build in use.
    pub fn in_use(&self) -> Option<&Installed> {
        self.0.slots.as_ref()?.build_in_use()
    }

    /// Tests whether the device uses `build`, confirmed.
    pub fn has(&self, build: &Installed) -> bool {
        self.uses(build) && !self.is_on_trial()
    }

    /// Progress with `build`, which the device was told to take.
    pub fn progress(&self, build: &Installed) -> Progress {
        let Some(slots) = &self.0.slots else {
            return Progress::Failed("its build is a file, expected a folder of slots".into());
        };
        let in_use = || self.in_use().map_or("nothing".to_owned(), Installed::to_string);
        if self.uses(build) {
            if self.is_on_trial() {
                let service = self.service();
                Progress::Waiting(format!("{build} is on trial, the service is {service}"))
            } else if self.is_healthy_with(build) {
                Progress::Confirmed
            } else {
                let health = self.0.health.as_ref();
                let runs = health.map(|health| format!("runs {} and ", health.build));
                let (runs, service) = (runs.unwrap_or_default(), self.service());
                Progress::Waiting(format!("the service {runs}is {service}"))
            }
        } else if slots.failed.contains(&build.sha256) {
            Progress::Failed(format!("it rolled back to {}{}", in_use(), self.reason()))
        } else {
            Progress::Waiting(format!("{} is in use", in_use()))
        }
    }

    /// Cells of a table: device, board, build, state of the build, health of the service.
    pub fn row(&self) -> [String; 5] {
        let build = self.in_use().map_or("-".to_owned(), Installed::to_string);
        let state = match self.0.slots.as_ref().map(|slots| slots.phase) {
            None => "a file",
            Some(PhaseStatus::Trial) => "on trial",
            Some(PhaseStatus::Staged) => "confirmed, another is staged",
            Some(PhaseStatus::Settled) => "confirmed",
        };
        let DeviceStatus { device, board, .. } = &self.0;
        [device.clone(), board.clone(), build, state.to_owned(), self.service()]
    }

    /// Tests whether the device uses `build`.
    pub fn uses(&self, build: &Installed) -> bool {
        self.in_use().is_some_and(|in_use| in_use.sha256 == build.sha256)
    }

    fn is_on_trial(&self) -> bool {
        self.0.slots.as_ref().is_some_and(|slots| slots.phase == PhaseStatus::Trial)
    }

    fn is_healthy_with(&self, build: &Installed) -> bool {
        let is_healthy =
            |health: &HealthStatus| health.is_ok() && health.build == build.to_string();
        self.0.health.as_ref().is_some_and(is_healthy)
    }

    /// Health of the service in words.
    fn service(&self) -> String {
        match &self.0.health {
            None => {
                let reason = self.0.health_error.as_deref().unwrap_or("it gives no reason");
                format!("not reachable: {reason}")
            }
            Some(health) if health.is_ok() => health.status.clone(),
            Some(HealthStatus { status, source: StateAndReason { state, reason }, .. }) => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}"));
                format!("{status}: source {state}{}", reason.unwrap_or_default())
            }
        }
    }

    /// Reason why the service did not take over a build.
    fn reason(&self) -> String {
        let reason = self.0.health.as_ref().and_then(|health| health.reload.reason.as_ref());
        reason.map(|reason| format!(": {reason}")).unwrap_or_default()
    }
}
