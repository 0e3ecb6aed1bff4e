/* SPDX-License-Identifier: MIT */
/*
 * The anon_vma forest: after any sequence of faults, forks, splits, joins, moves
 * and exits its trees, counts and references are what a count by hand says.
 * Rows 29 to 37, 39 and 40 as far as areas alone show them.
 */
#include <stdio.h>
#include <stdlib.h>
#include "rmap/vma.h"
#include "tests/unit/util.h"

#define MAX_ANON_VMAS 4096
#define BASE          0x10000000ul

/* ---- the forest, counted by hand ------------------------------------------ */

struct seen {
	struct anon_vma *av;
	uint32_t active, in_tree;
};

struct forest {
	struct seen seen[MAX_ANON_VMAS];
	unsigned int nr;
	int64_t chains;
	unsigned int errors;
};

static struct seen *see(struct forest *f, struct anon_vma *av)
{
	for (unsigned int i = 0; i < f->nr; i++)
		if (f->seen[i].av == av)
			return &f->seen[i];
	CU_ASSERT_TRUE_FATAL(f->nr < MAX_ANON_VMAS);
	f->seen[f->nr] = (struct seen){ .av = av };
	return &f->seen[f->nr++];
}

static bool in_tree(struct anon_vma *av, const struct anon_vma_chain *avc)
{
	const struct vma *v = avc->vma;
	struct itree_node *n;

	itree_for_each(n, &av->tree, 0, UINT64_MAX)
	{
		if (n == &avc->node)
			return n->start == v->pgoff.v && n->last == v->pgoff.v + vma_pages(v) - 1;
	}
	return false;
}

static void see_vma(struct forest *f, struct vma *v)
{
	struct anon_vma_chain *avc;
	bool own = false;

	f->errors += list_empty(&v->anon_vma_chain) != !v->anon_vma;
	list_for_each_entry(avc, &v->anon_vma_chain, same_vma)
	{
		struct seen *s = see(f, avc->anon_vma);

		f->chains++;
		s->in_tree++;
		s->active += v->anon_vma == s->av;
		own |= v->anon_vma == s->av;
		f->errors += avc->vma != v || !in_tree(s->av, avc);
		f->errors += s->av->root != v->anon_vma->root;
	}
	f->errors += v->anon_vma && !own;
}

static bool has_anon_vma(const struct vma *v, const struct anon_vma *av)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &v->anon_vma_chain, same_vma)
	{
		if (avc->anon_vma == av)
			return true;
	}
	return false;
}

/* Areas of one process that call the same anon_vma their own are in the same trees. */
static void check_chains(struct forest *f, struct mm *mm)
{
	struct anon_vma_chain *avc;

	for (struct vma *a = vma_first(mm); a; a = vma_next(a)) {
		for (struct vma *b = vma_first(mm); b; b = vma_next(b)) {
			if (!a->anon_vma || a->anon_vma != b->anon_vma)
				continue;
			list_for_each_entry(avc, &a->anon_vma_chain, same_vma)
			{
				f->errors += !has_anon_vma(b, avc->anon_vma);
			}
		}
	}
}

static void check_counts(struct forest *f)
{
	for (unsigned int i = 0; i < f->nr; i++) {
		struct anon_vma *av = f->seen[i].av;
		uint32_t children = 0, below = 0, size = 0;
		struct itree_node *n;

		for (unsigned int k = 0; k < f->nr; k++) {
			children += f->seen[k].av->parent == av;
			below += k != i && f->seen[k].av->root == av;
		}
		itree_for_each(n, &av->tree, 0, UINT64_MAX)
		{
			size++;
		}
		f->errors += !itree_valid(&av->tree) || size != f->seen[i].in_tree;
		f->errors += av->num_children != children;
		f->errors += av->num_active_vmas != f->seen[i].active;
		f->errors += av->refcount != (int32_t)below + 1;
	}
}

/* Looks at all mms; the number of things that are wrong. Nothing else may run. */
static unsigned int forest_errors(struct fake_host *h)
{
	static struct forest f;
	struct mm *mm;

	memset(&f, 0, sizeof(f));
	list_for_each_entry(mm, &h->sys->mms, all)
	{
		f.errors += !vma_tree_valid(mm);
		for (struct vma *v = vma_first(mm); v; v = vma_next(v))
			see_vma(&f, v);
		check_chains(&f, mm);
	}
	check_counts(&f);
	f.errors += mm_sys_objects(h->sys, OBJ_ANON_VMA) != f.nr;
	f.errors += mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN) != f.chains;
	return f.errors;
}

