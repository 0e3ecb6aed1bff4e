/* SPDX-License-Identifier: MIT */
#include "vmm/backend_nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 64u /* queued at a time by one call */

/* ---- checksums ------------------------------------------------------------------- */

/*
 * Four lanes, each multiplied on; never 0, which stands for "nothing". It is to tell
 * other bytes from these, not to resist anybody.
 */
static uint32_t page_sum(const void *page)
{
	const uint64_t *w = page;
	uint64_t h[4] = { 1, 2, 3, 4 }, sum;

	for (unsigned int i = 0; i < UMM_PAGE_SIZE / sizeof(*w); i += 4)
		for (unsigned int l = 0; l < 4; l++) {
			h[l] = (h[l] ^ w[i + l]) * 0x9e3779b97f4a7c15ull;
			h[l] ^= h[l] >> 32;
		}
	sum = (h[0] + 3 * h[1]) ^ (h[2] * 5 + 7 * h[3]);
	sum ^= sum >> 32;
	return (uint32_t)sum ? (uint32_t)sum : 1;
}

/* @age: losses when the transfer began; a server lost since may have taken it along. */
static void sums_set(struct backend_nbd *n, const struct swap_io *io, uint32_t age)
{
	const uint8_t *bytes = swap_io_bytes(&n->base, io);

	for (uint32_t i = 0; i < io->nr; i++) {
		n->sum[io->slot + i] = io->error ? 0 : page_sum(bytes + i * UMM_PAGE_SIZE);
		n->age[io->slot + i] = age;
	}
}

static void sums_check(struct backend_nbd *n, struct swap_io *io)
{
	const uint8_t *bytes = swap_io_bytes(&n->base, io);

	for (uint32_t i = 0; i < io->nr && !io->error; i++) {
		if (n->sum[io->slot + i] == page_sum(bytes + i * UMM_PAGE_SIZE))
			continue;
		io->error = -EIO;
		atomic_fetch_add_explicit(&n->mismatches, 1, memory_order_relaxed);
	}
}

/* ---- transfers ---------------------------------------------------------------------- */

/* Requests that one call has queued together. */
struct wave {
	struct nbd_call call;
	struct nbd_request r[REQUESTS];
	unsigned int nr;
};

/* lock held. No server is left to do what is still queued. */
static void wave_give_up(struct wave *w)
{
	for (unsigned int i = 0; i < w->nr; i++) {
		if (!w->r[i].queued)
			continue;
		nbd_request_dequeue(&w->r[i]);
		nbd_request_end(&w->r[i], -EIO);
	}
}

/* Queue the requests and wait for all of them. */
static void wave_run(struct backend_nbd *n, struct wave *w)
{
	uint64_t end = nbd_now() + n->wait_ns;
	struct timespec t = { (time_t)(end / 1000000000), (long)(end % 1000000000) };

	pthread_mutex_lock(&n->lock);
	w->call.left = w->nr;
	for (unsigned int i = 0; i < w->nr; i++) {
		w->r[i].call = &w->call;
		w->r[i].deadline = end;
		nbd_request_queue(n, &w->r[i], false);
	}
	nbd_conns_wake(n, w->nr);
	while (w->call.left) {
		if (nbd_now() < end)
			pthread_cond_timedwait(&w->call.done, &n->lock, &t);
		else if (n->nr_alive)
			pthread_cond_wait(&w->call.done,
					  &n->lock); /* conn_lost() ends what is late */
		else
			wave_give_up(w);
	}
	pthread_mutex_unlock(&n->lock);
	w->nr = 0;
}

/* The pieces of a transfer; the wave is run whenever it is full. */
static void wave_add(struct backend_nbd *n, struct wave *w, struct swap_io *io)
{
	uint8_t *bytes = swap_io_bytes(&n->base, io);
	uint64_t len = (uint64_t)io->nr << UMM_PAGE_SHIFT, done = 0;

	while (done < len) {
		uint64_t piece = len - done < NBD_PIECE ? len - done : NBD_PIECE;

		if (w->nr == REQUESTS)
			wave_run(n, w);
		w->r[w->nr++] = (struct nbd_request){
			.io = io,
			.buf = bytes + done,
			.offset = (io->slot << UMM_PAGE_SHIFT) + done,
			.len = piece,
			.write = io->write,
		};
		done += piece;
	}
}

static void nbd_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_nbd *n = (struct backend_nbd *)b;
	uint32_t age = (uint32_t)atomic_load(&n->losses);
	struct wave w;

	w.nr = 0;
	pthread_cond_init(&w.call.done, &n->clock);
	for (unsigned int i = 0; i < nr; i++) {
		ios[i].error = 0;
		if (ios[i].write)
			nbd_trim_forget(n, ios[i].slot, ios[i].nr);
		wave_add(n, &w, &ios[i]);
	}
	if (w.nr)
		wave_run(n, &w);
	pthread_cond_destroy(&w.call.done);
	for (unsigned int i = 0; i < nr; i++) {
		if (ios[i].write)
			sums_set(n, &ios[i], age);
		else
			sums_check(n, &ios[i]);
	}
}

static void nbd_freed(struct swap_backend *b, uint64_t slot, uint32_t nr)
{
	struct backend_nbd *n = (struct backend_nbd *)b;

	for (uint32_t i = 0; i < nr; i++)
		n->sum[slot + i] = 0;
	nbd_trim_freed(n, slot, nr);
}

