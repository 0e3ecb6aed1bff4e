/* SPDX-License-Identifier: MIT */
/*
 * What can be chosen for a guest, by a configuration file or on the command
 * line: one list of keys with their limits serves both.
 */
#ifndef VMM_RUN_OPTIONS_H
#define VMM_RUN_OPTIONS_H

#include "vmm/errmsg.h"
#include "vmm/names.h"
#include "vmm/node_wish.h"
#include "vmm/placer.h"
#include "vmm/policy_load.h"
#include "vmm/seccomp.h"
#include "vmm/swap_spec.h"
#include "vmm/thp_spec.h"

struct run_options {
	char name[GUEST_NAME_MAX + 1]; /* empty: from the program's name */
	uint64_t mem;                  /* bytes: the limit */
	uint64_t max_mem;              /* what the limit can grow to; 0: mem */
	uint64_t nodes; /* 0 before run_options_complete(): as many as are told of, or one */
	struct node_wish node[UMM_MAX_NODES];
	uint64_t cpus;            /* how many the guest is told it has */
	struct thp_spec thp;      /* folio sizes of anonymous memory */
	uint64_t fault_around;    /* most frames that one fault maps */
	uint64_t watermark_scale; /* 1/10000 of a node, as vm.watermark_scale_factor */
	struct swap_specs swap;
	struct swap_specs holes; /* one or none: where holes go */
	uint64_t resident;       /* bytes of host memory, kept by holes; 0: no limit */
	char balance[POLICY_NAME_MAX + 1], tier[POLICY_NAME_MAX + 1]; /* empty: off */
	char policy[POLICY_TEXT_MAX + 1]; /* of reclaim; empty: the default */
	uint64_t slow_nodes;              /* bit n: node n; 0: none */
	bool strace, verbose, no_hugepages;
	char root[PATH_MAX]; /* empty: umm's own; these four: vmm/confine.h */
	bool ro, tmp, no_net;
	enum seccomp_mode seccomp;
	char stat[PATH_MAX]; /* a file for the last answer of `umm stat`; empty: none */
};

enum run_key_kind {
	RUN_NAME,
	RUN_SIZE,
	RUN_COUNT,
	RUN_SWAP,
	RUN_HOLES,
	RUN_THP,
	RUN_POLICY,
	RUN_RECLAIM_POLICY,
	RUN_NODES,
	RUN_SECCOMP,
	RUN_PATH,
	RUN_FLAG
};

struct run_key {
	const char *name;
	enum run_key_kind kind;
	size_t offset;     /* in struct run_options */
	uint64_t min, max; /* RUN_SIZE, RUN_COUNT; RUN_POLICY: min is its kind */
};

/* The keys; the last has a null name. */
extern const struct run_key run_keys[];
const struct run_key *run_key_find(const char *name);

/* The defaults of this host: see umm(1). */
void run_options_default(struct run_options *o);

/* Set one key from text, or from a number. 0, or -EINVAL with the reason. */
int run_option_set(struct run_options *o, const struct run_key *key, const char *value,
		   struct errmsg *e) UMM_MUST_CHECK;
int run_option_set_number(struct run_options *o, const struct run_key *key, uint64_t value,
			  struct errmsg *e) UMM_MUST_CHECK;
/* RUN_FLAG only. */
void run_option_set_flag(struct run_options *o, const struct run_key *key, bool value);

/* What follows from several keys, and their conditions. 0, or -EINVAL with the reason. */
int run_options_complete(struct run_options *o, struct errmsg *e) UMM_MUST_CHECK;

#endif
