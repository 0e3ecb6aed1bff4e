/* SPDX-License-Identifier: MIT */
/* Memory policies: where pages go, what areas and objects do with them, mbind's moves. */
#include "tests/unit/util.h"

#define PAGES 24u

struct setup {
	struct fake_host *h;
	struct mm *mm;
	struct mm_thread thread;
};

static void open_nodes(struct setup *s, unsigned int nodes)
{
	struct fake_config config = unit_config();

	config.nr_nodes = nodes;
	s->h = unit_open_with(&config);
	s->mm = unit_mm(s->h);
	mm_thread_init(&s->thread);
	s->h->thread = &s->thread;
}

static void close_nodes(struct setup *s)
{
	unit_check(s->h);
	mm_put(s->mm);
	mm_thread_destroy(&s->thread);
	s->h->thread = NULL;
	unit_close(s->h);
}

static struct mempolicy *policy(struct setup *s, unsigned int mode, uint64_t nodes)
{
	struct node_set set = { .nodes = nodes };
	struct mempolicy *p = NULL;

	CU_ASSERT_EQUAL_FATAL(mempolicy_create(s->h->sys, mode & 0x1fff, mode & ~0x1fffu, &set, &p),
			      0);
	return p;
}

static int bind_area(struct setup *s, gva_t a, uint64_t pages, unsigned int mode, uint64_t nodes,
		     unsigned int flags)
{
	struct mempolicy *p = mode ? policy(s, mode, nodes) : NULL;
	int ret = mm_mbind(s->mm, a, page_at(a, pages), p, flags);

	mempolicy_put(p);
	return ret;
}

static void thread_use(struct setup *s, unsigned int mode, uint64_t nodes)
{
	mm_thread_set_policy(&s->thread, mode ? policy(s, mode, nodes) : NULL);
}

/* Touch the pages and write their nodes as a string of digits. */
static const char *nodes_of(struct setup *s, struct mm *mm, gva_t a, uint64_t pages)
{
	static char text[256];

	for (uint64_t i = 0; i < pages; i++) {
		unit_put(s->h, mm, page_at(a, i), i + 1);
		text[i] = (char)('0' + mm_page_node(mm, page_at(a, i)));
	}
	text[pages] = 0;
	return text;
}

static unsigned int nr_areas(const struct setup *s)
{
	return s->mm->nr_vmas;
}

/* ---- policies as objects ------------------------------------------------------------- */

static int create(struct setup *s, unsigned int mode, unsigned int flags, uint64_t nodes,
		  bool beyond)
{
	struct node_set set = { .nodes = nodes, .beyond = beyond };
	struct mempolicy *p;
	int ret = mempolicy_create(s->h->sys, mode, flags, &set, &p);

	mempolicy_put(p);
	return ret;
}

static void test_create(void)
{
	struct setup s;
	struct mempolicy *p;

	open_nodes(&s, 3);
	CU_ASSERT_EQUAL(create(&s, POLICY_NR, 0, 1, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_DEFAULT, 0, 0, false), 0);
	CU_ASSERT_EQUAL(create(&s, POLICY_DEFAULT, 0, 1, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_DEFAULT, 0, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_BIND, 0, 0, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_BIND, 0, 8, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_BIND, 0, 0, true), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_LOCAL, 0, 1, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_LOCAL, POLICY_F_STATIC_NODES, 0, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_PREFERRED, POLICY_F_RELATIVE_NODES, 0, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_BIND, POLICY_F_RELATIVE_NODES | POLICY_F_STATIC_NODES, 1,
			       false),
			-EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_INTERLEAVE, POLICY_F_NUMA_BALANCING, 1, false), -EINVAL);
	CU_ASSERT_EQUAL(create(&s, POLICY_BIND, POLICY_F_NUMA_BALANCING, 1, false), 0);

	p = policy(&s, POLICY_PREFERRED, 0);
	CU_ASSERT_EQUAL(p->mode, POLICY_LOCAL);
	mempolicy_put(p);
	p = policy(&s, POLICY_PREFERRED, 6);
	CU_ASSERT_EQUAL(p->nodes, 2);
	mempolicy_put(p);
	/* Nodes 1 and 5 of a set of three: 1 and 5 % 3. */
	p = policy(&s, POLICY_BIND | POLICY_F_RELATIVE_NODES, 0x22);
	CU_ASSERT_EQUAL(p->nodes, 6);
	CU_ASSERT_EQUAL(p->asked, 0x22);
	mempolicy_put(p);
	close_nodes(&s);
}

