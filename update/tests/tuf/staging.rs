//! Builds from a repository, in a folder or on a server, into a slot.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use medsa_bundle::{Limits, sha256_hex};
use medsa_update::{Error, Permit, Source, WithoutClock};
use url::Url;

use crate::lab::{Lab, sees};

#[test]
fn build_is_installed_from_a_folder() {
    let lab = Lab::new();
    assert_eq!(lab.installs().unwrap(), "1.0.0");
    lab.slots().start().unwrap();
    lab.publish("2.0.0");
    assert_eq!(lab.installs().unwrap(), "2.0.0");
    let running = lab.slots().start().unwrap();
    assert!(running.on_trial);
    let published = fs::read(lab.build("liver", "2.0.0")).unwrap();
    assert_eq!(fs::read(running.path).unwrap(), published);
}

#[test]
fn build_is_installed_from_a_plain_server_of_files() {
    let lab = Lab::new();
    let url = serve(lab.path("repository"));
    assert_eq!(sees(lab.device_with(&url, WithoutClock::Refuse)).unwrap(), "1.0.0");
    let mut device = lab.device_with(&url, WithoutClock::Refuse);
    let listing = device.look().unwrap();
    let offer = listing.find("liver", None).unwrap();
    let mut slots = lab.slots();
    listing.stage(offer, &mut slots, Permit::default(), &mut |_| Ok(())).unwrap();
    assert_eq!(slots.switch().unwrap().build, offer.build);
}

#[test]
fn unreachable_server_is_named() {
    let lab = Lab::new();
    // A port that was just free.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/builds")).unwrap();
    let error = sees(lab.device_with(&url, WithoutClock::Refuse)).unwrap_err();
    assert!(error.starts_with(url.as_str()), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}

#[test]
fn silent_server_times_out() {
    let lab = Lab::new();
    // The system accepts the connection, and no program ever reads from it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let patience = Duration::from_millis(200);
    let error = sees(lab.device_of(Source { url: url.clone(), patience, ..lab.source() }));
    let error = error.unwrap_err();
    assert!(error.starts_with(url.as_str()) && error.contains("timed out"), "{error}");
}

#[test]
fn build_that_fails_acceptance_is_not_used() {
    let lab = Lab::new();
    let mut device = lab.device();
    let listing = device.look().unwrap();
    let offer = listing.find("liver", None).unwrap();
    let mut slots = lab.slots();
    let refused =
        listing.stage(offer, &mut slots, Permit::default(), &mut |_| Err("IoU 0.31".into()));
    assert_eq!(refused.unwrap_err().to_string(), "liver 1.0.0 is not accepted: IoU 0.31");
    assert!(matches!(slots.switch(), Err(Error::Nothing { .. })));
}

#[test]
fn listed_build_above_the_limit_is_not_downloaded() {
    let lab = Lab::new();
    let limits = Limits { build_bytes: 5000, ..Limits::default() };
    let error = sees(lab.device_of(Source { limits, ..lab.source() })).unwrap_err();
    assert!(error.contains("\"liver-1.0.0.medsa\": has"), "{error}");
    assert!(error.ends_with("bytes, at most 5000 are accepted"), "{error}");
}

#[test]
fn truncated_build_is_refused() {
    let lab = Lab::new();
    let target = fs::read_dir(lab.path("repository/targets")).unwrap().next().unwrap().unwrap();
    let whole = fs::read(target.path()).unwrap();
    fs::write(target.path(), &whole[..whole.len() - 1]).unwrap();
    let error = lab.installs().unwrap_err().to_string();
    assert!(error.contains("liver 1.0.0") && error.contains("ash mismatch"), "{error}");
}

#[test]
fn signed_file_that_is_no_build_is_refused() {
    let lab = Lab::new();
    let junk = vec![7u8; 4096];
    let sha256 = sha256_hex(&junk);
    fs::write(lab.path(&format!("repository/targets/{sha256}.liver-1.0.0.medsa")), &junk).unwrap();
    let bytes = (0..64).step_by(2).map(|i| u8::from_str_radix(&sha256[i..i + 2], 16).unwrap());
    lab.relist(&["targets-1.pk8"], |targets| {
        let target = targets.targets.values_mut().next().unwrap();
        target.length = junk.len() as u64;
        target.hashes.sha256 = bytes.collect::<Vec<u8>>().into();
    });
    let error = lab.installs().unwrap_err().to_string();
    assert!(
        error.contains("liver 1.0.0 is not accepted") && error.contains("not a build"),
        "{error}"
    );
}

/// Serves the files in a folder over HTTP until the test ends.
fn serve(folder: PathBuf) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // The client may have closed the connection.
            let _ = answer(stream.unwrap(), &folder);
        }
    });
    Url::parse(&url).unwrap()
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let (status, body) = match fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}
