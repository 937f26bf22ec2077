//! Packages for boards: content, refused programs, and the answers of the packaged program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::GrayImage;
use medsa_boards::{Board, package};
use medsa_edge::config::Config;
use medsa_tests::needs;
use medsa_tests::{place, program};
use tempfile::TempDir;

/// Variable with the path of a package, for the test that runs its program.
const PACKAGE: &str = "MEDSA_PACKAGE";

/// Variable with the path of the build for that test.
const BUILD: &str = "MEDSA_PACKAGE_BUILD";

fn boards() -> PathBuf {
    place::repository().join("boards")
}

#[test]
fn first_configuration_of_every_board_is_valid() {
    for (name, board) in Board::read_all(&boards()).unwrap() {
        let text = package::configuration(&boards().join("common"), &name, &board).unwrap();
        let config = Config::parse(Path::new("/etc/medsa/edge.toml"), &text).unwrap();
        assert_eq!(config.board, name.as_str());
        assert_eq!(config.build.threads.get(), board.inference.threads as usize);
    }
}

#[test]
fn package_holds_the_files_of_the_service() {
    needs!("arm", "dpkg");
    let folder = tempfile::tempdir().unwrap();
    let small = compiled(&folder, "int main(void) { return 0; }", &[]);
    let said = program::run(&mut flash("raspberry-pi-5", &small, folder.path()));
    assert!(said.contains("needs glibc 2."), "{said}");
    let package = said.split(' ').next().unwrap();
    assert!(package.ends_with("_raspberry-pi-5_arm64.deb"), "{package}");
    let there = program::run(Command::new("dpkg-deb").args(["--contents", package]));
    for file in [
        "/usr/bin/medsa-edge",
        "/etc/medsa/edge.toml",
        "/usr/lib/systemd/system/medsa-edge.service",
        "/usr/lib/systemd/system/medsa-edge.service.d/board.conf",
        "/usr/lib/systemd/system/medsa-kiosk.service",
        "/usr/lib/systemd/system/medsa-stick@.service",
        "/usr/lib/sysusers.d/medsa.conf",
        "/usr/lib/tmpfiles.d/medsa.conf",
        "/usr/lib/udev/rules.d/70-medsa.rules",
        "/usr/share/doc/medsa-edge/README.md",
        "/usr/share/doc/medsa-edge/edge.example.toml",
        "/usr/share/man/man1/medsa-edge.1",
        "/usr/share/man/man1/medsa-edge-run.1",
        "/usr/share/bash-completion/completions/medsa-edge",
        "/usr/share/fish/vendor_completions.d/medsa-edge.fish",
        "/usr/share/zsh/vendor-completions/_medsa-edge",
    ] {
        assert!(there.lines().any(|line| line.ends_with(&format!(".{file}"))), "{file}\n{there}");
    }
    let owners = there.lines().all(|line| line.contains(" root/root "));
    assert!(owners, "{there}");
    let control = program::run(Command::new("dpkg-deb").args(["--info", package]));
    assert!(control.contains("Architecture: arm64") && control.contains("libc6 (>= 2."));
    // Only the package is left.
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_str().unwrap().ends_with(".deb")).count(), 1);
}

#[test]
fn program_that_a_board_cannot_run_is_refused() {
    needs!("arm", "dpkg");
    let folder = tempfile::tempdir().unwrap();
    let foreign =
        compiled(&folder, "int main(void) { return 0; }", &["-Wl,--no-as-needed", "-lresolv"]);
    let newer = "unsigned arc4random(void); int main(void) { return arc4random(); }";
    let newer = compiled(&folder, newer, &[]);
    let large = "char x[105000000] = {1}; int main(void) { return x[0]; }";
    let large = compiled(&folder, large, &[]);
    let native = env::current_exe().unwrap();
    for (board, program, reason) in [
        ("raspberry-pi-5", &foreign, "needs libresolv.so.2, raspberry-pi-5 has libc.so.6"),
        ("jetson-orin-nano", &newer, "needs glibc 2.36, jetson-orin-nano has glibc 2.35"),
        ("rock-5b", &large, "bytes when stripped, at most 100000000 are accepted"),
        ("rock-5b", &native, "aarch64-linux-gnu-strip: "),
        ("rock-5c", &large, "boards/rock-5c/board.toml: "),
    ] {
        let output = flash(board, program, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{board}: {said}");
    }
    // The other board has a newer C library.
    program::run(&mut flash("raspberry-pi-5", &newer, folder.path()));
}

/// `make arm` names the package and the build: compiling the program would take too long here.
#[test]
#[ignore = "run by tools/arm.sh"]
fn the_packaged_program_answers_as_this_one() {
    needs!("arm", "dicom", "dpkg");
    let [package, build] = [PACKAGE, BUILD].map(|name| env::var(name).expect(name));
    let folder = tempfile::tempdir().unwrap();
    let unpacked = folder.path().join("unpacked");
    program::run(Command::new("dpkg-deb").args(["--extract", &package]).arg(&unpacked));
    let clip = place::cine();
    // A click in the left ventricle, which is faint: its mask depends on the last digits of the
    // arithmetic, which are the same on all processors.
    let segment = |command: &mut Command, frame: u32| -> GrayImage {
        let mask = folder.path().join("mask.png");
        command.arg("segment").arg("--build").arg(&build).arg("--image").arg(&clip);
        command.args(["--frame", &frame.to_string(), "--point", "180,110"]);
        program::run(command.arg("--out").arg(&mask));
        image::open(mask).unwrap().into_luma8()
    };
    let inside = |mask: &GrayImage| mask.pixels().filter(|pixel| pixel.0[0] > 0).count();
    for frame in (0..30).step_by(5) {
        let here = segment(&mut program::command("medsa-edge"), frame);
        for cpu in ["cortex-a76", "cortex-a72"] {
            let mut emulated = Command::new("qemu-aarch64");
            emulated.args(["-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"]);
            let there = segment(emulated.arg(unpacked.join("usr/bin/medsa-edge")), frame);
            println!("{cpu}, frame {frame}: {} pixels, here {}", inside(&there), inside(&here));
            assert!(inside(&here) > 1000 && there == here, "{cpu}, frame {frame}");
        }
    }
}

fn flash(board: &str, of: &Path, out: &Path) -> Command {
    let mut command = program::command("medsa-flash");
    command.args(["build", "--board", board]).arg("--boards").arg(boards());
    command.arg("--program").arg(of).arg("--out").arg(out);
    command
}

/// Compiles a program for ARM.
fn compiled(folder: &TempDir, source: &str, options: &[&str]) -> PathBuf {
    let number = fs::read_dir(folder.path()).unwrap().count();
    let [code, program] = ["c", "arm"].map(|end| folder.path().join(format!("{number}.{end}")));
    fs::write(&code, source).unwrap();
    let mut compiler = Command::new("aarch64-linux-gnu-gcc");
    program::run(compiler.arg(&code).args(options).arg("-o").arg(&program));
    program
}
