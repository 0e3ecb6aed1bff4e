/* SPDX-License-Identifier: MIT */
/*
 * move_pages and migrate_pages: pages of one process named by their addresses, or
 * by the nodes that they are on.
 *
 * Locks: mmap_lock for reading where an address is looked up; none between the
 * look and the move, since an isolated folio stays what it is.
 */
#include "rmap/migrate.h"

/* What is in other hands for a moment is tried again; Linux tries ten times as well. */
#define MOVE_TRIES 10

/* The frame that @addr is mapped to, with a reference on its folio; NULL. */
static struct folio *frame_get(struct mm *mm, gva_t addr)
{
	struct folio *frame = NULL;
	struct umm_mutex *lock;
	uint64_t e;

	if (!entry_lock(mm, addr, &lock, &e))
		return NULL;
	if (pte_present(e)) {
		frame = sys_frame(mm->sys, pte_pfn(e));
		folio_get(folio_head(frame));
	}
	umm_mutex_unlock(lock);
	return frame;
}

/* 0 with a reference on *out, -EFAULT: no area, -ENOENT: no page. */
static int folio_at(struct mm *mm, gva_t addr, struct folio **out)
{
	struct folio *frame = NULL;
	int ret = 0;

	if (addr.v >= UMM_TASK_SIZE)
		return -EFAULT;
	umm_read_lock(&mm->mmap_lock);
	if (vma_find_exact(mm, addr))
		frame = frame_get(mm, gva_page(addr));
	else
		ret = -EFAULT;
	umm_read_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	if (!frame)
		return -ENOENT;
	*out = folio_head(frame);
	return 0;
}

int mm_page_node(struct mm *mm, gva_t addr)
{
	struct folio *f;
	int ret = folio_at(mm, addr, &f);

	if (ret)
		return ret;
	ret = f->node;
	folio_put(mm->sys, f);
	return ret;
}

/* ---- move_pages -------------------------------------------------------------------- */

static bool queue_grow(struct page_queue *q, struct mm_sys *sys)
{
	uint64_t room = q->room ? 2 * q->room : 64;
	struct folio **more;

	if (q->nr < q->room)
		return true;
	more = sys_alloc(sys, room * sizeof(struct folio *));
	if (!more)
		return false;
	if (q->nr)
		memcpy(more, q->folios, q->nr * sizeof(struct folio *));
	sys_free(sys, q->folios, q->room * sizeof(struct folio *));
	q->folios = more;
	q->room = room;
	return true;
}

static bool folio_is_shared(const struct folio *f)
{
	return folio_pages_mapped(f) > folio_nr(f);
}

/* The page's neighbour in the same folio was the last to be queued: they go together. */
static bool comes_along(const struct page_queue *q, const struct folio *f)
{
	return f->order && q->nr && q->folios[q->nr - 1] == f;
}

int page_queue_add(struct page_queue *q, struct mm *mm, gva_t addr, int to, bool shared_too)
{
	struct folio *f;
	int ret = folio_at(mm, addr, &f);

	if (ret)
		return ret;
	if (f->node == to)
		ret = 0;
	else if (comes_along(q, f))
		ret = 2;
	else if (!shared_too && folio_is_shared(f))
		ret = -EACCES;
	else if (!queue_grow(q, mm->sys))
		ret = -ENOMEM;
	else if (!lru_isolate_folio(mm->sys, f))
		ret = -EBUSY;
	else
		ret = 1;
	if (ret == 1)
		q->folios[q->nr++] = f;
	folio_put(mm->sys, f);
	return ret > 0 ? 1 : ret;
}

/* Hook of the engine: keep what was busy for another try, with a reference. */
static bool keep_busy(struct migration *m, struct folio *f, const uint64_t *why)
{
	struct page_queue *again = m->request;

	if (why != &m->res->busy)
		return true;
	folio_get(f);
	again->folios[again->nr++] = f;
	return false;
}

