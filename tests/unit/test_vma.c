/* SPDX-License-Identifier: MIT */
/*
 * Areas against an array of pages. The oracle knows of each page of a window
 * whether it is mapped, with which flags and to what; after each random call
 * the areas must say the same, be joined wherever they can be, and stand rightly
 * in all trees. SEED=n in the environment repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include "rmap/vma.h"
#include "tests/unit/util.h"

#define BASE   0x10000000ul
#define WINDOW 48u

/* The flags that the oracle follows. */
#define ORACLE_FLAGS \
	(VM_ACCESS_FLAGS | VM_SHARED | VM_LOCKED_MASK | VM_DONTCOPY | VM_RAND_READ | VM_SEQ_READ)

struct page {
	bool mapped;
	uint64_t flags, pgoff;
	struct address_space *mapping;
};

struct world {
	struct fake_host *h;
	struct mm *mm;
	struct unit_file file;
	struct page pages[WINDOW];
};

static gva_t at(uint64_t page)
{
	return page_at(gva_make(BASE), page);
}

/* ---- what must hold ------------------------------------------------------- */

static unsigned int check_page(struct world *w, uint64_t i)
{
	const struct page *p = &w->pages[i];
	struct vma *v = vma_find_exact(w->mm, at(i));

	if (!v || !p->mapped)
		return !!v != p->mapped;
	return (v->flags & ORACLE_FLAGS) != p->flags || v->mapping != p->mapping ||
	       v->pgoff.v + ((at(i).v - v->start.v) >> UMM_PAGE_SHIFT) != p->pgoff;
}

/* Nothing was ever faulted in, so only flags, object and offset decide. */
static unsigned int check_joined(struct world *w)
{
	unsigned int errors = 0;

	for (struct vma *v = vma_first(w->mm), *n; v && (n = vma_next(v)); v = n)
		errors += v->end.v == n->start.v && v->flags == n->flags &&
			  v->mapping == n->mapping && v->pgoff.v + vma_pages(v) == n->pgoff.v;
	return errors;
}

static unsigned int check_object(struct world *w)
{
	struct address_space *m = w->file.mapping;
	unsigned int errors = !itree_valid(&m->i_mmap), in_tree = 0, areas = 0;
	int32_t writable = 0;
	struct itree_node *n;

	itree_for_each(n, &m->i_mmap, 0, UINT64_MAX)
	{
		struct vma *v = container_of(n, struct vma, shared);

		in_tree++;
		errors += n->start != v->pgoff.v || n->last != v->pgoff.v + vma_pages(v) - 1;
	}
	for (struct vma *v = vma_first(w->mm); v; v = vma_next(v)) {
		areas += v->mapping == m;
		writable += v->mapping == m && (v->flags & VM_SHARED);
	}
	return errors + (in_tree != areas) + (m->nr_writable_shared != writable) +
	       (m->refcount != (int32_t)areas + 1);
}

static unsigned int world_errors(struct world *w)
{
	unsigned int errors = !vma_tree_valid(w->mm);
	uint64_t total = 0, locked = 0;

	for (uint64_t i = 0; i < WINDOW; i++) {
		errors += check_page(w, i);
		total += w->pages[i].mapped;
		locked += w->pages[i].mapped && (w->pages[i].flags & VM_LOCKED);
	}
	errors += w->mm->total_vm != total || w->mm->locked_vm != locked;
	return errors + check_joined(w) + check_object(w);
}

/* ---- random calls, to both ------------------------------------------------- */

static uint64_t below(uint64_t n)
{
	return (uint64_t)rand() % n;
}

static int random_prot(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_RW, PROT_RW,
				     PROT_READ | PROT_EXEC };

	return prots[below(ARRAY_LEN(prots))];
}

