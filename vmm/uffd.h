/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd over guest RAM, in write-protect mode. umm never leaves a page
 * protected and reads no events: what it wants is the side effect of
 * UFFDIO_WRITEPROTECT, which is to run KVM's MMU notifier over the range
 * (zap.c), and the registration that later mechanisms build on.
 */
#ifndef VMM_UFFD_H
#define VMM_UFFD_H

#include <umm/types.h>

#include "vmm/errmsg.h"

/* Open a userfaultfd; *features tells all that this kernel knows. */
int uffd_open(int *fd, uint64_t *features, struct errmsg *e) UMM_MUST_CHECK;

int uffd_register(int fd, void *hva, size_t len, struct errmsg *e) UMM_MUST_CHECK;

/* Protect or (also when it is not protected) unprotect and wake a range. */
int uffd_protect(int fd, void *hva, size_t len, bool protect);

#endif
