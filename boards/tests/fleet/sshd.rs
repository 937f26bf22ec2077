//! A real sshd that a test starts for the present user, on loopback only.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An sshd that runs until this is dropped.
pub struct Sshd {
    child: Child,
    bin: PathBuf,
}

impl Sshd {
    /// Starts sshd with new keys in `folder`. Every host name leads to it, except `gone`, where
    /// nothing listens.
    pub fn start(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name).display().to_string();
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
            let made = keygen.status();
            let made = made.unwrap_or_else(|e| panic!("ssh-keygen: {e}: run tools/setup.sh test"));
            assert!(made.success());
        }
        for name in ["bin", "tmp"] {
            fs::create_dir(at(name)).unwrap();
        }
        let [port, closed] = [free_port(), free_port()];
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             MaxStartups 100\nSetEnv TMPDIR={}\n",
            at("host"),
            at("user.pub"),
            at("tmp")
        );
        fs::write(at("sshd_config"), config).unwrap();
        let config = format!(
            "Host gone\n  Port {closed}\nHost *\n  HostName 127.0.0.1\n  Port {port}\n  \
             IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
             StrictHostKeyChecking accept-new\n  UserKnownHostsFile {}\n",
            at("user"),
            at("known_hosts")
        );
        fs::write(at("ssh_config"), config).unwrap();
        let ssh = at("bin/ssh");
        let config = at("ssh_config");
        fs::write(&ssh, format!("#!/bin/sh\nPATH=${{PATH#*:}}\nexec ssh -F {config} \"$@\"\n"))
            .unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        // Folder for the privilege separation of root's sshd; it may exist.
        let _ = fs::create_dir("/run/sshd");
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", &at("sshd_config"), "-E", &at("sshd.log")]).stdin(Stdio::null());
        let child = sshd.spawn();
        let child =
            child.unwrap_or_else(|e| panic!("/usr/sbin/sshd: {e}: run tools/setup.sh test"));
        let sshd = Self { child, bin: at("bin").into() };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(at("sshd.log")).unwrap_or_default();
            assert!(Instant::now() < until, "sshd does not listen: {}", log());
            sleep(Duration::from_millis(20));
        }
        sshd
    }

    /// Makes a command find an `ssh` that is configured for this sshd.
    pub fn known_to(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.bin.display()));
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Already ended, or ended now: either is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