static void do_map(struct world *w, uint64_t first, uint64_t nr)
{
	bool file = below(2), shared = file && below(2);
	struct mm_map_request req = {
		.addr = at(first),
		.len = nr << UMM_PAGE_SHIFT,
		.prot = random_prot(),
		.flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE) |
			 (file ? 0 : MAP_ANONYMOUS),
		.mapping = file ? w->file.mapping : NULL,
		.offset = file ? (below(2) ? first : below(WINDOW)) << UMM_PAGE_SHIFT : 0,
	};
	gva_t out;

	CU_ASSERT_EQUAL(mm_mmap(w->mm, &req, &out), 0);
	CU_ASSERT_EQUAL(out.v, at(first).v);
	for (uint64_t i = 0; i < nr; i++)
		w->pages[first + i] = (struct page){
			.mapped = true,
			.flags = (uint64_t)req.prot | (shared ? VM_SHARED : 0),
			.pgoff = (file ? req.offset >> UMM_PAGE_SHIFT
				       : at(first).v >> UMM_PAGE_SHIFT) +
				 i,
			.mapping = req.mapping,
		};
}

static void do_unmap(struct world *w, uint64_t first, uint64_t nr)
{
	unit_unmap(w->mm, at(first), nr);
	for (uint64_t i = 0; i < nr; i++)
		w->pages[first + i].mapped = false;
}

/* mprotect and mlock stop at a hole. */
static int change_until_hole(struct world *w, uint64_t first, uint64_t nr, uint64_t clear,
			     uint64_t set)
{
	for (uint64_t i = 0; i < nr; i++) {
		struct page *p = &w->pages[first + i];

		if (!p->mapped)
			return -ENOMEM;
		p->flags = (p->flags & ~clear) | set;
	}
	return 0;
}

static void do_protect(struct world *w, uint64_t first, uint64_t nr)
{
	int prot = random_prot();
	int want = change_until_hole(w, first, nr, VM_ACCESS_FLAGS, (uint64_t)prot);

	CU_ASSERT_EQUAL(mm_mprotect(w->mm, at(first), nr << UMM_PAGE_SHIFT, prot), want);
}

/* Locked on fault, so that nothing is faulted in. */
static void do_lock(struct world *w, uint64_t first, uint64_t nr)
{
	bool lock = below(2);
	int want = change_until_hole(w, first, nr, VM_LOCKED_MASK, lock ? VM_LOCKED_MASK : 0);
	uint64_t len = nr << UMM_PAGE_SHIFT;

	CU_ASSERT_EQUAL(lock ? mm_mlock(w->mm, at(first), len, MLOCK_ONFAULT)
			     : mm_munlock(w->mm, at(first), len),
			want);
}

/* madvise goes on behind a hole, and says so. */
static void do_advise(struct world *w, uint64_t first, uint64_t nr)
{
	static const struct {
		int advice;
		uint64_t clear, set;
	} advices[] = {
		{ MADV_NORMAL, VM_RAND_READ | VM_SEQ_READ, 0 },
		{ MADV_RANDOM, VM_SEQ_READ, VM_RAND_READ },
		{ MADV_SEQUENTIAL, VM_RAND_READ, VM_SEQ_READ },
		{ MADV_DONTFORK, 0, VM_DONTCOPY },
		{ MADV_DOFORK, VM_DONTCOPY, 0 },
	};
	uint64_t a = below(ARRAY_LEN(advices));
	int want = 0;

	for (uint64_t i = 0; i < nr; i++) {
		struct page *p = &w->pages[first + i];

		if (p->mapped)
			p->flags = (p->flags & ~advices[a].clear) | advices[a].set;
		else
			want = -ENOMEM;
	}
	CU_ASSERT_EQUAL(mm_madvise(w->mm, at(first), nr << UMM_PAGE_SHIFT, advices[a].advice),
			want);
}

