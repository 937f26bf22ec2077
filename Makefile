# make demo    main workflow on a real ultrasound clip
# make live    the touchscreen page on the same clip, until Ctrl-C; LAN=1 for phones and tablets
# make adapter adapter and signed build from images with masks; by default from 40 ultrasound images
# make test    all tests; 8 to 16 minutes once everything is built, by processor
# make check   formatting, clippy, documentation, book, links and paths, licences and duplicate
#              versions of dependencies, shell scripts, page, short fuzzing; at most 10 minutes once
#              everything is built
# make long    tests that take hours, run by hand: whole data sets, endurance of the service,
#              packages on emulated processors, memory errors, more fuzzing; needs ../shared
# make arm     Debian packages for all boards, and a run of the program on emulated processors
# make bench   measurements: kernels, other runtimes on the same network, instructions on ARM
# make cuda    the trainer compiled for NVIDIA GPUs, without a GPU; run by hand
#
# All targets install missing requirements (tools/setup.sh). They share one build profile.
#
# A test fails if its input or tool is missing. MEDSA_SKIP=name,... skips such tests, and the last
# line of `make test` lists what was skipped. Names: arm, asyncapi, avx512, browser, dciodvfy, dcmtk,
# dicom, dpkg, ffmpeg, litemedsam, mosquitto, mpi, openssl, orthanc, prometheus, python3, rauc, root,
# shared, ssh, systemd, typescript, venv. On a processor without AVX-512, its tests are skipped without being
# listed.

.PHONY: demo live adapter test check long arm bench cuda

demo:
	@tools/demo.sh

live:
	@tools/live.sh

adapter:
	@tools/adapter.sh

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

cuda:
	@tools/cuda.sh
