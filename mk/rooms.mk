# The product: librmap, umm and the workloads, one block a room.

RMAP_SRC := $(wildcard rmap/*.c)
GUEST_SRC := $(wildcard guest/*.c guest/stubs/*.S)
VMM_SRC := $(wildcard vmm/*.c)
WORKLOAD_SRC := $(wildcard guest/workloads/*.c)
PUBLIC_HEADERS := $(wildcard include/umm/*.h)

objects = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))

RMAP_OBJ := $(call objects,$(RMAP_SRC))
GUEST_OBJ := $(call objects,$(GUEST_SRC))
VMM_OBJ := $(call objects,$(VMM_SRC))
WORKLOADS := $(patsubst guest/workloads/%.c,$(B)/workloads/%,$(WORKLOAD_SRC))

SO_MAJOR := 0
SO_VERSION := $(SO_MAJOR).1.0
SO_NAME := librmap.so.$(SO_MAJOR)

$(B)/obj/%.o: %.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.S
	$(say) AS $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CONFIG_CFLAGS) -MMD -MP -c -o $@ $<

# --- the vDSO: a shared object of its own, for the guest, embedded into umm ----------------------

VDSO := $(B)/obj/guest/vdso/vdso.so
VDSO_CFLAGS := $(WARNINGS) -std=gnu11 -O2 -ffreestanding -fPIC -fvisibility=hidden -mno-sse -mno-mmx \
	-fno-stack-protector -fcf-protection=none -fasynchronous-unwind-tables
VDSO_LDFLAGS := -nostdlib -shared -Wl,-T,guest/vdso/vdso.lds -Wl,-soname,linux-vdso.so.1 \
	-Wl,--hash-style=both -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,text -Wl,-z,max-page-size=4096 \
	-Wl,--build-id=none -Wl,--eh-frame-hdr -Wl,-s

$(VDSO): guest/vdso/vdso.c guest/vdso/vdso.lds
	$(say) VDSO $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(VDSO_CFLAGS) -MMD -MP -MT $@ -MF $@.d -o $@ $< $(VDSO_LDFLAGS)

$(B)/obj/guest/stubs/vdso_image.o: $(VDSO)
$(B)/obj/guest/stubs/vdso_image.o: CPPFLAGS_ALL += -Wa,-I$(dir $(VDSO))

# --- librmap -------------------------------------------------------------------------------

$(B)/librmap.a: $(RMAP_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

# A missing function must not wait for the program that links; a sanitizer's come with the program.
NO_UNDEFINED := $(if $(SANITIZE),,-Wl,-z,defs)

# The shared library exports what the public headers declare and nothing else.
$(B)/librmap.map: $(PUBLIC_HEADERS) mk/exports.sh
	@mkdir -p $(@D)
	$(Q)mk/exports.sh $(PUBLIC_HEADERS) >$@

$(B)/librmap.so: $(RMAP_OBJ) $(B)/librmap.map
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) $(NO_UNDEFINED) -shared -Wl,-soname,$(SO_NAME) \
		-Wl,--version-script=$(B)/librmap.map -o $@ $(RMAP_OBJ) -lpthread
	$(Q)ln -sf librmap.so $(B)/$(SO_NAME)

$(B)/librmap.pc: mk/librmap.pc.in Makefile mk/rooms.mk
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(SO_VERSION)|' $< >$@

ifneq ($(RMAP_SRC),)
LIB_IF_SOURCES := $(B)/librmap.a $(B)/librmap.so $(B)/librmap.pc
else
LIB_IF_SOURCES := note-no-rmap
endif

# --- umm -----------------------------------------------------------------------------------

# Archives, so that a unit test takes from a room only what it calls.
$(B)/obj/libguest.a: $(GUEST_OBJ)
	@rm -f $@ && mkdir -p $(@D) && ar rcs $@ $^

$(B)/obj/libvmm.a: $(filter-out $(B)/obj/vmm/main.o,$(VMM_OBJ))
	@rm -f $@ && mkdir -p $(@D) && ar rcs $@ $^

$(B)/umm: $(VMM_OBJ) $(GUEST_OBJ) $(B)/librmap.a
	$(say) LD $@
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(VMM_OBJ) $(GUEST_OBJ) $(B)/librmap.a $(LIBS)

ifneq ($(wildcard vmm/main.c),)
UMM_IF_MAIN := $(B)/umm
else
UMM_IF_MAIN := note-no-main
endif

note-no-main:
	@echo "note: no vmm/main.c yet, umm is not linked"
note-no-rmap:
	@echo "note: no rmap/*.c yet, librmap is not built"
.PHONY: note-no-main note-no-rmap

# --- workloads -----------------------------------------------------------------------------

# Guest programs: static, never sanitized (they run in a guest and natively alike).
$(B)/workloads/%: guest/workloads/%.c
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_PLAIN) -O2 -g -static -MMD -MP -MF $@.d -o $@ $< -lm

-include $(RMAP_OBJ:.o=.d) $(GUEST_OBJ:.o=.d) $(VMM_OBJ:.o=.d) $(WORKLOADS:=.d) $(VDSO).d
