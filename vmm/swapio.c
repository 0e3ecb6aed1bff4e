/* SPDX-License-Identifier: MIT */
/*
 * All transfers are in flight at once, as deep as the ring; what comes back short
 * is continued, what fails is noted in its file_io.
 *
 * Somebody waits for a single short read, in a fault: its answer is looked for where
 * that pays (vmm/spin.h). A single transfer that is slept for takes the plain call: a
 * ring's answer takes some microseconds more to arrive (5 of 90 where it was measured).
 */
#include "vmm/swapio.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/vm.h"

#define RING_DEPTH   SWAP_RING_DEPTH
#define TRANSFER_MAX (256u << 20) /* one request; far below the kernel's 2 GiB */
/* Longer ones are read ahead: the processor has better to do meanwhile. */
#define SHORT_READ (4 * UMM_PAGE_SIZE)
/* Answers wait for a call of the thread that asked: nothing interrupts it for them. */
#define RING_FLAGS (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

struct transfer {
	struct file_io *io;
	uint64_t done; /* bytes */
	bool stuck;    /* the last answer brought nothing */
};

struct swap_ring {
	struct io_uring uring;
	struct swap_ring *next;
	struct transfer slots[RING_DEPTH];
	struct transfer *free[RING_DEPTH];
	unsigned int nr_free;
	/* swap_engine_start()'s */
	struct file_io started[RING_DEPTH];
	struct iovec iov[SWAP_RING_IOV];
};

static int ring_create(struct swap_ring **out)
{
	struct swap_ring *ring = calloc(1, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	rc = io_uring_queue_init(RING_DEPTH, &ring->uring, RING_FLAGS);
	/* Linux before 5.19. */
	if (rc == -EINVAL)
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

void swap_engine_init(struct swap_engine *engine)
{
	engine->idle = NULL;
	spin_init(&engine->spin);
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

/* What is left of it, as a call takes it; *one is for a transfer that is not in pieces. */
static struct iovec *transfer_pieces(const struct transfer *t, struct iovec *one, unsigned int *nr)
{
	const struct file_io *io = t->io;
	uint64_t left = io->len - t->done;

	*nr = io->nr_iov;
	if (io->iov)
		return io->iov;
	*one = (struct iovec){ (uint8_t *)io->buf + t->done,
			       left < TRANSFER_MAX ? left : TRANSFER_MAX };
	*nr = 1;
	return one;
}

static void transfer_queue(struct swap_ring *ring, struct transfer *t)
{
	const struct file_io *io = t->io;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	uint64_t offset = io->offset + t->done;
	unsigned int nr, len;
	struct iovec one, *iov = transfer_pieces(t, &one, &nr);

	/* There are as many entries as slots, so there is one. */
	len = (unsigned int)iov->iov_len;
	if (nr > 1 && io->write)
		io_uring_prep_writev(sqe, io->fd, iov, nr, offset);
	else if (nr > 1)
		io_uring_prep_readv(sqe, io->fd, iov, nr, offset);
	else if (io->write)
		io_uring_prep_write(sqe, io->fd, iov->iov_base, len, offset);
	else
		io_uring_prep_read(sqe, io->fd, iov->iov_base, len, offset);
	io_uring_sqe_set_data(sqe, t);
}

/* So many bytes were moved. */
static void transfer_advance(struct transfer *t, uint64_t bytes)
{
	struct file_io *io = t->io;

	t->done += bytes;
	while (bytes && io->iov) {
		uint64_t n = bytes < io->iov->iov_len ? bytes : io->iov->iov_len;

		io->iov->iov_base = (uint8_t *)io->iov->iov_base + n;
		io->iov->iov_len -= n;
		bytes -= n;
		if (!io->iov->iov_len && --io->nr_iov)
			io->iov++;
	}
}

/*
 * Take one answer; true when the transfer is over. Direct I/O cannot go on
 * amid a page, so a short one is continued from the last whole page; two
 * answers without progress are an error.
 */
static bool transfer_answer(struct transfer *t, int res)
{
	struct file_io *io = t->io;
	uint64_t pages = res > 0 ? (uint64_t)res & UMM_PAGE_MASK : 0;

	if (res == -EINTR || res == -EAGAIN)
		return false;
	if (res < 0 || (!pages && t->stuck) || res == 0) {
		io->error = res < 0 ? res : -EIO;
		return true;
	}
	t->stuck = !pages;
	transfer_advance(t, pages);
	return t->done == io->len;
}

static void answers_take(struct swap_ring *ring)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct transfer *t = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (transfer_answer(t, res))
			ring->free[ring->nr_free++] = t;
		else
			transfer_queue(ring, t);
	}
}

/* One after the other. Also where no ring can be had (no memory, no file descriptor). */
static void run_without_ring(struct file_io *ios, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct file_io *io = &ios[i];
		struct transfer t = { .io = io };
		ssize_t res;

		io->error = 0;
		do {
			off_t offset = (off_t)(io->offset + t.done);
			unsigned int n;
			struct iovec one, *iov = transfer_pieces(&t, &one, &n);

			res = io->write ? pwritev(io->fd, iov, (int)n, offset)
					: preadv(io->fd, iov, (int)n, offset);
		} while (!transfer_answer(&t, res < 0 ? -errno : (int)res));
	}
}

