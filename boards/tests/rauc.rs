//! System updates: RAUC creates a bundle with each board's files, and reads it with the same files.
//!
//! This needs no rights. Installing a bundle does, as RAUC mounts it; it also needs a board.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medsa_boards::Board;
use medsa_test_inputs::needs;
use tempfile::TempDir;

/// Mount point of the partition that no update writes, as in docs/src/device/system.md.
const DATA: &str = "/data/";

/// Sections of a file, with their keys.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn every_board_has_two_systems_and_a_bundle_for_them() {
    for (name, board) in boards() {
        let system = sections(&folder(&name).join("system.conf"));
        let manifest = sections(&folder(&name).join("manifest.raucm"));
        let compatible = format!("medsa-{name}");
        assert_eq!(system["system"]["compatible"], compatible);
        assert_eq!(manifest["update"]["compatible"], compatible);
        let description = format!("System with medsa-edge for {}", board.name);
        assert_eq!(manifest["update"]["description"], description);
        assert_eq!(manifest["bundle"]["format"], "verity");
        assert_eq!(system["system"]["bundle-formats"], "-plain", "{name}");
        assert!(system["system"]["data-directory"].starts_with(DATA), "{name}");
        let custom = system["system"]["bootloader"] == "custom";
        assert_eq!(custom, system.contains_key("handlers"), "{name}");

        // Every kind of slot is there twice, on partitions of its own, and has an image.
        let slots: Vec<_> = system.keys().filter_map(|key| key.strip_prefix("slot.")).collect();
        let images: Vec<_> = manifest.keys().filter_map(|key| key.strip_prefix("image.")).collect();
        let both = images.iter().flat_map(|image| [format!("{image}.0"), format!("{image}.1")]);
        assert!(both.eq(slots.iter().copied()), "{name}: {slots:?}, {images:?}");
        assert!(images.contains(&"rootfs"));
        let devices = slots.iter().map(|slot| &system[&format!("slot.{slot}")]["device"]);
        assert_eq!(devices.collect::<std::collections::BTreeSet<_>>().len(), slots.len());
        // The slot that the boot loader chooses names its other slots.
        for number in ["0", "1"] {
            let of = |kind: &str| &system[&format!("slot.{kind}.{number}")];
            let chosen = images.iter().filter(|image| of(image).contains_key("bootname"));
            let [chosen] = chosen.collect::<Vec<_>>()[..] else { panic!("{name}") };
            for other in images.iter().filter(|image| *image != chosen) {
                assert_eq!(of(other)["parent"], format!("{chosen}.{number}"), "{name}");
            }
        }
    }
}

#[test]
fn rauc_creates_a_bundle_for_every_board_and_trusts_only_its_keyring() {
    needs!("openssl", "rauc");
    let desk = Desk::new();
    for (name, _) in boards() {
        let bundle = desk.bundle(&name, "release");
        desk.trust(&name, "release");
        let said = desk.info(&bundle).unwrap();
        let read: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(read["compatible"], format!("medsa-{name}"));
        assert_eq!(read["version"], "2026.11");
        let manifest = sections(&folder(&name).join("manifest.raucm"));
        let images = read["images"].as_array().unwrap();
        assert_eq!(
            images.len(),
            manifest.keys().filter(|key| key.starts_with("image.")).count(),
            "{said}"
        );
        let rootfs = images.iter().find_map(|image| image.get("rootfs")).unwrap();
        assert_eq!(rootfs["size"], SYSTEM_BYTES);

        let other = desk.bundle(&name, "other");
        let said = desk.info(&other).unwrap_err();
        assert!(said.contains("signature verification failed"), "{name}: {said}");
        let mut broken = fs::read(&bundle).unwrap();
        let end = broken.len() - 100;
        broken[end] ^= 1;
        fs::write(&bundle, broken).unwrap();
        desk.info(&bundle).unwrap_err();
    }
}

