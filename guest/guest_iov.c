/* SPDX-License-Identifier: MIT */
/* Vectors of guest buffers. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "guest/file_rw.h"

/* The most that one call moves, as on Linux (MAX_RW_COUNT). */
#define RW_MAX 0x7ffff000ul

bool guest_range_ok(uint64_t addr, uint64_t len)
{
	return len <= UMM_TASK_SIZE && addr <= UMM_TASK_SIZE - len;
}

int guest_iov_single(struct guest_iov *iov, uint64_t addr, uint64_t len)
{
	if (!guest_range_ok(addr, len))
		return -EFAULT;
	iov->one.iov_base = (void *)addr;
	iov->one.iov_len = len < RW_MAX ? len : RW_MAX;
	iov->v = &iov->one;
	iov->nr = 1;
	iov->total = iov->one.iov_len;
	return 0;
}

int guest_iov_copy(struct task *t, struct guest_iov *iov, uint64_t user_vec, uint64_t nr)
{
	unsigned int i;
	int r = -EINVAL;

	iov->v = NULL;
	iov->nr = 0;
	iov->total = 0;
	if (nr > IOV_MAX)
		return -EINVAL;
	if (!nr)
		return 0;
	iov->v = calloc(nr, sizeof(*iov->v));
	if (!iov->v)
		return -ENOMEM;
	if (copy_from_user(t, iov->v, user_vec, nr * sizeof(*iov->v))) {
		r = -EFAULT;
		goto fail;
	}
	for (i = 0; i < nr; i++) {
		if (iov->v[i].iov_len > SSIZE_MAX)
			goto fail;
		if (!guest_range_ok((uint64_t)iov->v[i].iov_base, iov->v[i].iov_len)) {
			r = -EFAULT;
			goto fail;
		}
		if (iov->v[i].iov_len > RW_MAX - iov->total)
			iov->v[i].iov_len = RW_MAX - iov->total;
		iov->total += iov->v[i].iov_len;
	}
	iov->nr = (unsigned int)nr;
	return 0;
fail:
	free(iov->v);
	iov->v = NULL;
	return r;
}

void guest_iov_free(struct guest_iov *iov)
{
	if (iov->v != &iov->one)
		free(iov->v);
	iov->v = NULL;
}

/* One piece of the copy: as far as the current buffer goes. */
static size_t iov_step(const struct guest_iov *iov, struct guest_iov_pos *pos, size_t len,
		       uint64_t *addr)
{
	size_t left;

	while (pos->index < iov->nr && pos->offset == iov->v[pos->index].iov_len) {
		pos->index++;
		pos->offset = 0;
	}
	if (pos->index == iov->nr)
		return 0;
	left = iov->v[pos->index].iov_len - pos->offset;
	*addr = (uint64_t)iov->v[pos->index].iov_base + pos->offset;
	return len < left ? len : left;
}

/* How much of a failed copy can be had: the pages before the bad one. */
static size_t part_before_fault(uint64_t addr, size_t len, size_t tried)
{
	size_t to_page = UMM_PAGE_SIZE - ((addr + tried) & ~UMM_PAGE_MASK);

	return len - tried < to_page ? len - tried : to_page;
}

size_t guest_iov_fill(struct task *t, const struct guest_iov *iov, struct guest_iov_pos *pos,
		      const void *buf, size_t len)
{
	const char *p = buf;
	size_t done = 0, n, k, part;
	uint64_t addr;

	while (done < len && (n = iov_step(iov, pos, len - done, &addr)) > 0) {
		if (!copy_to_user(t, addr, p + done, n)) {
			pos->offset += n;
			done += n;
			continue;
		}
		for (k = 0; k < n; k += part) {
			part = part_before_fault(addr, n, k);
			if (copy_to_user(t, addr + k, p + done + k, part))
				break;
		}
		pos->offset += k;
		return done + k;
	}
	return done;
}

size_t guest_iov_drain(struct task *t, const struct guest_iov *iov, struct guest_iov_pos *pos,
		       void *buf, size_t len)
{
	char *p = buf;
	size_t done = 0, n, k, part;
	uint64_t addr;

	while (done < len && (n = iov_step(iov, pos, len - done, &addr)) > 0) {
		if (!copy_from_user(t, p + done, addr, n)) {
			pos->offset += n;
			done += n;
			continue;
		}
		for (k = 0; k < n; k += part) {
			part = part_before_fault(addr, n, k);
			if (copy_from_user(t, p + done + k, addr + k, part))
				break;
		}
		pos->offset += k;
		return done + k;
	}
	return done;
}
