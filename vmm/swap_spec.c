/* SPDX-License-Identifier: MIT */
#include "vmm/swap_spec.h"

#include <errno.h>
#include <string.h>

#include "vmm/size.h"

#define SWAP_MIN_BYTES (64 * UMM_PAGE_SIZE)

static int check_bytes(const char *text, int rc, const struct swap_spec *s, struct errmsg *e)
{
	if (rc)
		return errmsg_set(e, -EINVAL, "swap '%s': the size is too large", text);
	if (s->bytes < SWAP_MIN_BYTES)
		return errmsg_set(e, -EINVAL, "swap '%s': less than %lu KiB is of no use", text,
				  SWAP_MIN_BYTES >> 10);
	return 0;
}

int swap_spec_parse(const char *text, struct swap_spec *out, struct errmsg *e)
{
	const char *colon = strrchr(text, ':');
	int rc;

	memset(out, 0, sizeof(*out));
	out->wanted = true;
	if (!*text)
		return errmsg_set(e, -EINVAL, "swap: write a size, a file, or FILE:SIZE");
	rc = size_parse(text, &out->bytes);
	if (rc != -EINVAL)
		return check_bytes(text, rc, out, e);
	out->bytes = 0;
	rc = colon ? size_parse(colon + 1, &out->bytes) : -EINVAL;
	if (rc == -EINVAL) {
		out->bytes = 0;
		colon = text + strlen(text);
	} else {
		rc = check_bytes(text, rc, out, e);
		if (rc)
			return rc;
	}
	if (colon == text)
		return errmsg_set(e, -EINVAL, "swap '%s': the file's name is missing", text);
	if ((size_t)(colon - text) >= sizeof(out->path))
		return errmsg_set(e, -EINVAL, "swap: the file's name is too long");
	memcpy(out->path, text, (size_t)(colon - text));
	return 0;
}
