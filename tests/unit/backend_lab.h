/* SPDX-License-Identifier: MIT */
/*
 * Swap back ends without a guest: some memory that stands for guest RAM, areas opened
 * by specification, pages whose content follows from a number, and an oracle that
 * writes, reads and frees random slots from several threads. For test_vmm_* only.
 */
#ifndef TESTS_UNIT_BACKEND_LAB_H
#define TESTS_UNIT_BACKEND_LAB_H

#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/swap_areas.h"

#define LAB_FRAMES 4096u
#define LAB_WORDS  (UMM_PAGE_SIZE / sizeof(uint64_t))

struct backend_lab {
	struct memory memory;
	struct swap_areas areas;
};

static inline void lab_init(struct backend_lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	lab->memory.nr_nodes = 1;
	lab->memory.nodes[0].base = pfn_make(512);
	lab->memory.ram_bytes = LAB_FRAMES * UMM_PAGE_SIZE;
	lab->memory.ram = mmap(NULL, lab->memory.ram_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lab->memory.ram == MAP_FAILED)
		abort();
	swap_areas_init(&lab->areas, &lab->memory);
}

static inline void lab_destroy(struct backend_lab *lab)
{
	swap_areas_destroy(&lab->areas);
	munmap(lab->memory.ram, lab->memory.ram_bytes);
}

static inline struct swap_backend *lab_open(struct backend_lab *lab, const char *text)
{
	struct swap_backend *b = NULL;
	struct errmsg e = { "" };
	struct swap_spec spec;
	int rc = swap_spec_parse(text, &spec, &e);

	if (!rc)
		rc = swap_areas_open(&lab->areas, &spec, &b, &e);
	if (rc)
		printf("  %s: %s\n", text, e.text);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return b;
}

static inline uint64_t lab_figure(struct swap_backend *b, const char *name)
{
	struct swap_report r;

	swap_areas_report(b, &r);
	for (unsigned int i = 0; i < r.nr; i++)
		if (!strcmp(r.figures[i].name, name))
			return r.figures[i].value;
	CU_FAIL("no such figure");
	return 0;
}

static inline pfn_t lab_frame(unsigned int i)
{
	return pfn_make(512 + i);
}

static inline uint64_t *lab_page(struct backend_lab *lab, unsigned int frame)
{
	return (uint64_t *)(lab->memory.ram + (uint64_t)frame * UMM_PAGE_SIZE);
}

static inline uint64_t lab_mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 32;
}

/* Every fourth page one word, every fourth random, the others like a heap. */
static inline uint64_t lab_word(uint64_t key, unsigned int i)
{
	switch (key % 4) {
	case 0:
		return key * 0x0101010101010101ull;
	case 1:
		return lab_mix(key + i * 0x10001ull);
	default:
		return i % 8 < 5 ? 0x00007f0000000000ull + (key << 12) + i / 8 * 16
				 : lab_mix(key + i) & 0xffff;
	}
}

static inline void lab_fill(struct backend_lab *lab, unsigned int frame, uint64_t key)
{
	for (unsigned int i = 0; i < LAB_WORDS; i++)
		lab_page(lab, frame)[i] = lab_word(key, i);
}

static inline bool lab_same(struct backend_lab *lab, unsigned int frame, uint64_t key)
{
	for (unsigned int i = 0; i < LAB_WORDS; i++)
		if (lab_page(lab, frame)[i] != lab_word(key, i))
			return false;
	return true;
}

static inline int lab_io(struct backend_lab *lab, struct swap_backend *b, uint64_t slot,
			 unsigned int frame, uint32_t nr, bool write)
{
	struct swap_io io = {
		.area = b, .slot = slot, .pfn = lab_frame(frame), .nr = nr, .write = write
	};

	return swap_areas_run(&lab->areas, &io, 1);
}

/* ---- the oracle ------------------------------------------------------------------ */

#define ORACLE_BATCH 16u

/* Works on the slots `id' modulo `step', with frames of its own. */
struct oracle {
	struct backend_lab *lab;
	struct swap_backend *b;
	unsigned int id, step, rounds;
	uint64_t seed;
	bool may_fail;                       /* -ENOSPC and -EIO of writes are no error */
	uint64_t wrong, failed, write_fails; /* pages; transfers */
	uint64_t *key;                       /* of each slot; 0: empty */
	pthread_t thread;
};

static inline uint64_t oracle_next(struct oracle *o)
{
	o->seed += 0x9e3779b97f4a7c15ull;
	return lab_mix(o->seed);
}

static inline void oracle_batch(struct oracle *o, bool write)
{
	unsigned int first = o->id * ORACLE_BATCH, nr = 0;
	uint64_t slots = o->b->nr_slots / o->step, keys[ORACLE_BATCH];
	struct swap_io ios[ORACLE_BATCH];

	for (unsigned int i = 0; i < ORACLE_BATCH; i++) {
		uint64_t slot = oracle_next(o) % slots * o->step + o->id;
		bool twice = false;

		for (unsigned int j = 0; j < nr; j++)
			twice |= ios[j].slot == slot;
		if (twice || (!write && !o->key[slot]))
			continue;
		if (write) {
			keys[nr] = oracle_next(o) % 100000 + 1;
			lab_fill(o->lab, first + nr, keys[nr]);
		} else {
			memset(lab_page(o->lab, first + nr), 0xee, UMM_PAGE_SIZE);
		}
		ios[nr] = (struct swap_io){ .area = o->b,
					    .slot = slot,
					    .pfn = lab_frame(first + nr),
					    .nr = 1,
					    .write = write };
		nr++;
	}
	(void)!swap_areas_run(&o->lab->areas, ios, nr);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t *key = &o->key[ios[i].slot];

		if (write) {
			*key = ios[i].error ? 0 : keys[i];
			o->write_fails += !!ios[i].error;
		} else if (ios[i].error) {
			o->failed++;
		} else {
			o->wrong += !lab_same(o->lab, first + i, *key);
		}
	}
}

static inline void oracle_free(struct oracle *o)
{
	uint64_t slot = oracle_next(o) % (o->b->nr_slots / o->step) * o->step + o->id;

	swap_areas_freed(o->b, slot, 1);
	o->key[slot] = 0;
}

static inline void *oracle_main(void *arg)
{
	struct oracle *o = arg;

	for (unsigned int i = 0; i < o->rounds; i++) {
		oracle_batch(o, true);
		oracle_batch(o, false);
		for (unsigned int j = 0; j < ORACLE_BATCH / 2; j++)
			oracle_free(o);
	}
	return NULL;
}

/* Sum of the pages that came back wrong and of transfers that failed. */
static inline uint64_t oracle_run(struct backend_lab *lab, struct swap_backend *b,
				  unsigned int threads, unsigned int rounds, uint64_t seed,
				  uint64_t *write_fails)
{
	struct oracle o[8];
	uint64_t bad = 0;

	*write_fails = 0;
	for (unsigned int i = 0; i < threads; i++) {
		o[i] = (struct oracle){ .lab = lab,
					.b = b,
					.id = i,
					.step = threads,
					.rounds = rounds,
					.seed = seed + i };
		o[i].key = calloc(b->nr_slots, sizeof(*o[i].key));
		if (!o[i].key || pthread_create(&o[i].thread, NULL, oracle_main, &o[i]))
			abort();
	}
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(o[i].thread, NULL);
		bad += o[i].wrong + o[i].failed;
		*write_fails += o[i].write_fails;
		free(o[i].key);
	}
	return bad;
}

#endif
