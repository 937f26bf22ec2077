//! A headless Chromium, controlled over its debugging protocol.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use medsa_test_inputs::BROWSERS;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::page::LIVE;
use crate::harness::{LIMIT, wait_until};

/// A browser with one page, killed at the end. Tests that use it need `browser`.
pub struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    events: VecDeque<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts with a touchscreen of this size in CSS pixels.
    pub fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = BROWSERS.iter().find_map(|name| medsa_test_inputs::program(name));
        let program = program.expect("the test needs `browser`");
        let mut child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--lang=en", "--disable-dev-shm-usage", "--ignore-certificate-errors"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            // The program may be a script that starts the browser.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines.find_map(|line| {
            Some(line.unwrap().strip_prefix("DevTools listening on ")?.trim().to_owned())
        });
        let url = url.expect("the browser prints its address");
        // Drain the pipe, so that the browser does not block.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.split('/').nth(2).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let (session, calls, events) = (String::new(), 0, VecDeque::new());
        let mut browser = Self { child, socket, session, calls, events, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(width, height);
        browser.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": true }));
        browser
    }

    /// Starts like [`Browser::start`] with the page of a service, and waits until it shows frames.
    pub fn live(width: u32, height: u32, url: &str) -> Self {
        let mut browser = Self::start(width, height);
        browser.open(url);
        browser.wait_until(LIVE);
        browser
    }

    /// Resizes the screen, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Sets the colour scheme, "light" or "dark".
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Sets the preferred language.
    pub fn speak(&mut self, language: &str) {
        let agent = self.value("navigator.userAgent");
        let settings = json!({ "userAgent": agent, "acceptLanguage": language });
        self.call("Emulation.setUserAgentOverride", settings);
    }

    /// PNG of what is on the screen.
    pub fn picture(&mut self) -> Vec<u8> {
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Saves a picture as `<name>.png` in the folder that `MEDSA_SCREENSHOTS` names, if it is set:
    /// hundreds of pictures to look at, which take a minute.
    pub fn screenshot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("MEDSA_SCREENSHOTS").map(PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.picture()).unwrap();
    }

    pub fn open(&mut self, url: &str) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        self.call("Page.navigate", json!({ "url": url }));
        self.wait_for_event("Page.loadEventFired");
    }

    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            call["sessionId"] = self.session.as_str().into();
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let heard = self.hear();
            if heard["id"] == id {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return heard["result"].clone();
            }
            self.events.push_back(heard);
        }
    }

    /// The first event of a kind, removed from the queue.
    pub fn wait_for_event(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["method"] == method) {
                return self.events.remove(at).unwrap()["params"].clone();
            }
            let event = self.hear();
            self.events.push_back(event);
        }
    }

    fn hear(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Errors of the page so far: exceptions, logged errors, violations of its policy.
    pub fn complaints(&self) -> Vec<&Value> {
        let bad = |event: &&Value| {
            event["method"] == "Runtime.exceptionThrown"
                || (event["method"] == "Log.entryAdded"
                    && event["params"]["entry"]["level"] == "error")
        };
        self.events.iter().filter(bad).collect()
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Polls until an expression is true.
    pub fn wait_until(&mut self, expression: &str) {
        wait_until(expression, || self.value(expression) == true);
    }

    /// Touches the first position, moves over the others, and lifts the finger.
    pub fn touch(&mut self, path: &[[f64; 2]]) {
        for (index, [x, y]) in path.iter().enumerate() {
            let kind = if index == 0 { "touchStart" } else { "touchMove" };
            let touch = json!({ "type": kind, "touchPoints": [{ "x": x, "y": y }] });
            self.call("Input.dispatchTouchEvent", touch);
        }
        let end = json!({ "type": "touchEnd", "touchPoints": [] });
        self.call("Input.dispatchTouchEvent", end);
    }

    /// Puts two fingers down, moves each along its path, and lifts them.
    pub fn pinch(&mut self, first: &[[f64; 2]], second: &[[f64; 2]]) {
        for (index, ([ax, ay], [bx, by])) in first.iter().zip(second).enumerate() {
            let kind = if index == 0 { "touchStart" } else { "touchMove" };
            let points = json!([{ "x": ax, "y": ay, "id": 0 }, { "x": bx, "y": by, "id": 1 }]);
            let touch = json!({ "type": kind, "touchPoints": points });
            self.call("Input.dispatchTouchEvent", touch);
        }
        let end = json!({ "type": "touchEnd", "touchPoints": [] });
        self.call("Input.dispatchTouchEvent", end);
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Delete" => (46, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            "b" => (66, "b"),
            "c" => (67, "c"),
            "f" => (70, "f"),
            "m" => (77, "m"),
            "n" => (78, "n"),
            "r" => (82, "r"),
            "u" => (85, "u"),
            other => panic!("the code of {other} is not known"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types into the focused element.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Taps the centre of an element.
    pub fn tap(&mut self, selector: &str) {
        let middle = self.middle(selector);
        self.touch(&[middle]);
    }

    /// Centre of an element.
    pub fn middle(&mut self, selector: &str) -> [f64; 2] {
        let middle = self.value(&format!(
            "(() => {{ const r = document.querySelector({selector:?}).getBoundingClientRect(); \
             return [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        ));
        [middle[0].as_f64().unwrap(), middle[1].as_f64().unwrap()]
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
