/* SPDX-License-Identifier: MIT */
#include "vmm/holes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/uffd.h"

/* As many are made at once; a piece of populating, too. */
#define ZERO_BYTES UMM_PMD_SIZE

void holes_slot_put(struct holes *h, uint32_t slot)
{
	if (slot == HOLE_ZERO)
		return;
	hole_slot_put(&h->table, slot);
	swap_areas_freed(h->area, slot, 1);
}

void holes_transfer(struct holes *h, struct swap_io *ios, unsigned int nr)
{
	if (!nr)
		return;
	(void)!swap_areas_run(&h->areas, ios, nr); /* each has its error */
	for (unsigned int i = 0; h->cfg.fail && i < nr; i++) {
		int rc = h->cfg.fail(h->cfg.arg, &ios[i]);

		ios[i].error = rc ? rc : ios[i].error;
	}
}

int holes_zero(struct holes *h, uint64_t frame, uint64_t nr)
{
	uint8_t *hva = hole_hva(h, frame);
	uint64_t left = nr << UMM_PAGE_SHIFT;

	while (left) {
		uint64_t len = left < ZERO_BYTES ? left : ZERO_BYTES, done;
		int rc = uffd_copy(h->cfg.uffd, hva, h->zeroes, len, &done);

		/* One is there: the next. Who waits for it need not. */
		if (rc == -EEXIST) {
			uffd_wake(h->cfg.uffd, hva + done, UMM_PAGE_SIZE);
			done += UMM_PAGE_SIZE;
			rc = 0;
		}
		if (rc)
			return rc;
		hva += done;
		left -= done;
	}
	return 0;
}

void holes_wake(struct holes *h, uint64_t frame)
{
	uffd_wake(h->cfg.uffd, hole_hva(h, frame), UMM_PAGE_SIZE);
}

int holes_populate(struct holes *h, pfn_t pfn, uint32_t nr)
{
	return memory_hva(h->cfg.memory, pfn, nr) ? holes_zero(h, hole_frame_of(h, pfn), nr)
						  : -EFAULT;
}

void holes_drop(struct holes *h, pfn_t pfn, uint32_t nr)
{
	uint64_t first = hole_frame_of(h, pfn), before;

	pthread_mutex_lock(&h->lock);
	before = h->table.gone;
	for (uint64_t i = first; i < first + nr; i++)
		holes_slot_put(h, hole_drop(&h->table, i));
	h->counts.dropped += before - h->table.gone;
	pthread_mutex_unlock(&h->lock);
}

uint32_t holes_here(struct holes *h, pfn_t pfn, uint32_t nr)
{
	uint64_t first = hole_frame_of(h, pfn);
	uint32_t here = 0;

	pthread_mutex_lock(&h->lock);
	for (uint64_t i = first; i < first + nr; i++)
		here += hole_state(&h->table, i) == HOLE_HERE;
	pthread_mutex_unlock(&h->lock);
	return here;
}

bool holes_any(struct holes *h)
{
	bool any;

	pthread_mutex_lock(&h->lock);
	any = h->table.gone;
	pthread_mutex_unlock(&h->lock);
	return any;
}

/* In one step: who begins to leave in between would not be noticed by a store. */
int holes_unprotect(struct holes *h, pfn_t pfn, uint64_t nr)
{
	uint64_t first = hole_frame_of(h, pfn);
	int rc;

	pthread_mutex_lock(&h->lock);
	for (uint64_t i = first; i < first + nr; i++)
		hole_stay(&h->table, i);
	rc = uffd_protect(h->cfg.uffd, hole_hva(h, first), nr << UMM_PAGE_SHIFT, false);
	pthread_mutex_unlock(&h->lock);
	return rc;
}

bool holes_find_lost(struct holes *h, pfn_t *pfn)
{
	uint64_t i = hole_frame_of(h, *pfn);
	bool found = false;

	pthread_mutex_lock(&h->lock);
	while (h->table.lost && i < h->table.nr && !found)
		found = hole_state(&h->table, i++) == HOLE_LOST;
	pthread_mutex_unlock(&h->lock);
	if (found)
		*pfn = pfn_make(h->table.base + i - 1);
	return found;
}

