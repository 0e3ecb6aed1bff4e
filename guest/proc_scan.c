/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN on /proc/PID/pagemap: regions of pages of wanted kinds, as the caller asked
 * (Documentation/admin-guide/mm/pagemap.rst; errors and ends as Linux 6.18 showed them).
 *
 * Pages are looked at 2 MiB at a time with the lock of the areas, and made into regions
 * without it. Regions go to the caller when SCAN_REGIONS of them are full, or at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <umm/pagemap.h>

#include "guest/file_rw.h"
#include "guest/proc_io.h"
#include "guest/task.h"

/* Linux's struct pm_scan_arg and page_region; headers before 6.7 lack them. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN_REQUEST       _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING   (1u << 0)
#define SCAN_CHECK_WPASYNC (1u << 1)
#define SCAN_FLAGS         (SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC)

/* PAGE_IS_*. 0 (may be write-protected) and 5 (the zero page) are never there. */
#define IS_WRITTEN    (1u << 1)
#define IS_FILE       (1u << 2)
#define IS_PRESENT    (1u << 3)
#define IS_SWAPPED    (1u << 4)
#define IS_HUGE       (1u << 6)
#define IS_SOFT_DIRTY (1u << 7)
#define CATEGORIES    0xffu

#define SCAN_REGIONS 512u

struct scan {
	struct task *t;
	struct scan_arg arg;
	uint64_t found, told; /* pages; regions that the caller has */
	unsigned int nr;
	struct scan_region regions[SCAN_REGIONS];
	uint64_t pages[PM_SCAN_MAX];
};

/* ---- the question -------------------------------------------------------------------------- */

static int check_masks(const struct scan_arg *a)
{
	uint64_t all = a->category_inverted | a->category_mask | a->category_anyof_mask |
		       a->return_mask;

	return a->size != sizeof(*a) || (a->flags & ~(uint64_t)SCAN_FLAGS) ||
			       (all & ~(uint64_t)CATEGORIES)
		       ? -EINVAL
		       : 0;
}

static int check_places(const struct scan_arg *a)
{
	uint64_t bytes;

	if (a->start % UMM_PAGE_SIZE)
		return -EINVAL;
	if (!guest_range_ok(a->start, a->end - a->start))
		return -EFAULT;
	if (!a->vec)
		return a->vec_len ? -EINVAL : 0;
	if (__builtin_mul_overflow(a->vec_len, sizeof(struct scan_region), &bytes) ||
	    !guest_range_ok(a->vec, bytes))
		return -EFAULT;
	return 0;
}

static int scan_arguments(struct scan *s, uint64_t at)
{
	struct scan_arg *a = &s->arg;
	int r;

	if (copy_from_user(s->t, a, at, sizeof(*a)))
		return -EFAULT;
	r = check_masks(a);
	if (!r)
		r = check_places(a);
	a->end = page_align_up(a->end);
	if (!a->max_pages)
		a->max_pages = UINT64_MAX;
	return r;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static int scan_flush(struct scan *s)
{
	uint64_t at = s->arg.vec + s->told * sizeof(*s->regions);

	if (copy_to_user(s->t, at, s->regions, s->nr * sizeof(*s->regions)))
		return -EFAULT;
	s->told += s->nr;
	s->nr = 0;
	return 0;
}

static uint64_t categories_of(uint64_t bits)
{
	uint64_t c = 0;

	c |= bits & PM_SCAN_TABLE ? IS_WRITTEN : 0;
	c |= bits & PM_FILE ? IS_FILE : 0;
	c |= bits & PM_PRESENT ? IS_PRESENT : 0;
	c |= bits & PM_SWAP ? IS_SWAPPED : 0;
	c |= bits & PM_SCAN_HUGE ? IS_HUGE : 0;
	c |= bits & PM_SOFT_DIRTY ? IS_SOFT_DIRTY : 0;
	return c;
}

static bool is_wanted(const struct scan_arg *a, uint64_t categories)
{
	categories ^= a->category_inverted;
	if ((categories & a->category_mask) != a->category_mask)
		return false;
	return !a->category_anyof_mask || (categories & a->category_anyof_mask);
}

/* false: that many pages were not asked for, or there is no room for its region. */
static bool add_page(struct scan *s, uint64_t addr, uint64_t categories)
{
	struct scan_region *last = s->nr ? &s->regions[s->nr - 1] : NULL;

	if (s->found == s->arg.max_pages)
		return false;
	if (last && last->end == addr && last->categories == categories) {
		last->end += UMM_PAGE_SIZE;
	} else {
		if (s->nr == SCAN_REGIONS || s->told + s->nr == s->arg.vec_len)
			return false;
		s->regions[s->nr++] =
			(struct scan_region){ addr, addr + UMM_PAGE_SIZE, categories };
	}
	s->found++;
	return true;
}

/* 1: all was told that could be, up to arg->walk_end. */
static int add_pages(struct scan *s, uint64_t addr, uint64_t nr)
{
	const struct scan_arg *a = &s->arg;
	uint64_t categories;
	int r;

	for (uint64_t i = 0; i < nr; i++, addr += UMM_PAGE_SIZE) {
		categories = categories_of(s->pages[i]);
		if (!(s->pages[i] & PM_SCAN_AREA) || !is_wanted(a, categories))
			continue;
		categories &= a->return_mask;
		if (add_page(s, addr, categories))
			continue;
		s->arg.walk_end = addr;
		if (s->found == a->max_pages || s->told + s->nr == a->vec_len)
			return 1;
		r = scan_flush(s);
		if (r)
			return r;
		if (!add_page(s, addr, categories))
			return 1;
		s->arg.walk_end = 0;
	}
	return 0;
}

static int scan_walk(struct scan *s, struct mm *mm)
{
	gva_t at = gva_make(s->arg.start), end = gva_make(s->arg.end);
	uint64_t nr;
	int r = 0;

	while (!r && at.v < end.v) {
		at = mm_pagemap_scan(mm, at, end, s->pages, &nr);
		if (!nr)
			break;
		/* No area can be write-protected by a scan. */
		if (s->arg.flags)
			return s->arg.flags & SCAN_CHECK_WPASYNC ? -EPERM : 0;
		if (!s->arg.vec_len)
			break;
		r = add_pages(s, at.v, nr);
		at = gva_add(at, nr << UMM_PAGE_SHIFT);
		if (!r && task_has_work(s->t) && task_is_killed(s->t))
			r = -EINTR;
	}
	return r;
}

static int64_t scan(struct scan *s, struct mm *mm, uint64_t at)
{
	uint64_t walk_end_at = at + offsetof(struct scan_arg, walk_end);
	int r = scan_arguments(s, at), e;

	if (r)
		return r;
	s->arg.walk_end = 0;
	if (mm)
		r = scan_walk(s, mm);
	e = scan_flush(s);
	r = e ? e : r;
	if (!s->arg.walk_end)
		s->arg.walk_end = s->arg.end;
	if (copy_to_user(s->t, walk_end_at, &s->arg.walk_end, sizeof(s->arg.walk_end)))
		return -EFAULT;
	return r < 0 ? r : (int64_t)s->told;
}

int64_t pagemap_ioctl(struct task *t, const struct proc_io_call *c, unsigned int request,
		      uint64_t arg)
{
	struct scan *s;
	int64_t r;

	if (request != SCAN_REQUEST)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->t = t;
	r = scan(s, c->mm, arg);
	free(s);
	return r;
}
