/* SPDX-License-Identifier: MIT */
/* The radix tree against a plain array, and what it does without memory. */
#include <stdlib.h>
#include <umm/radix.h>
#include "tests/unit/util.h"

#define NR_KEYS 200

/* An allocator that counts, and fails on request. */
struct counter {
	int64_t alive;
	int64_t fail_at; /* 1: the next; 0: never */
};

static void *count_alloc(void *ctx, size_t size)
{
	struct counter *c = ctx;

	if (c->fail_at && !--c->fail_at)
		return NULL;
	c->alive++;
	return calloc(1, size);
}

static void count_free(void *ctx, void *p, size_t size)
{
	struct counter *c = ctx;

	(void)size;
	c->alive--;
	free(p);
}

static const struct mm_host_ops counting_ops = { .alloc = count_alloc, .free = count_free };

struct brute {
	uint64_t keys[NR_KEYS];
	uintptr_t values[NR_KEYS];
	struct radix radix;
	struct counter counter;
};

static void brute_init(struct brute *b)
{
	memset(b, 0, sizeof(*b));
	radix_init(&b->radix, &counting_ops, &b->counter);
	/* Sparse and dense keys, and both ends of the range. */
	for (unsigned int i = 0; i < NR_KEYS; i++)
		b->keys[i] = i < 100 ? i * 3 : (uint64_t)rand() << (i % 34);
	b->keys[NR_KEYS - 1] = UINT64_MAX;
	b->keys[NR_KEYS - 2] = UINT64_MAX - 64;
	for (unsigned int i = 0; i < NR_KEYS; i++)
		for (unsigned int k = 0; k < i; k++)
			if (b->keys[k] == b->keys[i])
				b->keys[i] += 1000003;
}

/* The index of the smallest used key >= @from, or -1. */
static int brute_next(const struct brute *b, uint64_t from)
{
	int best = -1;

	for (int i = 0; i < NR_KEYS; i++)
		if (b->values[i] && b->keys[i] >= from && (best < 0 || b->keys[i] < b->keys[best]))
			best = i;
	return best;
}

static uint64_t brute_used(const struct brute *b)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < NR_KEYS; i++)
		nr += b->values[i] != 0;
	return nr;
}

static void check_next(const struct brute *b, uint64_t from)
{
	uint64_t index = from;
	uintptr_t v = radix_next(&b->radix, &index);
	int i = brute_next(b, from);

	if (i < 0) {
		CU_ASSERT_EQUAL(v, 0);
		return;
	}
	CU_ASSERT_EQUAL(v, b->values[i]);
	CU_ASSERT_EQUAL(index, b->keys[i]);
}

static void test_random(void)
{
	static struct brute b;

	srand(2);
	brute_init(&b);
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int i = (unsigned int)rand() % NR_KEYS;
		uintptr_t v = (uintptr_t)rand() + 1;

		if (rand() % 2) {
			CU_ASSERT_EQUAL(radix_set(&b.radix, b.keys[i], v), 0);
			b.values[i] = v;
		} else {
			CU_ASSERT_EQUAL(radix_clear(&b.radix, b.keys[i]), b.values[i]);
			b.values[i] = 0;
		}
		i = (unsigned int)rand() % NR_KEYS;
		CU_ASSERT_EQUAL(radix_get(&b.radix, b.keys[i]), b.values[i]);
		check_next(&b, b.keys[i] + (uint64_t)(rand() % 2));
		CU_ASSERT_EQUAL(b.radix.count, brute_used(&b));
	}
	for (unsigned int i = 0; i < NR_KEYS; i++)
		CU_ASSERT_EQUAL(radix_clear(&b.radix, b.keys[i]), b.values[i]);
	CU_ASSERT_EQUAL(b.counter.alive, 0);
	CU_ASSERT_EQUAL(b.radix.levels, 0);
}

static void test_empty(void)
{
	struct counter c = { 0 };
	struct radix r;
	uint64_t index = 0;

	radix_init(&r, &counting_ops, &c);
	CU_ASSERT_EQUAL(radix_get(&r, 0), 0);
	CU_ASSERT_EQUAL(radix_get(&r, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(radix_clear(&r, 5), 0);
	CU_ASSERT_EQUAL(radix_next(&r, &index), 0);
	radix_destroy(&r);
	CU_ASSERT_EQUAL(c.alive, 0);
}

static void test_destroy_frees_all(void)
{
	struct counter c = { 0 };
	struct radix r;

	radix_init(&r, &counting_ops, &c);
	for (uint64_t i = 0; i < 64; i++)
		CU_ASSERT_EQUAL(radix_set(&r, i << i % 60, i + 1), 0);
	CU_ASSERT_TRUE(c.alive > 0);
	radix_destroy(&r);
	CU_ASSERT_EQUAL(c.alive, 0);
}

/* For every n: the nth allocation of a set fails; the tree is as it was. */
static void test_no_memory(void)
{
	for (int64_t n = 1;; n++) {
		struct counter c = { 0 };
		struct radix r;
		int64_t alive;
		int err;

		radix_init(&r, &counting_ops, &c);
		CU_ASSERT_EQUAL(radix_set(&r, 1, 11), 0);
		CU_ASSERT_EQUAL(radix_set(&r, 70, 22), 0);
		alive = c.alive;
		c.fail_at = n;
		err = radix_set(&r, UINT64_MAX / 3, 33);
		CU_ASSERT_EQUAL(radix_get(&r, 1), 11);
		CU_ASSERT_EQUAL(radix_get(&r, 70), 22);
		CU_ASSERT_EQUAL(radix_get(&r, UINT64_MAX / 3), err ? 0 : 33);
		if (err) {
			CU_ASSERT_EQUAL(err, -ENOMEM);
			CU_ASSERT_EQUAL(c.alive, alive);
			CU_ASSERT_EQUAL(r.count, 2);
		}
		c.fail_at = 1;
		CU_ASSERT_EQUAL(radix_set(&r, 70, 44), 0); /* replacing needs no memory */
		radix_destroy(&r);
		CU_ASSERT_EQUAL(c.alive, 0);
		if (!err) {
			CU_ASSERT_TRUE(n > 10);
			break;
		}
	}
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "random_against_array", test_random },
		{ "empty", test_empty },
		{ "destroy_frees_all", test_destroy_frees_all },
		{ "no_memory_changes_nothing", test_no_memory },
	};

	return unit_run("radix", tests, ARRAY_LEN(tests), argc, argv);
}
