# Compiler, flags and libraries of each CONFIG.

ifeq ($(origin CC),default)
CC := gcc
endif

ifeq ($(CONFIG),release)
CONFIG_CFLAGS := -O2 -g
else ifeq ($(CONFIG),debug)
CONFIG_CFLAGS := -O1 -g -DUMM_DEBUG
else ifeq ($(CONFIG),asan)
CONFIG_CFLAGS := -O1 -g -DUMM_DEBUG -fno-omit-frame-pointer
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(CONFIG),tsan)
CONFIG_CFLAGS := -O1 -g -DUMM_DEBUG -fno-omit-frame-pointer
SANITIZE := -fsanitize=thread
else ifeq ($(CONFIG),fuzz)
# libFuzzer is part of clang; only the programs of tests/fuzz/ are built this way.
CC := clang
CONFIG_CFLAGS := -O1 -g -DUMM_DEBUG -fno-omit-frame-pointer -Wno-gnu-variable-sized-type-not-at-end
SANITIZE := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
else
$(error CONFIG=$(CONFIG) is unknown; use release, debug, asan, tsan or fuzz)
endif

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla
CPPFLAGS_ALL := -D_GNU_SOURCE -Iinclude -I. $(CPPFLAGS)
# -fPIC everywhere: librmap.a may end up in someone's shared object.
CFLAGS_PLAIN := -std=gnu11 $(WARNINGS) -pthread $(CFLAGS)
CFLAGS_ALL := $(CFLAGS_PLAIN) -fPIC $(CONFIG_CFLAGS) $(SANITIZE)
LDFLAGS_ALL := -pthread $(SANITIZE) $(LDFLAGS)

# pkg_libs(PACKAGE, FALLBACK): the linker flags, also where pkg-config is missing.
pkg_libs = $(or $(shell pkg-config --libs $(1) 2>/dev/null),$(2))

LIBS := $(call pkg_libs,liburing,-luring) -lnuma $(call pkg_libs,libconfig,-lconfig) \
	$(call pkg_libs,jansson,-ljansson) $(call pkg_libs,liblz4,-llz4) \
	$(call pkg_libs,libzstd,-lzstd) $(call pkg_libs,libseccomp,-lseccomp) -lpthread -lm
TEST_LIBS := -lcunit $(LIBS)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif
