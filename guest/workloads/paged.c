/* SPDX-License-Identifier: MIT */
/*
 * Memory that is paged out and comes back, on command. Each line on stdin is one:
 *
 *	pageout       MADV_PAGEOUT over all of it
 *	sequential    read a word of every page, in order
 *	random N      the same of N different pages far apart, each timed
 *	verify        compare every word with what was stored
 *	fill          store it all again
 *
 * and is answered by one line of JSON on stderr, where "wrong" counts the words
 * that were not as stored. "ready" is the first line; the end of stdin is the end.
 */
#include "content.h"
#include "latency.h"

/* An access that takes this long has left the program; below it is the processor alone. */
#define SLOW_NS 1500.0

struct paged {
	uint64_t *words;
	uint64_t pages;
	enum content content;
	struct latency latency;
};

static uint64_t *page_words(const struct paged *p, uint64_t page)
{
	return p->words + page * CONTENT_WORDS;
}

static void fill(struct paged *p)
{
	for (uint64_t page = 0; page < p->pages; page++)
		content_fill(page_words(p, page), page, p->content);
}

/* The first word that a page should have. */
static uint64_t first_word(const struct paged *p, uint64_t page)
{
	uint64_t words[CONTENT_WORDS];

	content_fill(words, page, p->content);
	return words[0];
}

static uint64_t verify(const struct paged *p)
{
	uint64_t expected[CONTENT_WORDS], wrong = 0;

	for (uint64_t page = 0; page < p->pages; page++) {
		const uint64_t *words = page_words(p, page);

		content_fill(expected, page, p->content);
		for (unsigned int i = 0; i < CONTENT_WORDS; i++)
			wrong += words[i] != expected[i];
	}
	return wrong;
}

/* Sums instead of comparing: what is timed is the coming back. */
static void sequential(const struct paged *p)
{
	uint64_t start = wl_now_ns(), sum = 0, expected = 0, ns;

	for (uint64_t page = 0; page < p->pages; page++)
		sum += *(volatile uint64_t *)page_words(p, page);
	ns = wl_now_ns() - start;
	for (uint64_t page = 0; page < p->pages; page++)
		expected += first_word(p, page);
	fprintf(stderr, "{\"ns\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"wrong\": %d}\n", ns,
		p->pages, sum != expected);
}

static void random_pages(struct paged *p, uint64_t count)
{
	uint64_t span = 1, wrong = 0, done = 0, start = wl_now_ns(), value, ticks, ns;

	while (span < p->pages)
		span *= 2;
	latency_begin(&p->latency);
	/* An odd step over a power of two meets every page once. */
	for (uint64_t i = 0; done < count && i < span; i++) {
		uint64_t page = (i * 0x9e3779b97f4a7c15ull + 12345) & (span - 1);

		if (page >= p->pages)
			continue;
		ticks = latency_ticks();
		value = *(volatile uint64_t *)page_words(p, page);
		latency_add(&p->latency, latency_ticks() - ticks);
		wrong += value != first_word(p, page);
		done++;
	}
	ns = wl_now_ns() - start;
	fprintf(stderr, "{\"ns\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"wrong\": %" PRIu64 ", ",
		ns, done, wrong);
	latency_print(&p->latency, SLOW_NS);
	fprintf(stderr, "}\n");
}

static void pageout(const struct paged *p)
{
	uint64_t start = wl_now_ns();
	int err = madvise(p->words, p->pages * WL_PAGE, MADV_PAGEOUT) ? errno : 0;

	fprintf(stderr, "{\"ns\": %" PRIu64 ", \"errno\": %d}\n", wl_now_ns() - start, err);
}

static int obey(struct paged *p, const char *line)
{
	uint64_t count;

	if (!strcmp(line, "pageout")) {
		pageout(p);
	} else if (!strcmp(line, "sequential")) {
		sequential(p);
	} else if (!strncmp(line, "random ", 7) && !wl_parse_count(line + 7, &count)) {
		random_pages(p, count);
	} else if (!strcmp(line, "verify")) {
		fprintf(stderr, "{\"wrong\": %" PRIu64 "}\n", verify(p));
	} else if (!strcmp(line, "fill")) {
		fill(p);
		fprintf(stderr, "{}\n");
	} else {
		fprintf(stderr, "paged: no such command: %s\n", line);
		return -EINVAL;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct paged p;
	uint64_t size = 64UL << 20;
	const char *content = "heap";
	bool huge = false;
	static char input[4096];
	char line[80];
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes of memory" },
		{ "content", WL_TEXT, &content, "heap, noise or same" },
		{ "huge", WL_FLAG, &huge, "ask for transparent huge pages" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "Memory that is paged out and comes back, on command.",
			  options);

	if (rc || content_parse(content, &p.content))
		return rc > 0 ? 0 : 2;
	/*
	 * The program itself stays: only its memory is to be measured, and some back ends
	 * keep nothing. Where locking is not allowed it goes too.
	 */
	setvbuf(stdin, input, _IOLBF, sizeof(input));
	(void)mlockall(MCL_CURRENT);
	p.pages = size / WL_PAGE;
	p.words = wl_map(p.pages * WL_PAGE);
	if (!p.words)
		return 1;
	if (huge)
		madvise(p.words, p.pages * WL_PAGE, MADV_HUGEPAGE);
	fill(&p);
	fprintf(stderr, "ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (obey(&p, line))
			return 2;
	}
	return 0;
}