void holes_on_loss(struct holes *h, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&h->lock);
	while (h->calling)
		pthread_cond_wait(&h->changed, &h->lock);
	h->on_loss = fn;
	h->on_loss_arg = arg;
	pthread_mutex_unlock(&h->lock);
}

void holes_counts_read(struct holes *h, struct holes_counts *out)
{
	pthread_mutex_lock(&h->lock);
	*out = h->counts;
	out->frames = h->table.gone;
	out->lost = h->table.lost;
	out->slots = h->table.nr_slots;
	out->used = h->table.used;
	pthread_mutex_unlock(&h->lock);
}

/* ---- start and end ------------------------------------------------------------------ */

static int make_buffers(struct holes *h, struct errmsg *e)
{
	uint64_t pages = HOLE_OUT_PAGES + HOLE_IN_PAGES;
	void *p = mmap(NULL, pages << UMM_PAGE_SHIFT, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errmsg_set(e, -errno, "no memory for the buffers of holes");
	h->buffers.nr_nodes = 1;
	h->buffers.nodes[0] = (struct host_node){ .nr = pages, .hva = p };
	h->buffers.ram = p;
	h->buffers.ram_bytes = pages << UMM_PAGE_SHIFT;
	h->in_free = (1u << HOLE_IN_PAGES) - 1;
	p = mmap(NULL, ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return errmsg_set(e, -errno, "no memory for the buffers of holes");
	h->zeroes = p;
	return 0;
}

static int make_table(struct holes *h, struct errmsg *e)
{
	const struct memory *m = h->cfg.memory;
	int rc = swap_areas_open(&h->areas, h->cfg.spec, &h->area, e);

	if (rc)
		return rc;
	rc = hole_table_init(&h->table, m->nodes[0].base, m->ram_bytes >> UMM_PAGE_SHIFT,
			     h->area->nr_slots);
	return rc ? errmsg_set(e, rc, "cannot keep books of holes: %s", strerror(-rc)) : 0;
}

/* Signals are for the threads that know what to do with them. */
static int start_servers(struct holes *h, struct errmsg *e)
{
	sigset_t all, old;
	int rc = 0;

	h->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (h->stop_fd < 0)
		return errmsg_set(e, -errno, "eventfd: %s", strerror(errno));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (h->nr_servers < HOLE_SERVERS && !rc) {
		rc = -pthread_create(&h->servers[h->nr_servers], NULL, holes_server, h);
		h->nr_servers += !rc;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? errmsg_set(e, rc, "no thread to fill holes: %s", strerror(-rc)) : 0;
}

int holes_create(const struct holes_config *cfg, struct holes **out, struct errmsg *e)
{
	struct holes *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return errmsg_set(e, -ENOMEM, "out of memory");
	h->cfg = *cfg;
	h->stop_fd = -1;
	pthread_mutex_init(&h->out_lock, NULL);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	swap_areas_init(&h->areas, &h->buffers);
	rc = make_buffers(h, e);
	if (!rc)
		rc = make_table(h, e);
	if (!rc)
		rc = start_servers(h, e);
	if (rc)
		holes_destroy(h);
	else
		*out = h;
	return rc;
}

void holes_destroy(struct holes *h)
{
	uint64_t one = 1;

	if (!h)
		return;
	if (h->nr_servers && write(h->stop_fd, &one, sizeof(one)) != sizeof(one))
		abort(); /* An eventfd takes it. */
	while (h->nr_servers)
		pthread_join(h->servers[--h->nr_servers], NULL);
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	swap_areas_destroy(&h->areas);
	hole_table_destroy(&h->table);
	if (h->buffers.ram)
		munmap(h->buffers.ram, h->buffers.ram_bytes);
	if (h->zeroes)
		munmap(h->zeroes, ZERO_BYTES);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->out_lock);
	free(h);
}
