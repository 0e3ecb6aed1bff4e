/* SPDX-License-Identifier: MIT */
/*
 * The validator: everything that must hold, checked by looking at all of it.
 *
 * It takes every mmap_lock for writing (oldest mm first, as fork does) and then
 * work_lock: after that no entry and no cache changes but for A and D bits and
 * host pins. First a full scan of the page tables counts who maps what; then
 * every folio is walked in reverse, and the two must agree.
 */
#include "rmap/validate.h"

#include <stdarg.h>
#include <stdio.h>

void validation_error(struct validation *v, const char *format, ...)
{
	va_list ap;

	if (v->report->errors++)
		return;
	va_start(ap, format);
	vsnprintf(v->report->first, sizeof(v->report->first), format, ap);
	va_end(ap);
}

uint32_t *validation_count(struct validation *v, const struct folio *frame)
{
	return &v->mapped[frame->node][frame - v->sys->nodes[frame->node].frames];
}

uint32_t *validation_leaves(struct validation *v, const struct folio *frame)
{
	const struct mm_node *n = &v->sys->nodes[frame->node];

	return &v->leaves[frame->node][(uint64_t)(frame - n->frames) >> UMM_PMD_ORDER];
}

static uint64_t leaf_counts_size(const struct mm_node *n)
{
	return (n->nr_frames >> UMM_PMD_ORDER) * sizeof(uint32_t);
}

static int alloc_counts(struct validation *v)
{
	struct mm_sys *sys = v->sys;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		v->mapped[i] = sys_alloc(sys, sys->nodes[i].nr_frames * sizeof(**v->mapped));
		v->leaves[i] = sys_alloc(sys, leaf_counts_size(&sys->nodes[i]));
		if (!v->mapped[i] || !v->leaves[i])
			return -ENOMEM;
	}
	for (unsigned int i = 0; i < sys->swap->nr_areas; i++) {
		/* The place of an area that was taken away. */
		if (!sys->swap->areas[i].nr)
			continue;
		v->slots[i] = sys_alloc(sys, sys->swap->areas[i].nr * sizeof(**v->slots));
		if (!v->slots[i])
			return -ENOMEM;
	}
	return 0;
}

static void free_counts(struct validation *v)
{
	struct mm_sys *sys = v->sys;

	for (unsigned int i = 0; i < sys->nr_nodes; i++) {
		sys_free(sys, v->mapped[i], sys->nodes[i].nr_frames * sizeof(**v->mapped));
		sys_free(sys, v->leaves[i], leaf_counts_size(&sys->nodes[i]));
	}
	for (unsigned int i = 0; i < SWP_MAX_AREAS; i++) {
		if (v->slots[i])
			sys_free(sys, v->slots[i], sys->swap->areas[i].nr * sizeof(**v->slots));
	}
}

/* mms_lock held. Lock all of them: nobody faults, maps or forks. */
static int lock_mms(struct validation *v)
{
	struct mm_sys *sys = v->sys;
	unsigned int nr = 0;
	struct mm *mm;

	list_for_each_entry(mm, &sys->mms, all) nr++;
	v->mms = sys_alloc(sys, (nr + 1) * sizeof(*v->mms));
	if (!v->mms)
		return -ENOMEM;
	list_for_each_entry(mm, &sys->mms, all)
	{
		umm_write_lock_nested(&mm->mmap_lock);
		v->mms[v->nr_mms++] = mm;
	}
	return 0;
}

static void unlock_mms(struct validation *v)
{
	for (unsigned int i = v->nr_mms; i > 0; i--)
		umm_write_unlock(&v->mms[i - 1]->mmap_lock);
	sys_free(v->sys, v->mms, (v->nr_mms + 1) * sizeof(*v->mms));
}

#define MAX_MAPPINGS 65536u

static int get_mappings(struct validation *v)
{
	struct mm_sys *sys = v->sys;
	struct address_space *m;

	v->mappings = sys_alloc(sys, MAX_MAPPINGS * sizeof(struct address_space *));
	if (!v->mappings)
		return -ENOMEM;
	umm_mutex_lock(&sys->mappings_lock);
	list_for_each_entry(m, &sys->mappings, all)
	{
		if (v->nr_mappings < MAX_MAPPINGS && mapping_try_get(m))
			v->mappings[v->nr_mappings++] = m;
	}
	umm_mutex_unlock(&sys->mappings_lock);
	return 0;
}

/* Without any lock held: the last put writes and drops pages. */
static void put_mappings(struct validation *v)
{
	for (unsigned int i = 0; i < v->nr_mappings; i++)
		mapping_put(v->mappings[i]);
	sys_free(v->sys, v->mappings, MAX_MAPPINGS * sizeof(struct address_space *));
}

static void check_all(struct validation *v)
{
	struct mm_sys *sys = v->sys;

	for (unsigned int i = 0; i < v->nr_mms; i++)
		validate_tables(v, v->mms[i]);
	for (unsigned int i = 0; i < v->nr_mappings; i++)
		validate_mapping(v, v->mappings[i]);
	for (unsigned int i = 0; i < sys->nr_nodes; i++)
		validate_node(v, &sys->nodes[i]);
	validate_swap(v);
	v->report->mms = v->nr_mms;
}

int mm_validate(struct mm_sys *sys, struct mm_validate_report *out)
{
	struct validation v = { .sys = sys, .report = out };
	int ret;

	memset(out, 0, sizeof(*out));
	ksm_lock(sys);
	umm_mutex_lock(&sys->mms_lock);
	ret = lock_mms(&v);
	if (ret)
		goto out_mms;
	umm_write_lock(&sys->work_lock);
	ret = alloc_counts(&v);
	if (!ret)
		ret = get_mappings(&v);
	if (!ret)
		check_all(&v);
	free_counts(&v);
	umm_write_unlock(&sys->work_lock);
	unlock_mms(&v);
out_mms:
	umm_mutex_unlock(&sys->mms_lock);
	ksm_unlock(sys);
	put_mappings(&v);
	if (!ret && out->errors)
		ret = -EUCLEAN;
	return ret;
}