/* ---- where pages go --------------------------------------------------------------------- */

static void test_local(void)
{
	struct setup s;
	gva_t a;

	open_nodes(&s, 3);
	a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	s.h->node = 2;
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 2), "22");
	s.h->node = 1;
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 2), 2), "11");
	thread_use(&s, POLICY_LOCAL, 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 4), 2), "11");
	thread_use(&s, POLICY_PREFERRED, 1);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 6), 2), "00");
	/* The area's own policy comes before the thread's. */
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 8), 2, POLICY_BIND, 4, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 7), 4), "0220");
	close_nodes(&s);
}

/* By the page's number in its area, in whatever order they are touched. */
static void test_interleave(void)
{
	struct setup s;
	gva_t a;

	open_nodes(&s, 4);
	a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, a, PAGES, POLICY_INTERLEAVE, 0xb, 0), 0);
	unit_put(s.h, s.mm, page_at(a, 7), 1);
	unit_put(s.h, s.mm, page_at(a, 3), 1);
	/* 0x10000 pages are a third too many for three nodes: page 0 is the second one's. */
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 9), "130130130");

	mm_sys_set_interleave_weight(s.h->sys, 0, 2);
	mm_sys_set_interleave_weight(s.h->sys, 2, 1);
	a = unit_map_at(s.mm, 0x3000 * UMM_PAGE_SIZE, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	thread_use(&s, POLICY_WEIGHTED_INTERLEAVE, 5);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 9), "002002002");
	close_nodes(&s);
}

/* A window of one fault holds pages of several nodes; folios stay small. */
static void test_interleave_window(void)
{
	struct fake_config config = unit_config();
	struct setup s = { .h = NULL };
	gva_t a;

	config.fault_around = 16;
	config.max_anon_order = 4;
	s.h = unit_open_with(&config);
	s.mm = unit_mm(s.h);
	mm_thread_init(&s.thread);
	s.h->thread = &s.thread;
	a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	thread_use(&s, POLICY_INTERLEAVE, 3);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 16), "0101010101010101");
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT_ANON), 1);
	close_nodes(&s);
}

/* Frames that one node has for an ordinary allocation. */
static void exhaust(struct setup *s, int node, gva_t *area)
{
	*area = unit_map(s->mm, 4096, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(s, *area, 4096, POLICY_BIND, 1ul << node, 0), 0);
	for (uint64_t i = 0; i < 4096 - 32; i++) {
		uint64_t v;

		if (fake_load(s->h, s->mm, 0, page_at(*area, i), &v) != FAULT_DONE)
			break;
	}
	CU_ASSERT_EQUAL(mm_mlock(s->mm, *area, (4096 - 32) << UMM_PAGE_SHIFT, 0), 0);
}

/* A bound page comes from its nodes or not at all; others look further. */
static void test_full_node(void)
{
	struct setup s;
	gva_t full, a;

	open_nodes(&s, 3);
	exhaust(&s, 1, &full);
	a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, a, 1, POLICY_BIND, 2, 0), 0);
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, a, 1), FAULT_OOM);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, a), -ENOENT);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 1), 2, POLICY_PREFERRED, 2, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 1), 2), "00");
	/* Of those named first, then others. */
	s.h->node = 1;
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 3), 2, POLICY_PREFERRED_MANY, 6, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 3), 2), "22");
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 5), 2, POLICY_PREFERRED_MANY, 2, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 5), 2), "00");
	/* Both bound nodes are looked at, the nearer one first. */
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 7), 2, POLICY_BIND, 6, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 7), 2), "22");
	close_nodes(&s);
}

