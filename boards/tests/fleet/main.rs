//! Builds to devices over ssh: push, status and rollback, with the system's ssh and a real sshd.

mod field;
#[path = "../../../bundle/tests/small/mod.rs"]
mod small;
mod sshd;

use std::fs;

use field::{Field, Service};
use medsa_test_inputs::needs;
use serde_json::{Value, json};

#[test]
fn three_devices_take_a_build_in_two_waves() {
    needs!("ssh");
    let field = Field::new(&["one", "two", "three"]);
    let services = field.services(Service::Confirms);
    field.publish("2.0.0");
    let said = field.push(&[]).unwrap();
    for (device, wave) in [("one", 1), ("two", 2), ("three", 2)] {
        let row = row(&said.stdout, device);
        assert_eq!(row, [device, &wave.to_string(), "liver 2.0.0", "confirmed"]);
        assert_eq!(field.in_use(device), "2.0.0");
        // The payload is the signed metadata and the one build.
        let sent = field.sent(device);
        let targets = sent.iter().filter(|name| name.starts_with("./targets/"));
        assert_eq!(targets.count(), 1, "{sent:?}");
        for name in ["./metadata/1.root.json", "./metadata/timestamp.json"] {
            assert!(sent.iter().any(|sent| sent == name), "{sent:?}");
        }
    }
    let begun = |wave: &str| said.stderr.find(wave).unwrap_or_else(|| panic!("{}", said.stderr));
    assert!(begun("one: confirmed") < begun("wave 2 of 2: two, three"), "{}", said.stderr);
    assert_eq!(field.left_on_devices(), 0);
    // A second push has nothing to do.
    drop(services);
    for device in ["one", "two", "three"] {
        fs::remove_file(field.device(device).join("sent")).unwrap();
    }
    let said = field.push(&["--json"]).unwrap();
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["build"]["version"], "2.0.0");
    for (device, wave) in [("one", 1), ("two", 2), ("three", 2)] {
        let at = said["devices"].as_array().unwrap().iter().find(|it| it["ssh"] == device);
        let at = at.unwrap();
        assert_eq!((&at["wave"], &at["outcome"]), (&json!(wave), &json!("had-it")));
        assert_eq!(at["in_use"]["sha256"], said["build"]["sha256"]);
        assert!(!field.device(device).join("sent").exists(), "{device}");
    }
}