/// The hook that RAUC calls after it has written and mounted a firmware partition.
#[test]
fn raspberry_pi_hook_sets_the_system_beside_its_kernel() {
    let mounted = tempfile::tempdir().unwrap();
    let cmdline = mounted.path().join("cmdline.txt");
    let run = |device: &str| {
        let mut hook = Command::new(boards_folder().join("common/raspberry-pi-hook.sh"));
        hook.arg("slot-post-install").env("RAUC_SLOT_DEVICE", device);
        hook.env("RAUC_SLOT_MOUNT_POINT", mounted.path()).output().unwrap()
    };
    for (device, root) in [
        ("/dev/mmcblk0p2", "/dev/mmcblk0p5"),
        ("/dev/mmcblk0p3", "/dev/mmcblk0p6"),
        ("/dev/nvme0n1p3", "/dev/nvme0n1p6"),
    ] {
        fs::write(&cmdline, "console=tty1 root=PARTUUID=4e-02 rootfstype=ext4 rootwait\n").unwrap();
        assert!(run(device).status.success());
        let expected = format!("console=tty1 root={root} rootfstype=ext4 rootwait\n");
        assert_eq!(fs::read_to_string(&cmdline).unwrap(), expected);
    }
    let wrong = run("/dev/mmcblk0p5");
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("/dev/mmcblk0p5 is no partition"));
    // A command line without a root is refused.
    fs::write(&cmdline, "console=tty1\n").unwrap();
    assert!(!run("/dev/mmcblk0p2").status.success());
}

const SYSTEM_BYTES: usize = 1 << 16;

/// Image in place of a system: bytes that do not compress.
fn image() -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..SYSTEM_BYTES).map(|_| byte()).collect()
}

/// A folder in which bundles are created and read.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for name in ["release", "other"] {
            let [key, certificate] = ["key", "pem"].map(|end| desk.path(&format!("{name}.{end}")));
            let mut openssl = Command::new("openssl");
            openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
            openssl.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(key);
            run(openssl.arg("-out").arg(certificate)).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a bundle for the board, as in docs/src/device/system.md.
    fn bundle(&self, board: &str, signed_by: &str) -> PathBuf {
        let content = self.path(&format!("{board} {signed_by}"));
        fs::create_dir(&content).unwrap();
        let manifest = fs::read_to_string(folder(board).join("manifest.raucm")).unwrap();
        fs::write(content.join("manifest.raucm"), manifest.replace("@VERSION@", "2026.11"))
            .unwrap();
        fs::write(content.join("rootfs.ext4"), image()).unwrap();
        if manifest.contains("[image.firmware]") {
            fs::write(content.join("firmware.vfat"), image()).unwrap();
            let hook = "raspberry-pi-hook.sh";
            fs::copy(boards_folder().join("common").join(hook), content.join(hook)).unwrap();
        }
        let bundle = content.with_extension("raucb");
        let mut rauc = Command::new("rauc");
        rauc.arg("bundle").arg("--cert").arg(self.path(&format!("{signed_by}.pem")));
        rauc.arg("--key").arg(self.path(&format!("{signed_by}.key")));
        run(rauc.args([&content, &bundle])).unwrap();
        bundle
    }

    /// Makes the folder the `/etc/rauc` of a board that trusts the signer.
    fn trust(&self, board: &str, signer: &str) {
        fs::copy(folder(board).join("system.conf"), self.path("system.conf")).unwrap();
        fs::copy(self.path(&format!("{signer}.pem")), self.path("keyring.pem")).unwrap();
    }

    /// RAUC's description of a bundle, with the board's `system.conf`.
    fn info(&self, bundle: &Path) -> Result<String, String> {
        let mut rauc = Command::new("rauc");
        rauc.arg("info").arg("--conf").arg(self.path("system.conf"));
        run(rauc.arg("--output-format=json").arg(bundle))
    }
}

fn boards_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn boards() -> Vec<(String, Board)> {
    Board::read_all(&boards_folder()).unwrap()
}

fn folder(board: &str) -> PathBuf {
    boards_folder().join(board).join("rauc")
}

/// Output of a command, or its error output.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}: run tools/setup.sh test"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn sections(path: &Path) -> Sections {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut sections = Sections::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            name = section.strip_suffix(']').expect(line).to_owned();
            assert!(sections.insert(name.clone(), BTreeMap::new()).is_none(), "{line}");
        } else {
            let (key, value) = line.split_once('=').expect(line);
            let keys = sections.get_mut(&name).expect(line);
            assert!(keys.insert(key.to_owned(), value.to_owned()).is_none(), "{line}");
        }
    }
    sections
}
