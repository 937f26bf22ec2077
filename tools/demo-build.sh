# shellcheck shell=bash
# Makes the build of `make demo` and `make live`, which source it: . tools/demo-build.sh demo|live FOLDER
# Sets `out` (that folder, with build.medsa), `cache`, `clip` (an echocardiography cine of 30 frames),
# `bin` (the folder of the programs), `free_port` and `say`.

purpose=$1
out=$2
input_size=${INPUT_SIZE:-128}
precision=${PRECISION:-int8}
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
clip=$cache/assets/examples_ybr_color.dcm
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
say() { printf '\n== %s\n' "$*"; }

say "1/5 installing missing requirements"
tools/setup.sh "$purpose"

say "2/5 building (the first time takes ten to twenty minutes on two cores)"
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
