/* SPDX-License-Identifier: MIT */
#include "vmm/page_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/ctl_io.h"
#include "vmm/size.h"

/* The text of a line without comment and blanks around it. */
static char *line_strip(char *line)
{
	size_t len;

	line[strcspn(line, "#\n")] = 0;
	line += strspn(line, " \t\r");
	len = strlen(line);
	while (len && strchr(" \t\r", line[len - 1]))
		line[--len] = 0;
	return line;
}

static json_t *parse_address(const char *text)
{
	uint64_t v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 16);
	if (errno || *end || strchr("+-", *text) || v >= UMM_TASK_SIZE)
		return NULL;
	return json_hex(v);
}

static json_t *parse_frame(const char *text)
{
	uint64_t v;

	return number_parse(text, INT64_MAX, &v) ? NULL : json_integer((json_int_t)v);
}

static int add_line(json_t *list, const char *text, bool addresses, struct errmsg *e)
{
	json_t *page = addresses ? parse_address(text) : parse_frame(text);

	if (!page)
		return errmsg_set(e, -EINVAL, "'%.60s' is no %s", text,
				  addresses ? "address of a program; write it in hexadecimal"
					    : "frame number; write 12 or 0xc");
	if (json_array_size(list) == PAGE_LIST_MAX) {
		json_decref(page);
		return errmsg_set(e, -E2BIG, "more than %u pages; give them in several lists",
				  PAGE_LIST_MAX);
	}
	return json_array_append_new(list, page) ? errmsg_set(e, -ENOMEM, "no memory") : 0;
}

static int read_lines(FILE *f, json_t *list, bool addresses, unsigned long *nr, struct errmsg *e)
{
	char *line = NULL, *text;
	size_t room = 0;
	ssize_t len;
	int rc = 0;

	while (!rc && (len = getline(&line, &room, f)) >= 0) {
		++*nr;
		if (strlen(line) != (size_t)len) {
			rc = errmsg_set(e, -EINVAL, "a zero byte is no text");
			break;
		}
		text = line_strip(line);
		if (*text)
			rc = add_line(list, text, addresses, e);
	}
	if (!rc && ferror(f))
		rc = errmsg_set(e, -errno, "%s", strerror(errno));
	free(line);
	return rc;
}

int page_list_read(const char *path, bool addresses, json_t **out, struct errmsg *e)
{
	bool is_stdin = !strcmp(path, "-");
	json_t *list = json_array();
	unsigned long nr = 0;
	struct errmsg why;
	FILE *f;
	int rc;

	f = is_stdin ? stdin : fopen(path, "re");
	if (!f) {
		json_decref(list);
		return errmsg_set(e, -errno, "cannot read '%s': %s", path, strerror(errno));
	}
	rc = read_lines(f, list, addresses, &nr, &why);
	if (!is_stdin)
		fclose(f);
	if (!rc) {
		*out = list;
		return 0;
	}
	json_decref(list);
	return errmsg_set(e, rc, "%s:%lu: %.300s", is_stdin ? "stdin" : path, nr, why.text);
}
