/* SPDX-License-Identifier: MIT */
/* The frame allocators: blocks, zeroes, nodes, host memory. */
#include "tests/unit/util.h"

static uint64_t first_word(struct fake_host *h, struct folio *f)
{
	uint64_t *word = fake_hva(h, folio_pfn(h->sys, f));

	return *word;
}

static void soil(struct fake_host *h, struct folio *f)
{
	for (unsigned int i = 0; i < folio_nr(f); i++)
		memset(fake_hva(h, pfn_add(folio_pfn(h->sys, f), i)), 0xa5, UMM_PAGE_SIZE);
}

static void test_orders(void)
{
	struct fake_host *h = unit_open();
	uint64_t free_before = frames_nr_free(h->sys);

	for (unsigned int order = 0; order <= UMM_MAX_ORDER; order++) {
		struct folio *f = folio_alloc(h->sys, 0, order, 0);

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		CU_ASSERT_EQUAL(f->order, order);
		CU_ASSERT_EQUAL(folio_nr(f), 1u << order);
		CU_ASSERT_EQUAL(folio_refcount(f), 1);
		CU_ASSERT_FALSE(folio_mapped(f));
		CU_ASSERT_EQUAL(folio_pfn(h->sys, f).v % (1ul << order), 0);
		CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before - (1ul << order));
		for (unsigned int i = 0; i < folio_nr(f); i++)
			CU_ASSERT_PTR_EQUAL(folio_head(f + i), f);
		folio_put(h->sys, f);
		CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before);
	}
	unit_close(h);
}

/* All frames as single ones, each once; given back in a scattered order they join again. */
static void test_merge(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct folio *f[2048];
	unsigned int nr = 0, whole = 0;

	config.nr_nodes = 1;
	config.frames_per_node = 2048;
	h = unit_open_with(&config);
	while (nr < 2048 && (f[nr] = folio_alloc(h->sys, 0, 0, ALLOC_NORECLAIM)))
		nr++;
	CU_ASSERT_EQUAL(nr, 2048);
	CU_ASSERT_PTR_NULL(folio_alloc(h->sys, 0, 0, ALLOC_NORECLAIM));
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL(folio_refcount(f[i]), 1);
	for (unsigned int i = 0; i < nr; i++)
		folio_put(h->sys, f[i * 577 % nr]);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), 2048);
	while (whole < 4 && (f[whole] = folio_alloc(h->sys, 0, UMM_MAX_ORDER, ALLOC_NORECLAIM)))
		whole++;
	CU_ASSERT_EQUAL(whole, 4);
	for (unsigned int i = 0; i < whole; i++)
		folio_put(h->sys, f[i]);
	unit_close(h);
}

/* Some frames are kept for those who cannot wait for reclaim. */
static void test_reserve(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct folio *f[512];
	unsigned int nr = 0, common;

	config.nr_nodes = 1;
	config.frames_per_node = 512;
	h = unit_open_with(&config);
	while (nr < 512 && (f[nr] = folio_alloc(h->sys, 0, 0, 0)))
		nr++;
	common = nr;
	CU_ASSERT_TRUE(common < 512);
	while (nr < 512 && (f[nr] = folio_alloc(h->sys, 0, 0, ALLOC_NORECLAIM)))
		nr++;
	CU_ASSERT_TRUE(nr > common);
	CU_ASSERT_EQUAL(nr, 512);
	while (nr)
		folio_put(h->sys, f[--nr]);
	unit_close(h);
}

static void test_zero(void)
{
	struct fake_host *h = unit_open();
	struct folio *f = folio_alloc(h->sys, 0, 3, 0);
	pfn_t pfn = folio_pfn(h->sys, f);
	struct folio *again;

	soil(h, f);
	folio_put(h->sys, f);
	again = folio_alloc(h->sys, 0, 3, ALLOC_ZERO);
	CU_ASSERT_EQUAL(folio_pfn(h->sys, again).v, pfn.v);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(first_word(h, again + i), 0);
	folio_put(h->sys, again);
	unit_close(h);
}

