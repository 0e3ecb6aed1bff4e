/* SPDX-License-Identifier: MIT */
/*
 * mbind and set_mempolicy_home_node: areas get policies, and what lies where the
 * new policy would not have put it is moved there.
 *
 * The areas change under mmap_lock for writing. Pages are moved afterwards, batch
 * by batch: what is faulted in meanwhile is in the right place already.
 */
#include "rmap/migrate.h"
#include "rmap/vma.h"

/* ---- the areas ------------------------------------------------------------------- */

static pgoff_t area_index(const struct vma *vma, gva_t addr)
{
	return pgoff_make(vma->pgoff.v + ((addr.v - vma->start.v) >> UMM_PAGE_SHIFT));
}

/* The part of *vma inside [start, end) gets @policy; *vma is the area that has it now. */
static int area_set_policy(struct vma **vma, gva_t start, gva_t end, struct mempolicy *policy)
{
	struct vma *v = *vma;
	int ret;

	if (start.v < v->start.v)
		start = v->start;
	end = gva_min(end, v->end);
	if (mempolicy_equal(v->policy, policy))
		return 0;
	ret = vma_carve(&v, start, end);
	if (ret)
		return ret;
	if (v->mapping && mapping_is_shmem(v->mapping)) {
		ret = shared_policy_set(v->mapping, area_index(v, start),
					pgoff_make(area_index(v, end).v - 1), policy);
		if (ret)
			return ret;
	}
	mempolicy_put(v->policy);
	v->policy = mempolicy_get(policy);
	*vma = vma_merge_around(v);
	return 0;
}

/* There are areas, and (unless @holes) nothing but areas. */
static int areas_check(struct mm *mm, gva_t start, gva_t end, bool holes)
{
	struct vma *vma = vma_find(mm, start);

	if (!vma || vma->start.v >= end.v)
		return -EFAULT;
	for (; !holes && start.v < end.v; vma = vma_next(vma)) {
		if (!vma || vma->start.v > start.v)
			return -EFAULT;
		start = vma->end;
	}
	return 0;
}

/* Nodes on which nothing may lie once @policy holds. */
static uint64_t wrong_nodes(const struct mm_sys *sys, const struct mempolicy *policy)
{
	return mm_sys_nodes(sys) & ~(policy ? policy->nodes : 0);
}

/* MBIND_STRICT without moving: is all of it in the right place? */
static int strict_check(struct mm *mm, gva_t start, gva_t end, uint64_t wrong)
{
	struct mm_cursor c;

	if (!wrong)
		return 0;
	mm_cursor_init(&c, mm, start, end);
	c.from_mask = wrong;
	c.locked = true;
	c.look = true;
	while (c.at.v < c.end.v && !c.found)
		(void)mm_cursor_isolate(&c, NULL, MIGRATE_BATCH);
	return c.found ? -EIO : 0;
}

static int areas_set_policy(struct mm *mm, gva_t start, gva_t end, struct mempolicy *policy,
			    unsigned int flags)
{
	const unsigned int all = MBIND_STRICT | MBIND_MOVE | MBIND_MOVE_ALL;
	struct vma *vma;
	int ret;

	ret = areas_check(mm, start, end, !policy);
	if (!ret && (flags & all) == MBIND_STRICT)
		ret = strict_check(mm, start, end, wrong_nodes(mm->sys, policy));
	vma = vma_find(mm, start);
	while (!ret && vma && vma->start.v < end.v) {
		ret = area_set_policy(&vma, start, end, policy);
		start = vma->end;
		vma = vma_find(mm, start);
	}
	return ret;
}

/* ---- the pages ------------------------------------------------------------------- */

/* Hook of the engine: a frame where the policy wants the page. */
static struct folio *frame_by_policy(struct migration *m, struct folio *src, unsigned int order)
{
	struct place place = place_by_policy(m->sys, m->request, src->index.v >> order);

	return folio_alloc_at(m->sys, place, order, ALLOC_NORECLAIM | ALLOC_IN_STEAD);
}

