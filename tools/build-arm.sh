#!/usr/bin/env bash
# Builds what tests run on emulated ARM processors beside the kernels' own tests: the engine.
# Uses what tools/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    command -v rustup >/dev/null && rustup target add $target || {
        echo "skipped: this Rust has no $target, and rustup cannot get it" >&2
        exit 0
    }
fi
cargo build --profile emulated --target $target -p medsa-engine --example engine
