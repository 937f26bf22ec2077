#!/usr/bin/env bash
# Runs tests of the kernels in an interpreter (Miri) that knows AVX-512, where the processor does
# not and `cargo test` has left it out.
set -euo pipefail
cd "$(dirname "$0")/.."

if grep -q avx512_vnni /proc/cpuinfo 2>/dev/null; then exit; fi
if ! [ "$(uname -m)" = x86_64 ] || ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: AVX-512 on a processor without it is tested by a nightly Rust with Miri" >&2
    exit
fi
cargo +nightly miri --version >/dev/null 2>&1 || {
    echo "== installing Miri, which interprets programs (rustup component add)"
    rustup component add --toolchain nightly miri rust-src
}
echo "== AVX-512, interpreted"
export RUSTFLAGS=-Ctarget-feature=+avx2,+fma,+avx512f,+avx512bw,+avx512vl,+avx512vnni
# Pointers are checked only as far as processors do: it takes twice as long otherwise.
export MIRIFLAGS="-Zmiri-disable-stacked-borrows -Zmiri-disable-validation -Zmir-opt-level=2"
cargo +nightly miri test --quiet -p medsa-kernels --lib --test variants -- \
    gelu::tests linear_layer convolution window_attention relative_positions 2>&1 |
    grep -v -e "explicitly enabled MIR" -e "^$"
