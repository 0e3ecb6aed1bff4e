/* SPDX-License-Identifier: MIT */
#include "vmm/swap_spec.h"

#include <errno.h>
#include <string.h>

#include "vmm/size.h"

#define SWAP_MIN_BYTES (64 * UMM_PAGE_SIZE)
#define PRIORITY_MAX   32767

/* One way to begin a specification. */
struct kind_word {
	const char *prefix;
	enum swap_kind kind;
	int priority; /* what is faster is filled first */
};

static const struct kind_word kinds[] = {
	{ "file:", SWAP_FILE, 200 }, { "", SWAP_FILE, 200 }, /* last: any other text begins so */
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

static int size_take(const char *text, uint64_t *out, struct errmsg *e)
{
	int rc = size_parse(text, out);

	return size_check(text, rc, *out, e);
}

static int number_take(const char *name, const char *text, uint64_t max, uint64_t *out,
		       struct errmsg *e)
{
	if (number_parse(text, max, out))
		return errmsg_set(e, -EINVAL, "swap: %s=%.200s: write a number from 0 to %lu", name,
				  text, max);
	return 0;
}

/* ---- options, from the last to the first ------------------------------------- */

static int option_take(struct swap_spec *s, const char *name, const char *value, struct errmsg *e)
{
	uint64_t n;
	int rc;

	if (!strcmp(name, "size"))
		return size_take(value, &s->bytes, e);
	if (!strcmp(name, "priority")) {
		rc = number_take(name, value, PRIORITY_MAX, &n, e);
		s->priority = rc ? 0 : (int)n;
		return rc;
	}
	return errmsg_set(e, -EINVAL, "swap: unknown option '%.64s'; umm(1) lists them", name);
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

/* FILE or FILE:SIZE. */
static int file_take(struct swap_spec *s, const char *text, struct errmsg *e)
{
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text);
	uint64_t bytes;
	int rc = colon ? size_parse(colon + 1, &bytes) : -EINVAL;

	if (rc != -EINVAL) {
		rc = size_check(text, rc, bytes, e);
		if (rc)
			return rc;
		s->bytes = bytes;
		len = (size_t)(colon - text);
	}
	if (!len)
		return errmsg_set(e, -EINVAL, "swap '%.200s': the file's name is missing", text);
	memcpy(s->path, text, len);
	s->path[len] = '\0';
	return 0;
}

static int body_take(struct swap_spec *s, const struct kind_word *k, const char *text,
		     struct errmsg *e)
{
	uint64_t bytes;
	int rc = *k->prefix ? -EINVAL : size_parse(text, &bytes);

	if (rc == -EINVAL)
		return file_take(s, text, e);
	s->bytes = bytes;
	return size_check(text, rc, bytes, e);
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
	while (!rc && option_cut(copy, &name, &value))
		rc = option_take(out, name, value, e);
	return rc ? rc : body_take(out, k, copy + strlen(k->prefix), e);
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
