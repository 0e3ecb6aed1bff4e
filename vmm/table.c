/* SPDX-License-Identifier: MIT */
#include "vmm/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Owns @text from here on. */
static void table_push(struct text_table *t, char *text)
{
	char **grown;

	if (text && t->nr_cells == t->cap) {
		grown = realloc(t->cells, (t->cap * 2 + 64) * sizeof(*grown));
		if (grown) {
			t->cap = t->cap * 2 + 64;
			t->cells = grown;
		}
	}
	if (!text || t->nr_cells == t->cap) {
		free(text);
		t->failed = true;
		return;
	}
	t->cells[t->nr_cells++] = text;
}

void table_init(struct text_table *t, const char *const *headings)
{
	memset(t, 0, sizeof(*t));
	for (; headings[t->nr_columns] && t->nr_columns < TABLE_MAX_COLUMNS; t->nr_columns++)
		table_push(t, strdup(headings[t->nr_columns]));
}

void table_add(struct text_table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	table_push(t, text);
}

static void print_row(const struct text_table *t, size_t row, const int *widths, const bool *right,
		      FILE *to)
{
	const char *cell;
	unsigned int c;

	for (c = 0; c < t->nr_columns; c++) {
		cell = t->cells[row * t->nr_columns + c];
		if (!row && right[c])
			cell++;
		if (right[c])
			fprintf(to, "%*s", widths[c], cell);
		else if (c + 1 < t->nr_columns)
			fprintf(to, "%-*s", widths[c], cell);
		else
			fputs(cell, to);
		fputs(c + 1 < t->nr_columns ? "  " : "\n", to);
	}
}

static void print_rows(const struct text_table *t, FILE *to, unsigned int indent)
{
	size_t i, rows = t->nr_cells / t->nr_columns;
	int widths[TABLE_MAX_COLUMNS] = { 0 };
	bool right[TABLE_MAX_COLUMNS];
	unsigned int c;
	int len;

	for (c = 0; c < t->nr_columns; c++)
		right[c] = t->cells[c][0] == '>';
	for (i = 0; i < rows * t->nr_columns; i++) {
		c = (unsigned int)(i % t->nr_columns);
		len = (int)strlen(t->cells[i]) - (i < t->nr_columns && right[c]);
		if (len > widths[c])
			widths[c] = len;
	}
	for (i = 0; i < rows; i++) {
		fprintf(to, "%*s", (int)indent, "");
		print_row(t, i, widths, right, to);
	}
}

int table_finish(struct text_table *t, FILE *to, unsigned int indent)
{
	size_t i;

	if (!t->failed)
		print_rows(t, to, indent);
	for (i = 0; i < t->nr_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	return t->failed ? -ENOMEM : 0;
}