static unsigned int chain_length(const struct vma *v)
{
	unsigned int nr = 0;
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &v->anon_vma_chain, same_vma)
	{
		nr++;
	}
	return nr;
}

/* ---- single steps ----------------------------------------------------------- */

static void test_first_fault(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map(mm, 4, PROT_RW, MAP_ANON_PRIVATE);

	CU_ASSERT_PTR_NULL(unit_vma(mm, a)->anon_vma);
	unit_put(h, mm, a, 1);
	CU_ASSERT_PTR_NOT_NULL(unit_vma(mm, a)->anon_vma);
	CU_ASSERT_EQUAL(chain_length(unit_vma(mm, a)), 1);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	mm_put(mm);
	CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_ANON_VMA), 0);
	unit_close(h);
}

/* Neighbours that only their protection keeps apart share one, and join later. */
static void test_neighbour_shares(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct vma *low, *high;
	gva_t a;

	a = unit_map_at(mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE);
	unit_map_at(mm, BASE + 4 * UMM_PAGE_SIZE, 4, PROT_RW | PROT_EXEC, MAP_ANON_PRIVATE);
	unit_put(h, mm, a, 1);
	unit_put(h, mm, page_at(a, 5), 2);
	low = unit_vma(mm, a);
	high = unit_vma(mm, page_at(a, 5));
	CU_ASSERT_PTR_NOT_EQUAL(low, high);
	CU_ASSERT_PTR_EQUAL(low->anon_vma, high->anon_vma);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	unit_protect(mm, a, 8, PROT_RW);
	CU_ASSERT_EQUAL(mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	CU_ASSERT_EQUAL(unit_get(h, mm, page_at(a, 5)), 2);
	mm_put(mm);
	unit_close(h);
}

/* Row 29, the trees: each generation is below the one before, all in the root's. */
static void test_generations(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm[5];
	struct vma *v[5];
	gva_t a;

	mm[0] = unit_mm(h);
	a = unit_map(mm[0], 1, PROT_RW, MAP_ANON_PRIVATE);
	unit_put(h, mm[0], a, 1);
	for (int i = 1; i < 5; i++)
		mm[i] = unit_fork(mm[i - 1]);
	for (unsigned int i = 0; i < 5; i++) {
		v[i] = unit_vma(mm[i], a);
		CU_ASSERT_EQUAL(chain_length(v[i]), i + 1);
		CU_ASSERT_PTR_EQUAL(v[i]->anon_vma->root, v[0]->anon_vma);
		if (i)
			CU_ASSERT_PTR_EQUAL(v[i]->anon_vma->parent, v[i - 1]->anon_vma);
	}
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	for (int i = 0; i < 5; i++) {
		mm_put(mm[i]);
		CU_ASSERT_EQUAL(forest_errors(h), 0);
	}
	unit_close(h);
}

/* Row 33: each generation forks the next and exits. */
static void test_fork_exit_bounded(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map(mm, 2, PROT_RW, MAP_ANON_PRIVATE);
	int64_t most = 0;

	unit_put(h, mm, a, 1);
	for (int i = 0; i < 10000; i++) {
		child = unit_fork(mm);
		unit_put(h, child, page_at(a, i % 2), (uint64_t)i);
		mm_put(mm);
		mm = child;
		if (mm_sys_objects(h->sys, OBJ_ANON_VMA) > most)
			most = mm_sys_objects(h->sys, OBJ_ANON_VMA);
	}
	CU_ASSERT_TRUE(most <= 4);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	mm_put(mm);
	unit_close(h);
}

/*
 * Row 34: the middle generation's area is split, so its anon_vma has two owners;
 * both must be gone before a later generation may take it.
 */
static void test_reuse_waits_for_owners(void)
{
	struct fake_host *h = unit_open();
	struct mm *first = unit_mm(h), *middle, *last, *next;
	gva_t a = unit_map(first, 4, PROT_RW, MAP_ANON_PRIVATE);
	struct anon_vma *av;

	unit_put(h, first, a, 1);
	middle = unit_fork(first);
	av = unit_vma(middle, a)->anon_vma;
	last = unit_fork(middle);
	unit_protect(middle, page_at(a, 2), 2, PROT_READ);
	CU_ASSERT_EQUAL(av->num_active_vmas, 2);
	unit_unmap(middle, a, 2);
	CU_ASSERT_EQUAL(av->num_active_vmas, 1);
	next = unit_fork(last);
	CU_ASSERT_PTR_NOT_EQUAL(unit_vma(next, a)->anon_vma, av);
	mm_put(next);
	unit_unmap(middle, a, 4);
	CU_ASSERT_EQUAL(av->num_active_vmas, 0);
	next = unit_fork(last);
	CU_ASSERT_PTR_EQUAL(unit_vma(next, a)->anon_vma, av);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	mm_put(next);
	mm_put(last);
	mm_put(middle);
	mm_put(first);
	unit_close(h);
}

/* Row 36: an untouched area is moved next to a faulted one and joins it. */
static void test_move_to_faulted(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map_at(mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = unit_map_at(mm, BASE + (64ul << 12), 4, PROT_RW, MAP_ANON_PRIVATE);

	unit_fill(h, mm, a, 4, 7);
	unit_remap(mm, b, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, page_at(a, 4));
	CU_ASSERT_EQUAL(mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	unit_fill(h, mm, page_at(a, 4), 4, 8);
	CU_ASSERT_EQUAL(unit_verify(h, mm, a, 4, 7), 0);
	unit_check(h);
	unit_unmap(mm, page_at(a, 2), 4);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	unit_end(h, mm);
}

/* The other way: a faulted neighbour above what never was. */
static void test_move_below_faulted(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	gva_t a = unit_map_at(mm, BASE, 4, PROT_RW, MAP_ANON_PRIVATE);
	gva_t b = unit_map_at(mm, BASE + (64ul << 12), 4, PROT_RW, MAP_ANON_PRIVATE);

	unit_fill(h, mm, a, 4, 7);
	unit_remap(mm, b, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(BASE - 4 * 4096));
	CU_ASSERT_EQUAL(mm->nr_vmas, 1);
	CU_ASSERT_EQUAL(forest_errors(h), 0);
	CU_ASSERT_EQUAL(unit_verify(h, mm, a, 4, 7), 0);
	unit_check(h);
	mm_put(mm);
	CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_ANON_VMA_CHAIN), 0);
	unit_close(h);
}

/* ---- failing and racing -------------------------------------------------------- */

/* Row 39: whichever allocation of a fork fails, nothing is left of it. */
static void test_fork_fails(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h), *child;
	gva_t a = unit_map_at(mm, BASE, 8, PROT_RW, MAP_ANON_PRIVATE);
	int err = -1;

	unit_fill(h, mm, a, 8, 3);
	unit_protect(mm, page_at(a, 2), 2, PROT_READ);
	unit_map(mm, 4, PROT_RW, MAP_ANON_SHARED);
	for (uint64_t n = 1; err; n++) {
		int64_t vmas = mm_sys_objects(h->sys, OBJ_VMA);

		fake_fail_nth(h, FAKE_ALLOC, n);
		err = mm_fork(mm, &child);
		fake_fail_nth(h, FAKE_ALLOC, 0);
		CU_ASSERT_EQUAL(forest_errors(h), 0);
		if (!err)
			break;
		CU_ASSERT_EQUAL(err, -ENOMEM);
		CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_VMA), vmas);
		CU_ASSERT_EQUAL(mm_sys_objects(h->sys, OBJ_MM), 1);
		CU_ASSERT_EQUAL(unit_verify(h, mm, a, 8, 3), 0);
		CU_ASSERT_TRUE_FATAL(n < 200);
	}
	CU_ASSERT_TRUE(h->failures >= 5);
	CU_ASSERT_EQUAL(unit_verify(h, child, a, 8, 3), 0);
	mm_put(child);
	mm_put(mm);
	unit_close(h);
}

