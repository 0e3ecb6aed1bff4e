/* SPDX-License-Identifier: MIT */
/*
 * Threads and their ends: the accept thread starts a thread for each
 * connection in a free place of a fixed array. A connection's thread marks its
 * place as done; the accept thread joins it before it uses the place again, and
 * ctl_server_stop() joins the rest. To stop, the sockets are shut down, which
 * ends accept(), reads and writes at once. A handler that works for long stops
 * at its next ctl_conn_progress().
 */
#include "vmm/ctl_server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_proto.h"

#define PROGRESS_INTERVAL_NS 100000000ull

enum conn_state { CONN_FREE, CONN_RUNNING, CONN_DONE };

struct ctl_conn {
	struct ctl_server *server;
	pthread_t thread;
	enum conn_state state;  /* server->lock */
	int fd;                 /* server->lock while RUNNING */
	uint64_t last_progress; /* its own thread only */
};

struct ctl_server {
	int listen_fd;
	ctl_handler handler;
	void *ctx;
	pthread_t thread;
	atomic_bool stopping;
	pthread_mutex_t lock;
	struct ctl_conn conns[CTL_MAX_CONNECTIONS];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int send_error(int fd, int err, const char *text)
{
	/* A request's own words may be in the text: they need not be UTF-8. */
	json_t *reply = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", text, "errno", -err);

	if (!reply)
		reply = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", strerror(-err), "errno",
				  -err);
	return ctl_send(fd, reply, CTL_REPLY_SECONDS * 1000);
}

/* ---- one connection ----------------------------------------------------- */

bool ctl_conn_progress(struct ctl_conn *conn, uint64_t done, uint64_t total)
{
	uint64_t now = now_ns();

	if (atomic_load(&conn->server->stopping))
		return true;
	if (now - conn->last_progress < PROGRESS_INTERVAL_NS)
		return false;
	conn->last_progress = now;
	if (ctl_peer_gone(conn->fd))
		return true;
	return ctl_send(conn->fd,
			json_pack("{s:{s:I, s:I}}", "progress", "done", (json_int_t)done, "total",
				  (json_int_t)total),
			CTL_REPLY_SECONDS * 1000) != 0;
}

/* Do what the request says, and reply. Non-zero: the connection is of no use any more. */
static int serve_request(struct ctl_conn *conn, const json_t *request)
{
	const char *op = json_string_value(json_object_get(request, "op"));
	struct errmsg e = { .text = "" };
	json_t *result = NULL;
	int rc;

	if (!op)
		return send_error(conn->fd, -EINVAL, "a request is an object with a string \"op\"");
	rc = conn->server->handler(conn->server->ctx, conn, op, request, &result, &e);
	if (rc) {
		json_decref(result);
		return send_error(conn->fd, rc, e.text[0] ? e.text : strerror(-rc));
	}
	return ctl_send(conn->fd, json_pack("{s:b, s:o}", "ok", 1, "result", result),
			CTL_REPLY_SECONDS * 1000);
}

static int serve_line(struct ctl_conn *conn, const char *line)
{
	struct errmsg e;
	json_error_t je;
	json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, &je);
	int rc;

	if (!request) {
		errmsg_set(&e, 0, "not JSON: %s (column %d)", je.text, je.column);
		return send_error(conn->fd, -EINVAL, e.text);
	}
	rc = serve_request(conn, request);
	json_decref(request);
	return rc;
}

static void serve_connection(struct ctl_conn *conn)
{
	struct ctl_reader reader;
	char *line;
	int rc;

	ctl_reader_init(&reader, conn->fd, CTL_MAX_REQUEST);
	do {
		rc = ctl_read_line(&reader, CTL_IDLE_SECONDS * 1000, CTL_REQUEST_SECONDS * 1000,
				   &line);
		if (rc == 1)
			rc = serve_line(conn, line) ? -EPIPE : 1;
		else if (rc == -EMSGSIZE)
			send_error(conn->fd, rc, "the request is longer than 8 MiB");
		else if (rc == -ETIMEDOUT && reader.used)
			send_error(conn->fd, rc, "the request did not end with a newline in time");
	} while (rc == 1);
	ctl_reader_destroy(&reader);
}

