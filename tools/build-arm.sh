#!/usr/bin/env bash
# Builds what tests run on emulated ARM processors beside the kernels' own tests: the engine.
# Uses what tools/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/skip.sh

if skips arm; then exit; fi
cargo build --profile emulated --target aarch64-unknown-linux-gnu -p medsa-engine --example engine
