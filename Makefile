# make demo   the main job on a real ultrasound clip
# make test   everything that is tested
# make check  formatting and lints
# Both set up what they need (tools/setup.sh) and build in one profile.

.PHONY: demo test check setup

demo:
	@tools/demo.sh

test: setup
	cargo build --release --workspace
	cargo test --release --workspace

check:
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings

setup:
	@tools/setup.sh test
