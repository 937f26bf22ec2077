#!/usr/bin/env bash
# Compiles medsa-train for NVIDIA GPUs. Needs neither a GPU nor the CUDA toolkit: compiler, headers and
# libraries come from Python packages. Everything goes to ~/.cache/medsa/cuda, some gigabytes.
#   CUDA_COMPUTE_CAP=90   compute capability of the GPU; 90 is H100 and H200
set -euo pipefail
cd "$(dirname "$0")/.."

cuda=${MEDSA_CACHE:-$HOME/.cache/medsa}/cuda
venv=$cuda/venv
target=$cuda/target
say() { printf '\n== %s\n' "$*"; }

tools/setup.sh demo
packages="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88"
packages+=" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88"
packages+=" nvidia-curand==10.4.0.35 nvidia-cublas==13.0.2.14"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$packages" ]; then
    say "installing $packages"
    rm -rf "$venv"
    python3 -m venv "$venv"
    # shellcheck disable=SC2086 # a list
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps $packages
    echo "$packages" >"$venv/installed"
fi

toolkit=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
# The packages hold libraries for running programs, without the names that a linker looks for.
for library in cublas cublasLt cudart curand nvrtc; do
    ln -sf "$(basename "$toolkit"/lib/lib$library.so.*)" "$toolkit/lib/lib$library.so"
done
export CUDA_HOME=$toolkit CUDA_PATH=$toolkit
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
# cudarc refuses toolkits that are newer than it is.
export CUDARC_CUDA_VERSION=13000
build=(cargo build --release -p medsa-trainer --features cuda --target-dir "$target")

say "compiling for compute capability $CUDA_COMPUTE_CAP"
"${build[@]}" --lib
# The driver's library belongs to the driver. For linking, one with the same names suffices.
mkdir -p "$toolkit/lib/stubs"
nm -u "$target"/release/deps/libcudarc-*.rlib 2>/dev/null | awk '$2 ~ /^cu[A-Z]/ { print $2 }' |
    sort -u | sed 's/.*/void &(void) {}/' |
    cc -x c - -shared -Wl,-soname,libcuda.so.1 -o "$toolkit/lib/stubs/libcuda.so"
"${build[@]}" --bins

say "$target/release/medsa-train is compiled; it has not been run"
echo "On a machine with the driver, run it with LD_LIBRARY_PATH=$toolkit/lib"