#[test]
fn device_that_rolls_back_stops_the_next_wave() {
    needs!("ssh");
    let field = Field::new(&["one", "two", "three"]);
    let _services = field.services(Service::RollsBack);
    field.publish("2.0.0");
    let said = field.push(&["--waves", "2", "--json"]).unwrap_err();
    assert!(
        said.stderr.ends_with("wave 1 of 2: 2 failed: later waves were not begun\n"),
        "{}",
        said.stderr
    );
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    let outcome = |at: usize| {
        let device = &said["devices"][at];
        [&device["ssh"], &device["in_use"]["version"], &device["outcome"], &device["reason"]]
            .map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    let reason = "it rolled back to liver 1.0.0";
    assert_eq!(outcome(0), ["one", "1.0.0", "failed", reason]);
    assert_eq!(outcome(1), ["two", "1.0.0", "failed", reason]);
    assert_eq!(outcome(2), ["three", "1.0.0", "not-begun", ""]);
    assert!(!field.device("three").join("sent").exists());
    // The devices remember the failed build, until the operator insists.
    let said = field.push(&[]).unwrap_err();
    assert!(said.stdout.contains("liver 2.0.0 has failed on this device before"), "{said:?}");
    field.set_services(Service::Confirms);
    field.push(&["--again"]).unwrap();
    assert_eq!(field.in_use("three"), "2.0.0");
}

#[test]
fn build_that_is_not_accepted_or_never_confirmed_fails_with_the_reason() {
    needs!("ssh");
    let field = Field::new(&["one", "two"]);
    let _services = field.services(Service::Waits);
    field.publish("2.0.0");
    field.accept("one", "echo 'medsa-edge: IoU is 0.3112, expected at least 0.9' >&2; exit 1");
    let said = field.push(&[]).unwrap_err();
    let row = row(&said.stdout, "one");
    assert_eq!(row[2], "liver 1.0.0");
    let reason = "liver 2.0.0 is not accepted: medsa-edge: IoU is 0.3112, expected at least 0.9";
    assert!(row[3].starts_with("failed: ") && row[3].contains(reason), "{row:?}");
    assert_eq!(field.left_on_devices(), 0);
    // No device confirms it.
    field.accept("one", "exit 0");
    let said = field.push(&["--within", "0.2"]).unwrap_err();
    let reason = "failed: not confirmed and healthy within 0.2 min: liver 2.0.0 is on trial, the service is ok";
    assert!(said.stdout.contains(reason), "{}", said.stdout);
    assert_eq!(field.in_use("two"), "1.0.0");
    // The devices confirm it, but are unhealthy.
    let lost = r#""status":"impaired","source":{"state":"lost","reason":"no camera"}"#;
    field.health("one", lost);
    field.health("two", lost);
    field.set_services(Service::Confirms);
    let said = field.push(&["--waves", "2", "--within", "0.2"]).unwrap_err();
    let reason = "not confirmed and healthy within 0.2 min: the service runs liver 2.0.0 and is impaired: source lost: no camera";
    assert!(said.stdout.contains(reason), "{}", said.stdout);
}

#[test]
fn unreachable_device_is_a_row_with_the_reason() {
    needs!("ssh");
    let field = Field::new(&["one", "gone", "two"]);
    let _services = field.services(Service::Confirms);
    field.publish("2.0.0");
    let said = field.push(&["--waves", "2"]).unwrap_err();
    assert_eq!(row(&said.stdout, "one")[3], "confirmed");
    let gone = row(&said.stdout, "gone");
    assert_eq!(gone[2], "-");
    assert!(gone[3].starts_with("failed: ") && gone[3].contains("Connection refused"), "{gone:?}");
    assert_eq!(row(&said.stdout, "two")[2..], ["liver 1.0.0", "not begun"]);

    let said = field.fleet("status", &[]).unwrap_err();
    assert_eq!(said.stderr, "medsa-flash: 1 of 3 devices failed\n");
    let expected = ["one", "one's bed", "raspberry-pi-5", "liver 2.0.0", "confirmed", "ok"];
    assert_eq!(row(&said.stdout, "one"), expected);
    assert!(row(&said.stdout, "gone")[5].contains("Connection refused"), "{}", said.stdout);
    let said = field.fleet("status", &["--json"]).unwrap_err();
    let rows: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(rows[0]["status"]["slots"]["b"]["version"], "2.0.0");
    // Fields that medsa-flash does not read are passed on.
    assert_eq!(rows[0]["status"]["health"]["uptime_s"], 7);
    assert_eq!((&rows[0]["error"], &rows[1]["status"]), (&Value::Null, &Value::Null));
    assert!(rows[1]["error"].as_str().unwrap().contains("Connection refused"), "{rows}");
    assert_eq!(rows[2]["ssh"], "two");

    // Rollback of one build.
    let said = field.fleet("rollback", &["--danger-allow-downgrade"]).unwrap_err();
    assert_eq!(row(&said.stdout, "one")[1], "rolled back to liver 1.0.0 in slot A");
    assert_eq!(field.in_use("one"), "1.0.0");
    assert!(row(&said.stdout, "two")[1].contains("there is no previous build"), "{said:?}");
}

#[test]
fn names_are_never_run_as_commands() {
    needs!("ssh");
    let field = Field::new(&["one"]);
    let trap = field.path("trapped");
    let bait = format!("$(touch {0});touch {0}", trap.display());
    let device = field.device("one");
    let [edge, config] = [device.join("medsa-edge"), device.join("edge.toml")];
    let options = ["--config", config.to_str().unwrap(), "--edge", edge.to_str().unwrap()];
    // The plain names work: the errors below come from the others.
    field.run("status", &[&["--to", "one"], &options[..]].concat()).unwrap();
    for (to, config) in [
        (&*format!("-oProxyCommand={bait}"), options[1]),
        (&*bait, options[1]),
        ("one", &*bait),
        ("one", &*format!("';touch {};'", trap.display())),
    ] {
        let arguments = [&format!("--to={to}"), "--config", config, "--edge", options[3]];
        let said = field.run("status", &arguments).unwrap_err();
        assert!(!trap.exists(), "{said:?}");
    }
    field.publish("2.0.0");
    let mut arguments = vec!["--repository", "it's a \"stick\"", "--name", "liver", "--to", "one"];
    arguments.extend(["--config", &*bait, "--edge", options[3]]);
    field.run("push", &arguments).unwrap_err();
    assert!(!trap.exists());
}

#[test]
fn invalid_lists_and_repositories_are_named() {
    needs!("ssh");
    let field = Field::new(&["one"]);
    for (list, expected) in [
        ("[[device]]\nssh = \"one\"\nport = 22\n", "unknown field `port`"),
        ("[[device]]\nconfig = \"x\"\n", "missing field `ssh`"),
        ("device = []", "no device is named"),
    ] {
        fs::write(field.path("wrong.toml"), list).unwrap();
        let said = field.run("status", &["--devices", "wrong.toml"]).unwrap_err();
        assert!(said.stderr.contains(expected), "{said:?}");
    }
    let said = field.run("status", &[]).unwrap_err();
    assert!(said.stderr.contains("no device is named"), "{said:?}");
    let said = field.push(&["--version", "9.0.0"]).unwrap_err();
    let expected = "liver 9.0.0 is not in the repository, expected one of liver 1.0.0";
    assert!(said.stderr.contains(expected), "{said:?}");
    fs::remove_dir_all(field.path("it's a \"stick\"/targets")).unwrap();
    fs::create_dir(field.path("it's a \"stick\"/targets")).unwrap();
    let said = field.push(&[]).unwrap_err();
    assert!(said.stderr.contains("liver 1.0.0 is listed, but its file is missing"), "{said:?}");
}

/// Cells of a device's row.
fn row<'a>(table: &'a str, device: &str) -> Vec<&'a str> {
    let cells = |line: &'a str| -> Vec<&'a str> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    };
    let mut rows = table.lines().map(cells);
    rows.find(|row| row.first() == Some(&device)).unwrap_or_else(|| panic!("{device}: {table}"))
}
