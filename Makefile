# make demo    the main job on a real ultrasound clip
# make test    all tests: at most 10 minutes, when everything is built
# make check   formatting, clippy, documentation and links, licences and duplicate versions of
#              dependencies, shell scripts, the page, some seconds of fuzzing: at most 10 minutes
# make long    what takes longer, by hand: whole data sets, an hour of service, packages for boards
#              on emulated processors, memory errors, more fuzzing; needs ../shared
# make arm     the service as Debian packages for all boards, run on emulated processors
# make bench   kernels, other runtimes on the same network, instructions on ARM
# They set up what they need (tools/setup.sh) and build in one profile.
#
# A test whose input or tool is missing fails. MEDSA_SKIP=name,... skips such tests instead, and the
# last line of `make test` says which: arm, browser, dciodvfy, dicom, dpkg, ffmpeg, litemedsam,
# mosquitto, mpi, openssl, python3, rauc, root, ssh, systemd, venv. A processor without AVX-512 is
# such a skip without being listed.

.PHONY: demo test check long arm bench

demo:
	@tools/demo.sh

test:
	@tools/test.sh

check:
	@tools/check.sh

long:
	@tools/long.sh

arm:
	@tools/arm.sh

bench:
	@tools/bench.sh
