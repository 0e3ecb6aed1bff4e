/* SPDX-License-Identifier: MIT */
/* First touch of anonymous memory: what one fault costs, spread over the pages it maps. */
#include "common.h"

/* An odd step over a power of two visits every page once, far apart; no table to touch first. */
static uint64_t page_at(uint64_t i, uint64_t pages, uint64_t span, bool random)
{
	uint64_t page;

	if (!random)
		return i;
	page = (i * 0x9e3779b97f4a7c15ULL) & (span - 1);
	return page < pages ? page : UINT64_MAX;
}

int main(int argc, char **argv)
{
	uint64_t size = 1UL << 30, pages, span, i, page, count, start, spent, touched = 0;
	const char *order = "seq";
	bool small = false, huge = false, random;
	volatile char *memory;
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &size, "bytes to touch" },
		{ "order", WL_TEXT, &order, "seq or random" },
		{ "small", WL_FLAG, &small, "ask for 4 KiB pages (MADV_NOHUGEPAGE)" },
		{ "huge", WL_FLAG, &huge, "ask for 2 MiB pages (MADV_HUGEPAGE)" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	int rc = wl_parse(argc, argv, "First touch of anonymous memory.", options);

	if (rc)
		return rc < 0 ? 2 : 0;
	random = !strcmp(order, "random");
	if (!random && strcmp(order, "seq")) {
		fprintf(stderr, "touch: --order: '%s' is neither seq nor random\n", order);
		return 2;
	}
	pages = size / WL_PAGE;
	memory = wl_map(pages * WL_PAGE);
	if (!memory)
		return 1;
	if (small && madvise((void *)memory, pages * WL_PAGE, MADV_NOHUGEPAGE))
		fprintf(stderr, "touch: MADV_NOHUGEPAGE: %s\n", strerror(errno));
	if (huge && madvise((void *)memory, pages * WL_PAGE, MADV_HUGEPAGE))
		fprintf(stderr, "touch: MADV_HUGEPAGE: %s\n", strerror(errno));
	for (span = 1; span < pages; span *= 2)
		;
	count = random ? span : pages;
	start = wl_now_ns();
	for (i = 0; i < count; i++) {
		page = page_at(i, pages, span, random);
		if (page != UINT64_MAX)
			memory[page * WL_PAGE] = 1;
	}
	spent = wl_now_ns() - start;
	for (i = 0; i < pages; i++)
		touched += (uint64_t)memory[i * WL_PAGE] + (uint64_t)memory[i * WL_PAGE + 1];
	fprintf(stderr, "touch: %.1f ns/page, %.3f s\n",
		(double)spent / (double)(pages ? pages : 1), (double)spent / 1e9);
	printf("touch pages=%" PRIu64 " touched=%" PRIu64 " %s\n", pages, touched,
	       touched == pages ? "ok" : "FAIL");
	return touched != pages;
}
