#!/usr/bin/env bash
# Builds the service for every board: compiles it, makes the packages, and runs the program from a
# package on emulated processors, with an int8 build. The first run takes half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=packages
say() { printf '\n== %s\n' "$*"; }

tools/setup.sh test
# Same build options as `make test`, so that nothing is built twice.
cargo build --release --workspace --features medsa-trainer/mpi
bin=$target/release

say "making packages"
program=
for folder in boards/*/board.toml; do
    board=$(basename "$(dirname "$folder")")
    # All boards have the same program; it detects the instructions of its processor.
    "$bin/medsa-flash" build --board "$board" --out "$out" ${program:+--program "$program"}
    program=$target/aarch64-unknown-linux-gnu/board/medsa-edge
done

build=$cache/arm/build.medsa
if ! [ -e "$build" ]; then
    say "making an int8 build at 128 px"
    mkdir -p "$cache/arm"
    "$bin/medsa-train" import --base "$cache/assets/lite_medsam.pth" --out "$cache/arm/base.safetensors"
    "$bin/medsa-export" build --base "$cache/arm/base.safetensors" --precision int8 \
        --adapter trainer/adapters/ultrasound-clicks/adapter.safetensors --input-size 128 \
        --calibration trainer/adapters/ultrasound-clicks/128px.calibration \
        --licence "$cache/assets/LiteMedSAM-LICENSE.txt" --out "$build.new"
    mv "$build.new" "$build"
fi

say "running the program from a package, emulated"
MEDSA_PACKAGE=$(realpath "$out"/*_raspberry-pi-5_arm64.deb) MEDSA_PACKAGE_BUILD=$build \
    cargo test --release --workspace --features medsa-trainer/mpi --test suite -- \
    --ignored --nocapture packaged_program

say "testing the kernels, emulated"
tools/test-arm.sh