/* The busy ones of the last try: isolated again; those that cannot be stay. */
static uint64_t isolate_again(struct mm_sys *sys, struct page_queue *again, struct list_head *list)
{
	uint64_t lost = 0;

	for (uint64_t i = 0; i < again->nr; i++) {
		struct folio *f = again->folios[i];

		if (lru_isolate_folio(sys, f))
			list_add_tail(&f->lru, list);
		else
			lost++;
		folio_put(sys, f);
	}
	again->nr = 0;
	return lost;
}

static uint64_t drop_busy(struct mm_sys *sys, struct page_queue *again)
{
	uint64_t nr = again->nr;

	while (again->nr)
		folio_put(sys, again->folios[--again->nr]);
	return nr;
}

int64_t page_queue_move(struct page_queue *q, struct mm_sys *sys, int to)
{
	struct migrate_request req = { .to = to };
	struct migrate_result res;
	struct migration *m = migration_start(sys, &req, &res);
	struct list_head list;
	uint64_t stayed = 0;

	list_init(&list);
	for (uint64_t i = 0; i < q->nr; i++) {
		if (m)
			list_add_tail(&q->folios[i]->lru, &list);
		else
			lru_putback(sys, q->folios[i], folio_test(q->folios[i], PG_active));
	}
	q->nr = 0;
	if (m) {
		/* From here on the queue's room holds what was busy. */
		m->stays = keep_busy;
		m->request = q;
		for (int i = 0; !list_empty(&list) && i < MOVE_TRIES; i++) {
			umm_read_lock(&sys->work_lock);
			migrate_list(m, &list);
			umm_read_unlock(&sys->work_lock);
			if (i + 1 < MOVE_TRIES)
				stayed += isolate_again(sys, q, &list);
		}
		stayed += drop_busy(sys, q) + res.pinned + res.no_memory + res.failed;
		migration_end(m);
	}
	sys_free(sys, q->folios, q->room * sizeof(struct folio *));
	*q = PAGE_QUEUE_INIT;
	return m ? (int64_t)stayed : -ENOMEM;
}

/* ---- migrate_pages ------------------------------------------------------------------- */

/* The node of @to that has the number in it that @node has in @from. */
static int node_counterpart(int node, uint64_t from, uint64_t to)
{
	unsigned int at = (unsigned int)__builtin_popcountl(from & ((1ul << node) - 1));

	return node_nth(to, at % (unsigned int)__builtin_popcountl(to));
}

/*
 * The next node to empty, and where to; false: done. One whose target is not
 * itself still to be emptied comes first, so that nothing is moved twice. Sets of
 * different sizes have no order to keep: then what is on a target stays.
 */
static bool next_pair(uint64_t left, uint64_t from, uint64_t to, int *source, int *target)
{
	bool same_size = __builtin_popcountl(from) == __builtin_popcountl(to);
	bool found = false;

	for (uint64_t n = left; n; n &= n - 1) {
		int s = __builtin_ctzl(n), d;

		if (!same_size && (to & (1ul << s)))
			continue;
		d = node_counterpart(s, from, to);
		if (s == d)
			continue;
		*source = s;
		*target = d;
		found = true;
		if (!(left & (1ul << d)))
			break;
	}
	return found;
}

int64_t mm_migrate_nodes(struct mm *mm, uint64_t from, uint64_t to, bool shared_too)
{
	struct migrate_request req = { .mm = mm, .move_shared = shared_too };
	struct migrate_result res;
	uint64_t left = from, stayed = 0;
	int source, ret;

	while (next_pair(left, from, to, &source, &req.to)) {
		left &= ~(1ul << source);
		req.from_mask = 1ul << source;
		ret = mm_migrate(mm->sys, &req, &res);
		if (ret)
			return ret;
		stayed += res.busy + res.pinned + res.no_memory + res.failed;
	}
	return (int64_t)stayed;
}
