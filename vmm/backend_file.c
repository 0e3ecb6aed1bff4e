/* SPDX-License-Identifier: MIT */
/*
 * Swap on a file or a block device: slot n is the page at offset n, behind the header
 * where a program of the guest gave the file.
 *
 * What the manager asks for in one call is in flight at once (vmm/swapio.c), and
 * neighbouring slots are one request, wherever their frames are, so that a batch of
 * reclaim is a few large writes.
 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/swap_backend.h"
#include "vmm/swapfile.h"

#define CHUNK    SWAP_RING_DEPTH /* requests at a time */
#define JOIN_MAX 64u             /* pages: several in flight are faster than one as large */

struct backend_file {
	struct swap_backend base;
	struct swapfile file;
};

/* For people, and JSON: what a program called its file need not be text. */
static void name_show(struct swap_backend *b, const struct swap_spec *spec)
{
	const char *path = spec->given ? spec->given->name : spec->path;

	snprintf(b->name, sizeof(b->name), "%.120s", path[0] ? path : "unnamed");
	for (char *c = b->name; spec->given && *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static int file_open(const struct swap_env *env, const struct swap_spec *spec,
		     struct swap_backend **out, struct errmsg *e)
{
	struct backend_file *f;
	int rc = swap_engine_check(env->engine, e);

	if (rc)
		return rc;
	f = calloc(1, sizeof(*f));
	if (!f)
		return errmsg_set(e, -ENOMEM, "out of memory");
	rc = spec->given ? swapfile_take(&f->file, spec->given, e)
			 : swapfile_open(&f->file, spec->path, spec->bytes, e);
	if (rc) {
		free(f);
		return rc;
	}
	f->base.nr_slots = f->file.nr_slots;
	name_show(&f->base, spec);
	*out = &f->base;
	return 0;
}

static struct file_io request_of(const struct backend_file *f, const struct swap_io *io)
{
	return (struct file_io){
		.fd = f->file.fd,
		.write = io->write,
		.buf = swap_io_bytes(&f->base, io),
		.offset = (f->file.first + io->slot) << UMM_PAGE_SHIFT,
		.len = (uint64_t)io->nr << UMM_PAGE_SHIFT,
	};
}

/* How many of the first transfers, at most @room, are one request: neighbours of the file. */
static unsigned int joined(const struct swap_io *ios, unsigned int nr, unsigned int room)
{
	uint64_t pages = ios->nr;
	unsigned int n = 1;

	for (; n < nr && n < room; n++) {
		pages += ios[n].nr;
		if (ios[n].slot != ios[n - 1].slot + ios[n - 1].nr || ios[n].write != ios->write ||
		    pages > JOIN_MAX)
			break;
	}
	return n;
}

/* Transfers turned into requests. */
struct requests {
	struct file_io io[CHUNK];
	unsigned int of[CHUNK]; /* transfers that each is */
	struct iovec iov[SWAP_RING_IOV];
	unsigned int nr;
};

/* As many of the first as there is room for: how many they are. */
static unsigned int requests_make(const struct backend_file *f, struct requests *r,
				  const struct swap_io *ios, unsigned int nr)
{
	unsigned int done = 0, pieces = 0;

	for (r->nr = 0; done < nr && r->nr < CHUNK && pieces < SWAP_RING_IOV; r->nr++) {
		unsigned int n = joined(&ios[done], nr - done, SWAP_RING_IOV - pieces);
		struct file_io *io = &r->io[r->nr];

		*io = request_of(f, &ios[done]);
		r->of[r->nr] = n;
		if (n > 1) {
			io->iov = &r->iov[pieces];
			io->nr_iov = n;
			io->len = 0;
		}
		for (unsigned int i = 0; n > 1 && i < n; i++) {
			uint64_t len = (uint64_t)ios[done + i].nr << UMM_PAGE_SHIFT;

			r->iov[pieces++] =
				(struct iovec){ swap_io_bytes(&f->base, &ios[done + i]), len };
			io->len += len;
		}
		done += n;
	}
	return done;
}

/* A request's answer, for its transfers; they are done alone if one of them spoils it. */
static void answer(struct backend_file *f, const struct file_io *io, struct swap_io *ios,
		   unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		ios[i].error = io->error;
		if (io->error && nr > 1) {
			struct file_io alone = request_of(f, &ios[i]);

			(void)!swap_engine_run(f->base.env.engine, &alone, 1);
			ios[i].error = alone.error;
		}
	}
}

static void file_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_file *f = (struct backend_file *)b;
	struct requests r;

	for (unsigned int done = 0, n; done < nr; done += n) {
		n = requests_make(f, &r, &ios[done], nr - done);
		(void)!swap_engine_run(b->env.engine, r.io, r.nr);
		for (unsigned int i = 0, at = done; i < r.nr; at += r.of[i++])
			answer(f, &r.io[i], &ios[at], r.of[i]);
	}
}

static void *file_start(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_file *f = (struct backend_file *)b;
	struct requests r;

	if (requests_make(f, &r, ios, nr) < nr)
		return NULL;
	return swap_engine_start(b->env.engine, r.io, r.nr);
}

static void file_finish(struct swap_backend *b, void *started, struct swap_io *ios, unsigned int nr)
{
	struct backend_file *f = (struct backend_file *)b;
	const struct file_io *done = swap_engine_wait(started);

	/* They were joined as they would be now. */
	for (unsigned int i = 0, n, pieces = 0; i < nr; i += n, done++) {
		n = joined(&ios[i], nr - i, SWAP_RING_IOV - pieces);
		pieces += n > 1 ? n : 0;
		answer(f, done, &ios[i], n);
	}
	swap_engine_end(b->env.engine, started);
}

static unsigned int file_figures(struct swap_backend *b, struct swap_figure *out)
{
	struct backend_file *f = (struct backend_file *)b;

	out[0] = (struct swap_figure){ "direct_io", f->file.direct };
	return 1;
}

static void file_close(struct swap_backend *b)
{
	struct backend_file *f = (struct backend_file *)b;

	swapfile_close(&f->file);
	free(f);
}

const struct swap_backend_ops backend_file_ops = {
	.kind = "file",
	.open = file_open,
	.run = file_run,
	.start = file_start,
	.finish = file_finish,
	.figures = file_figures,
	.close = file_close,
};
