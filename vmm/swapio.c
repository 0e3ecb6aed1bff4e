/* SPDX-License-Identifier: MIT */
/*
 * Swap transfers with io_uring: all in flight at once, as deep as the ring;
 * what comes back short is continued, what fails is noted in its swap_io.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/swapfile.h"

#define RING_DEPTH   64u
#define TRANSFER_MAX (256u << 20) /* one request; far below the kernel's 2 GiB */

struct transfer {
	struct swap_io *io;
	uint64_t done; /* bytes */
	bool stuck;    /* the last answer brought nothing */
};

struct swap_ring {
	struct io_uring uring;
	struct swap_ring *next;
	struct transfer slots[RING_DEPTH];
	struct transfer *free[RING_DEPTH];
	unsigned int nr_free;
};

static int ring_create(struct swap_ring **out)
{
	struct swap_ring *ring = calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	rc = io_uring_queue_init(RING_DEPTH, &ring->uring, 0);
	if (rc) {
		free(ring);
		return rc;
	}
	for (unsigned int i = 0; i < RING_DEPTH; i++)
		ring->free[i] = &ring->slots[i];
	ring->nr_free = RING_DEPTH;
	*out = ring;
	return 0;
}

static int ring_get(struct swap_engine *engine, struct swap_ring **out)
{
	struct swap_ring *ring;

	pthread_mutex_lock(&engine->lock);
	ring = engine->idle;
	if (ring)
		engine->idle = ring->next;
	pthread_mutex_unlock(&engine->lock);
	if (!ring)
		return ring_create(out);
	*out = ring;
	return 0;
}

static void ring_put(struct swap_engine *engine, struct swap_ring *ring)
{
	pthread_mutex_lock(&engine->lock);
	ring->next = engine->idle;
	engine->idle = ring;
	pthread_mutex_unlock(&engine->lock);
}

void swap_engine_init(struct swap_engine *engine, const struct memory *memory)
{
	engine->memory = memory;
	engine->idle = NULL;
	pthread_mutex_init(&engine->lock, NULL);
}

void swap_engine_destroy(struct swap_engine *engine)
{
	while (engine->idle) {
		struct swap_ring *ring = engine->idle;

		engine->idle = ring->next;
		io_uring_queue_exit(&ring->uring);
		free(ring);
	}
	pthread_mutex_destroy(&engine->lock);
}

int swap_engine_check(struct swap_engine *engine, struct errmsg *e)
{
	struct swap_ring *ring;
	int rc = ring_get(engine, &ring);

	if (rc)
		return errmsg_set(e, rc,
				  "io_uring is refused: %s (see kernel.io_uring_disabled, "
				  "ulimit -l, and the seccomp profile of a container)",
				  strerror(-rc));
	ring_put(engine, ring);
	return 0;
}

static uint64_t io_bytes(const struct swap_io *io)
{
	return (uint64_t)io->nr << UMM_PAGE_SHIFT;
}

static void transfer_queue(struct swap_engine *engine, struct swap_ring *ring, struct transfer *t)
{
	const struct swap_io *io = t->io;
	const struct swapfile *file = io->area;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	uint8_t *hva = (uint8_t *)memory_hva(engine->memory, io->pfn, io->nr) + t->done;
	uint64_t offset = (io->slot << UMM_PAGE_SHIFT) + t->done;
	uint64_t left = io_bytes(io) - t->done;
	unsigned int len = left < TRANSFER_MAX ? (unsigned int)left : TRANSFER_MAX;

	/* There are as many entries as slots, so there is one. */
	if (io->write)
		io_uring_prep_write(sqe, file->fd, hva, len, offset);
	else
		io_uring_prep_read(sqe, file->fd, hva, len, offset);
	io_uring_sqe_set_data(sqe, t);
}

/*
 * Take one answer; true when the transfer is over. Direct I/O cannot go on
 * amid a page, so a short one is continued from the last whole page; two
 * answers without progress are an error.
 */
static bool transfer_answer(struct swap_engine *engine, struct transfer *t, int res)
{
	struct swap_io *io = t->io;
	uint64_t pages = res > 0 ? (uint64_t)res & UMM_PAGE_MASK : 0;

	if (res == -EINTR || res == -EAGAIN)
		return false;
	if (res < 0 || (!pages && t->stuck) || res == 0) {
		io->error = res < 0 ? res : -EIO;
		return true;
	}
	t->stuck = !pages;
	t->done += pages;
	atomic_fetch_add_explicit(io->write ? &engine->bytes_written : &engine->bytes_read, pages,
				  memory_order_relaxed);
	return t->done == io_bytes(io);
}

static bool io_valid(const struct swap_engine *engine, const struct swap_io *io)
{
	const struct swapfile *file = io->area;

	return io->nr && io->slot < file->nr_slots && io->nr <= file->nr_slots - io->slot &&
	       memory_hva(engine->memory, io->pfn, io->nr);
}

static void answers_take(struct swap_engine *engine, struct swap_ring *ring)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct transfer *t = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (transfer_answer(engine, t, res))
			ring->free[ring->nr_free++] = t;
		else
			transfer_queue(engine, ring, t);
	}
}

int swap_engine_run(struct swap_engine *engine, struct swap_io *ios, unsigned int nr)
{
	struct swap_ring *ring;
	unsigned int next = 0;
	int rc = ring_get(engine, &ring);

	for (unsigned int i = 0; i < nr; i++)
		ios[i].error = rc;
	if (rc)
		return rc;
	while (next < nr || ring->nr_free < RING_DEPTH) {
		for (; next < nr && ring->nr_free; next++) {
			struct transfer *t;

			if (!io_valid(engine, &ios[next])) {
				ios[next].error = -EINVAL;
				continue;
			}
			t = ring->free[--ring->nr_free];
			*t = (struct transfer){ .io = &ios[next] };
			transfer_queue(engine, ring, t);
		}
		if (ring->nr_free == RING_DEPTH)
			break;
		/*
		 * EINTR, EAGAIN and EBUSY pass. Nothing else can be answered
		 * while transfers into guest memory may be under way, so wait
		 * for those in any case.
		 */
		(void)io_uring_submit_and_wait(&ring->uring, 1);
		answers_take(engine, ring);
	}
	ring_put(engine, ring);
	for (unsigned int i = 0; i < nr && !rc; i++)
		rc = ios[i].error;
	return rc;
}
