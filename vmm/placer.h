/* SPDX-License-Identifier: MIT */
/*
 * The host's thread that drives automatic placement, and switching it: what
 * `umm run --balance`, `umm balance` and `umm tier` come down to.
 */
#ifndef VMM_PLACER_H
#define VMM_PLACER_H

#include <pthread.h>

#include <umm/placement.h>

#include "vmm/errmsg.h"
#include "vmm/ticker.h"

#define POLICY_NAME_MAX 23

struct placer {
	struct mm_sys *sys;
	pthread_mutex_t lock; /* one starts the ticker, whoever comes first */
	struct ticker ticker;
};

void placer_init(struct placer *p, struct mm_sys *sys);
/* Before the memory manager goes. */
void placer_destroy(struct placer *p);

/*
 * Is @name a policy of @kind, or "on" or "off"? 0, or -EINVAL with a sentence
 * that names those there are.
 */
int placer_check(enum placement_kind kind, const char *name, struct errmsg *e) UMM_MUST_CHECK;

/*
 * Switch to @name, which placer_check() knows ("on": the first policy of the kind),
 * and start the thread if it is the first. -errno with the reason.
 */
int placer_set(struct placer *p, enum placement_kind kind, const char *name,
	       struct errmsg *e) UMM_MUST_CHECK;

/* Say which nodes are slow, bit n for node n. -errno with the reason. */
int placer_set_slow(struct placer *p, uint64_t nodes, struct errmsg *e) UMM_MUST_CHECK;

/* "1,3-5" to bits; none of them 64 or more. -EINVAL with the reason. */
int node_list_parse(const char *text, uint64_t *nodes, struct errmsg *e) UMM_MUST_CHECK;

#endif
