/* SPDX-License-Identifier: MIT */
/*
 * What was evicted not long ago: refault distances, as Linux's workingset has them.
 *
 * Each node has a clock of evictions, and a table in which an evicted page leaves
 * its time under a hash of where it went: its swap slot, or its object and index.
 * When it is read back, the clock minus that time is the distance: so much more
 * memory would have kept it. (Linux leaves shadow entries in the page cache and the
 * swap cache, which then hold no more than the memory they describe only with the
 * help of a shrinker. A table of fixed size forgets by itself.)
 *
 * A set of the table is one cache line of SET entries; the oldest gives way. An
 * entry is a tag of the hash and the time in buckets, 0 if it is empty. There are 3
 * entries for 8 frames: 1.5 bytes a frame. A distance is reliable up to about a
 * third of the node, then more and more are forgotten.
 *
 * No lock: entries are words that are read and written whole, and a lost or torn
 * set is only a forgotten page. Tables are made at a node's first eviction.
 */
#include "rmap/internal.h"

#define SET        16u
#define TAG_BITS   12u
#define CLOCK_BITS 20u
#define CLOCK_MASK ((1u << CLOCK_BITS) - 1)

struct shadow_table {
	uint64_t nr_sets;
	unsigned int bucket; /* the time in an entry is the clock >> bucket */
	uint64_t clock;      /* a  evictions, frames */
	uint32_t entries[];  /* a */
};

static size_t table_size(uint64_t nr_sets)
{
	return sizeof(struct shadow_table) + nr_sets * SET * sizeof(uint32_t);
}

static uint64_t sets_for(const struct mm_node *n)
{
	return n->nr_frames * 3 / 8 / SET + 1;
}

/* NULL: no memory; then nothing is remembered. */
static struct shadow_table *table_of(struct mm_sys *sys, struct mm_node *n)
{
	struct shadow_table *t = __atomic_load_n(&n->shadows, __ATOMIC_ACQUIRE), *none = NULL;

	if (t)
		return t;
	t = sys_alloc(sys, table_size(sets_for(n)));
	if (!t)
		return NULL;
	t->nr_sets = sets_for(n);
	/* The clock's range must be far more than what the table can remember. */
	while (n->nr_frames >> t->bucket >= 1u << (CLOCK_BITS - 3))
		t->bucket++;
	if (__atomic_compare_exchange_n(&n->shadows, &none, t, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return t;
	sys_free(sys, t, table_size(t->nr_sets));
	return none;
}

void shadows_destroy(struct mm_sys *sys, struct mm_node *n)
{
	if (n->shadows)
		sys_free(sys, n->shadows, table_size(n->shadows->nr_sets));
	n->shadows = NULL;
}

/* ---- keys ------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdul;
	x = (x ^ (x >> 29)) * 0xc4ceb9fe1a85ec53ul;
	return x ^ (x >> 32);
}

struct shadow_place shadow_place(const struct folio *f)
{
	if (folio_test(f, PG_swapcache))
		return (struct shadow_place){ .swap = true, .first = f->swap };
	return (struct shadow_place){ .object = (uintptr_t)folio_file_mapping(f),
				      .first = f->index.v };
}

/* Of page @i; 0: it can come back from nowhere. */
static uint64_t key_of(const struct shadow_place *p, unsigned int i)
{
	swp_entry_t e = { p->first };

	if (p->swap)
		return mix(swp_make(swp_type(e), swp_offset(e) + i).v * 2 + 1);
	return p->object ? mix(p->object ^ mix(p->first + i)) : 0;
}

static uint32_t tag_of(uint64_t key)
{
	uint32_t tag = (uint32_t)(key >> (64 - TAG_BITS));

	return (tag ? tag : 1) << CLOCK_BITS;
}

static uint32_t *set_of(struct shadow_table *t, uint64_t key)
{
	return &t->entries[(key & UINT32_MAX) * t->nr_sets / (1ul << 32) * SET];
}

static uint32_t now_of(const struct shadow_table *t)
{
	return (uint32_t)(__atomic_load_n(&t->clock, __ATOMIC_RELAXED) >> t->bucket) & CLOCK_MASK;
}

/* ---- coming and going ----------------------------------------------------------------- */

static void remember(struct shadow_table *t, uint64_t key)
{
	uint32_t tag = tag_of(key), now = now_of(t), *set = set_of(t, key), *to = set, oldest = 0;

	for (unsigned int i = 0; i < SET; i++) {
		uint32_t e = __atomic_load_n(&set[i], __ATOMIC_RELAXED), age;

		if (!e || (e & ~CLOCK_MASK) == tag) {
			to = &set[i];
			break;
		}
		age = (now - e) & CLOCK_MASK;
		if (age >= oldest) {
			oldest = age;
			to = &set[i];
		}
	}
	__atomic_store_n(to, tag | now, __ATOMIC_RELAXED);
}

void shadow_prefetch(struct mm_sys *sys, const struct folio *f)
{
	struct shadow_table *t = table_of(sys, folio_node(sys, f));
	struct shadow_place place = shadow_place(f);

	for (unsigned int i = 0; t && i < folio_nr(f); i++)
		__builtin_prefetch(set_of(t, key_of(&place, i)), 1);
}

void shadow_evicted(struct mm_sys *sys, int node, const struct shadow_place *place, unsigned int nr)
{
	struct shadow_table *t = table_of(sys, &sys->nodes[node]);

	if (!t)
		return;
	__atomic_fetch_add(&t->clock, nr, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t key = key_of(place, i);

		if (key)
			remember(t, key);
	}
}

static bool take_from(struct shadow_table *t, uint64_t key, uint64_t *distance)
{
	uint32_t *set = set_of(t, key), tag = tag_of(key);

	for (unsigned int i = 0; i < SET; i++) {
		uint32_t e = __atomic_load_n(&set[i], __ATOMIC_RELAXED);

		if ((e & ~CLOCK_MASK) != tag)
			continue;
		__atomic_store_n(&set[i], 0, __ATOMIC_RELAXED);
		*distance = (uint64_t)((now_of(t) - e) & CLOCK_MASK) << t->bucket;
		return true;
	}
	return false;
}

bool shadow_expects(struct mm_sys *sys, const struct address_space *m, pgoff_t index)
{
	struct shadow_place place = { .object = (uintptr_t)m, .first = index.v };
	uint64_t key = key_of(&place, 0);

	for (unsigned int id = 0; id < sys->nr_nodes; id++) {
		struct shadow_table *t = __atomic_load_n(&sys->nodes[id].shadows, __ATOMIC_ACQUIRE);
		uint32_t *set = t ? set_of(t, key) : NULL;

		for (unsigned int i = 0; set && i < SET; i++) {
			if ((__atomic_load_n(&set[i], __ATOMIC_RELAXED) & ~CLOCK_MASK) ==
			    tag_of(key))
				return true;
		}
	}
	return false;
}

bool shadow_refault(struct mm_sys *sys, const struct folio *f, uint64_t *distance)
{
	struct shadow_place place = shadow_place(f);
	uint64_t key = key_of(&place, 0);

	/* It may have been evicted from another node than the one it comes back to. */
	for (unsigned int i = 0; key && i < sys->nr_nodes; i++) {
		unsigned int id = (f->node + i) % sys->nr_nodes;
		struct shadow_table *t = __atomic_load_n(&sys->nodes[id].shadows, __ATOMIC_ACQUIRE);

		if (t && take_from(t, key, distance))
			return true;
	}
	return false;
}
