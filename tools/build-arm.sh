#!/usr/bin/env bash
# Builds the engine for the tests of `make long` on emulated ARM processors. The kernels have their own tests.
# Needs the tools that tools/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/skip.sh

if skips arm; then exit; fi
cargo build --profile emulated --target aarch64-unknown-linux-gnu -p medsa-engine --example engine
