/* SPDX-License-Identifier: MIT */
/* Lines of JSON over a socket, with limits of length and time. */
#ifndef VMM_CTL_IO_H
#define VMM_CTL_IO_H

#include <jansson.h>
#include <umm/types.h>

struct ctl_reader {
	int fd;
	size_t max; /* longest line */
	char *buf;
	size_t used, cap;
	size_t line; /* bytes of the line handed out last, newline included */
};

void ctl_reader_init(struct ctl_reader *r, int fd, size_t max);
void ctl_reader_destroy(struct ctl_reader *r);

/*
 * The next line, NUL instead of newline, valid until the next call. Waits
 * @idle_ms for its first byte (-1: for ever) and @line_ms from there to its
 * end. Returns 1; 0 at the end of the stream; -ETIMEDOUT, -EMSGSIZE (longer
 * than max), -EPIPE (the stream ends in the middle of a line), -errno.
 */
int ctl_read_line(struct ctl_reader *r, int idle_ms, int line_ms, char **line) UMM_MUST_CHECK;

/*
 * Send an object as one line within @timeout_ms. Steals the reference. 0,
 * -ETIMEDOUT, -errno; -ENOMEM also when @object is NULL.
 */
int ctl_send(int fd, json_t *object, int timeout_ms);

/* Whether the other side has gone. */
bool ctl_peer_gone(int fd);

/* "0x..." as a JSON string, and back: 0 or -EINVAL. */
json_t *json_hex(uint64_t value);
int json_hex_get(const json_t *value, uint64_t *out) UMM_MUST_CHECK;

/* "name": value in an answer. */
void json_set_count(json_t *o, const char *name, uint64_t value);

/* Any bytes as a JSON string: what is no UTF-8 becomes '?'. NULL: no memory. */
json_t *json_text(const char *text, size_t len);

#endif
