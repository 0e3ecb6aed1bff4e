/* SPDX-License-Identifier: MIT */
#include "vmm/swap_areas.h"

#include <errno.h>

static const struct swap_backend_ops *const kinds[] = {
	[SWAP_FILE] = &backend_file_ops, [SWAP_LZ4] = &backend_lz4_ops,
	[SWAP_ZSTD] = &backend_zstd_ops, [SWAP_RAM] = &backend_ram_ops,
	[SWAP_NULL] = &backend_null_ops, [SWAP_NBD] = &backend_nbd_ops,
};

void swap_areas_init(struct swap_areas *areas, const struct memory *memory)
{
	pthread_mutex_init(&areas->lock, NULL);
	swap_engine_init(&areas->engine);
	areas->env.memory = memory;
	areas->env.engine = &areas->engine;
	areas->first = NULL;
}

void swap_areas_destroy(struct swap_areas *areas)
{
	while (areas->first)
		swap_areas_close(areas, areas->first);
	swap_engine_destroy(&areas->engine);
	pthread_mutex_destroy(&areas->lock);
}

int swap_areas_open(struct swap_areas *areas, const struct swap_spec *spec,
		    struct swap_backend **out, struct errmsg *e)
{
	const struct swap_backend_ops *ops = kinds[spec->kind];
	struct swap_backend *b;
	int rc = ops->open(&areas->env, spec, &b, e);

	if (rc)
		return rc;
	b->ops = ops;
	b->env = areas->env;
	b->priority = spec->priority;
	pthread_mutex_lock(&areas->lock);
	b->next = areas->first;
	areas->first = b;
	pthread_mutex_unlock(&areas->lock);
	*out = b;
	return 0;
}

void swap_areas_close(struct swap_areas *areas, struct swap_backend *b)
{
	struct swap_backend **link;

	pthread_mutex_lock(&areas->lock);
	for (link = &areas->first; *link && *link != b; link = &(*link)->next)
		;
	if (*link)
		*link = b->next;
	pthread_mutex_unlock(&areas->lock);
	b->ops->close(b);
}

static bool io_valid(const struct swap_io *io)
{
	const struct swap_backend *b = io->area;

	return io->nr && io->slot < b->nr_slots && io->nr <= b->nr_slots - io->slot &&
	       memory_hva(b->env.memory, io->pfn, io->nr);
}

static void count(struct swap_areas *areas, struct swap_backend *b, const struct swap_io *ios,
		  unsigned int nr)
{
	uint64_t read = 0, written = 0, errors = 0;

	for (unsigned int i = 0; i < nr; i++) {
		errors += !!ios[i].error;
		if (!ios[i].error)
			*(ios[i].write ? &written : &read) += ios[i].nr;
	}
	atomic_fetch_add_explicit(&b->pages_read, read, memory_order_relaxed);
	atomic_fetch_add_explicit(&b->pages_written, written, memory_order_relaxed);
	atomic_fetch_add_explicit(&b->errors, errors, memory_order_relaxed);
	atomic_fetch_add_explicit(&areas->bytes_read, read << UMM_PAGE_SHIFT, memory_order_relaxed);
	atomic_fetch_add_explicit(&areas->bytes_written, written << UMM_PAGE_SHIFT,
				  memory_order_relaxed);
}

int swap_areas_run(struct swap_areas *areas, struct swap_io *ios, unsigned int nr)
{
	unsigned int i = 0, n;
	int rc = 0;

	while (i < nr) {
		struct swap_backend *b = ios[i].area;

		if (!io_valid(&ios[i])) {
			ios[i++].error = -EINVAL;
			continue;
		}
		/* As many as possible at once: that is what makes a back end fast. */
		for (n = 1; i + n < nr && ios[i + n].area == b && io_valid(&ios[i + n]); n++)
			;
		b->ops->run(b, &ios[i], n);
		count(areas, b, &ios[i], n);
		i += n;
	}
	for (i = 0; i < nr && !rc; i++)
		rc = ios[i].error;
	return rc;
}

void *swap_areas_start(struct swap_io *ios, unsigned int nr)
{
	struct swap_backend *b = ios[0].area;

	if (!b->ops->start)
		return NULL;
	for (unsigned int i = 0; i < nr; i++) {
		if (ios[i].area != b || !io_valid(&ios[i]))
			return NULL;
	}
	return b->ops->start(b, ios, nr);
}

void swap_areas_finish(struct swap_areas *areas, void *started, struct swap_io *ios,
		       unsigned int nr)
{
	struct swap_backend *b = ios[0].area;

	b->ops->finish(b, started, ios, nr);
	count(areas, b, ios, nr);
}

void swap_areas_freed(struct swap_backend *b, uint64_t slot, uint32_t nr)
{
	if (b->ops->freed)
		b->ops->freed(b, slot, nr);
}

bool swap_areas_room(struct swap_backend *b)
{
	return !b->ops->room || b->ops->room(b);
}

bool swap_areas_doubtful(struct swap_backend *b, uint64_t slot, uint32_t nr)
{
	return b->ops->doubtful && b->ops->doubtful(b, slot, nr);
}

void swap_areas_compressed(struct swap_areas *areas, uint64_t *memory_bytes, uint64_t *pages)
{
	struct swap_backend *b;

	*memory_bytes = *pages = 0;
	pthread_mutex_lock(&areas->lock);
	for (b = areas->first; b; b = b->next)
		if (b->ops->compressed)
			b->ops->compressed(b, memory_bytes, pages);
	pthread_mutex_unlock(&areas->lock);
}

void swap_areas_report(struct swap_backend *b, struct swap_report *out)
{
	*out = (struct swap_report){
		.kind = b->ops->kind,
		.name = b->name,
		.priority = b->priority,
		.slots = b->nr_slots,
		.pages_read = atomic_load_explicit(&b->pages_read, memory_order_relaxed),
		.pages_written = atomic_load_explicit(&b->pages_written, memory_order_relaxed),
		.errors = atomic_load_explicit(&b->errors, memory_order_relaxed),
	};
	if (b->ops->figures)
		out->nr = b->ops->figures(b, out->figures);
}
