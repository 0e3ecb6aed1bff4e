/* SPDX-License-Identifier: MIT */
/*
 * How --strace writes values: numbers, flags, strings. Pure: knows no task and no
 * guest memory. What does not fit into a line is cut.
 */
#ifndef GUEST_STRACE_TEXT_H
#define GUEST_STRACE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRACE_LINE_MAX 8192
/* Data is shown up to here, as strace does without -s. */
#define STRACE_STRING_MAX 32

struct strace_text {
	size_t len;
	char buf[STRACE_LINE_MAX];
};

static inline void text_init(struct strace_text *x)
{
	x->len = 0;
	x->buf[0] = 0;
}

__attribute__((format(printf, 2, 3))) void text_add(struct strace_text *x, const char *fmt, ...);
/* Fill up with spaces to @column, one at least. */
void text_pad(struct strace_text *x, size_t column);
/* Bytes in quotes, escaped as in C; @cut: "..." behind. */
void text_add_quoted(struct strace_text *x, const char *bytes, size_t len, bool cut);

/* Values under the names of the headers; unknown bits in hex. */
void text_add_open_flags(struct strace_text *x, uint64_t flags);
void text_add_at_flags(struct strace_text *x, uint64_t flags);
void text_add_prot(struct strace_text *x, uint64_t prot);
void text_add_mmap_flags(struct strace_text *x, uint64_t flags);
void text_add_clone_flags(struct strace_text *x, uint64_t flags);
void text_add_advice(struct strace_text *x, uint64_t advice);
void text_add_signal(struct strace_text *x, int sig);
void text_add_mode(struct strace_text *x, unsigned int mode);
void text_add_fd(struct strace_text *x, int fd);
/* " = ..." of a call: number, address, or error with its text. */
void text_add_result(struct strace_text *x, int64_t ret, bool address);
/* si_code by its name: SEGV_MAPERR, CLD_EXITED, SI_USER ... */
void text_add_si_code(struct strace_text *x, int sig, int code);

#endif