/* A soiled frame must not pass for zero because its buddy is, nor after a merge and a split. */
static void test_zero_after_merge(void)
{
	struct fake_host *h = unit_open();
	struct folio *f[8];

	for (unsigned int i = 0; i < 8; i++)
		f[i] = folio_alloc(h->sys, 0, 0, 0);
	soil(h, f[3]);
	for (unsigned int i = 0; i < 8; i++)
		folio_put(h->sys, f[i]);
	for (unsigned int i = 0; i < 8; i++) {
		f[i] = folio_alloc(h->sys, 0, 0, ALLOC_ZERO);
		CU_ASSERT_EQUAL(first_word(h, f[i]), 0);
	}
	for (unsigned int i = 0; i < 8; i++)
		folio_put(h->sys, f[i]);
	unit_close(h);
}

static void test_nodes(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct folio *f[512], *other;
	unsigned int nr = 0;

	config.nr_nodes = 3;
	config.frames_per_node = 512;
	h = unit_open_with(&config);
	while (nr < 512 && (f[nr] = folio_alloc(h->sys, 1, 0, ALLOC_THISNODE | ALLOC_NORECLAIM)))
		CU_ASSERT_EQUAL(f[nr++]->node, 1);
	CU_ASSERT_EQUAL(nr, 512);
	CU_ASSERT_PTR_NULL(folio_alloc(h->sys, 1, 0, ALLOC_THISNODE | ALLOC_NORECLAIM));
	other = folio_alloc(h->sys, 1, 0, ALLOC_NORECLAIM);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	CU_ASSERT_NOT_EQUAL(other->node, 1);
	folio_put(h->sys, other);
	while (nr)
		folio_put(h->sys, f[--nr]);
	unit_close(h);
}

static void test_pfn_conversion(void)
{
	struct fake_host *h = unit_open();

	for (unsigned int node = 0; node < 2; node++) {
		pfn_t first = h->node_base[node], past = pfn_add(first, 4096);
		struct folio *used = folio_alloc(h->sys, (int)node, 0, ALLOC_THISNODE);
		struct folio *f = sys_frame(h->sys, pfn_add(first, 17));

		/* Descriptors are filled in blocks, when the first frame of one is taken. */
		CU_ASSERT_PTR_NOT_NULL_FATAL(used);
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		CU_ASSERT_EQUAL(folio_pfn(h->sys, f).v, first.v + 17);
		CU_ASSERT_EQUAL(f->node, node);
		CU_ASSERT_PTR_EQUAL(frame_hva(h->sys, pfn_add(first, 17)),
				    fake_hva(h, pfn_add(first, 17)));
		CU_ASSERT_PTR_NULL(sys_frame(h->sys, pfn_make(first.v - 1)));
		CU_ASSERT_PTR_NULL(sys_frame(h->sys, past));
		folio_put(h->sys, used);
	}
	unit_close(h);
}

/* Discarded memory goes back to the host once, and is asked for again before it is used. */
static void test_discard(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct folio *f;
	uint64_t populated, cleared;

	config.nr_nodes = 1;
	h = unit_open_with(&config);
	f = folio_alloc(h->sys, 0, 9, 0);
	soil(h, f);
	folio_put(h->sys, f);
	CU_ASSERT_TRUE(frames_discard_free(h->sys, 0) >= 512);
	CU_ASSERT_EQUAL(frames_discard_free(h->sys, 0), 0);
	populated = fake_calls(h, FAKE_POPULATE);
	cleared = fake_calls(h, FAKE_CLEAR);
	f = folio_alloc(h->sys, 0, 9, ALLOC_ZERO);
	CU_ASSERT_EQUAL(fake_calls(h, FAKE_POPULATE), populated + 1);
	CU_ASSERT_EQUAL(fake_calls(h, FAKE_CLEAR), cleared);
	CU_ASSERT_EQUAL(first_word(h, f), 0);
	folio_put(h->sys, f);
	unit_close(h);
}

