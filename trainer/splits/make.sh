#!/usr/bin/env bash
# Splits the public data sets that the adapters in this repository are trained on.
#   usage: trainer/splits/make.sh DATA      (DATA holds one folder for each data set)
set -euo pipefail
data=$1
out=$(dirname "$0")
split() { medsa-train split --data "$data/$1" --out "$out/$1.json" "${@:2}"; }

split usgra-nerve
split busi-breast
split aponeurosis
split kvasir-seg
# 019_HC and 019_2HC show the same pregnancy.
split hc18-fetal-head --group '^[0-9]+'
# Neighbouring numbers often show the same patient: blocks of a hundred numbers stay together.
split mmotu-ovary --group '^[0-9]{2}'
# By recording. Three of them are never trained on, to measure following.
split carotid --group '^[0-9]{4}' --test-groups 0027,0032,0033 --validation 0.13
# By sequence. The last one is never trained on, to measure following.
split vocalfolds --group '^seq[0-9]' --test-groups seq4 --validation-groups seq1
