#!/usr/bin/env bash
# Runs all checks except the tests; see the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh check
cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
say() { printf '\n== %s\n' "$*"; }

say "format"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml

say "folders of the clone that compiled a test, where the one that runs it is meant"
if git grep -n 'env!("CARGO_MANIFEST_DIR")' -- '*.rs'; then exit 1; fi

say "clippy"
# In the profile of the tests, whose build scripts have already run; without MPI and with it.
cargo clippy --release --workspace --all-targets -- -D warnings
cargo clippy --release --workspace --all-targets --features medsa-trainer/mpi -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --features medsa-trainer/mpi
tools/lint-docs.sh
git ls-files -z '*.md' | xargs -0 python3 tools/lint-links.py
"$cache/tools/bin/mdbook" build --dest-dir "$cache/book" docs

say "import cycles between files"
tools/imports sam kernels bundle frames update wire wire/docs console edge export engine trainer \
    boards tests hospital

say "licences, duplicate versions and sources of dependencies"
"$cache/tools/bin/cargo-deny" --all-features --locked check --hide-inclusion-graph \
    licenses bans sources

say "scripts"
git ls-files -z '*.sh' .ci/run boards/common/postinst boards/common/prerm |
    xargs -0 shellcheck -x

say "page"
page_tools=edge/page/node_modules/.bin
"$page_tools/biome" lint --error-on-warnings edge/page export/src/card/card.css wire
"$page_tools/tsc" --noEmit --project edge/page
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
"$page_tools/vite" build edge/page --outDir "$built" --emptyOutDir --logLevel warn
diff -r "$built" edge/page/dist >/dev/null || {
    echo "error: edge/page/dist is not built from edge/page: run 'npm run build' there, and commit dist" >&2
    exit 1
}

say "fuzzing each target for some seconds"
tools/fuzz.sh smoke
