#!/usr/bin/env bash
# Submits a job array that trains each ablation with each seed, and a job that compares the runs after
# the array has ended. Options after FOLDER are passed to sbatch for both.
#   usage: sweep.sh CONFIG FOLDER [SBATCH_OPTION]...
set -euo pipefail
here=$(dirname "$0")
config=$1 folder=$2
shift 2
mkdir -p "$folder"

# Name of the ablation, and its arguments for `medsa-train fit`.
while read -r name arguments; do
    for seed in 0 1 2; do
        echo "--set out=$folder/$name-$seed --set seed=$seed $arguments"
    done
done >"$folder/tasks" <<'ABLATIONS'
ours
no-hyp --set adapters.decoder.hyp_maps=0
decoder-alone --set adapters.space=false --set adapters.mlp=false
ABLATIONS

array=$(TASKS=$folder/tasks sbatch --parsable --array="1-$(wc -l <"$folder/tasks")" \
    --output="$folder/%A-%a.log" "$@" "$here/fit.sh" --config "$config")
compare=$(sbatch --parsable --job-name=medsa-compare --dependency="afterany:$array" \
    --output="$folder/compare.txt" "$@" --wrap "medsa-train compare $folder/*-[0-9]")
echo "submitted jobs $array and $compare; the table will be in $folder/compare.txt"
