#!/usr/bin/env bash
# Runs all tests that are too long for `make test` and `make check`, which takes some hours. Needs the
# whole data sets in ../shared/data, and fails without them.
#
#   SECONDS_EACH=1800   duration of the service test with mosquitto, and with the embedded broker
#   FUZZ_SECONDS=600    duration of each fuzz target
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }

tools/setup.sh long
tests=(cargo test --release --workspace --features medsa-trainer/mpi)
cargo build --release --workspace --features medsa-trainer/mpi
tools/build-arm.sh

say "tests on whole data sets"
"${tests[@]}" -- --ignored --nocapture whole_data

say "running the service for ${SECONDS_EACH:=1800} s with each broker"
MEDSA_SOAK_S=$SECONDS_EACH "${tests[@]}" --test it -- --nocapture --test-threads 1 soak

say "packages, and the program from one, on emulated processors"
tools/arm.sh

say "an adapter and its build, twice"
for run in 1 2; do
    OUT=${CARGO_TARGET_DIR:-target}/tmp/adapter-$run
    rm -rf "$OUT"
    OUT=$OUT STEPS=4 tools/adapter.sh
done
cmp "${OUT%2}1/build.medsa" "$OUT/build.medsa"

say "memory errors"
tools/memcheck.sh

say "fuzzing each target for ${FUZZ_SECONDS:=600} s"
tools/fuzz.sh "$FUZZ_SECONDS"
