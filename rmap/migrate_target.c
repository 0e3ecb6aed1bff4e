/* SPDX-License-Identifier: MIT */
/*
 * Frames for the folios of a batch to move to.
 *
 * Folios of one frame, most of all, get theirs in blocks, so that the allocator
 * is asked a few times a batch, and that neighbours stay neighbours: they are
 * then copied, and another time zapped, in one run. Blocks of at least
 * RUN_ORDER that the host has memory for already are used before it is asked
 * for more; smaller ones only when there is nothing else.
 */
#include "rmap/migrate.h"

#define RUN_ORDER 4

#define TARGET_FLAGS (ALLOC_THISNODE | ALLOC_NORECLAIM | ALLOC_IN_STEAD)
#define SINGLE_FLAGS (TARGET_FLAGS | ALLOC_FROZEN)

static struct folio *target_alloc(struct migration *m, struct folio *src, unsigned int order)
{
	if (m->target)
		return m->target(m, src, order);
	return folio_alloc(m->sys, m->req->to, order, TARGET_FLAGS);
}

/* Locked. @src keeps its first frame, the others join what is still to do. */
static bool split_source(struct migration *m, struct folio *src)
{
	unsigned int nr = folio_nr(src);

	if (folio_split(m->sys, src))
		return false;
	for (unsigned int i = nr - 1; i > 0; i--) {
		if (lru_isolate_folio(m->sys, src + i))
			list_add(&src[i].lru, m->list);
	}
	m->frames -= nr - 1;
	return true;
}

static struct folio *target_single(struct migration *m, struct folio *src)
{
	struct folio *dst = target_alloc(m, src, src->order);

	if (!dst && src->order && split_source(m, src))
		dst = target_alloc(m, src, 0);
	return dst;
}

static unsigned int alloc_block(struct migration *m, unsigned int want, int smallest,
				unsigned int flags, struct folio **out)
{
	int order = 31 - __builtin_clz(want);

	for (order = order < UMM_MAX_ORDER ? order : UMM_MAX_ORDER; order >= smallest; order--) {
		unsigned int nr = folio_alloc_run(m->sys, place_on_node(m->req->to),
						  (unsigned int)order, 0, flags, out);

		if (nr)
			return nr;
	}
	return 0;
}

/* Up to @want folios of one frame, frozen; fewer if there are no more. */
static unsigned int alloc_singles(struct migration *m, unsigned int want, struct folio **out)
{
	unsigned int have = 0, nr;

	while (have < want) {
		nr = alloc_block(m, want - have, RUN_ORDER, SINGLE_FLAGS | ALLOC_POPULATED,
				 out + have);
		if (!nr)
			nr = alloc_block(m, want - have, 0, SINGLE_FLAGS, out + have);
		if (!nr)
			break;
		have += nr;
	}
	return have;
}

/* False: the item has left. */
static bool take_target(struct migration *m, struct migrate_item *it, struct folio *dst)
{
	it->dst = dst;
	it->nr = folio_nr(it->src);
	if (!dst) {
		m->frames -= it->nr;
		migrate_put_back(m, it->src, &m->res->no_memory);
		return false;
	}
	it->frozen = !folio_refcount(dst);
	if (!it->frozen && !folio_trylock(dst)) {
		/* Somebody asks about this frame, whose it was before. */
		folio_put(m->sys, dst);
		m->frames -= it->nr;
		migrate_put_back(m, it->src, &m->res->busy);
		return false;
	}
	it->dst_pfn = folio_first_pfn(m->sys, dst);
	return true;
}

/*
 * So that their anon_vmas stay while nothing maps them. Neighbours mostly have the same
 * one: its references are taken together. The sources are locked, so what a mapped one
 * belongs to stays the same.
 */
static void hold_anon_vmas(struct migration *m, unsigned int from)
{
	struct anon_vma *av = NULL;
	uintptr_t mapping = 0;
	int32_t more = 0;

	for (unsigned int i = from; i < m->nr; i++) {
		struct migrate_item *it = &m->items[i];

		if (!folio_mapped(it->src) || !folio_test_anon(it->src))
			continue;
		if (av && folio_mapping_raw(it->src) == mapping) {
			it->av = av;
			more++;
			continue;
		}
		if (more)
			anon_vma_get_many(av, more);
		more = 0;
		mapping = folio_mapping_raw(it->src);
		it->av = av = folio_get_anon_vma(it->src);
	}
	if (more)
		anon_vma_get_many(av, more);
}

void migrate_find_targets(struct migration *m, unsigned int from)
{
	unsigned int singles = 0, have = 0, used = 0, kept = from;
	uint64_t start = migrate_now_ns();

	for (unsigned int i = from; i < m->nr; i++)
		singles += !m->items[i].src->order;
	if (!m->target && singles)
		have = alloc_singles(m, singles, m->put);
	for (unsigned int i = from; i < m->nr; i++) {
		struct migrate_item *it = &m->items[i];
		struct folio *dst = NULL;

		if (!m->target && !it->src->order)
			dst = used < have ? m->put[used++] : NULL;
		else
			dst = target_single(m, it->src);
		if (!take_target(m, it, dst))
			continue;
		if (kept != i)
			m->items[kept] = *it;
		kept++;
	}
	folio_free_list(m->sys, m->put + used, have - used);
	m->nr = kept;
	hold_anon_vmas(m, from);
	m->res->ns_alloc += migrate_now_ns() - start;
}
