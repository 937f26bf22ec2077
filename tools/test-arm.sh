#!/usr/bin/env bash
# Runs the tests of the kernels on emulated ARM processors: with the dot product, without it, and with
# int8 matrix products.
# Needs the tools that tools/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/skip.sh

if skips arm; then exit; fi
for cpu in cortex-a76 cortex-a72 max,pauth-impdef=on; do
    echo "== $cpu"
    QEMU_CPU=$cpu cargo test --quiet --profile emulated --target aarch64-unknown-linux-gnu \
        -p medsa-kernels --lib --tests
done
