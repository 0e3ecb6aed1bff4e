/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd over guest RAM, in write-protect mode. umm never leaves a page
 * protected and reads no events: what it wants is the side effect of
 * UFFDIO_WRITEPROTECT, which is to run KVM's MMU notifier over the range
 * (zap.c). Only holes (holes.h) ask for missing pages besides, and serve events.
 */
#ifndef VMM_UFFD_H
#define VMM_UFFD_H

#include <umm/types.h>

#include "vmm/errmsg.h"

/* Open a userfaultfd; *features tells all that this kernel knows. */
int uffd_open(int *fd, uint64_t *features, struct errmsg *e) UMM_MUST_CHECK;

/* @missing: also for pages that are not there; a second call may ask for that later. */
int uffd_register(int fd, void *hva, size_t len, bool missing, struct errmsg *e) UMM_MUST_CHECK;

/* Protect or (also when it is not protected) unprotect and wake a range. */
int uffd_protect(int fd, void *hva, size_t len, bool protect);

/*
 * Pages that are not there become copies of those at @from; who waits for them is woken.
 * *done: bytes, whatever is returned. 0; -EEXIST: the next one is there; -ENOMEM.
 */
int uffd_copy(int fd, void *hva, const void *from, size_t len, uint64_t *done) UMM_MUST_CHECK;
/* Let all who wait for these pages look again. */
void uffd_wake(int fd, void *hva, size_t len);

#endif