/* A bound page makes room on its own nodes, and leaves the others alone. */
static void test_reclaim_within(void)
{
	struct setup s;
	gva_t a, other;

	open_nodes(&s, 2);
	other = unit_map_filled(s.h, s.mm, 64, 5);
	a = unit_map(s.mm, 4096 + 256, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, a, 4096 + 256, POLICY_BIND, 2, 0), 0);
	unit_fill(s.h, s.mm, a, 4096 + 256, 6);
	CU_ASSERT(__atomic_load_n(&s.mm->counters[MM_SWAPENTS], __ATOMIC_RELAXED) >= 256);
	for (uint64_t i = 0; i < 64; i++)
		CU_ASSERT(unit_mapped(s.h, s.mm, page_at(other, i)));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 4096 + 256, 6), 0);
	/* What was swapped comes back to where it is bound. */
	for (uint64_t i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 4096 + 240 + i)), 1);
	close_nodes(&s);
}

static void test_home_node(void)
{
	struct setup s;
	gva_t a;

	open_nodes(&s, 4);
	a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_set_home_node(s.mm, a, page_at(a, 2), 2), -ENOENT);
	CU_ASSERT_EQUAL(bind_area(&s, a, 4, POLICY_BIND, 0xe, 0), 0);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 4), 4, POLICY_INTERLEAVE, 0xe, 0), 0);
	CU_ASSERT_EQUAL(mm_set_home_node(s.mm, page_at(a, 2), page_at(a, 4), 3), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 4), "1133");
	CU_ASSERT_EQUAL(mm_set_home_node(s.mm, a, page_at(a, 5), 3), -EOPNOTSUPP);
	close_nodes(&s);
}

/* A copy goes where the area that stores wants it, not where the original is. */
static void test_copies(void)
{
	struct setup s;
	struct unit_file f;
	struct mm *child;
	gva_t a, m;

	open_nodes(&s, 3);
	a = unit_map(s.mm, 4, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, a, 4, POLICY_BIND, 4, 0), 0);
	unit_fill(s.h, s.mm, a, 4, 1);
	CU_ASSERT_EQUAL(bind_area(&s, a, 4, POLICY_BIND, 2, 0), 0);
	child = unit_fork(s.mm);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, child, a, 2), "11");
	CU_ASSERT_EQUAL(mm_page_node(child, page_at(a, 2)), 2);
	mm_put(child);

	f = unit_file(s.h, 16 << UMM_PAGE_SHIFT);
	m = unit_map_file(s.mm, f.mapping, 0, 16, PROT_RW, MAP_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, m, 16, POLICY_BIND, 4, 0), 0);
	CU_ASSERT_NOT_EQUAL(unit_get(s.h, s.mm, m), 0);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, m), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, m, 2), "22");
	unit_unmap(s.mm, m, 16);
	unit_file_close(&f);
	close_nodes(&s);
}

/* Pages of files belong to no area: they go round by the thread's own count. */
static void test_file_rotor(void)
{
	struct setup s;
	struct unit_file f;
	unsigned int on[3] = { 0 };
	gva_t m;

	open_nodes(&s, 3);
	f = unit_file(s.h, 32 << UMM_PAGE_SHIFT);
	m = unit_map_file(s.mm, f.mapping, 0, 32, PROT_READ, MAP_SHARED);
	thread_use(&s, POLICY_INTERLEAVE, 5);
	CU_ASSERT_EQUAL(mm_thread_next_node(&s.thread), 0);
	for (uint64_t i = 0; i < 32; i++) {
		CU_ASSERT_NOT_EQUAL(unit_get(s.h, s.mm, page_at(m, i)), 0);
		on[mm_page_node(s.mm, page_at(m, i))]++;
	}
	CU_ASSERT_EQUAL(on[0], 16);
	CU_ASSERT_EQUAL(on[1], 0);
	CU_ASSERT_EQUAL(on[2], 16);
	unit_unmap(s.mm, m, 32);
	unit_file_close(&f);
	close_nodes(&s);
}

static void test_weighted_rotor(void)
{
	char got[16] = "";
	struct setup s;

	open_nodes(&s, 3);
	mm_sys_set_interleave_weight(s.h->sys, 1, 3);
	thread_use(&s, POLICY_WEIGHTED_INTERLEAVE, 7);
	for (int i = 0; i < 10; i++) {
		int next = mm_thread_next_node(&s.thread);

		got[i] = (char)('0' + thread_take_node(&s.thread));
		CU_ASSERT_EQUAL(got[i], '0' + next);
	}
	CU_ASSERT_STRING_EQUAL(got, "0111201112");
	close_nodes(&s);
}

/* ---- areas and objects ------------------------------------------------------------------- */

