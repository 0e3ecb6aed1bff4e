/* SPDX-License-Identifier: MIT */
/* The first line of a script: #! interpreter [one argument]. */
#include <string.h>

#include "guest/exec.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *skip_blanks(char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

int script_parse(char head[SCRIPT_HEAD_SIZE + 1], char **interp, char **arg)
{
	char *end, *s;
	bool cut = false;

	head[SCRIPT_HEAD_SIZE] = '\0';
	if (head[0] != '#' || head[1] != '!')
		return 0;
	end = strchr(head, '\n');
	if (!end) {
		end = head + strlen(head);
		cut = end == head + SCRIPT_HEAD_SIZE;
	}
	while (end > head + 2 && is_blank(end[-1]))
		end--;
	*end = '\0';
	*interp = skip_blanks(head + 2);
	if (!**interp)
		return -ENOEXEC;
	for (s = *interp; *s && !is_blank(*s);)
		s++;
	*arg = NULL;
	if (!*s)
		return cut ? -ENOEXEC : 1; /* the name goes on where we did not read */
	*s = '\0';
	s = skip_blanks(s + 1);
	if (*s)
		*arg = s;
	return 1;
}
