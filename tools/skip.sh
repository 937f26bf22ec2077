# Sourced by the scripts that run tests. MEDSA_SKIP=name,... lists what may be skipped; the names
# are those of NEEDS in tests/inputs/src/lib.rs.
# shellcheck shell=bash

# skips NAME: whether MEDSA_SKIP lists it; then it is noted.
skips() {
    [[ ,${MEDSA_SKIP:-}, == *,"$1",* ]] || return 1
    note_skip "$1 (MEDSA_SKIP)"
}

# note_skip TEXT: adds it to the last lines of `make test`.
note_skip() {
    echo "skipped: $1" >&2
    if [ "${MEDSA_SKIPPED:-}" ]; then echo "$1" >>"$MEDSA_SKIPPED"; fi
}
