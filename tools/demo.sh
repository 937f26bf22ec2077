#!/usr/bin/env bash
# Runs the main workflow, from the original model to masks over MQTT, on a real ultrasound clip: an
# echocardiography cine of 30 frames. Writes images to demo-out/.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tools/demo-build.sh
. tools/demo-build.sh demo demo-out

say "5/5 segmenting every frame of the clip with the edge service: embedded broker, one click"
port=$(free_port)
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
echo "To tap on the clip yourself, run make live."