#define RACERS 4
#define AREAS  8

struct race {
	struct fake_host *h;
	struct mm *mm;
	gva_t base;
	pthread_barrier_t start;
};

/* All areas in turn, so that all threads want the same one, and its neighbours. */
static void *race_prepare(void *arg)
{
	struct race *r = arg;

	pthread_barrier_wait(&r->start);
	for (uint64_t i = 0; i < AREAS; i++) {
		umm_read_lock(&r->mm->mmap_lock);
		if (anon_vma_prepare(vma_find_exact(r->mm, page_at(r->base, 2 * i))))
			abort();
		umm_read_unlock(&r->mm->mmap_lock);
	}
	return NULL;
}

/* Row 37: parallel first faults give each area one anon_vma, and neighbours the same. */
static void test_parallel_first_faults(void)
{
	struct race r = { .h = unit_open() };
	pthread_t t[RACERS];

	pthread_barrier_init(&r.start, NULL, RACERS);
	for (int round = 0; round < 50; round++) {
		r.mm = unit_mm(r.h);
		r.base = unit_map_at(r.mm, BASE, 2 * AREAS, PROT_RW, MAP_ANON_PRIVATE);
		for (uint64_t i = 1; i < AREAS; i += 2)
			unit_protect(r.mm, page_at(r.base, 2 * i), 2, PROT_READ);
		for (int i = 0; i < RACERS; i++)
			CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, race_prepare, &r), 0);
		for (int i = 0; i < RACERS; i++)
			pthread_join(t[i], NULL);
		CU_ASSERT_EQUAL(r.mm->nr_vmas, AREAS);
		CU_ASSERT_EQUAL(forest_errors(r.h), 0);
		for (struct vma *v = vma_first(r.mm); v; v = vma_next(v))
			CU_ASSERT_EQUAL(chain_length(v), 1);
		mm_put(r.mm);
	}
	pthread_barrier_destroy(&r.start);
	unit_close(r.h);
}

