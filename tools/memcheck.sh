#!/usr/bin/env bash
# Runs the tests of the kernels under valgrind, which reports accesses beyond memory and decisions
# on uninitialized values. Takes a few minutes.
#
# Valgrind knows no AVX-512 and hides it from programs: the tests find and run plain loops and, if
# the processor has them, AVX2 kernels.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || {
    echo "error: valgrind is missing: install it (apt-get install valgrind), then try again" >&2
    exit 1
}
grep -qw avx2 /proc/cpuinfo 2>/dev/null ||
    echo "note: this processor has no AVX2; only plain loops are checked" >&2
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
export "$runner=valgrind --quiet --error-exitcode=1"
cargo test --release --package medsa-kernels --lib --tests
