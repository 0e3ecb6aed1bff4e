/* SPDX-License-Identifier: MIT */
/* Reading page reference traces; every byte of the file is checked. */
#include "vmm/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int read_header(FILE *f, const char *path, uint64_t bytes, struct page_trace_header *h,
		       struct errmsg *e)
{
	if (fread(h, sizeof(*h), 1, f) != 1 || memcmp(h->magic, PAGE_TRACE_MAGIC, sizeof(h->magic)))
		return errmsg_set(e, -EINVAL, "%s: no page reference trace", path);
	if (h->version != PAGE_TRACE_VERSION)
		return errmsg_set(e, -EINVAL, "%s: a trace of version %u, this is for version %u",
				  path, h->version, PAGE_TRACE_VERSION);
	h->name[sizeof(h->name) - 1] = '\0';
	if (h->page_size < 4096 || (h->page_size & (h->page_size - 1)) || !h->nr_pages ||
	    h->nr_pages > PAGE_TRACE_PAGES)
		return errmsg_set(e, -EINVAL, "%s: a page size of %u or %lu pages cannot be", path,
				  h->page_size, h->nr_pages);
	/* A reference takes a byte at least. */
	if (!h->nr_refs || h->nr_refs > bytes - sizeof(*h) || h->nr_refs > UINT32_MAX - 1)
		return errmsg_set(e, -EINVAL,
				  "%s: %lu references do not fit the file: it was cut short, or "
				  "its recorder did not end well",
				  path, h->nr_refs);
	return 0;
}

/* 0 or -EINVAL. */
static int decode_one(FILE *f, uint64_t *v)
{
	*v = 0;
	for (unsigned int i = 0; i < PAGE_TRACE_BYTES; i++) {
		int c = getc_unlocked(f);

		if (c == EOF)
			return -EINVAL;
		*v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (!(c & 0x80))
			return 0;
	}
	return -EINVAL;
}

static int read_refs(FILE *f, const char *path, struct sim_trace *t, struct errmsg *e)
{
	int64_t page = 0;

	for (uint64_t i = 0; i < t->header.nr_refs; i++) {
		uint64_t v;

		if (decode_one(f, &v))
			return errmsg_set(e, -EINVAL, "%s: reference %lu is broken", path, i);
		page += v & 2 ? -(int64_t)((v >> 2) + 1) : (int64_t)(v >> 2);
		if (page < 0 || page >= (int64_t)t->header.nr_pages)
			return errmsg_set(e, -EINVAL, "%s: reference %lu is to page %ld of %lu",
					  path, i, page, t->header.nr_pages);
		t->refs[i] = SIM_REF(page, v & 1);
	}
	if (getc_unlocked(f) != EOF)
		return errmsg_set(e, -EINVAL, "%s: more follows after the last of %lu references",
				  path, t->header.nr_refs);
	return 0;
}

static int count_touched(struct sim_trace *t)
{
	uint8_t *seen = calloc(t->header.nr_pages, 1);

	if (!seen)
		return -ENOMEM;
	for (uint64_t i = 0; i < t->header.nr_refs; i++) {
		t->touched += !seen[t->refs[i] >> 1];
		seen[t->refs[i] >> 1] = 1;
	}
	free(seen);
	return 0;
}

int sim_trace_load(const char *path, struct sim_trace *t, struct errmsg *e)
{
	struct stat st;
	FILE *f;
	int ret;

	memset(t, 0, sizeof(*t));
	f = fopen(path, "rbe");
	if (!f || fstat(fileno(f), &st)) {
		ret = errmsg_set(e, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = errmsg_set(e, -EINVAL, "%s: not a file", path);
		goto out;
	}
	ret = read_header(f, path, (uint64_t)st.st_size, &t->header, e);
	if (ret)
		goto out;
	t->refs = malloc(t->header.nr_refs * sizeof(*t->refs));
	ret = t->refs ? read_refs(f, path, t, e) : -ENOMEM;
	if (!ret)
		ret = count_touched(t);
	if (ret == -ENOMEM)
		errmsg_set(e, ret, "%s: no memory for %lu references", path, t->header.nr_refs);
out:
	if (f)
		fclose(f);
	if (ret)
		sim_trace_free(t);
	return ret;
}

int sim_trace_make(const uint32_t *refs, uint64_t nr_refs, uint64_t nr_pages, struct sim_trace *t)
{
	int ret;

	memset(t, 0, sizeof(*t));
	memcpy(t->header.magic, PAGE_TRACE_MAGIC, sizeof(t->header.magic));
	t->header.version = PAGE_TRACE_VERSION;
	t->header.page_size = UMM_PAGE_SIZE;
	t->header.nr_pages = nr_pages;
	t->header.nr_refs = nr_refs;
	t->refs = malloc(nr_refs * sizeof(*refs));
	if (!t->refs)
		return -ENOMEM;
	memcpy(t->refs, refs, nr_refs * sizeof(*refs));
	ret = count_touched(t);
	if (ret)
		sim_trace_free(t);
	return ret;
}

void sim_trace_free(struct sim_trace *t)
{
	free(t->refs);
	memset(t, 0, sizeof(*t));
}
