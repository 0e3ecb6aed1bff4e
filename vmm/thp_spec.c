/* SPDX-License-Identifier: MIT */
#include "vmm/thp_spec.h"

#include <errno.h>
#include <string.h>

#include "vmm/size.h"

#define ORDER_MIN 2u /* 16K: Linux has no smaller ones for anonymous memory */

void thp_spec_default(struct thp_spec *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned int o = ORDER_MIN; o <= 4; o++)
		s->mode[o] = THP_ALWAYS;
	s->mode[UMM_PMD_ORDER] = THP_ALWAYS;
}

static int parse_mode(const char *text, uint8_t *mode, struct errmsg *e)
{
	static const char *const names[] = { "never", "madvise", "always" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*mode = (uint8_t)i;
			return 0;
		}
	}
	return errmsg_set(e, -EINVAL, "thp: '%s' is no mode; write always, madvise or never", text);
}

static int parse_order(const char *text, unsigned int *order, struct errmsg *e)
{
	uint64_t bytes = 0;

	if (!size_parse(text, &bytes)) {
		for (*order = ORDER_MIN; *order <= UMM_MAX_ORDER; ++*order) {
			if (bytes == UMM_PAGE_SIZE << *order)
				return 0;
		}
	}
	return errmsg_set(e, -EINVAL, "thp: '%s' is no folio size; 16K, 32K, and so on to 2M",
			  text);
}

static int parse_item(char *item, struct thp_spec *s, struct errmsg *e)
{
	char *colon = strchr(item, ':'), *dash = colon ? strchr(item, '-') : NULL;
	unsigned int first = ORDER_MIN, last = UMM_MAX_ORDER;
	uint8_t mode = THP_NEVER;
	int rc = parse_mode(colon ? colon + 1 : item, &mode, e);

	if (!rc && colon) {
		*colon = '\0';
		if (dash)
			*dash = '\0';
		rc = parse_order(item, &first, e);
		last = first;
	}
	if (!rc && dash)
		rc = parse_order(dash + 1, &last, e);
	if (!rc && last < first)
		rc = errmsg_set(e, -EINVAL, "thp: %s-%s: the smaller size comes first", item,
				dash + 1);
	for (unsigned int o = first; !rc && o <= last; o++)
		s->mode[o] = mode;
	return rc;
}

int thp_spec_parse(const char *text, struct thp_spec *s, struct errmsg *e)
{
	char copy[256], *rest = copy, *item;
	int rc = 0;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		return errmsg_set(e, -EINVAL, "thp: the list is too long");
	while (!rc && (item = strsep(&rest, ",")))
		rc = parse_item(item, s, e);
	return rc;
}
