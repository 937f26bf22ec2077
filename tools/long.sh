#!/usr/bin/env bash
# Everything that takes longer than `make test` and `make check`: some hours. Needs the whole data
# sets in ../shared/data, and fails without them.
#
#   SECONDS_EACH=1800   a shift on the ward with mosquitto, then one with the embedded broker
#   FUZZ_SECONDS=600    each fuzz target
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }

tools/setup.sh long
tests=(cargo test --release --workspace --features medsa-trainer/mpi)
cargo build --release --workspace --features medsa-trainer/mpi
tools/build-arm.sh

say "tests on whole data sets"
"${tests[@]}" -- --ignored --nocapture whole_data

say "the service on the ward, ${SECONDS_EACH:=1800} s with either broker"
MEDSA_SOAK_S=$SECONDS_EACH "${tests[@]}" --test it -- --nocapture --test-threads 1 soak

say "packages, and the program out of one, on emulated processors"
tools/arm.sh

say "memory errors"
tools/memcheck.sh

say "fuzzing, ${FUZZ_SECONDS:=600} s for each target"
tools/fuzz.sh "$FUZZ_SECONDS"
