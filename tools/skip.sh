# Sourced by the scripts that run tests. MEDSA_SKIP=name,... lists inputs whose tests are skipped; the
# names are in NEEDS in tests/inputs/src/lib.rs.
# shellcheck shell=bash

# skips NAME: succeeds and records the skip if MEDSA_SKIP lists NAME.
skips() {
    [[ ,${MEDSA_SKIP:-}, == *,"$1",* ]] || return 1
    note_skip "$1 (MEDSA_SKIP)"
}

# note_skip TEXT: adds TEXT to the last lines of `make test`.
note_skip() {
    echo "skipped: $1" >&2
    if [ "${MEDSA_SKIPPED:-}" ]; then echo "$1" >>"$MEDSA_SKIPPED"; fi
}
