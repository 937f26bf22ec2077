#!/usr/bin/env bash
# Runs the tests of the kernels under valgrind, which reports out-of-bounds accesses and decisions on
# uninitialized values. Takes a few minutes.
#
# Valgrind does not support AVX-512 and hides it from programs. The tests run plain loops and, if the
# processor has AVX2, the AVX2 kernels.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || {
    echo "error: valgrind is missing: install it (apt-get install valgrind) and try again" >&2
    exit 1
}
grep -qw avx2 /proc/cpuinfo 2>/dev/null ||
    echo "note: this processor has no AVX2; only plain loops are checked" >&2
host=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
export "$runner=valgrind --quiet --error-exitcode=1"
cargo test --release --package medsa-kernels --lib --tests
