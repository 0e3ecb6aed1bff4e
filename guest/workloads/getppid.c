/* SPDX-License-Identifier: MIT */
/* The cheapest system call in a loop: the bare way in and out. */
#include <sys/syscall.h>

#include "common.h"

int main(int argc, char **argv)
{
	uint64_t calls = 100000, i, start, spent, same = 0;
	long parent = syscall(SYS_getppid);
	const struct wl_option options[] = {
		{ "calls", WL_COUNT, &calls, "calls to make" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "getppid in a loop.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	start = wl_now_ns();
	for (i = 0; i < calls; i++)
		same += syscall(SYS_getppid) == parent;
	spent = wl_now_ns() - start;
	fprintf(stderr, "getppid: %.1f ns/call\n", (double)spent / (double)(calls ? calls : 1));
	printf("getppid calls=%" PRIu64 " same=%" PRIu64 "\n", calls, same);
	return same != calls;
}
