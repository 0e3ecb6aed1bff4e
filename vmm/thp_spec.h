/* SPDX-License-Identifier: MIT */
/* Which folio sizes anonymous memory uses, as people write it: see umm(1), --thp. */
#ifndef VMM_THP_SPEC_H
#define VMM_THP_SPEC_H

#include <umm/mm.h>

#include "vmm/errmsg.h"

struct thp_spec {
	uint8_t mode[UMM_MAX_ORDER + 1]; /* enum thp_mode, by folio order */
};

/* 16K to 64K and 2M: always; the others: never. */
void thp_spec_default(struct thp_spec *s);
/*
 * Change @s by a list of "MODE" (all sizes), "SIZE:MODE" and "SIZE-SIZE:MODE",
 * separated by commas; sizes are 16K to 2M, modes always, madvise and never.
 * -EINVAL with the reason.
 */
int thp_spec_parse(const char *text, struct thp_spec *s, struct errmsg *e) UMM_MUST_CHECK;

#endif
