/* SPDX-License-Identifier: MIT */
/*
 * The guest's vDSO: clocks that programs read without leaving the guest.
 *
 * Three parts: the code that runs in the guest (guest/vdso/, one page, mapped
 * into every process as the private file "[vdso]", whose pages are moved and
 * reclaimed as any file's); the page "[vvar]" that the host keeps up to date
 * (guest/vdso/vvar.h), in the system region and in no area; and a thread of the
 * host that does so (guest/vdso_clock.c).
 */
#ifndef GUEST_VDSO_H
#define GUEST_VDSO_H

#include "guest/guest.h"
#include "guest/vdso/vvar.h"

/* As /proc/PID/maps calls the two. */
#define VDSO_NAME "[vdso]"
#define VVAR_NAME "[vvar]"

struct vdso_clock;

/*
 * Keep @page, which guests map at VVAR_GVA, up to date from now on. The guest's
 * counter must be the host's. 0 or -errno.
 */
int vdso_clock_start(struct vvar *page, struct vdso_clock **out) UMM_MUST_CHECK;
/* Programs ask the host from then on. NULL is allowed. */
void vdso_clock_stop(struct vdso_clock *c);

/* The object that vdso_map() maps; the caller puts it. */
int vdso_create(struct mm_sys *sys, struct address_space **out) UMM_MUST_CHECK;
/* Into a hole of @mm, which nobody else uses; where it went. */
int vdso_map(struct mm *mm, struct address_space *vdso, uint64_t *out) UMM_MUST_CHECK;
bool vdso_is(const struct address_space *m);

#endif