static void test_areas(void)
{
	struct setup s;
	struct mm *child;
	gva_t a, b;
	unsigned int before;

	open_nodes(&s, 2);
	a = unit_map_at(s.mm, 0x10000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	before = nr_areas(&s);
	/* aaaaaaaa -> aabbbbaa -> aabbccbb... -> aaaaaaaa */
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 4), 8, POLICY_BIND, 2, 0), 0);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 2);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 8), 4, POLICY_INTERLEAVE, 3, 0), 0);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 3);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 8), 8, POLICY_BIND, 2, 0), 0);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 2);
	/* A neighbour without a policy does not join. */
	b = unit_map_at(s.mm, a.v + PAGES * UMM_PAGE_SIZE, 4, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 2);
	CU_ASSERT_EQUAL(bind_area(&s, b, 4, POLICY_BIND, 2, 0), 0);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 3);
	/* fork and mremap take policies along. */
	child = unit_fork(s.mm);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, child, page_at(a, 2), 4), "0011");
	mm_put(child);
	b = unit_remap(s.mm, b, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x20000000));
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, b, 4), "1111");
	CU_ASSERT_EQUAL(bind_area(&s, a, PAGES, POLICY_DEFAULT, 0, 0), 0);
	CU_ASSERT_EQUAL(nr_areas(&s), before + 1);
	/* Holes: an error with a policy, none without. */
	unit_unmap(s.mm, page_at(a, 10), 2);
	CU_ASSERT_EQUAL(bind_area(&s, a, PAGES, POLICY_BIND, 2, 0), -EFAULT);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 10), 2, POLICY_DEFAULT, 0, 0), -EFAULT);
	CU_ASSERT_EQUAL(bind_area(&s, a, PAGES, POLICY_DEFAULT, 0, 0), 0);
	close_nodes(&s);
}

/* Of shared memory the object has the policy: for everybody, page by page. */
static void test_shared(void)
{
	struct mempolicy *p;
	struct setup s;
	struct mm *child;
	gva_t a;

	open_nodes(&s, 3);
	a = unit_map(s.mm, PAGES, PROT_RW, MAP_ANON_SHARED);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(bind_area(&s, a, 12, POLICY_BIND, 4, 0), 0);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 4), 4, POLICY_BIND, 2, 0), 0);
	CU_ASSERT_EQUAL(bind_area(&s, page_at(a, 6), 1, POLICY_DEFAULT, 0, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, child, a, 14), "22221101222200");
	CU_ASSERT_EQUAL(mm_policy_at(child, page_at(a, 5), &p), 0);
	CU_ASSERT(p && p->nodes == 2);
	mempolicy_put(p);
	CU_ASSERT_EQUAL(mm_policy_at(child, page_at(a, 6), &p), 0);
	CU_ASSERT_PTR_NULL(p);
	mm_put(child);
	close_nodes(&s);
}

/* ---- moving ------------------------------------------------------------------------------- */

/* Row 81: MOVE leaves what others map, MOVE_ALL moves it for all of them. */
static void test_move_shared(void)
{
	struct setup s;
	struct mm *child;
	gva_t a;

	open_nodes(&s, 3);
	a = unit_map_filled(s.h, s.mm, 8, 3);
	child = unit_fork(s.mm);
	unit_put(s.h, s.mm, a, 99); /* page 0: two of one mapping each */
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_BIND, 2, MBIND_MOVE), 0);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, a), 1);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 1)), 0);
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_BIND, 4, MBIND_MOVE | MBIND_STRICT), 0);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 7)), 0);
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_BIND, 2, MBIND_MOVE_ALL), 0);
	for (uint64_t i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, i)), 1);
		CU_ASSERT_EQUAL(mm_page_node(child, page_at(a, i)), i ? 1 : 0);
	}
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, a), 99);
	CU_ASSERT_EQUAL(unit_verify(s.h, child, a, 8, 3), 0);
	mm_put(child);
	close_nodes(&s);
}

