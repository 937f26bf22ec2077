#!/usr/bin/env bash
# Runs tests of the AVX-512 kernels in an interpreter (Miri) on a processor without AVX-512, where
# `cargo test` does not run them. They still count as skipped, because the interpreter runs only some
# of the tests, and needs a nightly Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/skip.sh

if grep -q avx512_vnni /proc/cpuinfo 2>/dev/null || skips avx512; then exit; fi
if ! [ "$(uname -m)" = x86_64 ] || ! cargo +nightly --version >/dev/null 2>&1; then
    note_skip "avx512 (this processor has none, and there is no nightly Rust to interpret it)"
    exit
fi
note_skip "avx512 (this processor has none: some tests were interpreted)"
cargo +nightly miri --version >/dev/null 2>&1 || {
    echo "== installing the interpreter Miri (rustup component add)"
    rustup component add --toolchain nightly miri rust-src
}
echo "== AVX-512, interpreted"
export RUSTFLAGS=-Ctarget-feature=+avx2,+fma,+avx512f,+avx512bw,+avx512vl,+avx512vnni
# Without the checks of aliasing and of value validity, which would double the time.
export MIRIFLAGS="-Zmiri-disable-stacked-borrows -Zmiri-disable-validation -Zmir-opt-level=2"
# The programs that Miri makes name the folder of the clone, which cargo does not compare: a build
# folder shared with another clone would not run.
rm -rf "${CARGO_TARGET_DIR:-target}"/miri/*/debug/.fingerprint/medsa-kernels-*
cargo +nightly miri test --quiet -p medsa-kernels --lib --test variants -- \
    gelu::tests linear_layer convolution window_attention relative_positions 2>&1 |
    grep -v -e "explicitly enabled MIR" -e "^$"
