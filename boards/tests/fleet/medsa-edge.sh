#!/bin/sh
# The service's program on a device, with the commands that medsa-flash uses over ssh. Updates and
# rollbacks are those of medsa-flash for a mounted device.
set -eu
command=$1 device=$(dirname "$3")
[ "$2" = --config ] && [ -e "$3" ]
shift 3
case $command in
update)
    for repository; do :; done
    # The owner of the slots may be another user.
    [ -z "$(find "$repository" ! -perm -o+r)" ]
    (cd "$repository" && find . -type f | sort) >"$device/sent"
    exec '@FLASH@' stage --device "$device/slots" --root "$device/root.json" \
        --edge "$device/accept" --switch "$@"
    ;;
rollback) exec '@FLASH@' rollback --device "$device/slots" "$@" ;;
status)
    [ "$*" = --json ]
    slots=$('@FLASH@' status --device "$device/slots" --json)
    name=$(basename "$(dirname "$device")")
    printf '{"device":"%s bed","board":"raspberry-pi-5","version":"0.1.0","slots":%s,' \
        "${name%% *}" "$slots"
    build=$('@FLASH@' status --device "$device/slots" | sed -n 's/^slot .: \(.*\), in use.*/\1/p')
    printf '"health":{"build":"%s",%s},"health_error":null}\n' "$build" "$(cat "$device/health")"
    ;;
esac