static void test_move_strict(void)
{
	struct setup s;
	gva_t a;

	open_nodes(&s, 3);
	a = unit_map(s.mm, 8, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, a, 4, 3);
	/* Strict alone only looks, and leaves the policy as it was. */
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_BIND, 2, MBIND_STRICT), -EIO);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, page_at(a, 4), 1), "0");
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_BIND, 1, MBIND_STRICT), 0);
	/* Interleaved pages move to where their number belongs. */
	CU_ASSERT_EQUAL(bind_area(&s, a, 5, POLICY_INTERLEAVE, 6, MBIND_MOVE | MBIND_STRICT), 0);
	for (uint64_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, i)),
				1 + (int)(((a.v >> UMM_PAGE_SHIFT) + i) % 2));
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 4, 3), 0);
	/* A page that somebody uses cannot move: strict says so, the rest is moved. */
	folio_get(unit_folio(s.h, s.mm, a));
	CU_ASSERT_EQUAL(bind_area(&s, a, 5, POLICY_BIND, 1, MBIND_MOVE | MBIND_STRICT), -EIO);
	CU_ASSERT_NOT_EQUAL(mm_page_node(s.mm, a), 0);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 4)), 0);
	folio_put(s.h->sys, unit_folio(s.h, s.mm, a));
	/* Without a policy pages go back to where the thread would have them. */
	s.h->node = 2;
	CU_ASSERT_EQUAL(bind_area(&s, a, 5, POLICY_DEFAULT, 0, MBIND_MOVE), 0);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 4)), 2);
	close_nodes(&s);
}

static void test_move_pages(void)
{
	struct page_queue q = PAGE_QUEUE_INIT;
	struct setup s;
	struct mm *child;
	gva_t a;

	open_nodes(&s, 3);
	a = unit_map(s.mm, 200, PROT_RW, MAP_ANON_PRIVATE);
	unit_fill(s.h, s.mm, a, 150, 3);
	child = unit_fork(s.mm);
	for (uint64_t i = 0; i < 100; i++)
		unit_put(s.h, s.mm, page_at(a, i), i);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, gva_make(0x1000)), -EFAULT);
	CU_ASSERT_EQUAL(mm_page_node(s.mm, page_at(a, 170)), -ENOENT);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, gva_make(0x1000), 1, false), -EFAULT);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, page_at(a, 170), 1, false), -ENOENT);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, a, 0, false), 0);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, page_at(a, 120), 1, false), -EACCES);
	for (uint64_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, gva_add(page_at(a, i), 8 * i), 1, false),
				1);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, a, 1, false), -EBUSY);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, page_at(a, 120), 1, true), 1);
	CU_ASSERT_EQUAL(page_queue_move(&q, s.h->sys, 1), 0);
	for (uint64_t i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(a, i)), 1);
		CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(a, i)), i);
	}
	CU_ASSERT_EQUAL(unit_node(s.h, child, page_at(a, 120)), 1);
	CU_ASSERT_EQUAL(unit_node(s.h, child, page_at(a, 121)), 0);
	/* One that somebody holds stays, and is counted. */
	folio_get(unit_folio(s.h, s.mm, a));
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, a, 2, false), 1);
	CU_ASSERT_EQUAL(page_queue_add(&q, s.mm, page_at(a, 1), 2, false), 1);
	CU_ASSERT_EQUAL(page_queue_move(&q, s.h->sys, 2), 1);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, a), 1);
	CU_ASSERT_EQUAL(unit_node(s.h, s.mm, page_at(a, 1)), 2);
	folio_put(s.h->sys, unit_folio(s.h, s.mm, a));
	mm_put(child);
	close_nodes(&s);
}

/* Sets of one size keep their order; nothing is moved twice. */
static void test_migrate_nodes(void)
{
	struct setup s;
	gva_t a;

	open_nodes(&s, 4);
	a = unit_map_at(s.mm, 0x10000000, 8, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(bind_area(&s, a, 8, POLICY_INTERLEAVE, 15, 0), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 8), "01230123");
	CU_ASSERT_EQUAL(mm_migrate_nodes(s.mm, 3, 6, true), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 8), "12231223");
	/* To fewer nodes: what is on a target stays. */
	CU_ASSERT_EQUAL(mm_migrate_nodes(s.mm, 14, 4, true), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 8), "22222222");
	CU_ASSERT_EQUAL(mm_migrate_nodes(s.mm, 1, 2, true), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 8), "22222222");
	CU_ASSERT_EQUAL(mm_migrate_nodes(s.mm, 4, 2, true), 0);
	CU_ASSERT_STRING_EQUAL(nodes_of(&s, s.mm, a, 8), "11111111");
	close_nodes(&s);
}

