#!/usr/bin/env bash
# Counts the instructions of a frame on emulated ARM processors. Only a real board shows the time of a
# frame, but fewer instructions of the same kinds take less time, and counts are reproducible.
#
#   usage: counts.sh NAME SIZE PROGRAM ARGUMENT...
#   e.g.   counts.sh "ours int8" 256 engine 256 1 2 encoder.onnx decoder.onnx
#
# PROGRAM is an ARM program with one thread. After each run it writes `encoder` or `decoder` to
# standard error, like engine/examples/engine.rs and runtimes.py. Prints a row of a Markdown table for
# each processor (`counts.sh --head` prints the head), in millions of instructions of the last run of
# each; the first run is cold.
#
#   CPUS          names of processors in qemu-aarch64; by default the two below
#   ARM_ROOT      folder with ARM libraries; by default that of Debian's cross compiler
#   FUNCTIONS=on  also prints the functions with most instructions of the last run to standard error
set -euo pipefail

if [ "${1:-}" = --head ]; then
    echo "| processor | runtime | px | encoder | decoder |"
    echo "|---|---|---|---|---|"
    exit
fi
name=$1 size=$2
shift 2
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cc -shared -fPIC -O2 -o "$work/count.so" "$here/count.c"

# Programs that read /proc or /sys would find the host's processor. A file of the same path in qemu's
# root has precedence.
root() {
    local cpu=$1 root=$work/$1 features part
    case $cpu in
    cortex-a76) part=0xd0b features="asimdrdm lrcpc dcpop asimddp atomics fphp asimdhp" ;;
    cortex-a72) part=0xd08 features= ;;
    *)
        echo "error: $cpu is not known to counts.sh" >&2
        exit 1
        ;;
    esac
    mkdir -p "$root/proc" "$root/sys/devices/system/cpu"
    ln -s "$(realpath "${ARM_ROOT:-/usr/aarch64-linux-gnu}")"/* "$root/"
    cat >"$root/proc/cpuinfo" <<END
processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid $features
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: $part
CPU revision	: 1

END
    for list in possible present online; do echo 0 >"$root/sys/devices/system/cpu/$list"; done
    echo "$root"
}

# The last counts of encoder and decoder, from the plugin's lines and the names that follow them.
last_counts() {
    awk '
        $1 == "instructions" { count = $2; next }
        $1 == "encoder" || $1 == "decoder" { last[$1] = count }
        END {
            if (!("encoder" in last)) exit 1
            printf "%.1f | %.1f\n", last["encoder"] / 1e6, last["decoder"] / 1e6
        }' "$1"
}

# `function` lines precede the name of their step.
last_functions() {
    awk '
        $1 == "function" { part = part $0 "\n"; next }
        $1 == "instructions" { next }
        $1 == "encoder" || $1 == "decoder" { last[$1] = part }
        { part = "" }
        END { for (step in last) printf "%s\n%s", step, last[step] }' "$1" |
        { if command -v c++filt >/dev/null; then c++filt; else cat; fi; }
}

for cpu in ${CPUS:-cortex-a76 cortex-a72}; do
    log=$work/$cpu.log
    plugin=$work/count.so
    [ "${FUNCTIONS:-}" != on ] || plugin+=,functions=on
    if qemu-aarch64 -cpu "$cpu" -L "$(root "$cpu")" -plugin "$plugin" "$@" 2>"$log" >/dev/null &&
        counts=$(last_counts "$log"); then
        echo "| $cpu | $name | $size | $counts |"
    else
        echo "| $cpu | $name | $size | failed | |"
        tail -n 5 "$log" >&2
    fi
    [ "${FUNCTIONS:-}" != on ] || last_functions "$log" >&2
done
