/* SPDX-License-Identifier: MIT */
#include "vmm/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Fractions are kept as parts of so many; more digits than nine say nothing. */
#define FRACTION_ONE 1000000000ull

static int unit_shift(const char *text, unsigned int *shift)
{
	static const char units[] = "KMGT";
	const char *u;

	*shift = 0;
	if (!*text || !strcasecmp(text, "B"))
		return 0;
	u = strchr(units, toupper((unsigned char)*text));
	if (!u || !*u)
		return -EINVAL;
	text++;
	if (*text && strcasecmp(text, "B") && strcasecmp(text, "iB"))
		return -EINVAL;
	*shift = 10 * (unsigned int)(u - units + 1);
	return 0;
}

/* Digits after the point, as parts of FRACTION_ONE. */
static const char *fraction_parse(const char *text, uint64_t *parts)
{
	uint64_t weight = FRACTION_ONE;

	for (*parts = 0; isdigit((unsigned char)*text); text++) {
		weight /= 10;
		*parts += weight * (uint64_t)(*text - '0');
	}
	return text;
}

static const char *digits_parse(const char *text, uint64_t *out, bool *overflow)
{
	for (*out = 0, *overflow = false; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(*text - '0'), out))
			*overflow = true;
	return text;
}

int size_parse(const char *text, uint64_t *out)
{
	uint64_t whole, parts = 0;
	unsigned int shift;
	bool overflow;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	text = digits_parse(text, &whole, &overflow);
	if (*text == '.') {
		if (!isdigit((unsigned char)text[1]))
			return -EINVAL;
		text = fraction_parse(text + 1, &parts);
	}
	if (unit_shift(text, &shift) || (parts && !shift))
		return -EINVAL;
	if (overflow || whole > UINT64_MAX >> shift)
		return -ERANGE;
	/* 2^40 * 10^9 passes 64 bits: the product is taken in 128. */
	parts = (uint64_t)(((unsigned __int128)parts << shift) / FRACTION_ONE);
	if (__builtin_add_overflow(whole << shift, parts, out))
		return -ERANGE;
	return 0;
}

const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	unsigned int u = 0;

	if (bytes < 1024) {
		snprintf(buf, SIZE_TEXT_MAX, "%u", (unsigned int)bytes);
		return buf;
	}
	while (value >= 1023.95 && units[u + 1]) {
		value /= 1024;
		u++;
	}
	if (value < 99.95 && value != (double)(uint64_t)value)
		snprintf(buf, SIZE_TEXT_MAX, "%.1f%c", value, units[u]);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%.0f%c", value, units[u]);
	return buf;
}

int number_parse(const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	int base = 10;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		base = 16;
	if (!isxdigit((unsigned char)text[base == 16 ? 2 : 0]))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, base);
	if (*end)
		return -EINVAL;
	if (errno || *out > max)
		return -ERANGE;
	return 0;
}
