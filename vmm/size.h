/* SPDX-License-Identifier: MIT */
/* Amounts of memory as people write them: 4096, 64K, 512M, 1G, 1GiB, 1.5G. */
#ifndef VMM_SIZE_H
#define VMM_SIZE_H

#include <umm/types.h>

/*
 * Bytes from a whole string: a decimal number (a fraction needs a unit), then
 * an optional K, M, G or T, in either case, alone or as KiB or KB: all are
 * powers of 1024. -EINVAL: not a size; -ERANGE: does not fit in 64 bits.
 */
int size_parse(const char *text, uint64_t *out) UMM_MUST_CHECK;

/* Short text with three digits or so, "1.5G"; returns @buf. 16 bytes are enough. */
#define SIZE_TEXT_MAX 16
const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX]);

/*
 * A whole decimal or 0x-hexadecimal number of at most @max. -EINVAL: not a
 * number; -ERANGE: too large.
 */
int number_parse(const char *text, uint64_t max, uint64_t *out) UMM_MUST_CHECK;

#endif