static bool nbd_doubtful(struct swap_backend *b, uint64_t slot, uint32_t nr)
{
	struct backend_nbd *n = (struct backend_nbd *)b;
	uint32_t now = (uint32_t)atomic_load_explicit(&n->losses, memory_order_relaxed);

	for (uint32_t i = 0; i < nr; i++)
		if (n->age[slot + i] != now)
			return true;
	return false;
}

static unsigned int nbd_figures(struct swap_backend *b, struct swap_figure *out)
{
	struct backend_nbd *n = (struct backend_nbd *)b;
	unsigned int alive;

	pthread_mutex_lock(&n->lock);
	alive = n->nr_alive;
	pthread_mutex_unlock(&n->lock);
	out[0] = (struct swap_figure){ "connections", n->nr_conns };
	out[1] = (struct swap_figure){ "connected", alive };
	out[2] = (struct swap_figure){ "lost_connections", atomic_load(&n->losses) };
	out[3] = (struct swap_figure){ "retried", atomic_load(&n->retries) };
	out[4] = (struct swap_figure){ "wrong_checksums", atomic_load(&n->mismatches) };
	out[5] = (struct swap_figure){ "trimmed_pages", atomic_load(&n->trimmed_pages) };
	return 6;
}

/* ---- open, close ------------------------------------------------------------------------ */

static void conns_stop(struct backend_nbd *n)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&n->lock);
	__atomic_store_n(&n->stop, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&n->retry);
	pthread_mutex_unlock(&n->lock);
	for (unsigned int i = 0; i < n->nr_conns; i++) {
		struct nbd_conn *c = &n->conns[i];

		if (!c->started)
			continue;
		(void)!write(c->wake_fd, &one, sizeof(one));
		pthread_join(c->thread, NULL);
		if (c->h)
			nbd_lib.close(c->h);
		close(c->wake_fd);
	}
}

static void nbd_close_area(struct swap_backend *b)
{
	struct backend_nbd *n = (struct backend_nbd *)b;

	conns_stop(n);
	if (n->sum)
		munmap(n->sum, b->nr_slots * sizeof(*n->sum));
	if (n->age)
		munmap(n->age, b->nr_slots * sizeof(*n->age));
	free(n->freed);
	pthread_cond_destroy(&n->retry);
	pthread_cond_destroy(&n->trimmed);
	pthread_mutex_destroy(&n->lock);
	pthread_condattr_destroy(&n->clock);
	free(n);
}

static struct backend_nbd *nbd_new(const struct swap_env *env, const struct swap_spec *spec)
{
	struct backend_nbd *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->base.env = *env;
	n->wait_ns = spec->wait_seconds * 1000000000ull;
	n->hang_ns = spec->timeout_seconds * 1000000000ull;
	snprintf(n->uri, sizeof(n->uri), "%s", spec->path);
	snprintf(n->base.name, sizeof(n->base.name), "%.120s", spec->path);
	list_init(&n->queue);
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&n->clock);
	pthread_condattr_setclock(&n->clock, CLOCK_MONOTONIC);
	pthread_cond_init(&n->retry, &n->clock);
	pthread_cond_init(&n->trimmed, &n->clock);
	return n;
}

/* A word a slot, 0, in memory that is there once it is touched; or NULL. */
static uint32_t *slot_words(const struct backend_nbd *n)
{
	void *p = mmap(NULL, n->base.nr_slots * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* What the first connection tells of the export. */
static int export_look(struct backend_nbd *n, const struct swap_spec *spec, struct nbd_handle *h,
		       struct errmsg *e)
{
	uint64_t bytes = (uint64_t)nbd_lib.get_size(h);

	if (spec->bytes > bytes)
		return errmsg_set(e, -ENOSPC, "swap %.200s: the export has %lu MiB, not %lu",
				  n->uri, bytes >> 20, spec->bytes >> 20);
	n->base.nr_slots = (spec->bytes ? spec->bytes : bytes) >> UMM_PAGE_SHIFT;
	if (!n->base.nr_slots)
		return errmsg_set(e, -EINVAL, "swap %.200s: the export is empty", n->uri);
	n->nr_conns = nbd_lib.can_multi_conn(h) > 0 ? spec->connections : 1;
	n->can_trim = nbd_lib.can_trim(h) > 0;
	n->freed = calloc((n->base.nr_slots + 63) / 64, sizeof(*n->freed));
	n->sum = slot_words(n);
	n->age = slot_words(n);
	return n->freed && n->sum && n->age ? 0 : errmsg_set(e, -ENOMEM, "out of memory");
}

static int nbd_open(const struct swap_env *env, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e)
{
	struct backend_nbd *n = nbd_new(env, spec);
	struct nbd_handle *h = NULL;
	int rc;

	if (!n)
		return errmsg_set(e, -ENOMEM, "out of memory");
	rc = nbd_lib_load(e);
	if (!rc)
		rc = nbd_connect(n, &h, e);
	if (!rc)
		rc = export_look(n, spec, h, e);
	for (unsigned int i = 0; i < n->nr_conns && !rc; i++) {
		rc = nbd_conn_start(n, &n->conns[i], h);
		h = NULL;
		if (rc)
			errmsg_set(e, rc, "swap: no thread for a connection: %s", strerror(-rc));
	}
	if (!rc) {
		*out = &n->base;
		return 0;
	}
	if (h)
		nbd_lib.close(h);
	nbd_close_area(&n->base);
	return rc;
}

const struct swap_backend_ops backend_nbd_ops = {
	.kind = "nbd",
	.open = nbd_open,
	.run = nbd_run,
	.freed = nbd_freed,
	.doubtful = nbd_doubtful,
	.figures = nbd_figures,
	.close = nbd_close_area,
};
