/* SPDX-License-Identifier: MIT */
/*
 * Swap on a file or a block device: slot n is the page at offset n, behind the header
 * where a program of the guest gave the file.
 *
 * What the manager asks for in one call is in flight at once (vmm/swapio.c), and
 * neighbouring slots are one transfer already, so that a batch of reclaim is a few
 * large writes.
 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/swap_backend.h"
#include "vmm/swapfile.h"

#define CHUNK SWAP_RING_DEPTH /* transfers turned into requests at a time */

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

static void file_run(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_file *f = (struct backend_file *)b;
	struct file_io reqs[CHUNK];

	for (unsigned int done = 0, n; done < nr; done += n) {
		n = nr - done < CHUNK ? nr - done : CHUNK;
		for (unsigned int i = 0; i < n; i++)
			reqs[i] = request_of(f, &ios[done + i]);
		(void)!swap_engine_run(b->env.engine, reqs, n);
		for (unsigned int i = 0; i < n; i++)
			ios[done + i].error = reqs[i].error;
	}
}

static void *file_start(struct swap_backend *b, struct swap_io *ios, unsigned int nr)
{
	struct backend_file *f = (struct backend_file *)b;
	struct file_io reqs[CHUNK];

	if (nr > CHUNK)
		return NULL;
	for (unsigned int i = 0; i < nr; i++)
		reqs[i] = request_of(f, &ios[i]);
	return swap_engine_start(b->env.engine, reqs, nr);
}

static void file_finish(struct swap_backend *b, void *started, struct swap_io *ios, unsigned int nr)
{
	const struct file_io *done = swap_engine_wait(started);

	for (unsigned int i = 0; i < nr; i++)
		ios[i].error = done[i].error;
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
