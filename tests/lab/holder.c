/* SPDX-License-Identifier: MIT */
/*
 * Guest program: holder PAGES FILE. Fills its pages, says "filled", leaves them
 * alone until FILE exists, and then verifies them: memory that reclaim may take
 * whole, and must bring back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_WORDS 512ul

static uint64_t word_value(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

int main(int argc, char **argv)
{
	uint64_t words = argc == 3 ? strtoul(argv[1], NULL, 0) * PAGE_WORDS : 0;
	volatile uint64_t *area;
	uint64_t i;

	if (!words) {
		fprintf(stderr, "usage: holder PAGES FILE\n");
		return 2;
	}
	area = mmap(NULL, words * sizeof(*area), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED) {
		perror("holder: mmap");
		return 2;
	}
	for (i = 0; i < words; i++)
		area[i] = word_value(i);
	printf("filled\n");
	fflush(stdout);
	while (access(argv[2], F_OK))
		usleep(100000);
	for (i = 0; i < words; i++) {
		if (area[i] != word_value(i)) {
			printf("holder: word %lu is %#lx\n", i, area[i]);
			return 1;
		}
	}
	printf("intact\n");
	return 0;
}
