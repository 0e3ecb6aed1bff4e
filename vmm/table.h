/* SPDX-License-Identifier: MIT */
/*
 * Aligned columns of text. Rows are collected, then printed with each column as
 * wide as its widest cell; a heading that starts with '>' aligns to the right.
 */
#ifndef VMM_TABLE_H
#define VMM_TABLE_H

#include <stdio.h>
#include <umm/types.h>

#define TABLE_MAX_COLUMNS 72

struct text_table {
	unsigned int nr_columns;
	size_t nr_cells, cap;
	char **cells; /* row by row, the first row is the headings */
	bool failed;  /* out of memory: table_print() says so */
};

/* Headings end with a null pointer. */
void table_init(struct text_table *t, const char *const *headings);
/* The next cell, row by row. */
__attribute__((format(printf, 2, 3))) void table_add(struct text_table *t, const char *fmt, ...);
/* Prints, with @indent spaces before each line. 0 or -ENOMEM. Frees the cells. */
int table_finish(struct text_table *t, FILE *to, unsigned int indent);

#endif
