#!/usr/bin/env bash
# Records a session on the touchscreen page with the demo's clip and build: tap, follow, loss, return,
# freeze, scroll, capture, review. Writes docs/src/images/session.webm.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tools/demo-build.sh
. tools/demo-build.sh test live-out

cp "$clip" "$out/cine.dcm"
say "5/5 recording two minutes"
MEDSA_SESSION=$PWD/$out cargo test --release --workspace --features medsa-trainer/mpi --test it -- \
    --ignored --exact http::recording::session --nocapture
cp "$out/session.webm" docs/src/images/session.webm
ls -l docs/src/images/session.webm
