/* SPDX-License-Identifier: MIT */
/* "Did you mean": the known word that is nearest to a mistyped one. */
#ifndef VMM_SUGGEST_H
#define VMM_SUGGEST_H

#include <umm/types.h>

/*
 * Edits (insert, remove, replace, swap neighbours) from @a to @b; words longer
 * than 63 characters count as far apart.
 */
unsigned int word_distance(const char *a, const char *b);

/* Whether @known is near enough to @word to be worth a question. */
bool word_is_near(const char *word, const char *known);

#endif
