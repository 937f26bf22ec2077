# make demo   the main job on a real ultrasound clip
# make test   everything that is tested
# make check  formatting and lints
# make arm    the service as Debian packages for all boards, run on emulated processors
# make bench  kernels, other runtimes on the same network, instructions on ARM
# They set up what they need (tools/setup.sh) and build in one profile.

.PHONY: demo test check arm bench setup

demo:
	@tools/demo.sh

# With MPI, so that training by several processes is tested too. In one profile and with one set
# of features: the trainer is built once.
test: setup
	cargo build --release --workspace --features medsa-trainer/mpi
	@tools/build-arm.sh
	cargo test --release --workspace --features medsa-trainer/mpi
	@tools/test-arm.sh
	@tools/test-avx512.sh

check: setup
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p medsa-trainer --all-targets --features mpi -- -D warnings

arm:
	@tools/arm.sh

bench:
	@tools/bench.sh

setup:
	@tools/setup.sh test