/* Returns the frames that should have moved and did not, or -ENOMEM. */
static int64_t move_range(struct mm *mm, gva_t start, gva_t end, struct mempolicy *policy,
			  uint64_t wrong, bool shared_too)
{
	struct migrate_request req = { .mm = mm };
	struct mm_sys *sys = mm->sys;
	struct migrate_result res;
	struct list_head list;
	struct migration *m;
	struct mm_cursor c;

	m = migration_start(sys, &req, &res);
	if (!m)
		return -ENOMEM;
	m->target = frame_by_policy;
	m->request = policy;
	mm_cursor_init(&c, mm, start, end);
	c.from_mask = wrong;
	c.private_only = !shared_too;
	list_init(&list);
	while (mm_cursor_isolate(&c, &list, MIGRATE_BATCH)) {
		umm_read_lock(&sys->work_lock);
		migrate_list(m, &list);
		umm_read_unlock(&sys->work_lock);
	}
	migration_end(m);
	return (int64_t)(c.busy + res.busy + res.pinned + res.no_memory + res.failed);
}

/* What new pages of an area without a policy would have: the thread's, or none. */
static struct mempolicy *thread_policy(struct mm_sys *sys)
{
	struct mm_thread *t = sys_current_thread(sys);

	return t ? mm_thread_policy(t) : NULL;
}

static int64_t move_to_policy(struct mm *mm, gva_t start, gva_t end, struct mempolicy *policy,
			      bool shared_too)
{
	struct mm_sys *sys = mm->sys;
	struct mempolicy *by = policy ? mempolicy_get(policy) : thread_policy(sys);
	uint64_t wrong = wrong_nodes(sys, by);
	int64_t ret = 0;

	if (!by || by->mode == POLICY_LOCAL)
		wrong &= ~(1ul << sys_current_node(sys));
	if (wrong)
		ret = move_range(mm, start, end, by, wrong, shared_too);
	mempolicy_put(by);
	return ret;
}

int mm_mbind(struct mm *mm, gva_t start, gva_t end, struct mempolicy *policy, unsigned int flags)
{
	int64_t stayed = 0;
	int ret;

	if (!policy)
		flags &= ~MBIND_STRICT;
	umm_write_lock(&mm->mmap_lock);
	ret = areas_set_policy(mm, start, end, policy, flags);
	umm_write_unlock(&mm->mmap_lock);
	if (ret || !(flags & (MBIND_MOVE | MBIND_MOVE_ALL)))
		return ret;
	stayed = move_to_policy(mm, start, end, policy, flags & MBIND_MOVE_ALL);
	if (stayed < 0)
		return (int)stayed;
	return stayed && (flags & MBIND_STRICT) ? -EIO : 0;
}

/* ---- home nodes, and questions ------------------------------------------------------ */

/* One area: 0, or 1 if it has no policy. */
static int area_set_home(struct vma **vma, gva_t start, gva_t end, int node)
{
	const struct mempolicy *old = (*vma)->policy;
	struct mempolicy *new;
	int ret;

	if (!old)
		return 1;
	if (old->mode != POLICY_BIND && old->mode != POLICY_PREFERRED_MANY)
		return -EOPNOTSUPP;
	ret = mempolicy_with_home(old, node, &new);
	if (ret)
		return ret;
	ret = area_set_policy(vma, start, end, new);
	mempolicy_put(new);
	return ret;
}

int mm_set_home_node(struct mm *mm, gva_t start, gva_t end, int node)
{
	int ret = -ENOENT, one = 0;
	struct vma *vma;

	umm_write_lock(&mm->mmap_lock);
	while (one >= 0 && (vma = vma_find(mm, start)) && vma->start.v < end.v) {
		one = area_set_home(&vma, start, end, node);
		if (one <= 0)
			ret = one;
		start = vma->end;
	}
	umm_write_unlock(&mm->mmap_lock);
	return ret;
}

struct mempolicy *vma_policy_at(const struct vma *vma, gva_t addr)
{
	if (vma->mapping && mapping_is_shmem(vma->mapping))
		return shared_policy_find(vma->mapping, area_index(vma, addr));
	return mempolicy_get(vma->policy);
}

int mm_policy_at(struct mm *mm, gva_t addr, struct mempolicy **out)
{
	struct vma *vma;

	*out = NULL;
	umm_read_lock(&mm->mmap_lock);
	vma = vma_find_exact(mm, addr);
	if (vma)
		*out = vma_policy_at(vma, addr);
	umm_read_unlock(&mm->mmap_lock);
	return vma ? 0 : -EFAULT;
}
