#!/usr/bin/env bash
# Counts doc comments of Rust, and comments of the page and of manifests, that begin with a question
# word instead of the name of the thing, and fails above a limit.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=5
words='What|Which|Who|Whose|Why|Where|How|Of|Whether'
# Only the first line of each comment; later lines may begin in the middle of a sentence.
# shellcheck disable=SC2016 # awk's own variables
found=$(git ls-files '*.rs' '*.ts' '*.tsx' '*.raucm' | xargs awk -v words="$words" '
    FNR == 1 {
        inside = 0
        marks = FILENAME ~ /\.rs$/ ? "//[/!]" : FILENAME ~ /\.tsx?$/ ? "(//|/[*][*]?)" : "#"
    }
    {
        is_doc = $0 ~ "^[[:space:]]*" marks "( |$)"
        if (is_doc && !inside && $0 ~ "^[[:space:]]*" marks " (" words ")[^[:alnum:]]") {
            print FILENAME ":" FNR ": " $0
        }
        inside = is_doc
    }')
count=$(grep -c . <<<"$found" || true)
echo "$count comments begin with a question word, at most $limit are accepted"
if [ "$count" -gt "$limit" ]; then
    echo "$found"
    exit 1
fi
