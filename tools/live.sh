#!/usr/bin/env bash
# Serves the touchscreen page until Ctrl-C, with the echocardiography cine of the demo played forth and
# back, an embedded broker, and storage of captures in live-out/records.
#   SOURCE=/dev/video0   a camera or grabber instead of the cine
#   LAN=1                also for phones and tablets in the same network: encrypted, with a token
#   PORT=8080            port of the page
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tools/demo-build.sh
. tools/demo-build.sh live live-out

port=${PORT:-$(free_port)}
address=127.0.0.1
url=http://$address:$port/
access=
if [ "${LAN:-}" ]; then
    address=$(hostname -I | cut -d' ' -f1)
    [ "$address" ] || {
        echo "error: this machine has no address in a network; run make live without LAN=1" >&2
        exit 1
    }
    url=https://$address:$port/
    umask 077
    [ -e "$out/token" ] || head -c 9 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$out/token"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -batch \
        -subj "/CN=$address" -addext "subjectAltName=IP:$address" \
        -keyout "$out/page.key" -out "$out/page.pem" 2>/dev/null
    access='token_file = "token"
certificate = "page.pem"
key = "page.key"'
fi
if [ "${SOURCE:-}" ]; then
    if [ -z "${BLANK:-}" ]; then
        echo "error: set BLANK to the areas that may show a patient's name, such as" >&2
        echo "  BLANK='[[0, 0, 640, 40]]' FRAME_SIZE='[640, 480]', or BLANK='[]' if there are none" >&2
        exit 2
    fi
    source="kind = \"v4l2\"
device = \"$SOURCE\"
${FRAME_SIZE:+frame_size = $FRAME_SIZE}
blank = $BLANK"
else
    source="kind = \"dicom\"
path = \"$clip\"
at_end = \"reverse\"
# Nothing is hidden: the cine shows no name of a patient.
blank = []"
fi

cat >"$out/edge.toml" <<CONFIG
[device]
id = "live"

[build]
path = "build.medsa"

[source]
$source

[http]
listen = "$address:$port"
control = true
$access

[broker]
kind = "embedded"
listen = "127.0.0.1:$(free_port)"

[records]
folder = "records"
CONFIG

say "5/5 serving the page at $url (Ctrl-C ends)"
if [ "${LAN:-}" ]; then
    qrencode -t ANSIUTF8 "$url"
    echo "access token: $(cat "$out/token")"
    echo "The certificate is this machine's own, so the browser asks before it shows the page."
else
    echo "For a phone or tablet in the same network, run LAN=1 make live."
fi
for camera in /dev/video*; do
    if [ -e "$camera" ] && [ -z "${SOURCE:-}" ]; then
        echo "To use a camera, run SOURCE=$camera make live."
        break
    fi
done
echo "Tap the left ventricle, the dark cavity in the middle. Captures are kept in $out/records."
command -v xdg-open >/dev/null && [ "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && xdg-open "$url" &
exec "$bin/medsa-edge" run --config "$out/edge.toml"
