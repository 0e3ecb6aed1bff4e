/* SPDX-License-Identifier: MIT */
/* Sequential passes: each pass writes all words in order, then reads all of them back. */
#include "common.h"

static uint64_t write_pass(uint64_t *words, uint64_t n, uint64_t key)
{
	uint64_t start = wl_now_ns(), i;

	for (i = 0; i < n; i++)
		words[i] = key + i;
	return wl_now_ns() - start;
}

/* => 0 and the time in *spent, or 1 after telling which word was wrong. */
static int read_pass(const uint64_t *words, uint64_t n, uint64_t key, uint64_t *spent)
{
	uint64_t start = wl_now_ns(), wrong = 0, i;

	for (i = 0; i < n; i++)
		wrong |= words[i] ^ (key + i);
	*spent = wl_now_ns() - start;
	if (!wrong)
		return 0;
	for (i = 0; i < n && words[i] == key + i; i++)
		;
	printf("FAIL at %p: expected %#" PRIx64 ", got %#" PRIx64 "\n", (const void *)&words[i],
	       key + i, i < n ? words[i] : 0);
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t size = 256UL << 20, rounds = 4, seed = 1, n, r, spent;
	uint64_t written = 0, read = 0;
	uint64_t *words;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of memory" },
		{ "rounds", WL_COUNT, &rounds, "passes of writing and reading" },
		{ "seed", WL_COUNT, &seed, "key of the pattern" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Sequential writing and reading.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	n = size / sizeof(*words);
	words = wl_map(n * sizeof(*words));
	if (!words)
		return 1;
	for (r = 0; r < rounds; r++) {
		written += write_pass(words, n, wl_mix(seed + r));
		if (read_pass(words, n, wl_mix(seed + r), &spent))
			return 1;
		read += spent;
	}
	fprintf(stderr, "write %.3f GB/s, read %.3f GB/s\n",
		(double)(size * rounds) / (double)(written ? written : 1),
		(double)(size * rounds) / (double)(read ? read : 1));
	printf("seq words=%" PRIu64 " rounds=%" PRIu64 " ok\n", n, rounds);
	return 0;
}
