/* SPDX-License-Identifier: MIT */
/* One connection to an NBD server: its thread, what it has under way, its end. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/backend_nbd.h"

#define CONNECT_NS 5000000000ull
#define PAUSE_MIN  10000000ull /* between attempts to connect */
#define PAUSE_MAX  1000000000ull
#define IDLE_MS    100

uint64_t nbd_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- connecting --------------------------------------------------------------- */

static int library_error(struct errmsg *e, const struct backend_nbd *n)
{
	int rc = nbd_lib.get_errno();

	return errmsg_set(e, rc ? -rc : -EIO, "swap %.200s: %.200s (is the server running?)",
			  n->uri, nbd_lib.get_error());
}

/* Let the library go on once its socket is ready. */
static int socket_step(struct nbd_handle *h, int wake_fd, int timeout_ms)
{
	unsigned int dir = nbd_lib.aio_get_direction(h);
	struct pollfd fds[2] = {
		{ .fd = nbd_lib.aio_get_fd(h) },
		{ .fd = wake_fd, .events = POLLIN },
	};
	uint64_t count;

	if (dir & LIBNBD_AIO_DIRECTION_READ)
		fds[0].events |= POLLIN;
	if (dir & LIBNBD_AIO_DIRECTION_WRITE)
		fds[0].events |= POLLOUT;
	if (poll(fds, wake_fd < 0 ? 1 : 2, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (wake_fd >= 0 && fds[1].revents & POLLIN)
		(void)!read(wake_fd, &count, sizeof(count));
	/* A socket that has an error is both: the library finds out which. */
	if (dir & LIBNBD_AIO_DIRECTION_READ && fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		return nbd_lib.aio_notify_read(h);
	if (dir & LIBNBD_AIO_DIRECTION_WRITE && fds[0].revents & (POLLOUT | POLLERR | POLLHUP))
		return nbd_lib.aio_notify_write(h);
	return fds[0].revents & POLLNVAL ? -EBADF : 0;
}

static int handshake(const struct backend_nbd *n, struct nbd_handle *h, struct errmsg *e)
{
	uint64_t end = nbd_now() + CONNECT_NS;

	if (nbd_lib.aio_connect_uri(h, n->uri) < 0)
		return library_error(e, n);
	while (nbd_lib.aio_is_connecting(h)) {
		if (nbd_now() > end)
			return errmsg_set(e, -ETIMEDOUT, "swap %.200s: no answer", n->uri);
		if (socket_step(h, -1, IDLE_MS) < 0)
			return library_error(e, n);
	}
	return nbd_lib.aio_is_ready(h) ? 0 : library_error(e, n);
}

int nbd_connect(const struct backend_nbd *n, struct nbd_handle **out, struct errmsg *e)
{
	struct nbd_handle *h = nbd_lib.create();
	int rc;

	if (!h)
		return errmsg_set(e, -ENOMEM, "out of memory");
	nbd_lib.set_pread_initialize(h, false); /* a read that fails is not looked at */
	rc = handshake(n, h, e);
	if (!rc && nbd_lib.get_size(h) >> UMM_PAGE_SHIFT < (int64_t)n->base.nr_slots)
		rc = errmsg_set(e, -ENOSPC, "swap %.200s: the export has %ld MiB, not %lu", n->uri,
				(long)(nbd_lib.get_size(h) >> 20), n->base.nr_slots >> 8);
	if (!rc && nbd_lib.is_read_only(h) > 0)
		rc = errmsg_set(e, -EROFS, "swap %.200s: the export is read-only", n->uri);
	if (rc)
		nbd_lib.close(h);
	else
		*out = h;
	return rc;
}

/* ---- requests ------------------------------------------------------------------- */

void nbd_request_queue(struct backend_nbd *n, struct nbd_request *r, bool first)
{
	r->queued = true;
	if (first)
		list_add(&r->link, &n->queue);
	else
		list_add_tail(&r->link, &n->queue);
}

void nbd_request_dequeue(struct nbd_request *r)
{
	r->queued = false;
	list_del(&r->link);
}

void nbd_request_end(struct nbd_request *r, int error)
{
	struct nbd_call *call = r->call;

	/* From here on it may be gone, when the last one ends. */
	if (error)
		r->io->error = error;
	if (!--call->left)
		pthread_cond_signal(&call->done);
}

void nbd_conns_wake(struct backend_nbd *n, unsigned int nr)
{
	const uint64_t one = 1;

	for (unsigned int i = 0; i < n->nr_conns && nr; i++)
		if (n->conns[i].alive && n->conns[i].nr_busy < NBD_DEPTH) {
			(void)!write(n->conns[i].wake_fd, &one, sizeof(one));
			nr--;
		}
}

static int request_answered(void *arg, int *error)
{
	struct nbd_request *r = arg;

	r->answered = true;
	r->error = -*error;
	return 1; /* retire it */
}

/* False: the connection is no good. */
static bool request_issue(struct nbd_conn *c, struct nbd_request *r)
{
	nbd_completion_callback cb = { .callback = request_answered, .user_data = r };

	r->answered = false;
	r->issued_at = nbd_now();
	if (!r->call)
		return nbd_lib.aio_trim(c->h, r->len, r->offset, cb, 0) >= 0;
	if (r->write)
		return nbd_lib.aio_pwrite(c->h, r->buf, r->len, r->offset, cb, 0) >= 0;
	return nbd_lib.aio_pread(c->h, r->buf, r->len, r->offset, cb, 0) >= 0;
}

/* lock held. What comes next for this connection, on its list; NULL: nothing. */
static struct nbd_request *request_take(struct nbd_conn *c, bool idle)
{
	struct backend_nbd *n = c->n;
	struct nbd_request *r = NULL;

	if (c->nr_busy >= NBD_DEPTH)
		return NULL;
	if (!list_empty(&n->queue)) {
		r = list_entry(n->queue.next, struct nbd_request, link);
		nbd_request_dequeue(r);
	} else if (c == &n->conns[0]) {
		r = nbd_trim_take(n, idle);
	}
	if (r) {
		list_add_tail(&r->link, &c->busy);
		c->nr_busy++;
	}
	return r;
}

static bool requests_issue(struct nbd_conn *c, bool idle)
{
	struct nbd_request *r;

	for (;;) {
		pthread_mutex_lock(&c->n->lock);
		r = request_take(c, idle);
		pthread_mutex_unlock(&c->n->lock);
		if (!r)
			return true;
		idle = false;
		if (!request_issue(c, r))
			return false;
	}
}

/* What a server says when it goes is no answer. */
static bool is_farewell(int error)
{
	return error == -ESHUTDOWN || error == -ENOTCONN || error == -ECONNRESET ||
	       error == -EPIPE || error == -ECONNABORTED;
}

/* lock held. An answer for who asked; or back into the queue. */
static void request_settle(struct nbd_conn *c, struct nbd_request *r)
{
	struct backend_nbd *n = c->n;

	list_del(&r->link);
	c->nr_busy--;
	if (!r->call) {
		nbd_trim_end(n, r->answered ? r->error : -EIO);
	} else if (r->answered && !is_farewell(r->error)) {
		nbd_request_end(r, r->error);
	} else {
		atomic_fetch_add_explicit(&n->retries, 1, memory_order_relaxed);
		nbd_request_queue(n, r, true);
		nbd_conns_wake(n, 1);
	}
}

/* False: the server says goodbye, or is silent for too long. */
static bool answers_take(struct nbd_conn *c)
{
	uint64_t now = nbd_now();
	struct nbd_request *r, *tmp;
	bool good = true;

	pthread_mutex_lock(&c->n->lock);
	list_for_each_entry_safe(r, tmp, &c->busy, link)
	{
		good &= r->answered ? !is_farewell(r->error) : now - r->issued_at < c->n->hang_ns;
		if (r->answered)
			request_settle(c, r);
	}
	pthread_mutex_unlock(&c->n->lock);
	return good;
}

/* ---- the thread -------------------------------------------------------------------- */

/* lock held. No server is left, and these have waited long enough. */
static void queue_expire(struct backend_nbd *n)
{
	uint64_t now = nbd_now();
	struct nbd_request *r, *tmp;

	list_for_each_entry_safe(r, tmp, &n->queue, link)
	{
		if (now < r->deadline)
			continue;
		nbd_request_dequeue(r);
		nbd_request_end(r, -EIO);
	}
}

static void conn_lost(struct nbd_conn *c)
{
	struct backend_nbd *n = c->n;
	struct nbd_request *r, *tmp;

	/* After this the library touches no buffer any more. */
	nbd_lib.close(c->h);
	c->h = NULL;
	pthread_mutex_lock(&n->lock);
	c->alive = false;
	n->nr_alive--;
	list_for_each_entry_safe(r, tmp, &c->busy, link) request_settle(c, r);
	if (!n->nr_alive)
		queue_expire(n);
	pthread_mutex_unlock(&n->lock);
	atomic_fetch_add_explicit(&n->losses, 1, memory_order_relaxed);
}

static bool conn_work(struct nbd_conn *c)
{
	bool idle = false;

	for (;;) {
		if (!requests_issue(c, idle))
			return false;
		if (__atomic_load_n(&c->n->stop, __ATOMIC_ACQUIRE))
			return true;
		idle = !c->nr_busy;
		if (socket_step(c->h, c->wake_fd, IDLE_MS) < 0 || nbd_lib.aio_is_dead(c->h) ||
		    nbd_lib.aio_is_closed(c->h))
			return false;
		if (!answers_take(c))
			return false;
	}
}

/* Wait before the next attempt; false: it is over. */
static bool conn_pause(struct backend_nbd *n, uint64_t ns)
{
	uint64_t until = nbd_now() + ns;
	struct timespec t = { (time_t)(until / 1000000000), (long)(until % 1000000000) };
	bool go_on;

	pthread_mutex_lock(&n->lock);
	if (!n->stop)
		pthread_cond_timedwait(&n->retry, &n->lock, &t);
	if (!n->nr_alive)
		queue_expire(n);
	go_on = !n->stop;
	pthread_mutex_unlock(&n->lock);
	return go_on;
}

static void conn_alive(struct nbd_conn *c)
{
	pthread_mutex_lock(&c->n->lock);
	c->alive = true;
	c->n->nr_alive++;
	pthread_mutex_unlock(&c->n->lock);
}

static void *conn_main(void *arg)
{
	struct nbd_conn *c = arg;
	struct backend_nbd *n = c->n;
	uint64_t pause = PAUSE_MIN;

	for (;;) {
		while (!c->h && nbd_connect(n, &c->h, NULL)) {
			if (!conn_pause(n, pause))
				return NULL;
			pause = 2 * pause < PAUSE_MAX ? 2 * pause : PAUSE_MAX;
		}
		if (!c->alive)
			conn_alive(c);
		if (conn_work(c))
			return NULL;
		conn_lost(c);
		/* A server that takes connections and drops them at once is no server yet. */
		if (!conn_pause(n, pause))
			return NULL;
		pause = PAUSE_MIN;
	}
}

int nbd_conn_start(struct backend_nbd *n, struct nbd_conn *c, struct nbd_handle *h)
{
	int rc;

	c->n = n;
	c->h = h;
	list_init(&c->busy);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0) {
		rc = -errno;
		nbd_lib.close(h); /* NULL is allowed */
		return rc;
	}
	if (h)
		conn_alive(c);
	rc = -pthread_create(&c->thread, NULL, conn_main, c);
	if (rc) {
		close(c->wake_fd);
		nbd_lib.close(h);
		return rc;
	}
	c->started = true;
	return 0;
}
