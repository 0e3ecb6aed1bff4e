# umm: build, test, install. `make help` lists the targets.
#
# A new source file needs no edit here; the folder and the name decide:
#
#   rmap/*.c                   librmap.a, librmap.so (exports: what include/umm/ declares)
#   guest/*.c guest/stubs/*.S  umm
#   vmm/*.c                    umm (vmm/main.c holds main)
#   guest/workloads/*.c        workloads/NAME, one static program a file
#   tests/unit/test_*.c        tests/unit/NAME, one CUnit program a file, with librmap;
#                              test_guest_*: also with guest/; test_vmm_*: with guest/ and vmm/
#   tests/unit/OTHER.c         helpers, linked into every unit, model and fuzz program
#   tests/model/*.c            tests/model/model, one program, with librmap
#   tests/fuzz/fuzz_*.c        tests/fuzz/NAME, a libFuzzer target a file, with all rooms
#   tests/guest/progs/*.c      tests/guest/NAME, static guest programs for tests/guest/*.sh
#   tests/lab/*.c              tests/lab/NAME, static tools for the lab
#
# Everything is built below build/$(CONFIG)/; CONFIG is release, debug, asan, tsan or fuzz.

CONFIG ?= release
PREFIX ?= /usr/local
DESTDIR ?=
B := build/$(CONFIG)

all: build

include mk/config.mk
include mk/rooms.mk
include mk/tests.mk
include mk/install.mk

build: lib umm workloads

umm: $(UMM_IF_MAIN)

lib: $(LIB_IF_SOURCES)

workloads: $(WORKLOADS)

deps:
	@mk/deps.sh tests

# What is built for somebody who waits uses all processors.
JOBS := -j$(shell nproc)

run:
	@mk/deps.sh python3
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=release build
	@tests/guest/demo.sh

clean:
	rm -rf build/release build/debug build/asan build/tsan build/fuzz build/check \
		build/unavailable-packages

help:
	@echo "make               build umm, librmap and the workloads in build/release/"
	@echo "make run           install what is missing, build, and show umm at work"
	@echo "make check         every test; ends with the counts of passed, failed and skipped"
	@echo "make check ONLY=P  only the tests whose name matches the shell pattern P"
	@echo "make lint          the source rules: layering, exports, format, headers, lengths"
	@echo "make fuzz          the fuzz targets, FUZZ_SECONDS=$(FUZZ_SECONDS) each; what they find is kept"
	@echo "make soak          random tests and torture of programs for SOAK_SECONDS=$(SOAK_SECONDS) each"
	@echo "make lab           the tests on several NUMA nodes, in emulated machines"
	@echo "make lab TOPOLOGY=2|4|slow JOB=SCRIPT|COMMAND [NPT=0] [OUT=DIR]  your own job there"
	@echo "make bench         the figures: umm bench launch, migrate --quick, reclaim --quick"
	@echo "make bench-plots   all figures of migration, with pictures in build/plots"
	@echo "make format        rewrite the sources with clang-format"
	@echo "make deps          install the Debian packages that the targets above need"
	@echo "make install       to DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)"
	@echo "make clean         remove what was built (build/lab, the download cache, stays)"
	@echo "CONFIG=release|debug|asan|tsan|fuzz selects the build, V=1 shows the commands"

.PHONY: all build umm lib workloads deps run clean help
.DELETE_ON_ERROR:
.SECONDARY:
