/* SPDX-License-Identifier: MIT */
#include "vmm/swap_spec.h"

#include <errno.h>
#include <string.h>

#include "vmm/size.h"

#define SWAP_MIN_BYTES (64 * UMM_PAGE_SIZE)
#define PRIORITY_MAX   32767
/* Every class of sizes may hold a block that is nearly empty (vmm/zpool.h). */
#define ZIP_MIN_MEMORY (8ul << 20)

#define KIND(k) (1u << (k))
#define ZIP     (KIND(SWAP_LZ4) | KIND(SWAP_ZSTD))

/* One way to begin a specification. */
struct kind_word {
	const char *prefix;
	enum swap_kind kind;
	int priority; /* what is faster is filled first */
};

static const struct kind_word kinds[] = {
	{ "null:", SWAP_NULL, 400 }, { "ram:", SWAP_RAM, 400 },   { "lz4:", SWAP_LZ4, 300 },
	{ "zstd:", SWAP_ZSTD, 300 }, { "file:", SWAP_FILE, 200 }, { "nbd:", SWAP_NBD, 100 },
	{ "", SWAP_FILE, 200 }, /* last: any other text begins so */
};

static int size_check(const char *text, int rc, uint64_t bytes, struct errmsg *e)
{
	if (rc == -EINVAL)
		return errmsg_set(e, -EINVAL, "swap '%.200s': no size; write 64M, 512M, 1G", text);
	if (rc)
		return errmsg_set(e, -EINVAL, "swap '%.200s': the size is too large", text);
	if (bytes < SWAP_MIN_BYTES)
		return errmsg_set(e, -EINVAL, "swap '%.200s': less than %lu KiB is of no use", text,
				  SWAP_MIN_BYTES >> 10);
	return 0;
}

/* ---- options, from the last to the first ------------------------------------- */

/* FILE or FILE:SIZE. */
static int file_take(const char *text, char *path, uint64_t *bytes, struct errmsg *e)
{
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text);
	uint64_t size;
	int rc = colon ? size_parse(colon + 1, &size) : -EINVAL;

	if (rc != -EINVAL) {
		rc = size_check(text, rc, size, e);
		if (rc)
			return rc;
		*bytes = size;
		len = (size_t)(colon - text);
	}
	if (!len)
		return errmsg_set(e, -EINVAL, "swap '%.200s': the file's name is missing", text);
	memcpy(path, text, len);
	path[len] = '\0';
	return 0;
}

/* A number is stored here, if the option has one. */
static uint64_t *option_number(struct swap_spec *s, const char *name, uint64_t *scratch)
{
	if (!strcmp(name, "size"))
		return &s->bytes;
	return !strcmp(name, "memory") ? &s->memory : scratch;
}

static const struct option {
	const char *name;
	unsigned int kinds; /* that have it */
	bool is_size;
	uint64_t min, max;
} options[] = {
	{ "size", ~0u, true, SWAP_MIN_BYTES, UINT64_MAX },
	{ "memory", ZIP, true, ZIP_MIN_MEMORY, UINT64_MAX },
	{ "priority", ~0u, false, 0, PRIORITY_MAX },
	{ "level", KIND(SWAP_ZSTD), false, 1, 19 },
	{ "connections", KIND(SWAP_NBD), false, 1, 16 },
	{ "wait", KIND(SWAP_NBD), false, 0, 3600 },
	{ "timeout", KIND(SWAP_NBD), false, 1, 3600 },
	{ "writeback", ZIP, false, 0, 0 },
};

static const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static int option_range(const struct option *o, const char *value, struct errmsg *e)
{
	char low[SIZE_TEXT_MAX];

	if (o->is_size)
		return errmsg_set(e, -EINVAL, "swap: %s=%.200s: write a size from %s on", o->name,
				  value, size_format(o->min, low));
	return errmsg_set(e, -EINVAL, "swap: %s=%.200s: write a number from %lu to %lu", o->name,
			  value, o->min, o->max);
}

