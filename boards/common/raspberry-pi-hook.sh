#!/bin/sh
# Hook in RAUC's bundles for Raspberry Pis: makes the kernel of a firmware partition start the system
# beside it, instead of the one in the image.
set -eu
[ "$1" = slot-post-install ]
case $RAUC_SLOT_DEVICE in
*p2) root=${RAUC_SLOT_DEVICE%2}5 ;;
*p3) root=${RAUC_SLOT_DEVICE%3}6 ;;
*)
    echo "$RAUC_SLOT_DEVICE is no partition of firmware, expected the second or third" >&2
    exit 1
    ;;
esac
cmdline=$RAUC_SLOT_MOUNT_POINT/cmdline.txt
sed -i "s|\broot=[^ ]*|root=$root|" "$cmdline"
grep -q "\broot=$root\b" "$cmdline"
