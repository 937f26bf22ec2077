#!/usr/bin/env bash
# Fuzzes every target for some seconds, two at a time, starting from the seeds in fuzz/seeds. Stops at
# the first finding and names its input.
#   usage: tools/fuzz.sh smoke | SECONDS [TARGET...]
# `smoke` is for `make check`: 20 s for each target, as reproducible as possible. With SECONDS, it
# continues from the corpus of earlier runs (~/.cache/medsa/fuzz/corpus).
# Needs the tools that `tools/setup.sh check` installs.
set -euo pipefail
cd "$(dirname "$0")/.."

how=$1
shift
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}/fuzz
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(basename -a -s .rs fuzz/fuzz_targets/*.rs)

# The stable compiler supports sanitizers only with this variable.
export RUSTC_BOOTSTRAP=1
host=$(rustc -vV | sed -n 's/^host: //p')
"${cache%/fuzz}/tools/bin/cargo-fuzz" fuzz build --fuzz-dir fuzz --target-dir "$cache/target"
programs=$cache/target/$host/release

run() {
    local target=$1 corpus=$cache/corpus/$1 artifacts=$cache/artifacts/$1 options
    if [ "$how" = smoke ]; then
        corpus=$(mktemp -d)
        options=(-seed=1 -max_total_time=20)
    else
        options=("-max_total_time=$how")
    fi
    mkdir -p "$corpus" "$artifacts"
    # The example configurations are seeds, too.
    [ "$target" != config ] ||
        options+=("-seed_inputs=edge/edge.example.toml,boards/common/edge.toml")
    # Excessive memory or time for a small input is a finding, too.
    "$programs/$target" "$corpus" "fuzz/seeds/$target" "${options[@]}" -max_len=65536 -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="$artifacts/" -print_final_stats=1 \
        >"$artifacts/log" 2>&1 || {
        tail -n 40 "$artifacts/log"
        echo "error: fuzzing $target found something; its input is in $artifacts" >&2
        return 1
    }
    [ "$how" != smoke ] || rm -r "$corpus"
    echo "$target: $(sed -nE 's/^stat::number_of_executed_units: *//p' "$artifacts/log") inputs"
}
export -f run
export cache how programs
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'set -euo pipefail; run {}'
