# Test programs, and the targets that run them. What `make check` runs: tests/run-check.

SOAK_SECONDS ?= 1800
FUZZ_SECONDS ?= 600

UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_HELP_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
MODEL_SRC := $(wildcard tests/model/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
GUEST_TEST_SRC := $(wildcard tests/guest/progs/*.c)
LAB_SRC := $(wildcard tests/lab/*.c)

UNIT_OBJ := $(call objects,$(UNIT_SRC))
UNIT_HELP_OBJ := $(call objects,$(UNIT_HELP_SRC))
MODEL_OBJ := $(call objects,$(MODEL_SRC))
FUZZ_OBJ := $(call objects,$(FUZZ_SRC))

UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))
MODEL_TESTS := $(if $(MODEL_SRC),$(B)/tests/model/model)
FUZZ_TESTS := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(FUZZ_SRC))
GUEST_TESTS := $(patsubst tests/guest/progs/%.c,$(B)/tests/guest/%,$(GUEST_TEST_SRC))
LAB_TOOLS := $(patsubst %.c,$(B)/%,$(LAB_SRC))

ROOMS_GUEST := $(B)/obj/libguest.a
ROOMS_VMM := $(B)/obj/libvmm.a $(B)/obj/libguest.a

define link_test
$(say) LD $@
@mkdir -p $(@D)
$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(TEST_LIBS)
endef

$(B)/tests/unit/test_guest_%: $(B)/obj/tests/unit/test_guest_%.o $(UNIT_HELP_OBJ) $(ROOMS_GUEST) \
		$(B)/librmap.a
	$(link_test)

$(B)/tests/unit/test_vmm_%: $(B)/obj/tests/unit/test_vmm_%.o $(UNIT_HELP_OBJ) $(ROOMS_VMM) \
		$(B)/librmap.a
	$(link_test)

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(UNIT_HELP_OBJ) $(B)/librmap.a
	$(link_test)

$(B)/tests/model/model: $(MODEL_OBJ) $(UNIT_HELP_OBJ) $(B)/librmap.a
	$(link_test)

# With libFuzzer's main(): for CONFIG=fuzz.
$(B)/tests/fuzz/%: LDFLAGS_ALL += -fsanitize=fuzzer
$(B)/tests/fuzz/%: $(B)/obj/tests/fuzz/%.o $(UNIT_HELP_OBJ) $(ROOMS_VMM) $(B)/librmap.a
	$(link_test)

# These make wrong calls on purpose: warnings are shown but do not stop the build.
define compile_static
$(say) CC $<
@mkdir -p $(@D)
$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_PLAIN) -Wno-error -O1 -g -static -MMD -MP -MF $@.d -o $@ $<
endef

$(B)/tests/guest/%: tests/guest/progs/%.c
	$(compile_static)

$(B)/tests/lab/%: tests/lab/%.c
	$(compile_static)

-include $(UNIT_OBJ:.o=.d) $(UNIT_HELP_OBJ:.o=.d) $(MODEL_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d)
-include $(GUEST_TESTS:=.d) $(LAB_TOOLS:=.d)

# host-tests run as ordinary programs and may be sanitized; threaded-tests are for CONFIG=tsan,
# fuzz-tests for CONFIG=fuzz.
host-tests: $(UNIT_TESTS) $(MODEL_TESTS)
fuzz-tests: $(FUZZ_TESTS)
threaded-tests: $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(shell tests/threaded))
guest-tests: $(GUEST_TESTS) $(LAB_TOOLS)
tests: host-tests guest-tests

check: deps
	@ONLY='$(ONLY)' tests/run-check

soak: deps
	@SOAK_SECONDS=$(SOAK_SECONDS) tests/run-soak

fuzz: deps
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=fuzz fuzz-tests
	@for t in $(FUZZ_SRC:tests/fuzz/%.c=%); do \
		UMM_TEST_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run "$$t" || exit; done

lab: deps
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=release build guest-tests
	@TOPOLOGY='$(TOPOLOGY)' NPT='$(NPT)' JOB='$(JOB)' OUT='$(OUT)' tests/lab/start

bench:
	@mk/deps.sh
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=release build
	@build/release/umm bench launch
	@build/release/umm bench migrate --quick
	@build/release/umm bench reclaim --quick --out build/bench-reclaim

# Takes some ten minutes; the pictures are in build/plots.
bench-plots:
	@mk/deps.sh gnuplot-nox
	@$(MAKE) --no-print-directory $(JOBS) CONFIG=release build
	@build/release/umm bench migrate --plot build/plots

lint:
	@tests/lint/run

FORMATTED := $(wildcard include/umm/*.h rmap/*.[ch] guest/*.[ch] guest/workloads/*.[ch] vmm/*.[ch] \
	tests/unit/*.[ch] tests/model/*.[ch] tests/fuzz/*.[ch] tests/guest/*/*.[ch] tests/lab/*.[ch])

format:
	clang-format -i $(FORMATTED)

.PHONY: host-tests threaded-tests fuzz-tests guest-tests tests check soak fuzz lab bench bench-plots lint format
