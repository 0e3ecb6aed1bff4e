/* SPDX-License-Identifier: MIT */
/*
 * What the workloads share.
 *
 * A workload is an ordinary static Linux program, so that the same file runs
 * natively and in the guest and the two can be compared. The rule that makes
 * that possible: stdout holds only what must be the same in every run with the
 * same options; times, rates and progress that depends on them go to stderr.
 *
 * Exit status: 0 good, 1 the work failed or memory was wrong, 2 bad options.
 */
#ifndef UMM_WORKLOADS_COMMON_H
#define UMM_WORKLOADS_COMMON_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WL_PAGE 4096UL

enum wl_kind {
	WL_SIZE,  /* to a uint64_t: 4096, 64K, 512M, 2G */
	WL_COUNT, /* to a uint64_t: decimal or 0x hexadecimal */
	WL_TEXT,  /* to a const char * */
	WL_FLAG,  /* to a bool; takes no value */
};

struct wl_option {
	const char *name; /* without the dashes; NULL ends the list */
	enum wl_kind kind;
	void *to;
	const char *help;
};

/* A bijective mixing of 64 bits (two multiply-xorshift rounds): keyed patterns and seeds. */
static inline uint64_t wl_mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
	return x ^ (x >> 32);
}

/* The next number of a Weyl sequence, mixed; any state is a good seed. */
static inline uint64_t wl_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return wl_mix(*state);
}

static inline uint64_t wl_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* For who watches: prepared. Then time for that one to prepare as well. */
static inline void wl_ready_wait(uint64_t seconds)
{
	fputs("ready\n", stderr);
	sleep((unsigned int)seconds);
}

/* What was timed, on CLOCK_MONOTONIC, which a guest has from its host. */
static inline void wl_tell_timed(uint64_t start_ns, uint64_t spent_ns)
{
	fprintf(stderr, "timed: from %" PRIu64 " for %" PRIu64 " ns\n", start_ns, spent_ns);
}

/* Zeroed private memory, page aligned; NULL after a message. */
static inline void *wl_map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "cannot map %" PRIu64 " bytes: %s\n", bytes, strerror(errno));
		return NULL;
	}
	return p;
}

static inline int wl_parse_count(const char *text, uint64_t *to)
{
	char *end;

	errno = 0;
	*to = strtoull(text, &end, 0);
	return errno || end == text || *end || *text == '-' ? -EINVAL : 0;
}

static inline int wl_parse_size(const char *text, uint64_t *to)
{
	static const char units[] = "KMGT";
	char *end;
	const char *unit;
	unsigned int shift = 0;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || !*unit || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -EINVAL;
	*to = n << shift;
	return 0;
}

static inline void wl_print_help(const char *program, const char *summary,
				 const struct wl_option *options)
{
	static const char *const values[] = { " SIZE", " N", " TEXT", "" };

	printf("usage: %s [OPTIONS]\n%s\n", program, summary);
	for (; options->name; options++)
		printf("  --%s%-*s %s\n", options->name, (int)(16 - strlen(options->name)),
		       values[options->kind], options->help);
	printf("  --help             this text; a SIZE is a number with K, M, G or T\n");
}

static inline int wl_set_option(const struct wl_option *option, const char *value)
{
	switch (option->kind) {
	case WL_SIZE:
		return wl_parse_size(value, option->to);
	case WL_COUNT:
		return wl_parse_count(value, option->to);
	case WL_TEXT:
		*(const char **)option->to = value;
		return 0;
	case WL_FLAG:
		*(bool *)option->to = true;
		return 0;
	}
	return -EINVAL;
}

/* => 0: go on; 1: the help was asked for and printed; -EINVAL: a message was printed. */
static inline int wl_parse(int argc, char **argv, const char *summary,
			   const struct wl_option *options)
{
	const struct wl_option *option;
	const char *value;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			wl_print_help(argv[0], summary, options);
			return 1;
		}
		for (option = options; option->name; option++)
			if (!strncmp(argv[i], "--", 2) && !strcmp(argv[i] + 2, option->name))
				break;
		if (!option->name) {
			fprintf(stderr, "%s: unknown option '%s'; --help lists them\n", argv[0],
				argv[i]);
			return -EINVAL;
		}
		value = option->kind == WL_FLAG ? "" : argv[++i];
		if (!value || wl_set_option(option, value)) {
			fprintf(stderr, "%s: --%s: bad or missing value '%s'\n", argv[0],
				option->name, value ? value : "");
			return -EINVAL;
		}
	}
	return 0;
}

#endif
