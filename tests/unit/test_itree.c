/* SPDX-License-Identifier: MIT */
/* The interval tree against a plain list of intervals. */
#include <stdlib.h>
#include <umm/itree.h>
#include "tests/unit/util.h"

#define MAX_NODES 300

struct brute {
	struct itree_node nodes[MAX_NODES];
	bool in[MAX_NODES];
	struct itree tree;
};

static unsigned int brute_count(const struct brute *b, uint64_t start, uint64_t last)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < MAX_NODES; i++)
		nr += b->in[i] && b->nodes[i].start <= last && b->nodes[i].last >= start;
	return nr;
}

/* Each hit overlaps, they come ordered by start, and there are as many as by hand. */
static void check_query(const struct brute *b, uint64_t start, uint64_t last)
{
	struct itree_node *n;
	uint64_t prev = 0;
	unsigned int nr = 0;

	itree_for_each(n, &b->tree, start, last)
	{
		CU_ASSERT_TRUE(n->start <= last && n->last >= start);
		CU_ASSERT_TRUE(n->start >= prev);
		prev = n->start;
		nr++;
	}
	CU_ASSERT_EQUAL(nr, brute_count(b, start, last));
}

static void toggle(struct brute *b, unsigned int i)
{
	uint64_t start = (uint64_t)rand() % 1000;

	if (b->in[i])
		itree_remove(&b->tree, &b->nodes[i]);
	else
		itree_insert(&b->tree, &b->nodes[i], start, start + (uint64_t)rand() % 50);
	b->in[i] = !b->in[i];
}

static void test_random(void)
{
	static struct brute b;

	itree_init(&b.tree);
	srand(1);
	for (unsigned int step = 0; step < 4000; step++) {
		uint64_t start = (uint64_t)rand() % 1100;

		toggle(&b, (unsigned int)rand() % MAX_NODES);
		CU_ASSERT_TRUE(itree_valid(&b.tree));
		check_query(&b, start, start + (uint64_t)rand() % 30);
		check_query(&b, 0, UINT64_MAX);
	}
	for (unsigned int i = 0; i < MAX_NODES; i++)
		if (b.in[i])
			toggle(&b, i);
	CU_ASSERT_TRUE(itree_empty(&b.tree));
}

/* Fork relies on it: what was inserted first is visited first. */
static void test_equal_starts(void)
{
	struct itree_node nodes[40], *n;
	struct itree tree;
	unsigned int i = 0;

	itree_init(&tree);
	for (i = 0; i < ARRAY_LEN(nodes); i++)
		itree_insert(&tree, &nodes[i], 7, 9);
	i = 0;
	itree_for_each(n, &tree, 8, 8)
	{
		CU_ASSERT_PTR_EQUAL(n, &nodes[i]);
		i++;
	}
	CU_ASSERT_EQUAL(i, ARRAY_LEN(nodes));
}

static void test_limits(void)
{
	struct itree_node low, high, all, *n;
	struct itree tree;

	itree_init(&tree);
	CU_ASSERT_PTR_NULL(itree_first(&tree, 0, UINT64_MAX));
	itree_insert(&tree, &low, 0, 0);
	itree_insert(&tree, &high, UINT64_MAX, UINT64_MAX);
	itree_insert(&tree, &all, 0, UINT64_MAX);
	n = itree_first(&tree, UINT64_MAX, UINT64_MAX);
	CU_ASSERT_PTR_EQUAL(n, &all);
	n = itree_next(n, UINT64_MAX, UINT64_MAX);
	CU_ASSERT_PTR_EQUAL(n, &high);
	CU_ASSERT_PTR_NULL(itree_next(n, UINT64_MAX, UINT64_MAX));
	CU_ASSERT_PTR_EQUAL(itree_first(&tree, 0, 0), &low);
}

/* A tree whose maxima are wrong must not pass for a good one. */
static void test_valid_notices(void)
{
	struct itree_node nodes[10];
	struct itree tree;

	itree_init(&tree);
	for (unsigned int i = 0; i < ARRAY_LEN(nodes); i++)
		itree_insert(&tree, &nodes[i], i, i + 3);
	CU_ASSERT_TRUE(itree_valid(&tree));
	nodes[9].last = 100;
	CU_ASSERT_FALSE(itree_valid(&tree));
	nodes[9].last = 12;
	nodes[4].start = 50;
	CU_ASSERT_FALSE(itree_valid(&tree));
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "random_against_list", test_random },
		{ "equal_starts_keep_order", test_equal_starts },
		{ "limits_of_the_range", test_limits },
		{ "valid_notices_damage", test_valid_notices },
	};

	return unit_run("itree", tests, ARRAY_LEN(tests), argc, argv);
}
