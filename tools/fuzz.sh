#!/usr/bin/env bash
# Fuzzes every target for some seconds, two at a time, from the seeds in fuzz/seeds and what was
# found before. A finding ends it with its input, in ~/.cache/medsa/fuzz/artifacts.
#   usage: tools/fuzz.sh SECONDS [TARGET...]
# Uses what tools/setup.sh check installs.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(basename -a -s .rs fuzz/fuzz_targets/*.rs)

# The stable compiler has what sanitizers need, and asks for this word.
export RUSTC_BOOTSTRAP=1
built=$cache/fuzz/target
"$cache/tools/bin/cargo-fuzz" fuzz build --fuzz-dir fuzz --target-dir "$built"

run() {
    local target=$1 corpus=$cache/fuzz/corpus/$1 artifacts=$cache/fuzz/artifacts/$1
    mkdir -p "$corpus" "$artifacts"
    # Above all measures: memory that a small input makes a reader ask for, and time.
    "$built/$(rustc -vV | sed -n 's/^host: //p')/release/$target" "$corpus" "fuzz/seeds/$target" \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$artifacts/" -print_final_stats=1 >"$artifacts/log" 2>&1 || {
        tail -n 40 "$artifacts/log"
        echo "error: fuzzing $target found something" >&2
        return 1
    }
    echo "$target: $(sed -nE 's/^stat::number_of_executed_units: //p' "$artifacts/log") inputs"
}
export -f run
export cache built seconds
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'set -euo pipefail; run {}'
