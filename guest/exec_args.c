/* SPDX-License-Identifier: MIT */
/* Arguments and environment on their way from the old program to the new. */
#include <stdlib.h>
#include <string.h>

#include "guest/exec.h"

#define ARG_STRING_MAX (32 * UMM_PAGE_SIZE) /* one string, as on Linux */
#define ARG_TOTAL_MIN  (32 * UMM_PAGE_SIZE)
#define ARG_TOTAL_MAX  (6ul << 20)

/* A quarter of the stack, within bounds. */
void exec_args_init(struct exec_args *x, uint64_t stack_limit)
{
	uint64_t limit = stack_limit / 4;

	memset(x, 0, sizeof(*x));
	if (limit > ARG_TOTAL_MAX)
		limit = ARG_TOTAL_MAX;
	x->limit = limit < ARG_TOTAL_MIN ? ARG_TOTAL_MIN : limit;
}

void exec_args_free(struct exec_args *x)
{
	free(x->data);
	x->data = NULL;
}

/* Room for @more bytes. */
static int args_reserve(struct exec_args *x, size_t more)
{
	size_t cap = x->cap ? x->cap : UMM_PAGE_SIZE;
	char *data;

	if (x->len + more + (x->argc + x->envc + 1) * sizeof(uint64_t) > x->limit)
		return -E2BIG;
	while (cap < x->len + more)
		cap *= 2;
	if (cap == x->cap)
		return 0;
	data = realloc(x->data, cap);
	if (!data)
		return -ENOMEM;
	x->data = data;
	x->cap = cap;
	return 0;
}

int exec_args_append(struct exec_args *x, const char *s)
{
	size_t len = strlen(s) + 1;
	int err = len > ARG_STRING_MAX ? -E2BIG : args_reserve(x, len);

	if (err)
		return err;
	memcpy(x->data + x->len, s, len);
	x->len += len;
	return 0;
}

static int append_from_user(struct task *t, struct exec_args *x, uint64_t at)
{
	size_t room = ARG_STRING_MAX;
	ssize_t n;
	int err;

	/* Most strings are short: look whether this one is before making room. */
	err = args_reserve(x, UMM_PAGE_SIZE);
	if (!err) {
		n = mm_strncpy_from_guest(t->mm, x->data + x->len, gva_make(at), UMM_PAGE_SIZE);
		if (n >= 0) {
			x->len += (size_t)n + 1;
			return 0;
		}
		if (n != -ENAMETOOLONG)
			return (int)n;
	} else if (err != -E2BIG) {
		return err;
	}
	if (room > x->limit - x->len)
		room = x->limit - x->len;
	err = args_reserve(x, room > UMM_PAGE_SIZE ? room - UMM_PAGE_SIZE : 0);
	if (err)
		return err;
	room = x->cap - x->len < ARG_STRING_MAX ? x->cap - x->len : ARG_STRING_MAX;
	n = mm_strncpy_from_guest(t->mm, x->data + x->len, gva_make(at), room);
	if (n < 0)
		return n == -ENAMETOOLONG ? -E2BIG : (int)n;
	x->len += (size_t)n + 1;
	return args_reserve(x, 0);
}

/* One vector of pointers; NULL stands for an empty one. */
static int vector_from_user(struct task *t, struct exec_args *x, uint64_t at, uint32_t *count)
{
	uint64_t string;
	int err;

	for (*count = 0; at; (*count)++, at += sizeof(string)) {
		if (copy_from_user(t, &string, at, sizeof(string)))
			return -EFAULT;
		if (!string)
			return 0;
		err = append_from_user(t, x, string);
		if (err)
			return err;
	}
	return 0;
}

/* Programs rely on an argv[0]. */
static int ensure_argv0(struct exec_args *x)
{
	int err = x->argc ? 0 : exec_args_append(x, "");

	if (!err && !x->argc)
		x->argc = 1;
	x->args_len = x->len;
	return err;
}

int exec_args_from_user(struct task *t, struct exec_args *x, uint64_t argv, uint64_t envp)
{
	int err = vector_from_user(t, x, argv, &x->argc);

	if (!err)
		err = ensure_argv0(x);
	if (!err)
		err = vector_from_user(t, x, envp, &x->envc);
	return err;
}

static int vector_from_host(struct exec_args *x, char *const v[], uint32_t *count)
{
	int err = 0;

	for (*count = 0; !err && v && v[*count]; (*count)++)
		err = exec_args_append(x, v[*count]);
	return err;
}

int exec_args_from_host(struct exec_args *x, char *const argv[], char *const envp[])
{
	int err = vector_from_host(x, argv, &x->argc);

	if (!err)
		err = ensure_argv0(x);
	if (!err)
		err = vector_from_host(x, envp, &x->envc);
	return err;
}

int exec_args_prepend(struct exec_args *x, const char *const strings[], unsigned int n)
{
	size_t gone = strlen(x->data) + 1, add = 0, off = 0;
	unsigned int i;
	int err;

	for (i = 0; i < n; i++)
		add += strlen(strings[i]) + 1;
	err = args_reserve(x, add);
	if (err)
		return err;
	memmove(x->data + add, x->data + gone, x->len - gone);
	for (i = 0; i < n; i++) {
		memcpy(x->data + off, strings[i], strlen(strings[i]) + 1);
		off += strlen(strings[i]) + 1;
	}
	x->len = x->len - gone + add;
	x->args_len = x->args_len - gone + add;
	x->argc += n - 1;
	return 0;
}