static void move_pages_of(struct world *w, uint64_t from, uint64_t to, uint64_t nr)
{
	struct page moved[WINDOW];

	for (uint64_t i = 0; i < nr; i++) {
		moved[i] = w->pages[from + i];
		w->pages[from + i].mapped = false;
		if (!moved[i].mapping)
			moved[i].pgoff = at(to + i).v >> UMM_PAGE_SHIFT;
	}
	for (uint64_t i = 0; i < nr; i++)
		w->pages[to + i] = moved[i];
}

static void do_move(struct world *w, uint64_t first, uint64_t nr)
{
	struct vma *v = vma_find_exact(w->mm, at(first));
	uint64_t to = below(WINDOW - nr + 1), len = nr << UMM_PAGE_SHIFT;
	int want = 0, got;
	gva_t out;

	if (!v)
		want = -EFAULT;
	else if (first < to + nr && to < first + nr)
		want = -EINVAL;
	else if (v->end.v < at(first + nr).v)
		want = -EFAULT;
	got = mm_mremap(w->mm, at(first), len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at(to), &out);
	CU_ASSERT_EQUAL(got, want);
	if (!got)
		move_pages_of(w, first, to, nr);
}

/* Grow an area's tail, or shrink, where it is. */
static void do_resize(struct world *w, uint64_t first, uint64_t nr)
{
	uint64_t want_nr = 1 + below(WINDOW - first), i;
	struct vma *v = vma_find_exact(w->mm, at(first));
	int want = 0;
	gva_t out;

	if (!v)
		want = -EFAULT;
	else if (want_nr > nr && v->end.v < at(first + nr).v)
		want = -EFAULT;
	else if (want_nr > nr && v->end.v != at(first + nr).v)
		want = -ENOMEM;
	for (i = nr; !want && i < want_nr; i++)
		if (w->pages[first + i].mapped)
			want = -ENOMEM;
	CU_ASSERT_EQUAL(mm_mremap(w->mm, at(first), nr << UMM_PAGE_SHIFT, want_nr << UMM_PAGE_SHIFT,
				  0, gva_make(0), &out),
			want);
	if (want)
		return;
	for (i = want_nr; i < nr; i++)
		w->pages[first + i].mapped = false;
	for (i = nr; i < want_nr; i++) {
		w->pages[first + i] = w->pages[first + nr - 1];
		w->pages[first + i].pgoff += i - nr + 1;
	}
}

static void world_step(struct world *w)
{
	static void (*const calls[])(struct world *, uint64_t, uint64_t) = {
		do_map,  do_map,    do_unmap, do_protect, do_protect,
		do_lock, do_advise, do_move,  do_move,    do_resize,
	};
	uint64_t first = below(WINDOW), room = WINDOW - first;

	calls[below(ARRAY_LEN(calls))](w, first, 1 + below(room < 12 ? room : 12));
}

static void test_random(void)
{
	const char *given = getenv("SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : 1;
	struct world w = { 0 };

	srand(seed);
	w.h = unit_open();
	w.mm = unit_mm(w.h);
	w.file = unit_file(w.h, WINDOW * UMM_PAGE_SIZE);
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int errors;

		world_step(&w);
		errors = world_errors(&w);
		CU_ASSERT_EQUAL(errors, 0);
		if (errors) {
			fprintf(stderr, "SEED=%u step %u: %u errors\n", seed, step, errors);
			break;
		}
	}
	mm_put(w.mm);
	unit_file_close(&w.file);
	unit_close(w.h);
}

/* ---- the tree of areas -------------------------------------------------------- */

