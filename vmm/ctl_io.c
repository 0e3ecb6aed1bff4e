/* SPDX-License-Identifier: MIT */
#include "vmm/ctl_io.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "vmm/size.h"

#define READ_CHUNK 4096

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait for @events until @deadline (-1: for ever). 0, -ETIMEDOUT, -errno. */
static int wait_ready(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;
	int rc;

	do {
		left = deadline < 0 ? -1 : deadline - now_ms();
		if (deadline >= 0 && left < 0)
			return -ETIMEDOUT;
		rc = poll(&p, 1, (int)left);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	return rc ? 0 : -ETIMEDOUT;
}

void ctl_reader_init(struct ctl_reader *r, int fd, size_t max)
{
	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->max = max;
}

void ctl_reader_destroy(struct ctl_reader *r)
{
	free(r->buf);
	r->buf = NULL;
}

/* Room for one more chunk; never more than a chunk above the longest line. */
static int reader_grow(struct ctl_reader *r)
{
	size_t cap = r->cap ? r->cap * 2 : READ_CHUNK;
	char *grown;

	if (r->cap - r->used >= READ_CHUNK)
		return 0;
	if (cap > r->max + 2 * READ_CHUNK)
		cap = r->max + 2 * READ_CHUNK;
	grown = realloc(r->buf, cap);
	if (!grown)
		return -ENOMEM;
	r->buf = grown;
	r->cap = cap;
	return 0;
}

/* Bytes received, 0 at the end of the stream, -errno. */
static int reader_fill(struct ctl_reader *r, int64_t deadline)
{
	ssize_t n;
	int rc;

	rc = reader_grow(r);
	if (rc)
		return rc;
	do {
		rc = wait_ready(r->fd, POLLIN, deadline);
		if (rc)
			return rc;
		n = recv(r->fd, r->buf + r->used, READ_CHUNK, MSG_DONTWAIT);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n < 0)
		return -errno;
	r->used += (size_t)n;
	return (int)n;
}

int ctl_read_line(struct ctl_reader *r, int idle_ms, int line_ms, char **line)
{
	size_t looked = 0;
	int64_t deadline;
	char *end;
	int rc;

	if (r->line) {
		memmove(r->buf, r->buf + r->line, r->used - r->line);
		r->used -= r->line;
		r->line = 0;
	}
	deadline = r->used ? now_ms() + line_ms : idle_ms < 0 ? -1 : now_ms() + idle_ms;
	for (;;) {
		end = r->used > looked ? memchr(r->buf + looked, '\n', r->used - looked) : NULL;
		if (end ? (size_t)(end - r->buf) > r->max : r->used > r->max)
			return -EMSGSIZE;
		if (end)
			break;
		looked = r->used;
		rc = reader_fill(r, deadline);
		if (rc < 0)
			return rc;
		if (!rc)
			return r->used ? -EPIPE : 0;
		if (!looked)
			deadline = now_ms() + line_ms;
	}
	*end = 0;
	*line = r->buf;
	r->line = (size_t)(end - r->buf) + 1;
	return 1;
}

static int send_all(int fd, const char *text, size_t len, int64_t deadline)
{
	ssize_t n;
	int rc;

	while (len) {
		n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			text += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			rc = wait_ready(fd, POLLOUT, deadline);
			if (rc)
				return rc;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int ctl_send(int fd, json_t *object, int timeout_ms)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line;
	size_t len;
	int rc = -ENOMEM;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	line = realloc(text, len + 1);
	if (line) {
		line[len] = '\n';
		rc = send_all(fd, line, len + 1, now_ms() + timeout_ms);
		text = line;
	}
	free(text);
	return rc;
}

bool ctl_peer_gone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void json_set_count(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

json_t *json_hex(uint64_t value)
{
	return json_sprintf("0x%lx", value);
}

int json_hex_get(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
		return 0;
	}
	return text && !number_parse(text, UINT64_MAX, out) ? 0 : -EINVAL;
}

json_t *json_text(const char *text, size_t len)
{
	json_t *string = json_stringn(text, len);
	char *plain;
	size_t i;

	if (string)
		return string;
	plain = malloc(len + 1);
	if (!plain)
		return NULL;
	for (i = 0; i < len; i++)
		plain[i] = text[i] & 0x80 ? '?' : text[i];
	string = json_stringn(plain, len);
	free(plain);
	return string;
}
