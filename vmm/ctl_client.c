/* SPDX-License-Identifier: MIT */
#include "vmm/ctl_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/ctl_proto.h"
#include "vmm/names.h"
#include "vmm/suggest.h"

static void client_init(struct ctl_client *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->timeout_ms = -1;
	ctl_reader_init(&c->reader, fd, CTL_MAX_REPLY);
}

int ctl_client_open_at(struct ctl_client *c, int dirfd, const char *name, struct errmsg *e)
{
	int fd = runtime_socket_connect(dirfd, name, e);

	if (fd < 0)
		return fd;
	client_init(c, fd);
	return 0;
}

/* Whether a guest of that name answers a connection; removes the file of a dead one. */
static bool guest_is_alive(int dirfd, const char *name)
{
	struct errmsg ignored;
	int fd = runtime_socket_connect(dirfd, name, &ignored);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Adds to the message what still fits. */
static void append_name(struct errmsg *e, const char *separator, const char *name)
{
	size_t len = strlen(e->text);

	snprintf(e->text + len, sizeof(e->text) - len, "%s%s", separator, name);
}

/* -ENOENT, with what the user may have meant. */
static int no_such_guest(int dirfd, const char *name, struct errmsg *e)
{
	const char *near = NULL, *separator;
	unsigned int nr, i, alive = 0;
	char **names;

	errmsg_set(e, 0, "no running guest is named '%s'", name);
	if (runtime_dir_list(dirfd, &names, &nr))
		return -ENOENT;
	for (i = 0; i < nr; i++) {
		if (!guest_is_alive(dirfd, names[i])) {
			names[i][0] = 0;
			continue;
		}
		alive++;
		if (!near || word_distance(name, names[i]) < word_distance(name, near))
			near = word_is_near(name, names[i]) ? names[i] : near;
	}
	if (near) {
		append_name(e, "; did you mean '", near);
		append_name(e, "", "'?");
	}
	if (!alive)
		append_name(e, "; none is running", "");
	separator = "; running: ";
	for (i = 0; i < nr; i++) {
		if (!names[i][0])
			continue;
		append_name(e, separator, names[i]);
		separator = ", ";
	}
	runtime_names_free(names, nr);
	return -ENOENT;
}

int ctl_client_open(struct ctl_client *c, const char *name, struct errmsg *e)
{
	int dirfd, rc;

	rc = guest_name_check(name, e);
	if (rc)
		return rc;
	dirfd = runtime_dir_open(false, e);
	if (dirfd == -ENOENT)
		return errmsg_set(e, dirfd, "no running guest is named '%s'; none is running",
				  name);
	if (dirfd < 0)
		return dirfd;
	rc = ctl_client_open_at(c, dirfd, name, e);
	if (rc == -ENOENT)
		rc = no_such_guest(dirfd, name, e);
	close(dirfd);
	return rc;
}

void ctl_client_close(struct ctl_client *c)
{
	ctl_reader_destroy(&c->reader);
	close(c->fd);
}

void ctl_client_stop(const struct ctl_client *c)
{
	shutdown(c->fd, SHUT_WR);
}

/* Who listens at the other end. */
static pid_t guest_pid(const struct ctl_client *c)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ? 0 : peer.pid;
}

/* Between two bytes of a reply no long work is done. */
static int wait_line(struct ctl_client *c, char **line)
{
	const int line_ms = CTL_REPLY_SECONDS * 1000;
	int rc;

	if (c->timeout_ms >= 0 || !c->silent)
		return ctl_read_line(&c->reader, c->timeout_ms, line_ms, line);
	rc = ctl_read_line(&c->reader, CTL_SILENCE_SECONDS * 1000, line_ms, line);
	if (rc != -ETIMEDOUT || c->reader.used)
		return rc;
	c->silent(c->arg, guest_pid(c));
	c->silent = NULL;
	return ctl_read_line(&c->reader, -1, line_ms, line);
}

static int read_message(struct ctl_client *c, json_t **message, struct errmsg *e)
{
	json_error_t je;
	char *line;
	int rc;

	rc = wait_line(c, &line);
	if (rc == -ETIMEDOUT)
		return errmsg_set(e, rc, "the guest does not answer");
	if (rc <= 0)
		return errmsg_set(e, rc ? rc : -EPIPE, "the guest ended before it answered");
	*message = json_loads(line, 0, &je);
	if (!*message)
		return errmsg_set(e, -EPROTO, "the guest's answer cannot be read: %s", je.text);
	return 0;
}

static void report_progress(const struct ctl_client *c, const json_t *p)
{
	if (c->progress)
		c->progress(c->arg, (uint64_t)json_integer_value(json_object_get(p, "done")),
			    (uint64_t)json_integer_value(json_object_get(p, "total")));
}

/* The end of a call: takes the result out of the last message. */
static int take_reply(const json_t *message, json_t **result, struct errmsg *e)
{
	const char *text = json_string_value(json_object_get(message, "error"));
	int err = (int)json_integer_value(json_object_get(message, "errno"));

	if (json_is_true(json_object_get(message, "ok"))) {
		*result = json_incref(json_object_get(message, "result"));
		return *result ? 0 : errmsg_set(e, -EPROTO, "the guest's answer lacks a result");
	}
	return errmsg_set(e, err > 0 ? -err : -EPROTO, "%s", text ? text : "the guest says no");
}

int ctl_client_call(struct ctl_client *c, json_t *request, json_t **result, struct errmsg *e)
{
	json_t *message, *progress;
	int rc;

	*result = NULL;
	rc = ctl_send(c->fd, request, CTL_REPLY_SECONDS * 1000);
	/* A server that refuses the connection may close it before it reads. */
	if (rc && rc != -EPIPE)
		return errmsg_set(e, rc, "cannot send to the guest: %s", strerror(-rc));
	for (;;) {
		rc = read_message(c, &message, e);
		if (rc)
			return rc;
		progress = json_object_get(message, "progress");
		if (!progress)
			break;
		report_progress(c, progress);
		json_decref(message);
	}
	rc = take_reply(message, result, e);
	json_decref(message);
	return rc;
}