/* Each hole between areas, by hand; the search must find the outermost that fits. */
static void test_gap_search(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);

	srand(4);
	for (int i = 0; i < 300; i++)
		unit_map_at(mm, at(below(2000)).v, 1 + below(3), PROT_READ,
			    MAP_ANON_PRIVATE | (below(4) ? 0 : MAP_GROWSDOWN));
	for (int i = 0; i < 2000; i++) {
		uint64_t len = (1 + below(40)) << UMM_PAGE_SHIFT, low = at(below(1000)).v;
		uint64_t high = low + (below(1500) << UMM_PAGE_SHIFT), end = 0;
		uint64_t top = 0, bottom = 0;
		gva_t got;

		for (struct vma *v = vma_first(mm);; v = vma_next(v)) {
			uint64_t from = end > low ? end : low;
			uint64_t to = v && vma_start_gap(v) < high ? vma_start_gap(v) : high;

			if (to > from && to - from >= len) {
				top = to - len;
				bottom = bottom ? bottom : from;
			}
			if (!v)
				break;
			end = v->end.v;
		}
		CU_ASSERT_EQUAL(vma_gap_topdown(mm, len, low, high, &got), top ? 0 : -ENOMEM);
		CU_ASSERT_TRUE(!top || got.v == top);
		CU_ASSERT_EQUAL(vma_gap_bottomup(mm, len, low, high, &got), top ? 0 : -ENOMEM);
		CU_ASSERT_TRUE(!top || got.v == bottom);
	}
	mm_put(mm);
	unit_close(h);
}

static void test_neighbours(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct vma *a, *b;

	unit_map_at(mm, at(2).v, 2, PROT_READ, MAP_ANON_PRIVATE);
	unit_map_at(mm, at(8).v, 1, PROT_READ, MAP_ANON_PRIVATE);
	a = vma_find_exact(mm, at(2));
	b = vma_find_exact(mm, at(8));
	CU_ASSERT_PTR_EQUAL(vma_first(mm), a);
	CU_ASSERT_PTR_EQUAL(vma_next(a), b);
	CU_ASSERT_PTR_EQUAL(vma_prev(b), a);
	CU_ASSERT_PTR_NULL(vma_prev(a));
	CU_ASSERT_PTR_NULL(vma_next(b));
	CU_ASSERT_PTR_EQUAL(vma_find(mm, gva_make(0)), a);
	CU_ASSERT_PTR_EQUAL(vma_find(mm, gva_add(at(4), -1ul)), a);
	CU_ASSERT_PTR_EQUAL(vma_find(mm, at(4)), b);
	CU_ASSERT_PTR_NULL(vma_find_exact(mm, at(4)));
	CU_ASSERT_PTR_NULL(vma_find(mm, at(9)));
	mm_put(mm);
	unit_close(h);
}

/* As many areas as Linux allows, and not one more. */
static void test_max_map_count(void)
{
	struct fake_host *h = unit_open();
	struct mm *mm = unit_mm(h);
	struct mm_map_request req = { .len = UMM_PAGE_SIZE,
				      .prot = PROT_RW,
				      .flags = MAP_ANON_PRIVATE };
	gva_t a = unit_map_at(mm, BASE, MAX_MAP_COUNT, PROT_READ, MAP_ANON_PRIVATE), out;
	int err = 0;

	for (uint64_t i = 1; !err && i < MAX_MAP_COUNT; i += 2)
		err = mm_mprotect(mm, page_at(a, i), UMM_PAGE_SIZE, PROT_NONE);
	CU_ASSERT_EQUAL(err, 0);
	CU_ASSERT_EQUAL(mm->nr_vmas, MAX_MAP_COUNT);
	CU_ASSERT_TRUE(vma_tree_valid(mm));
	CU_ASSERT_EQUAL(mm_mmap(mm, &req, &out), 0);
	CU_ASSERT_EQUAL(mm_mmap(mm, &req, &out), -ENOMEM);
	unit_unmap(mm, a, MAX_MAP_COUNT);
	CU_ASSERT_EQUAL(mm->nr_vmas, 1);
	mm_put(mm);
	unit_close(h);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "row35_random_against_pages", test_random },
		{ "gap_search_against_scan", test_gap_search },
		{ "find_and_neighbours", test_neighbours },
		{ "max_map_count", test_max_map_count },
	};

	return unit_run("vma", tests, ARRAY_LEN(tests), argc, argv);
}
