/* SPDX-License-Identifier: MIT */
/*
 * A storm of forks and copies on write. Each child rewrites a random share of
 * the pages it inherited and then looks at all of them: what it wrote and what
 * it did not. The parent rewrites other pages at the same time. A store that
 * shows up in the wrong process, or is lost, is found by one of them.
 */
#include <sys/wait.h>

#include "common.h"

struct pages {
	uint64_t *words;
	uint64_t count;
	uint64_t *keys; /* what each page should hold; inherited too */
};

static uint64_t *page_words(const struct pages *p, uint64_t page)
{
	return p->words + page * (WL_PAGE / sizeof(uint64_t));
}

/* The first and the last word of a page tell enough here: the checker looks at every word. */
static void page_write(struct pages *p, uint64_t page, uint64_t key)
{
	uint64_t *w = page_words(p, page);

	p->keys[page] = key;
	w[0] = wl_mix(key ^ page);
	w[WL_PAGE / sizeof(uint64_t) - 1] = ~w[0];
}

static void rewrite_share(struct pages *p, uint64_t seed)
{
	uint64_t page;

	for (page = 0; page < p->count; page++)
		if (!(wl_random(&seed) % 4))
			page_write(p, page, seed);
}

static int verify_all(const struct pages *p, const char *who)
{
	uint64_t page, expected;
	const uint64_t *w;

	for (page = 0; page < p->count; page++) {
		w = page_words(p, page);
		expected = wl_mix(p->keys[page] ^ page);
		if (w[0] == expected && w[WL_PAGE / sizeof(uint64_t) - 1] == ~expected)
			continue;
		printf("FAIL in the %s at %p: expected %#" PRIx64 ", got %#" PRIx64 "\n", who,
		       (const void *)w, expected, w[0]);
		fflush(stdout);
		return 1;
	}
	return 0;
}

static int wait_for_child(void)
{
	int status;

	if (wait(&status) < 0) {
		perror("forker: wait");
		return 1;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("FAIL: a child ended with status %#x\n", (unsigned int)status);
		return 1;
	}
	return 0;
}

static int run_storm(struct pages *p, uint64_t forks, uint64_t together, uint64_t seed)
{
	uint64_t started = 0, running = 0;
	int failed = 0;
	pid_t pid;

	while (!failed && (started < forks || running)) {
		if (started < forks && running < together) {
			pid = fork();
			if (pid < 0) {
				perror("forker: fork");
				return 1;
			}
			if (pid == 0) {
				rewrite_share(p, wl_mix(seed + started));
				_exit(verify_all(p, "child"));
			}
			started++;
			running++;
			rewrite_share(p, wl_mix(~seed + started));
			continue;
		}
		failed = wait_for_child() || verify_all(p, "parent");
		running--;
	}
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t forks = 100, together = 4, size = 8UL << 20, seed = 1, page, start;
	struct pages p;
	double spent;
	const struct wl_option options[] = {
		{ "forks", WL_COUNT, &forks, "children to fork" },
		{ "together", WL_COUNT, &together, "children alive at a time" },
		{ "size", WL_SIZE, &size, "bytes of memory they share" },
		{ "seed", WL_COUNT, &seed, "choice of the pages" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Forks, copies on write, exits.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	p.count = size / WL_PAGE;
	p.words = wl_map(p.count * WL_PAGE);
	p.keys = wl_map(p.count * sizeof(*p.keys));
	if (!p.words || !p.keys)
		return 1;
	for (page = 0; page < p.count; page++)
		page_write(&p, page, seed);
	start = wl_now_ns();
	if (run_storm(&p, forks, together ? together : 1, seed))
		return 1;
	spent = (double)(wl_now_ns() - start) / 1e3;
	fprintf(stderr, "forker: %.1f us/fork\n", spent / (double)(forks ? forks : 1));
	fprintf(stderr, "{\"workload\": \"fork\", \"ops\": %" PRIu64 ", \"seconds\": %.6f}\n",
		forks, spent / 1e6);
	printf("forker forks=%" PRIu64 " pages=%" PRIu64 " ok\n", forks, p.count);
	return 0;
}
