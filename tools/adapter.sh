#!/usr/bin/env bash
# Makes an adapter and a signed build from images with masks: checks and splits the images, trains the
# adapter `general` further on them, measures it, makes an int8 build, and publishes this in a
# repository for devices. Equal inputs give equal builds, byte for byte.
#   DATA=folder          images/ and masks/ (docs/src/research/data.md); by default 40 ultrasound images
#                        of nerves and vessels, which take an hour on two cores
#   CLASSES=nerve,vessel names of the values 1, 2, ... in the masks
#   GROUP='^[0-9]{4}'    pattern of the subject in the names of the images
#   OUT=adapter-out      folder for all results; a stopped training in it is continued
#   STEPS=200            length of the training
#   VERSION=0.1.0        version of the build
set -euo pipefail
cd "$(dirname "$0")/.."

out=${OUT:-adapter-out}
data=${DATA:-tests/data/usgra-nerve}
if [ -z "${CLASSES:-}" ]; then
    if [ -n "${DATA:-}" ]; then
        echo "error: set CLASSES to the names of the values 1, 2, ... in the masks, as nerve,vessel" >&2
        exit 2
    fi
    CLASSES=nerve,vessel
fi
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
general=trainer/adapters/general
say() { printf '\n== %s\n' "$*"; }

say "1/6 installing missing requirements"
tools/setup.sh demo

say "2/6 building"
cargo build --release -p medsa-trainer -p medsa-export -p medsa-boards --bins
bin=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$out"

say "3/6 checking and splitting the images in $data"
"$bin/medsa-train" import --base "$cache/assets/lite_medsam.pth" --out "$out/base.safetensors"
"$bin/medsa-train" check --data "$data"
split=$data/split.json
if [ ! -e "$split" ]; then
    split=$out/split.json
    [ -e "$split" ] ||
        "$bin/medsa-train" split --data "$data" --out "$split" ${GROUP:+--group "$GROUP"}
fi

say "4/6 training, on from the adapter general"
# A configuration that is there already may have been changed by hand.
if [ ! -e "$out/fit.toml" ]; then
    # Names as TOML strings.
    names=$(printf '"%s"' "$CLASSES" | sed 's/ *, */", "/g')
    {
        cat <<CONFIG
# Written by tools/adapter.sh; trainer/fit.example.toml explains all keys.
base = "base.safetensors"
adapter = "$(realpath "$general/adapter.safetensors")"
out = "run"
task = "$(basename "$(realpath "$data")")"
input_size = 128

[[data]]
path = "$(realpath "$data")"
split = "$(realpath "$split")"
classes = [$names]

CONFIG
        sed -n '/^\[adapters\]/,$p' "$general/fit.toml"
    } >"$out/fit.toml"
fi
steps=${STEPS:-200}
resume=()
[ ! -e "$out/run/state.safetensors" ] || resume=(--resume)
"$bin/medsa-train" fit --config "$out/fit.toml" "${resume[@]}" --set "fit.steps=$steps" \
    --set "optimizer.warmup_steps=$((steps / 10))" --set "validation.every=$(((steps + 3) / 4))"

say "5/6 making an int8 build"
adapter=$out/run/best.safetensors
"$bin/medsa-export" build --base "$out/base.safetensors" --adapter "$adapter" \
    --calibration "$data/images" --licence "$cache/assets/LiteMedSAM-LICENSE.txt" \
    --build-version "${VERSION:-0.1.0}" --out "$out/build.medsa"
"$bin/medsa-export" verify "$out/build.medsa" --base "$out/base.safetensors" --adapter "$adapter" \
    --data "$data" --split "$split" --classes "$CLASSES" --card "$out/card.html"

say "6/6 publishing it"
[ -e "$out/repository" ] ||
    "$bin/medsa-flash" keygen --repository "$out/repository" --keys "$out/keys"
"$bin/medsa-flash" publish --repository "$out/repository" --keys "$out/keys" "$out/build.medsa"

say "done: $out/card.html shows what the build finds, $out/run what the training did"
echo "The repository $out/repository goes to a stick or a web server. Keep $out/keys secret: they sign"
echo "what your devices install. Devices get $out/keys/root.json once; see docs/src/device/update.md."
