/* SPDX-License-Identifier: MIT */
/*
 * One call, and its answer: swap_one on FILE [FLAGS], swap_one off FILE. "on" with FLAGS "random"
 * instead tries headers of random bytes over and over. Only for guests: it may succeed.
 */
#include <sys/swap.h>

#include "progs.h"

#define TRIES 400

static const char *answer(int r)
{
	return r ? strerrorname_np(errno) : "done";
}

/* Most of them have the magic word, so that what is behind it is looked at. */
static int try_random(const char *path)
{
	int fd = open(path, O_RDWR), taken = 0;
	uint32_t page[PAGE / 4];

	srandom(1);
	for (int n = 0; n < TRIES; n++) {
		for (size_t i = 0; i < PAGE / 4; i++)
			page[i] = (uint32_t)random() & (random() & 1 ? 3 : UINT32_MAX);
		if (n % 8)
			memcpy((char *)page + PAGE - 10, "SWAPSPACE2", 10);
		if (pwrite(fd, page, PAGE, 0) != (ssize_t)PAGE)
			return 2;
		if (!swapon(path, (int)random() & (SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK))) {
			taken++;
			if (swapoff(path))
				return 3;
		} else if (errno != EINVAL) {
			return 4;
		}
	}
	printf("random: %s\n", taken ? "some taken" : "none taken");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[3], "random"))
		return try_random(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "on"))
		puts(answer(swapon(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 0) : 0)));
	else if (argc > 2)
		puts(answer(swapoff(argv[2])));
	return 0;
}