/* False: not to be looked for, or there is no ring. */
static bool run_looking(struct swap_engine *engine, struct file_io *io, uint64_t start)
{
	struct swap_ring *ring = NULL;

	if (!spin_begin(&engine->spin))
		return false;
	if (!ring_get(engine, &ring)) {
		struct transfer *t = ring->free[--ring->nr_free];

		*t = (struct transfer){ .io = io };
		transfer_queue(ring, t);
		(void)io_uring_submit(&ring->uring);
		while (ring->nr_free < RING_DEPTH && vm_now_ns() - start < SPIN_NS)
			answers_take(ring);
	}
	spin_end(&engine->spin);
	if (!ring)
		return false;
	(void)swap_engine_wait(ring);
	ring_put(engine, ring);
	return true;
}

static void run_single(struct swap_engine *engine, struct file_io *io)
{
	uint64_t start = vm_now_ns();

	if (io->len > SHORT_READ) {
		run_without_ring(io, 1);
		return;
	}
	if (!run_looking(engine, io, start))
		run_without_ring(io, 1);
	spin_learn(&engine->spin, vm_now_ns() - start);
}

int swap_engine_run(struct swap_engine *engine, struct file_io *ios, unsigned int nr)
{
	struct swap_ring *ring;
	unsigned int next = 0;
	int rc = 0;

	for (unsigned int i = 0; i < nr; i++)
		ios[i].error = 0;
	if (nr == 1 && !ios->write) {
		run_single(engine, ios);
		goto out;
	}
	if (ring_get(engine, &ring)) {
		run_without_ring(ios, nr);
		goto out;
	}
	while (next < nr || ring->nr_free < RING_DEPTH) {
		for (; next < nr && ring->nr_free; next++) {
			struct transfer *t = ring->free[--ring->nr_free];

			*t = (struct transfer){ .io = &ios[next] };
			transfer_queue(ring, t);
		}
		if (ring->nr_free == RING_DEPTH)
			break;
		/*
		 * EINTR, EAGAIN and EBUSY pass. Nothing else can be answered while
		 * transfers into memory may be under way, so wait for those in any case.
		 */
		(void)io_uring_submit_and_wait(&ring->uring, 1);
		answers_take(ring);
	}
	ring_put(engine, ring);
out:
	for (unsigned int i = 0; i < nr && !rc; i++)
		rc = ios[i].error;
	return rc;
}

static bool fit_a_ring(const struct file_io *ios, unsigned int nr)
{
	unsigned int pieces = 0;

	for (unsigned int i = 0; i < nr; i++)
		pieces += ios[i].iov ? ios[i].nr_iov : 0;
	return nr <= RING_DEPTH && pieces <= SWAP_RING_IOV;
}

struct swap_ring *swap_engine_start(struct swap_engine *engine, const struct file_io *ios,
				    unsigned int nr)
{
	struct swap_ring *ring;
	struct iovec *iov;

	if (!fit_a_ring(ios, nr) || ring_get(engine, &ring))
		return NULL;
	iov = ring->iov;
	for (unsigned int i = 0; i < nr; i++) {
		struct file_io *io = &ring->started[i];
		struct transfer *t = ring->free[--ring->nr_free];

		*io = ios[i];
		io->error = 0;
		if (io->iov) {
			memcpy(iov, io->iov, io->nr_iov * sizeof(*iov));
			io->iov = iov;
			iov += io->nr_iov;
		}
		*t = (struct transfer){ .io = io };
		transfer_queue(ring, t);
	}
	/* What the kernel does not take now it takes when somebody waits. */
	(void)io_uring_submit(&ring->uring);
	return ring;
}

const struct file_io *swap_engine_wait(struct swap_ring *ring)
{
	answers_take(ring);
	while (ring->nr_free < RING_DEPTH) {
		(void)io_uring_submit_and_wait(&ring->uring, 1);
		answers_take(ring);
	}
	return ring->started;
}

void swap_engine_end(struct swap_engine *engine, struct swap_ring *ring)
{
	ring_put(engine, ring);
}
