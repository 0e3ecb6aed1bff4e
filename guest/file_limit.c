/* SPDX-License-Identifier: MIT */
/*
 * RLIMIT_FSIZE: guest/file_limit.h. umm's own limit is the host's to enforce (SIGXFSZ
 * is ignored by umm, so a write past it fails); the guest's is judged here, as its
 * processes have limits of their own. As on Linux it binds root, too.
 */
#include <sys/resource.h>

#include "guest/file_limit.h"

bool file_limited(struct task *t)
{
	return task_rlimit(t, RLIMIT_FSIZE) != RLIM_INFINITY;
}

static int too_big(struct task *t)
{
	siginfo_t info;

	siginfo_from_task(&info, SIGXFSZ, SI_USER, t);
	guest_lock(t->g);
	(void)signal_send(t->proc, t, SIGXFSZ, &info);
	guest_unlock(t->g);
	return -EFBIG;
}

int file_limit_write(struct task *t, uint64_t start, size_t *len)
{
	uint64_t limit = task_rlimit(t, RLIMIT_FSIZE);

	if (start >= limit)
		return too_big(t);
	if (*len > limit - start)
		*len = limit - start;
	return 0;
}

int file_limit_size(struct task *t, uint64_t old, uint64_t size)
{
	return size > old && size > task_rlimit(t, RLIMIT_FSIZE) ? too_big(t) : 0;
}
