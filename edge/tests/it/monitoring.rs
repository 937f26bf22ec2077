//! Alerts and dashboard of `edge/monitoring/`, tried with Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use medsa_edge::config::Protocol;
use medsa_test_inputs::{needs, repository};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port, wait_until};
use crate::service::LOOP;

fn file(name: &str) -> PathBuf {
    repository().join("edge/monitoring").join(name)
}

/// A server that scrapes one device, killed at the end.
struct Prometheus {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    fn start(device: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let rules = file("alerts.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs: [{{job_name: medsa, static_configs: [{{targets: [{device:?}]}}]}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("Prometheus listens", || TcpStream::connect(&address).is_ok());
        Self { child, address, _folder: folder }
    }

    fn api(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // Answers of HTTP 1.1 may come in chunks.
        stream.write_all(format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        // The server is not ready at once.
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Number of results of a query; `None` if it is refused.
    fn results(&self, query: &str) -> Option<usize> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.api(&format!("query?query={query}"));
        (answer["status"] == "success").then(|| answer["data"]["result"].as_array().unwrap().len())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn alerts_fire_at_their_faults() {
    needs!("prometheus");
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let mut promtool = Command::new("promtool");
        let output = promtool.args(args).current_dir(file("")).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
    // Each alert has a test.
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let (rules, tests) = (read("alerts.yml"), read("alerts.test.yml"));
    let alerts: Vec<_> = rules.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8);
    for alert in alerts {
        assert!(tests.contains(&format!("name: {alert}\n")), "{alert} has no test");
    }
}

#[test]
fn dashboard_and_alerts_query_what_a_device_reports() {
    needs!("mosquitto", "prometheus");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let settings = format!("{}\n[http]\nlisten = \"127.0.0.1:0\"\n{kept}", external(&broker.url()));
    let edge = Edge::run(&place.config(LOOP, &settings));
    let line = edge.logged("metrics and health at http://");
    let device = line.rsplit('/').next().unwrap();
    observer.wait_for_mask("a mask", |_| true);
    let prometheus = Prometheus::start(device);
    wait_until("two scrapes", || {
        prometheus.results("count_over_time(medsa_source_up[1m]) > 2") == Some(1)
    });
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(file("dashboard.json")).unwrap()).unwrap();
    // Machines of tests may have no sensors, and nothing failed.
    let may_be_empty = ["medsa_temperature_celsius", "medsa_task_failures_total"];
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let filled = query.replace("$device", ".*").replace("$__rate_interval", "1m");
            let found = prometheus.results(&filled).unwrap_or_else(|| panic!("refused: {query}"));
            let empty = may_be_empty.iter().any(|metric| query.starts_with(metric));
            assert!(found > 0 || empty, "nothing found: {query}");
            queries += 1;
        }
    }
    assert!(queries > 15, "{queries}");
    // A healthy device raises no alert.
    let rules = prometheus.api("rules");
    for rule in rules["data"]["groups"][0]["rules"].as_array().unwrap() {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        let name = rule["name"].as_str().unwrap();
        // Depends on this machine.
        if !["MedsaDiskAlmostFull", "MedsaHot", "MedsaDegraded"].contains(&name) {
            assert_eq!(rule["state"], "inactive", "{rule:#}");
        }
    }
}
