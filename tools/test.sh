#!/usr/bin/env bash
# Runs all tests. The last lines list the skipped ones; see MEDSA_SKIP in the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/skip.sh

known=$(sed -nE 's/.*Need \{ name: "([a-z0-9]+)".*/\1/p; s/^ +name: "([a-z0-9]+)",/\1/p' \
    tests/inputs/src/lib.rs)
for name in ${MEDSA_SKIP:+${MEDSA_SKIP//,/ }}; do
    grep -qx "$name" <<<"$known" || {
        echo "error: MEDSA_SKIP lists $name, expected some of: ${known//$'\n'/, }" >&2
        exit 1
    }
done

MEDSA_SKIPPED=$(mktemp)
export MEDSA_SKIPPED
finish() {
    local status=$? skipped
    skipped=$(sort "$MEDSA_SKIPPED" | uniq -c | sed -E 's/^ +1 //; s/^ +([0-9]+) /\1 x /' |
        paste -sd, | sed 's/,/, /g')
    rm -f "$MEDSA_SKIPPED"
    [ $status = 0 ] || echo "failed with status $status"
    echo "skipped: ${skipped:-nothing}"
}
trap finish EXIT

tools/setup.sh test
# As the programs do; see `medsa_trainer::use_all_cores`.
RAYON_NUM_THREADS=$(nproc) CANDLE_NUM_THREADS=1
# Tests of the service wait for devices and browsers more than they compute.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}
export RAYON_NUM_THREADS CANDLE_NUM_THREADS RUST_TEST_THREADS
# With MPI, to test training by several processes, too. A single profile and set of features, so that
# the trainer is built once.
build=(--release --workspace)
skips mpi || build+=(--features medsa-trainer/mpi)
cargo build "${build[@]}"
cargo test --no-fail-fast "${build[@]}"
tools/test-arm.sh
tools/test-avx512.sh
