/* SPDX-License-Identifier: MIT */
/*
 * KSM: the stable and the unstable tree, both ordered by a hash of the content.
 *
 * Of the stable tree a node is a bucket: all merged folios with that hash. That takes
 * the place of Linux's chains: more folios of one content when one has too many sharers,
 * or one a node when nodes are kept apart; and different contents that happen to have
 * one hash, which are told apart by their bytes.
 */
#include "rmap/ksm.h"

/*
 * Guests store while this looks: words are read one by one, each whole. The result is
 * then of no page that ever was, which the next round notices.
 */
static inline uint64_t frame_word(const uint64_t *p, unsigned int i)
{
	return __atomic_load_n(&p[i], __ATOMIC_RELAXED);
}

#define FRAME_WORDS (UMM_PAGE_SIZE / sizeof(uint64_t))

uint64_t frame_hash(const struct mm_sys *sys, pfn_t pfn)
{
	const uint64_t mul = 0x9e3779b97f4a7c15ul, *p = frame_hva(sys, pfn);
	uint64_t lane[4] = { 1, 2, 3, 4 }, h = 0;

	for (unsigned int i = 0; i < FRAME_WORDS; i += 4) {
		for (unsigned int l = 0; l < 4; l++) {
			lane[l] = (lane[l] ^ frame_word(p, i + l)) * mul;
			lane[l] ^= lane[l] >> 29;
		}
	}
	for (unsigned int l = 0; l < 4; l++)
		h = (h ^ lane[l] ^ (lane[l] >> 32)) * mul;
	return h ^ (h >> 32);
}

bool frames_equal(const struct mm_sys *sys, pfn_t a, pfn_t b)
{
	const uint64_t *p = frame_hva(sys, a), *q = frame_hva(sys, b);

	for (unsigned int i = 0; i < FRAME_WORDS; i++) {
		if (frame_word(p, i) != frame_word(q, i))
			return false;
	}
	return true;
}

/* ---- merged folios ----------------------------------------------------------- */

static struct ksm_bucket *bucket_of(struct avl_node *n)
{
	return container_of(n, struct ksm_bucket, tree);
}

static struct ksm_bucket *bucket_find(struct ksm *k, uint64_t hash)
{
	struct avl_node *n = k->stable;

	while (n && bucket_of(n)->hash != hash)
		n = hash < bucket_of(n)->hash ? n->left : n->right;
	return n ? bucket_of(n) : NULL;
}

static struct ksm_bucket *bucket_make(struct ksm *k, uint64_t hash)
{
	struct avl_node **slot = &k->stable, *parent = NULL;
	struct ksm_bucket *b;

	while (*slot) {
		parent = *slot;
		if (bucket_of(parent)->hash == hash)
			return bucket_of(parent);
		slot = hash < bucket_of(parent)->hash ? &parent->left : &parent->right;
	}
	b = sys_alloc(k->sys, sizeof(*b));
	if (!b)
		return NULL;
	b->hash = hash;
	list_init(&b->nodes);
	avl_link(&k->stable, parent, slot, &b->tree, NULL);
	return b;
}

int stable_tree_insert(struct ksm *k, uint64_t hash, struct ksm_stable_node *node)
{
	struct ksm_bucket *b = bucket_make(k, hash);

	if (!b)
		return -ENOMEM;
	if (!list_empty(&b->nodes))
		__atomic_fetch_add(&k->nr_dups, 1, __ATOMIC_RELAXED);
	node->bucket = b;
	list_add(&node->same_hash, &b->nodes);
	return 0;
}

static bool node_fits(struct ksm *k, struct ksm_stable_node *node, const struct folio *kept,
		      const struct folio *frame)
{
	if (!ksm_get(k->sys, KSM_MERGE_ACROSS_NODES) && kept->node != frame->node)
		return false;
	if (!ksm_node_has_room(k, node))
		ksm_node_prune(k, node);
	return ksm_node_has_room(k, node) &&
	       frames_equal(k->sys, folio_pfn(k->sys, kept), folio_pfn(k->sys, frame));
}

struct folio *stable_tree_find(struct ksm *k, uint64_t hash, const struct folio *frame)
{
	struct ksm_bucket *b = bucket_find(k, hash);
	struct ksm_stable_node *node;

	if (!b)
		return NULL;
	list_for_each_entry(node, &b->nodes, same_hash)
	{
		struct folio *kept = ksm_node_get_folio(k, node);

		if (!kept)
			continue;
		if (node_fits(k, node, kept, frame))
			return kept;
		folio_put(k->sys, kept);
	}
	return NULL;
}

static void node_free(struct ksm *k, struct ksm_stable_node *node)
{
	struct ksm_bucket *b = node->bucket;

	mm_assert(list_empty(&node->items));
	if (b) {
		list_del(&node->same_hash);
		if (list_empty(&b->nodes)) {
			avl_erase(&k->stable, &b->tree, NULL);
			sys_free(k->sys, b, sizeof(*b));
		} else {
			__atomic_fetch_sub(&k->nr_dups, 1, __ATOMIC_RELAXED);
		}
	}
	sys_free(k->sys, node, sizeof(*node));
}

void stable_tree_reap(struct ksm *k)
{
	for (;;) {
		struct ksm_stable_node *node = NULL;

		umm_mutex_lock(&k->lock);
		if (!list_empty(&k->dead)) {
			node = list_first_entry(&k->dead, struct ksm_stable_node, all);
			list_del(&node->all);
		}
		umm_mutex_unlock(&k->lock);
		if (!node)
			return;
		node_free(k, node);
	}
}

void stable_tree_prune(struct ksm *k)
{
	struct ksm_stable_node *node;

	for (struct avl_node *n = avl_first(k->stable); n; n = avl_next(n)) {
		list_for_each_entry(node, &bucket_of(n)->nodes, same_hash) ksm_node_prune(k, node);
	}
}

/* ---- pages that wait for an equal one --------------------------------------------- */

static struct ksm_page *page_of(struct avl_node *n)
{
	return container_of(n, struct ksm_page, unstable);
}

/* Where nodes are kept apart, pages of different nodes never meet. */
static uint64_t unstable_key(const struct ksm *k, const struct ksm_page *page)
{
	return ksm_get(k->sys, KSM_MERGE_ACROSS_NODES) ? page->hash
						       : page->hash * 31 + (uint64_t)page->node;
}

struct ksm_page *unstable_tree_find(struct ksm *k, struct ksm_page *page)
{
	struct avl_node **slot = &k->unstable, *parent = NULL;

	page->key = unstable_key(k, page);
	while (*slot) {
		parent = *slot;
		if (page_of(parent)->key == page->key)
			return page_of(parent);
		slot = page->key < page_of(parent)->key ? &parent->left : &parent->right;
	}
	avl_link(&k->unstable, parent, slot, &page->unstable, NULL);
	page->round = k->round;
	__atomic_fetch_add(&k->nr_unshared, 1, __ATOMIC_RELAXED);
	return NULL;
}

void unstable_tree_erase(struct ksm *k, struct ksm_page *page)
{
	if (page->round == k->round)
		avl_erase(&k->unstable, &page->unstable, NULL);
	if (page->round)
		__atomic_fetch_sub(&k->nr_unshared, 1, __ATOMIC_RELAXED);
	page->round = 0;
}

/* The pages stay where they are and know by the round that they are in no tree. */
void unstable_tree_forget(struct ksm *k)
{
	k->unstable = NULL;
	k->round++;
}