/* The Nth allocation fails, for all N: an error, and nothing lost. */
static void test_no_memory(void)
{
	for (uint64_t n = 1; n < 40; n++) {
		struct page_queue q = PAGE_QUEUE_INIT;
		struct setup s;
		gva_t a, b;
		int ret;

		open_nodes(&s, 2);
		a = unit_map(s.mm, 8, PROT_RW, MAP_ANON_PRIVATE);
		b = unit_map(s.mm, 8, PROT_RW, MAP_ANON_SHARED);
		unit_fill(s.h, s.mm, a, 8, 1);
		unit_fill(s.h, s.mm, b, 8, 2);
		thread_use(&s, POLICY_BIND, 1);
		fake_fail_nth(s.h, FAKE_ALLOC, n);
		ret = mm_mbind(s.mm, page_at(a, 2), page_at(a, 4), s.thread.policy, MBIND_MOVE);
		CU_ASSERT(!ret || ret == -ENOMEM);
		ret = mm_mbind(s.mm, page_at(b, 2), page_at(b, 4), s.thread.policy, 0);
		CU_ASSERT(!ret || ret == -ENOMEM);
		ret = mm_set_home_node(s.mm, page_at(a, 2), page_at(a, 4), 1);
		CU_ASSERT(!ret || ret == -ENOMEM || ret == -ENOENT);
		ret = page_queue_add(&q, s.mm, a, 1, true);
		CU_ASSERT(ret == 1 || ret == -ENOMEM);
		ret = (int)page_queue_move(&q, s.h->sys, 1);
		CU_ASSERT(!ret || ret == -ENOMEM);
		fake_fail_nth(s.h, FAKE_ALLOC, 0);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, a, 8, 1), 0);
		CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, b, 8, 2), 0);
		close_nodes(&s);
	}
}

/* numastat's figures: meant for, got elsewhere, here or there. */
static void test_statistics(void)
{
	struct mm_node_info before, n;
	struct setup s;
	gva_t a;

	open_nodes(&s, 3);
	s.h->node = 1;
	a = unit_map(s.mm, 8, PROT_RW, MAP_ANON_PRIVATE);
	mm_sys_node_info(s.h->sys, 1, &before);
	unit_fill(s.h, s.mm, a, 4, 1);
	mm_sys_node_info(s.h->sys, 1, &n);
	CU_ASSERT_EQUAL(n.stat.hit - before.stat.hit, 4);
	CU_ASSERT_EQUAL(n.stat.local - before.stat.local, 4);
	thread_use(&s, POLICY_INTERLEAVE, 4);
	mm_sys_node_info(s.h->sys, 2, &before);
	unit_fill(s.h, s.mm, page_at(a, 4), 4, 1);
	mm_sys_node_info(s.h->sys, 2, &n);
	CU_ASSERT_EQUAL(n.stat.hit - before.stat.hit, 4);
	CU_ASSERT_EQUAL(n.stat.interleave - before.stat.interleave, 4);
	CU_ASSERT_EQUAL(n.stat.other - before.stat.other, 4);
	CU_ASSERT_EQUAL(n.stat.local - before.stat.local, 0);
	close_nodes(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "policies: what fits together", test_create },
		{ "local, the thread's, the area's", test_local },
		{ "interleaving by place", test_interleave },
		{ "interleaving in one fault", test_interleave_window },
		{ "a full node: bind, preferred, preferred-many", test_full_node },
		{ "reclaim within bound nodes", test_reclaim_within },
		{ "home nodes", test_home_node },
		{ "copies", test_copies },
		{ "pages of files go round", test_file_rotor },
		{ "weights go round", test_weighted_rotor },
		{ "areas split and join by policy", test_areas },
		{ "policies of shared memory", test_shared },
		{ "row 81: MOVE leaves shared pages, MOVE_ALL moves them", test_move_shared },
		{ "strict", test_move_strict },
		{ "move_pages: codes and moves", test_move_pages },
		{ "migrate_pages: pairs of nodes", test_migrate_nodes },
		{ "no memory", test_no_memory },
		{ "statistics", test_statistics },
	};

	return unit_run("mempolicy", tests, ARRAY_LEN(tests), argc, argv);
}
