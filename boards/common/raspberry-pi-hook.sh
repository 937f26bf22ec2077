#!/bin/sh
# In bundles of RAUC for Raspberry Pis: the kernel that came with a firmware partition starts the
# system beside it, not the one that the image was made with.
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