static int option_take(struct swap_spec *s, const char *name, const char *value, struct errmsg *e)
{
	const struct option *o = option_find(name);
	uint64_t scratch = 0, *n = option_number(s, name, &scratch);

	if (!o || !(o->kinds & KIND(s->kind)))
		return errmsg_set(e, -EINVAL, "swap: %s '%.64s'; umm(1), SWAP AREAS, lists them",
				  o ? "this kind of area has no" : "unknown option", name);
	if (!strcmp(name, "writeback")) {
		s->has_writeback = true;
		if (!size_parse(value, &s->writeback_bytes))
			return size_check(value, 0, s->writeback_bytes, e);
		return file_take(value, s->writeback, &s->writeback_bytes, e);
	}
	if ((o->is_size ? size_parse(value, n) : number_parse(value, o->max, n)) || *n < o->min)
		return option_range(o, value, e);
	if (!strcmp(name, "priority"))
		s->priority = (int)scratch;
	else if (!strcmp(name, "level"))
		s->level = (int)scratch;
	else if (!strcmp(name, "connections"))
		s->connections = (unsigned int)scratch;
	else if (!strcmp(name, "wait"))
		s->wait_seconds = (unsigned int)scratch;
	else if (!strcmp(name, "timeout"))
		s->timeout_seconds = (unsigned int)scratch;
	return 0;
}

/* ",NAME=VALUE" at the end of @text, NAME of small letters: cut off, and true. */
static bool option_cut(char *text, char **name, char **value)
{
	char *comma = strrchr(text, ','), *end;

	if (!comma)
		return false;
	end = comma + 1 + strspn(comma + 1, "abcdefghijklmnopqrstuvwxyz");
	if (end == comma + 1 || *end != '=')
		return false;
	*comma = *end = '\0';
	*name = comma + 1;
	*value = end + 1;
	return true;
}

/* ---- what comes before them --------------------------------------------------- */

static int uri_take(struct swap_spec *s, const char *text, struct errmsg *e)
{
	if (strncmp(text, "nbd", 3) || !strstr(text, "://"))
		return errmsg_set(e, -EINVAL,
				  "swap 'nbd:%.200s': write a URI, as nbd:nbd://HOST/EXPORT or "
				  "nbd:nbd+unix:///EXPORT?socket=PATH",
				  text);
	strcpy(s->path, text);
	return 0;
}

/* @bare: without a word for the kind, so SIZE or FILE. */
static int body_take(struct swap_spec *s, bool bare, const char *text, struct errmsg *e)
{
	uint64_t bytes;
	int rc;

	if (s->kind == SWAP_NBD)
		return uri_take(s, text, e);
	if (s->kind != SWAP_FILE && !*text && s->bytes)
		return 0;
	rc = s->kind == SWAP_FILE && !bare ? -EINVAL : size_parse(text, &bytes);
	if (rc == -EINVAL && s->kind == SWAP_FILE)
		return file_take(text, s->path, &s->bytes, e);
	rc = size_check(text, rc, bytes, e);
	if (!rc)
		s->bytes = bytes;
	return rc;
}

int swap_spec_parse(const char *text, struct swap_spec *out, struct errmsg *e)
{
	char copy[PATH_MAX], *name, *value;
	const struct kind_word *k = kinds;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!*text)
		return errmsg_set(e, -EINVAL, "swap: write a size, a file, or FILE:SIZE");
	if (strlen(text) >= sizeof(copy))
		return errmsg_set(e, -EINVAL, "swap: the file's name is too long");
	strcpy(copy, text);
	while (strncmp(copy, k->prefix, strlen(k->prefix)))
		k++;
	out->kind = k->kind;
	out->priority = k->priority;
	out->level = 3;
	out->connections = 4;
	out->wait_seconds = 5;
	out->timeout_seconds = 30;
	while (!rc && option_cut(copy, &name, &value))
		rc = option_take(out, name, value, e);
	return rc ? rc : body_take(out, !*k->prefix, copy + strlen(k->prefix), e);
}

int swap_specs_add(struct swap_specs *specs, const char *text, struct errmsg *e)
{
	int rc;

	if (specs->nr == SWAP_SPECS_MAX)
		return errmsg_set(e, -EINVAL, "swap: more than %u areas", SWAP_SPECS_MAX);
	rc = swap_spec_parse(text, &specs->v[specs->nr], e);
	if (!rc)
		specs->nr++;
	return rc;
}