/* A host that refuses to discard: the frames stay, soiled, and are not taken for zero. */
static void test_discard_fails(void)
{
	struct fake_config config = unit_config();
	struct fake_host *h;
	struct folio *f;

	config.nr_nodes = 1;
	config.frames_per_node = 512;
	h = unit_open_with(&config);
	f = folio_alloc(h->sys, 0, 0, 0);
	soil(h, f);
	folio_put(h->sys, f);
	fake_fail_nth(h, FAKE_DISCARD, 1);
	frames_discard_free(h->sys, 0);
	CU_ASSERT_EQUAL(h->failures, 1);
	f = folio_alloc(h->sys, 0, 0, ALLOC_ZERO);
	CU_ASSERT_EQUAL(first_word(h, f), 0);
	folio_put(h->sys, f);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), 512);
	unit_close(h);
}

/* @op fails in an allocation that needs it: no folio, and no frame lost. */
static void check_alloc_fails(struct fake_host *h, enum fake_op op)
{
	uint64_t free_before = frames_nr_free(h->sys);
	struct folio *f = folio_alloc(h->sys, 0, 4, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	soil(h, f);
	folio_put(h->sys, f);
	if (op == FAKE_POPULATE)
		frames_discard_free(h->sys, -1);
	fake_fail_nth(h, op, 1);
	CU_ASSERT_PTR_NULL(folio_alloc(h->sys, 0, 4, ALLOC_ZERO | ALLOC_NORECLAIM));
	CU_ASSERT_EQUAL(h->failures, 1);
	CU_ASSERT_EQUAL(frames_nr_free(h->sys), free_before);
	f = folio_alloc(h->sys, 0, 4, ALLOC_ZERO);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(first_word(h, f), 0);
	folio_put(h->sys, f);
}

static void test_populate_fails(void)
{
	struct fake_host *h = unit_open();

	check_alloc_fails(h, FAKE_POPULATE);
	unit_close(h);
}

static void test_clear_fails(void)
{
	struct fake_host *h = unit_open();

	check_alloc_fails(h, FAKE_CLEAR);
	unit_close(h);
}

static void test_alloc_run(void)
{
	struct fake_host *h = unit_open();
	struct folio *out[64];
	unsigned int nr = folio_alloc_run(h->sys, place_on_node(0), 6, 2, ALLOC_ZERO, out);

	CU_ASSERT_EQUAL_FATAL(nr, 16);
	for (unsigned int i = 0; i < nr; i++) {
		CU_ASSERT_EQUAL(out[i]->order, 2);
		CU_ASSERT_EQUAL(folio_refcount(out[i]), 1);
		CU_ASSERT_PTR_EQUAL(out[i], out[0] + 4 * i);
		CU_ASSERT_PTR_EQUAL(folio_head(out[i] + 3), out[i]);
	}
	for (unsigned int i = 0; i < nr; i++)
		folio_put(h->sys, out[i]);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "orders 0 to 9: aligned, counted, given back", test_orders },
		{ "single frames join to whole blocks again", test_merge },
		{ "a reserve is left to reclaim and migration", test_reserve },
		{ "ALLOC_ZERO gives zeroes in reused frames", test_zero },
		{ "a soiled frame never passes for zero", test_zero_after_merge },
		{ "ALLOC_THISNODE stays, others fall back", test_nodes },
		{ "pfn, folio and host view agree", test_pfn_conversion },
		{ "discarded frames: once, populated before use", test_discard },
		{ "discard fails: frames stay in use, not zero", test_discard_fails },
		{ "populate fails: no folio, nothing lost", test_populate_fails },
		{ "clear fails: no folio, nothing lost", test_clear_fails },
		{ "a run of folios out of one block", test_alloc_run },
	};

	return unit_run("frames", tests, ARRAY_LEN(tests), argc, argv);
}