/* ---- random sequences ------------------------------------------------------------ */

#define MAX_MMS 5
#define WINDOW  24

struct play {
	struct fake_host *h;
	struct mm *mms[MAX_MMS];
	unsigned int nr;
};

static uint64_t below(uint64_t n)
{
	return (uint64_t)rand() % n;
}

static void play_fork_or_exit(struct play *p, unsigned int i)
{
	if (p->nr < MAX_MMS && below(2)) {
		p->mms[p->nr++] = unit_fork(p->mms[i]);
	} else if (p->nr > 1) {
		mm_put(p->mms[i]);
		p->mms[i] = p->mms[--p->nr];
	}
}

static void play_step(struct play *p)
{
	unsigned int i = (unsigned int)below(p->nr);
	struct mm *mm = p->mms[i];
	uint64_t page = below(WINDOW), len = 1 + below(WINDOW - page < 6 ? WINDOW - page : 6);
	gva_t at = page_at(gva_make(BASE), page), to = page_at(gva_make(BASE), below(WINDOW));
	uint64_t out;
	gva_t moved;

	switch (below(10)) {
	case 0:
		play_fork_or_exit(p, i);
		break;
	case 1:
		unit_map_at(mm, at.v, len, PROT_RW, MAP_ANON_PRIVATE);
		break;
	case 2:
		unit_unmap(mm, at, len);
		break;
	case 3:
	case 4:
		(void)!mm_mprotect(mm, at, len << UMM_PAGE_SHIFT, below(2) ? PROT_READ : PROT_RW);
		break;
	case 5:
	case 6:
		(void)!mm_mremap(mm, at, len << UMM_PAGE_SHIFT, len << UMM_PAGE_SHIFT,
				 MREMAP_MAYMOVE | MREMAP_FIXED | (below(4) ? 0 : 4), to, &moved);
		break;
	case 7:
		(void)fake_load(p->h, mm, i, at, &out);
		break;
	default:
		(void)fake_store(p->h, mm, i, at, page);
	}
}

static void test_random(void)
{
	const char *given = getenv("SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : 1;
	struct play p;

	srand(seed);
	p.h = unit_open();
	p.mms[0] = unit_mm(p.h);
	p.nr = 1;
	for (unsigned int step = 0; step < 4000; step++) {
		unsigned int errors;

		play_step(&p);
		errors = forest_errors(p.h);
		CU_ASSERT_EQUAL(errors, 0);
		if (errors) {
			fprintf(stderr, "SEED=%u step %u: %u errors\n", seed, step, errors);
			break;
		}
		if (step % 64 == 0)
			unit_check(p.h);
	}
	while (p.nr)
		mm_put(p.mms[--p.nr]);
	unit_close(p.h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "first_fault", test_first_fault },
		{ "neighbour_shares", test_neighbour_shares },
		{ "row29_generations", test_generations },
		{ "row33_fork_exit_bounded", test_fork_exit_bounded },
		{ "row34_reuse_waits_for_owners", test_reuse_waits_for_owners },
		{ "row36_move_to_faulted", test_move_to_faulted },
		{ "row36_move_below_faulted", test_move_below_faulted },
		{ "row39_fork_fails", test_fork_fails },
		{ "row37_parallel_first_faults", test_parallel_first_faults },
		{ "row34_35_random", test_random },
	};

	return unit_run("anon_vma", tests, ARRAY_LEN(tests), argc, argv);
}
