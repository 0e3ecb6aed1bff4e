/* SPDX-License-Identifier: MIT */
/*
 * Swap that keeps nothing: writes are forgotten, reads are zeros. Programs that read
 * what was swapped out find their data gone. It exists to measure what all the rest of
 * reclaim costs, with data that nobody wants back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/swap_backend.h"

static int null_open(const struct swap_env *env, const struct swap_spec *spec,
		     struct swap_backend **out, struct errmsg *e)
{
	struct swap_backend *b = calloc(1, sizeof(*b));

	(void)env;
	if (!b)
		return errmsg_set(e, -ENOMEM, "out of memory");
	b->nr_slots = spec->bytes >> UMM_PAGE_SHIFT;
	snprintf(b->name, sizeof(b->name), "DATA IS LOST");
	*out = b;
	return 0;
}

static void null_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!ios[i].write)
			memset(swap_io_bytes(b, &ios[i]), 0, (size_t)ios[i].nr << UMM_PAGE_SHIFT);
		ios[i].error = 0;
	}
}

static void null_close(struct swap_backend *b)
{
	free(b);
}

const struct swap_backend_ops backend_null_ops = {
	.kind = "null",
	.open = null_open,
	.run = null_run,
	.close = null_close,
};
