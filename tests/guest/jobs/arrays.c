// SPDX-License-Identifier: MIT
/*
 * OpenMP: all processors go over two arrays of 32 MiB, forwards, scattered and in tasks, and sum them.
 * What it prints is the same every time, whatever the number of threads.
 */
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT (4UL << 20)
#define PAGE  512

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	return (x ^ x >> 27) * 0x94d049bb133111ebULL;
}

/* A page at a time from all over the array. */
static size_t scattered(size_t i, int round)
{
	size_t page = (i / PAGE * 40503 + round) % (COUNT / PAGE);

	return page * PAGE + i % PAGE;
}

static uint64_t sum(const uint64_t *a, size_t from, size_t to)
{
	uint64_t left, right = 0;

	if (to - from <= COUNT / 64) {
		for (left = 0; from < to; from++)
			left += mix(a[from] + from);
		return left;
	}
#pragma omp task shared(left)
	left = sum(a, from, (from + to) / 2);
	right = sum(a, (from + to) / 2, to);
#pragma omp taskwait
	return left + right;
}

int main(void)
{
	uint64_t *a = malloc(COUNT * sizeof(*a)), *b = malloc(COUNT * sizeof(*b)), total = 0;

	if (!a || !b)
		return 1;
#pragma omp parallel for
	for (size_t i = 0; i < COUNT; i++)
		a[i] = mix(i);
	for (int round = 0; round < 4; round++) {
#pragma omp parallel for schedule(dynamic, 4096)
		for (size_t i = 0; i < COUNT; i++)
			b[i] = a[scattered(i, round)] ^ i;
#pragma omp parallel for
		for (size_t i = 0; i < COUNT; i++)
			a[i] += mix(b[COUNT - 1 - i]);
#pragma omp parallel
#pragma omp single
		total = sum(a, 0, COUNT);
		printf("round %d: %016llx\n", round, (unsigned long long)total);
	}
	free(a);
	free(b);
	return 0;
}
