#!/usr/bin/env bash
# Makes a root for qemu-user with an ARM Python and onnxruntime, to count their instructions. Debian's
# arm64 packages and wheels are unpacked to a folder; nothing is installed.
#
#   usage: python.sh FOLDER PIP      then ARM_ROOT=FOLDER, with FOLDER/usr/bin/python3.11
set -euo pipefail

root=$1 pip=$2
[ -e "$root/ready" ] && exit
rm -rf "$root"
mkdir -p "$root" "$root.apt"/{sources,lists/partial,cache/archives/partial,packages}
trap 'rm -r "$root.apt"' EXIT

# Uses the machine's package sources but separate lists, so that arm64 does not become an architecture
# of this system.
cp /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list "$root.apt/sources/" 2>/dev/null || true
! [ -e /etc/apt/sources.list ] || cp /etc/apt/sources.list "$root.apt/sources/system.list"
cat >"$root.apt/apt.conf" <<CONFIG
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$root.apt/sources";
Dir::State::lists "$root.apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$root.apt/cache";
CONFIG
export APT_CONFIG=$root.apt/apt.conf
apt-get -qq update
(
    cd "$root.apt/packages"
    apt-get -qq download libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libbz2-1.0 liblzma5 \
        libssl3 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal
    for package in *.deb; do dpkg -x "$package" "$root"; done
)
"$pip" install --quiet --disable-pip-version-check --target "$root/usr/lib/python3/dist-packages" \
    --no-deps --only-binary=:all: --python-version 311 --implementation cp \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 \
    numpy==2.4.6 onnxruntime==1.31.1 flatbuffers==25.12.19 protobuf==7.36.2 packaging==26.3
touch "$root/ready"
