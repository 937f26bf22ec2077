//! Status of a device between programs of different releases.

use medsa_update::{DeviceStatus, Folder, Name, PhaseStatus, SlotRole, Slots};
use serde_json::{Value, json};

use crate::formats::UNNUMBERED_STATE;

/// Output of `medsa-edge status --json`, with fields that this program does not know.
fn report() -> Value {
    let build = |version: &str, role: &str| {
        let (name, sha256) = ("nerve", "0a");
        json!({ "name": name, "version": version, "sha256": sha256, "role": role })
    };
    json!({
        "device": "bedside-1",
        "board": "raspberry-pi-5",
        "version": "9.0.0",
        "temperature_c": 61.5,
        "slots": {
            "a": build("1.0.0", "rollback"),
            "b": build("2.0.0", "on-trial"),
            "in_use": "b",
            "phase": "trial",
            "failed": ["0b"],
            "floors": { "nerve": "1.0.0" },
            "size_bytes": 12_000_000_u64,
        },
        "health": {
            "status": "ok",
            "build": "nerve 2.0.0",
            "source": { "state": "playing", "reason": null },
            "reload": { "state": "failed", "reason": "too slow" },
            "uptime_s": 7,
            "degradation": { "level": 0, "cause": null },
        },
        "health_error": null,
    })
}

#[test]
fn unknown_fields_of_a_status_are_passed_on() {
    let status: DeviceStatus = serde_json::from_value(report()).unwrap();
    let slots = status.slots.as_ref().unwrap();
    assert_eq!(slots.phase, PhaseStatus::Trial);
    assert_eq!(slots.build_in_use().unwrap().version.to_string(), "2.0.0");
    assert_eq!(slots.slot(Name::A).unwrap().role, SlotRole::Rollback);
    let health = status.health.as_ref().unwrap();
    assert!(health.is_ok());
    assert_eq!(health.reload.reason.as_deref(), Some("too slow"));
    assert_eq!(serde_json::to_value(&status).unwrap(), report());
}

#[test]
fn older_names_of_roles_are_read() {
    for (older, role) in [("way-back", SlotRole::Rollback), ("before", SlotRole::Previous)] {
        assert_eq!(serde_json::from_value::<SlotRole>(json!(older)).unwrap(), role);
    }
}

#[test]
fn status_of_the_slots_has_the_documented_keys() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.json"), UNNUMBERED_STATE).unwrap();
    let slots = Slots::open(Folder::to_start(folder.path())).unwrap();
    let state = slots.state();
    let [a, b] = [&state.a, &state.b].map(|build| build.as_ref().unwrap());
    assert_eq!(
        serde_json::to_value(state.describe()).unwrap(),
        json!({
            "a": { "name": "nerve", "version": "1.0.0", "sha256": a.sha256, "role": "rollback" },
            "b": { "name": "nerve", "version": "2.1.0", "sha256": b.sha256, "role": "on-trial" },
            "in_use": "b",
            "phase": "trial",
            "failed": state.failed,
            "floors": { "nerve": "1.0.0" },
        })
    );
}
