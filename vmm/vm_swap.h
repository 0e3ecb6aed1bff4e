/* SPDX-License-Identifier: MIT */
/* The swap areas of a guest: opened at its start, added and removed while it runs. */
#ifndef VMM_VM_SWAP_H
#define VMM_VM_SWAP_H

#include <pthread.h>

#include <umm/reclaim.h>

#include "vmm/host.h"

/* A struct vm has one; all is zero before vm_swap_init(). */
struct vm_swap {
	struct mm_sys *sys;
	struct host *host;
	pthread_mutex_t change; /* adding, removing: one at a time, however long it takes */
	pthread_mutex_t lock;   /* the list; inside `change` */
	unsigned int nr, next_id;
	struct {
		unsigned int id; /* what `umm swap` calls it; never used twice */
		void *area;      /* of host_swap_open() */
		bool given;      /* by a program; then dev and ino tell which file it is */
		uint64_t dev, ino;
	} v[SWAP_SPECS_MAX];
};

void vm_swap_init(struct vm_swap *s, struct mm_sys *sys, struct host *host);
/* The areas stay open: the host closes them. */
void vm_swap_destroy(struct vm_swap *s);

/* 0 with the area's number in *id, or -errno with the reason. */
int vm_swap_add(struct vm_swap *s, const struct swap_spec *spec, unsigned int *id,
		struct errmsg *e) UMM_MUST_CHECK;
/*
 * Read all that it holds back and close it. @which: its number, or its name. 0, or
 * -errno with the reason, and then the area is used as before.
 */
int vm_swap_remove(struct vm_swap *s, const char *which, const struct swap_off_request *req,
		   struct errmsg *e) UMM_MUST_CHECK;

/*
 * Areas that programs bring: guest/swap_ops.h, whose ctx is a struct vm_swap. They are listed
 * and can be removed as all others.
 */
const struct guest_swap_ops *vm_swap_guest_ops(void);

/* @fn for each area, which stays open meanwhile. */
void vm_swap_for_each(struct vm_swap *s, void (*fn)(void *arg, unsigned int id, void *area),
		      void *arg);
/* Whether there is swap at all. */
bool vm_swap_is_on(struct vm_swap *s);

#endif
