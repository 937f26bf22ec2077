#!/usr/bin/env bash
# Runs the main workflow, from the original model to masks over MQTT, on a real ultrasound clip: an
# echocardiography cine of 30 frames. Writes images to demo-out/.
set -euo pipefail
cd "$(dirname "$0")/.."

input_size=${INPUT_SIZE:-128}
precision=${PRECISION:-int8}
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
clip=$cache/assets/examples_ybr_color.dcm
out=demo-out
say() { printf '\n== %s\n' "$*"; }

say "1/5 installing missing requirements"
tools/setup.sh demo

say "2/5 building (the first time takes about ten minutes on two cores)"
# The programs that the demo runs, and nothing else.
cargo build --release -p medsa-trainer -p medsa-export -p medsa-edge --bins
bin=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$out"

say "3/5 importing LiteMedSAM"
"$bin/medsa-train" import --base "$cache/assets/lite_medsam.pth" --out "$out/base.safetensors"

say "4/5 exporting a build at $input_size px ($precision) with the click adapter"
adapter=trainer/adapters/ultrasound-clicks
# The adapter's own calibration; for other sizes, the network is calibrated on the clip.
calibration=$adapter/${input_size}px.calibration
[ -e "$calibration" ] || calibration=$clip
"$bin/medsa-export" build --base "$out/base.safetensors" \
    --adapter "$adapter/adapter.safetensors" --calibration "$calibration" --frames 4 \
    --input-size "$input_size" --precision "$precision" \
    --licence "$cache/assets/LiteMedSAM-LICENSE.txt" --out "$out/build.medsa"

say "5/5 segmenting every frame of the clip with the edge service: embedded broker, one click"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$out/edge.toml" <<CONFIG
[device]
id = "demo"

[build]
path = "build.medsa"

[source]
kind = "dicom"
path = "$clip"
pace = "every-frame"

[[prompt]]
object = 0
# A click in the left ventricle.
points = ["182,115"]

[broker]
kind = "embedded"
listen = "127.0.0.1:$port"
CONFIG
"$bin/medsa-edge" watch --broker "mqtt://127.0.0.1:$port" --clip "$clip" --until-offline \
    --out "$out/frames" --gif "$out/overlay.gif" --strip "$out/overlay.png" &
watch=$!
trap 'kill $watch 2>/dev/null || true' EXIT
"$bin/medsa-edge" run --config "$out/edge.toml" | tee "$out/table.txt"
wait $watch
trap - EXIT
say "done: $out/overlay.gif, $out/overlay.png (contact sheet), $out/table.txt"
