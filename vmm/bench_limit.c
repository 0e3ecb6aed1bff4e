/* SPDX-License-Identifier: MIT */
#include "vmm/bench_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/vm.h"

#define DEPTH     32u
#define BLOCK_MAX (1u << 20)

static int open_unlinked(struct limit_file *f, const char *dir, struct errmsg *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.3000s/limit-%d", dir, (int)getpid());
	f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600);
	f->direct = f->fd >= 0;
	if (f->fd < 0 && errno == EINVAL)
		f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return errmsg_set(e, -errno, "%.300s: %s", path, strerror(errno));
	unlink(path);
	return 0;
}

int limit_file_open(struct limit_file *f, const char *dir, uint64_t bytes, struct errmsg *e)
{
	double ignored;
	int rc;

	*f = (struct limit_file){ .fd = -1, .bytes = bytes };
	rc = open_unlinked(f, dir, e);
	if (rc)
		return rc;
	f->buffer = mmap(NULL, DEPTH * BLOCK_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->buffer == MAP_FAILED) {
		f->buffer = NULL;
		rc = errmsg_set(e, -ENOMEM, "out of memory");
	} else {
		/* Blocks of zeros cost some devices nothing. */
		for (size_t i = 0; i < DEPTH * BLOCK_MAX / sizeof(uint64_t); i++)
			((uint64_t *)f->buffer)[i] = i * 0x9e3779b97f4a7c15ull;
		rc = fallocate(f->fd, 0, 0, (off_t)bytes) && errno != EOPNOTSUPP
			     ? errmsg_set(e, -errno, "no room for a file of %lu MiB in %.300s: %s",
					  bytes >> 20, dir, strerror(errno))
			     : 0;
	}
	/* Blocks that were never written cost more the first time. */
	if (!rc)
		rc = limit_file_stream(f, true, BLOCK_MAX, &ignored, e);
	if (rc)
		limit_file_close(f);
	return rc;
}

void limit_file_close(struct limit_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->buffer)
		munmap(f->buffer, DEPTH * BLOCK_MAX);
	f->fd = -1;
	f->buffer = NULL;
}

struct stream {
	struct io_uring ring;
	struct limit_file *file;
	uint64_t next;
	uint32_t block;
	bool write;
};

/* The place's next block; false when there is none left. */
static bool stream_queue(struct stream *s, unsigned int place)
{
	struct io_uring_sqe *sqe;
	uint8_t *buffer = (uint8_t *)s->file->buffer + (size_t)place * BLOCK_MAX;

	if (s->next + s->block > s->file->bytes)
		return false;
	sqe = io_uring_get_sqe(&s->ring);
	if (s->write)
		io_uring_prep_write(sqe, s->file->fd, buffer, s->block, s->next);
	else
		io_uring_prep_read(sqe, s->file->fd, buffer, s->block, s->next);
	io_uring_sqe_set_data64(sqe, place);
	s->next += s->block;
	return true;
}

static int stream_run(struct stream *s)
{
	unsigned int flying = 0;
	struct io_uring_cqe *cqe;
	int rc = 0;

	while (flying < DEPTH && stream_queue(s, flying))
		flying++;
	while (flying) {
		int waited = io_uring_submit_and_wait(&s->ring, 1);

		if (waited < 0 && waited != -EINTR && !rc)
			rc = waited;
		while (!io_uring_peek_cqe(&s->ring, &cqe)) {
			unsigned int place = (unsigned int)io_uring_cqe_get_data64(cqe);

			if (cqe->res != (int)s->block && !rc)
				rc = cqe->res < 0 ? cqe->res : -EIO;
			io_uring_cqe_seen(&s->ring, cqe);
			if (rc || !stream_queue(s, place))
				flying--;
		}
	}
	return rc;
}

int limit_file_stream(struct limit_file *f, bool write, uint32_t block, double *gb_s,
		      struct errmsg *e)
{
	struct stream s = { .file = f, .block = block, .write = write };
	uint64_t start;
	int rc = io_uring_queue_init(DEPTH, &s.ring, 0);

	if (rc)
		return errmsg_set(e, rc, "io_uring is refused: %s", strerror(-rc));
	start = vm_now_ns();
	rc = stream_run(&s);
	*gb_s = (double)s.next / (double)(vm_now_ns() - start);
	io_uring_queue_exit(&s.ring);
	return rc ? errmsg_set(e, rc, "the file of limits: %s", strerror(-rc)) : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A page by a call that sleeps; with a ring, by looking for its answer until it is there. */
static bool read_page(struct limit_file *f, struct io_uring *ring, off_t at)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	bool whole;

	if (!ring)
		return pread(f->fd, f->buffer, UMM_PAGE_SIZE, at) == (ssize_t)UMM_PAGE_SIZE;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_read(sqe, f->fd, f->buffer, UMM_PAGE_SIZE, (uint64_t)at);
	if (io_uring_submit(ring) != 1)
		return false;
	while (io_uring_peek_cqe(ring, &cqe))
		;
	whole = cqe->res == (int)UMM_PAGE_SIZE;
	io_uring_cqe_seen(ring, cqe);
	return whole;
}

static int read_pages(struct limit_file *f, struct io_uring *ring, double *us, unsigned int reads,
		      struct errmsg *e)
{
	uint64_t pages = f->bytes / UMM_PAGE_SIZE, start, place = 1;

	for (unsigned int i = 0; i < reads; i++) {
		place = place * 6364136223846793005ull + 1442695040888963407ull;
		start = vm_now_ns();
		if (!read_page(f, ring, (off_t)((place >> 20) % pages * UMM_PAGE_SIZE)))
			return errmsg_set(e, -EIO, "the file of limits cannot be read");
		us[i] = (double)(vm_now_ns() - start) / 1e3;
	}
	return 0;
}

int limit_file_latency(struct limit_file *f, bool look, unsigned int reads, double *p50_us,
		       struct errmsg *e)
{
	double *us = calloc(reads, sizeof(*us));
	struct io_uring ring;
	int rc;

	if (!us)
		return errmsg_set(e, -ENOMEM, "out of memory");
	rc = look ? io_uring_queue_init(1, &ring, 0) : 0;
	if (rc) {
		rc = errmsg_set(e, rc, "io_uring is refused: %s", strerror(-rc));
		goto out;
	}
	rc = read_pages(f, look ? &ring : NULL, us, reads, e);
	if (look)
		io_uring_queue_exit(&ring);
	if (rc)
		goto out;
	qsort(us, reads, sizeof(*us), compare);
	*p50_us = us[reads / 2];
out:
	free(us);
	return rc;
}

double limit_memcpy(uint64_t bytes)
{
	char *a = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t start, ns;

	if (a == MAP_FAILED)
		return 0;
	memset(a, 1, 2 * bytes);
	start = vm_now_ns();
	memcpy(a + bytes, a, bytes);
	/* The copy must have happened: the compiler may not drop it. */
	__asm__ volatile("" ::"r"(a) : "memory");
	ns = vm_now_ns() - start;
	munmap(a, 2 * bytes);
	return (double)bytes / (double)(ns ? ns : 1);
}