static void *conn_thread(void *arg)
{
	struct ctl_conn *conn = arg;

	serve_connection(conn);
	pthread_mutex_lock(&conn->server->lock);
	close(conn->fd);
	conn->state = CONN_DONE;
	pthread_mutex_unlock(&conn->server->lock);
	return NULL;
}

/* ---- the accept thread -------------------------------------------------- */

static bool peer_is_owner(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == geteuid();
}

static enum conn_state conn_state_read(struct ctl_conn *conn)
{
	enum conn_state state;

	pthread_mutex_lock(&conn->server->lock);
	state = conn->state;
	pthread_mutex_unlock(&conn->server->lock);
	return state;
}

/* A place for a connection; the threads of ended ones are joined on the way. */
static struct ctl_conn *conn_find_place(struct ctl_server *s)
{
	struct ctl_conn *free_place = NULL;
	enum conn_state state;
	unsigned int i;

	for (i = 0; i < CTL_MAX_CONNECTIONS; i++) {
		state = conn_state_read(&s->conns[i]);
		if (state == CONN_RUNNING)
			continue;
		if (state == CONN_DONE)
			pthread_join(s->conns[i].thread, NULL);
		s->conns[i].state = CONN_FREE;
		free_place = &s->conns[i];
	}
	return free_place;
}

static void start_connection(struct ctl_server *s, int fd)
{
	struct ctl_conn *conn;
	int rc = -EPERM;

	if (!peer_is_owner(fd)) {
		send_error(fd, rc, "only the guest's owner may control it");
		goto refuse;
	}
	rc = -EBUSY;
	conn = conn_find_place(s);
	if (!conn) {
		send_error(fd, rc, "too many connections to this guest; try again");
		goto refuse;
	}
	conn->fd = fd;
	conn->last_progress = now_ns();
	pthread_mutex_lock(&s->lock);
	conn->state = CONN_RUNNING;
	rc = pthread_create(&conn->thread, NULL, conn_thread, conn);
	if (rc)
		conn->state = CONN_FREE;
	pthread_mutex_unlock(&s->lock);
	if (!rc)
		return;
	send_error(fd, -rc, "no thread for this connection");
refuse:
	close(fd);
}

static void *accept_thread(void *arg)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct ctl_server *s = arg;
	int fd;

	while (!atomic_load(&s->stopping)) {
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			start_connection(s, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			nanosleep(&pause, NULL);
		else if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
			break;
	}
	return NULL;
}

/* Signals are for the guest's threads, never for ours. */
static int start_quiet_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int ctl_server_start(int listen_fd, ctl_handler handler, void *ctx, struct ctl_server **out,
		     struct errmsg *e)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;
	unsigned int i;

	if (!s)
		goto fail;
	for (i = 0; i < CTL_MAX_CONNECTIONS; i++)
		s->conns[i].server = s;
	s->listen_fd = listen_fd;
	s->handler = handler;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	rc = start_quiet_thread(&s->thread, accept_thread, s);
	if (rc)
		goto fail;
	*out = s;
	return 0;
fail:
	free(s);
	close(listen_fd);
	return errmsg_set(e, rc, "cannot start the control server: %s", strerror(-rc));
}

void ctl_server_stop(struct ctl_server *s)
{
	enum conn_state state;
	unsigned int i;

	if (!s)
		return;
	atomic_store(&s->stopping, true);
	shutdown(s->listen_fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < CTL_MAX_CONNECTIONS; i++)
		if (s->conns[i].state == CONN_RUNNING)
			shutdown(s->conns[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < CTL_MAX_CONNECTIONS; i++) {
		state = conn_state_read(&s->conns[i]);
		if (state != CONN_FREE)
			pthread_join(s->conns[i].thread, NULL);
	}
	close(s->listen_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
