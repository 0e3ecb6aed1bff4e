/* SPDX-License-Identifier: MIT */
/* The smallest useful program: greets, lists its arguments, ends with a chosen status. */
#include "common.h"

int main(int argc, char **argv)
{
	uint64_t status = 0;
	int i;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		printf("usage: %s [ARGS]\nGreets and prints ARGS; `--status N` ends with status N.\n",
		       argv[0]);
		return 0;
	}
	printf("hello, world\n");
	for (i = 1; i < argc; i++) {
		printf("argument %d: %s\n", i, argv[i]);
		if (!strcmp(argv[i], "--status") && i + 1 < argc &&
		    wl_parse_count(argv[i + 1], &status)) {
			fprintf(stderr, "%s: --status: bad value '%s'\n", argv[0], argv[i + 1]);
			return 2;
		}
	}
	return (int)status;
}
