/* SPDX-License-Identifier: MIT */
#include "vmm/vm_swap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/swap_ops.h"
#include "vmm/size.h"

void vm_swap_init(struct vm_swap *s, struct mm_sys *sys, struct host *host)
{
	memset(s, 0, sizeof(*s));
	s->sys = sys;
	s->host = host;
	pthread_mutex_init(&s->change, NULL);
	pthread_mutex_init(&s->lock, NULL);
}

void vm_swap_destroy(struct vm_swap *s)
{
	if (!s->sys)
		return;
	pthread_mutex_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	s->sys = NULL;
}

/* ---- adding ----------------------------------------------------------------- */

static int open_area(struct vm_swap *s, const struct swap_spec *spec, void **area, struct errmsg *e)
{
	struct swap_report report;
	struct errmsg why;
	uint64_t nr_slots;
	int rc = host_swap_open(s->host, spec, area, &nr_slots, &why);

	if (rc)
		return errmsg_set(e, rc, "%.200s%.300s", spec->origin, why.text);
	if (spec->kind == SWAP_NULL)
		fputs("umm: swap null: what is swapped out is LOST and reads as zeros; only for "
		      "data that nobody wants back\n",
		      stderr);
	rc = swap_on(s->sys, *area, nr_slots, spec->priority);
	if (rc) {
		host_swap_close(s->host, *area);
		return errmsg_set(e, rc, "cannot use the swap area: %s", strerror(-rc));
	}
	host_swap_report(s->host, *area, &report);
	swap_set_name(s->sys, *area, spec->given ? spec->given->name : report.name);
	return 0;
}

static void enter(struct vm_swap *s, void *area, const struct guest_swap_file *given,
		  unsigned int *id)
{
	pthread_mutex_lock(&s->lock);
	*id = s->next_id++;
	s->v[s->nr].id = *id;
	s->v[s->nr].area = area;
	s->v[s->nr].given = given;
	s->v[s->nr].dev = given ? given->dev : 0;
	s->v[s->nr].ino = given ? given->ino : 0;
	s->nr++;
	pthread_mutex_unlock(&s->lock);
}

static int change_begin(struct vm_swap *s, struct errmsg *e)
{
	if (pthread_mutex_trylock(&s->change))
		return errmsg_set(e, -EBUSY,
				  "a swap area is being added or removed already; try again");
	return 0;
}

int vm_swap_add(struct vm_swap *s, const struct swap_spec *spec, unsigned int *id, struct errmsg *e)
{
	void *area;
	int rc = change_begin(s, e);

	if (rc)
		return rc;
	if (s->nr == SWAP_SPECS_MAX)
		rc = errmsg_set(e, -ENOSPC, "a guest has at most %u swap areas; remove one first",
				SWAP_SPECS_MAX);
	if (!rc)
		rc = open_area(s, spec, &area, e);
	if (!rc)
		enter(s, area, NULL, id);
	pthread_mutex_unlock(&s->change);
	return rc;
}

/* ---- removing --------------------------------------------------------------- */

static bool is_called(struct vm_swap *s, unsigned int i, const char *which)
{
	struct swap_report report;
	uint64_t id;

	if (!number_parse(which, UINT32_MAX, &id))
		return s->v[i].id == id;
	host_swap_report(s->host, s->v[i].area, &report);
	return !strcmp(report.name, which);
}

/* `change` held, so the list stays as it is. */
static int find(struct vm_swap *s, const char *which, unsigned int *out, struct errmsg *e)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < s->nr; i++) {
		if (!is_called(s, i, which))
			continue;
		*out = i;
		found++;
	}
	if (!found)
		return errmsg_set(e, -ENOENT, "there is no swap area '%.200s'; umm swap lists them",
				  which);
	if (found > 1)
		return errmsg_set(e, -EINVAL, "%u swap areas are called '%.200s'; give a number",
				  found, which);
	return 0;
}

static int explain(int rc, struct errmsg *e)
{
	switch (rc) {
	case -ENOMEM:
		return errmsg_set(e, rc,
				  "no room for what the area holds, in memory and other areas: the "
				  "area stays in use (add another, or raise the limit)");
	case -EIO:
		return errmsg_set(e, rc, "a page could not be read back: the area stays in use");
	case -EBUSY:
		return errmsg_set(e, rc,
				  "pages are in use that do not come free: the area stays "
				  "in use; try again");
	case -EINTR:
		return errmsg_set(e, rc, "stopped: the area stays in use");
	default:
		return errmsg_set(e, rc, "cannot remove the area: %s", strerror(-rc));
	}
}

static void leave(struct vm_swap *s, unsigned int i)
{
	void *area = s->v[i].area;

	pthread_mutex_lock(&s->lock);
	memmove(&s->v[i], &s->v[i + 1], (s->nr - i - 1) * sizeof(s->v[0]));
	s->nr--;
	pthread_mutex_unlock(&s->lock);
	host_swap_close(s->host, area);
}

int vm_swap_remove(struct vm_swap *s, const char *which, const struct swap_off_request *req,
		   struct errmsg *e)
{
	unsigned int i = 0;
	int rc = change_begin(s, e);

	if (rc)
		return rc;
	rc = find(s, which, &i, e);
	if (!rc) {
		rc = swap_off(s->sys, s->v[i].area, req);
		if (rc)
			explain(rc, e);
		else
			leave(s, i);
	}
	pthread_mutex_unlock(&s->change);
	return rc;
}

/* ---- by programs of the guest ---------------------------------------------------- */

#define CHANGE_WAIT_NS 20000000l

/* Another area may take its time: a program waits for it, as long as it has nothing else to do. */
static int change_wait(struct vm_swap *s, const struct guest_swap_wait *wait)
{
	struct timespec until;

	while (pthread_mutex_trylock(&s->change)) {
		if (wait->stop(wait->arg))
			return -EINTR;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += CHANGE_WAIT_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!pthread_mutex_clocklock(&s->change, CLOCK_MONOTONIC, &until))
			break;
	}
	return 0;
}

/* `change` held. Its place in the list, or -1. */
static int find_given(const struct vm_swap *s, uint64_t dev, uint64_t ino)
{
	for (unsigned int i = 0; i < s->nr; i++)
		if (s->v[i].given && s->v[i].dev == dev && s->v[i].ino == ino)
			return (int)i;
	return -1;
}

/* `change` held. Below all that there is, and below zero. */
static int priority_below(const struct vm_swap *s)
{
	struct swap_area_info info;
	int lowest = SWAP_PRIORITY_DEFAULT;

	for (unsigned int i = 0; swap_get_nth(s->sys, i, &info); i++)
		if (info.priority < lowest)
			lowest = info.priority;
	return lowest - 1;
}

/* `change` held. */
static int open_given(struct vm_swap *s, const struct guest_swap_file *file)
{
	struct swap_spec *spec;
	struct errmsg why;
	unsigned int id;
	void *area;
	int rc;

	if (find_given(s, file->dev, file->ino) >= 0)
		return -EBUSY;
	if (s->nr == SWAP_SPECS_MAX)
		return -EPERM;
	spec = calloc(1, sizeof(*spec));
	if (!spec)
		return -ENOMEM;
	spec->kind = SWAP_FILE;
	spec->given = file;
	spec->priority = file->priority == SWAP_PRIORITY_DEFAULT ? priority_below(s)
								 : file->priority;
	rc = open_area(s, spec, &area, &why);
	if (!rc)
		enter(s, area, file, &id);
	free(spec);
	return rc;
}

static int guest_add(void *ctx, const struct guest_swap_file *file,
		     const struct guest_swap_wait *wait)
{
	struct vm_swap *s = ctx;
	int rc = change_wait(s, wait);

	if (rc)
		return rc;
	rc = open_given(s, file);
	pthread_mutex_unlock(&s->change);
	return rc;
}

static bool guest_stops(void *arg, uint64_t done, uint64_t total)
{
	const struct guest_swap_wait *wait = arg;

	(void)done;
	(void)total;
	return wait->stop(wait->arg);
}

static int guest_remove(void *ctx, uint64_t dev, uint64_t ino, const struct guest_swap_wait *wait)
{
	const struct swap_off_request req = { .progress = guest_stops, .arg = (void *)wait };
	struct vm_swap *s = ctx;
	int i, rc = change_wait(s, wait);

	if (rc)
		return rc;
	i = find_given(s, dev, ino);
	rc = i < 0 ? -EINVAL : swap_off(s->sys, s->v[i].area, &req);
	/* What is in use comes free some time: Linux waits for it, too. */
	while (rc == -EBUSY)
		rc = wait->stop(wait->arg) ? -EINTR : swap_off(s->sys, s->v[i].area, &req);
	if (!rc)
		leave(s, (unsigned int)i);
	pthread_mutex_unlock(&s->change);
	return rc;
}

const struct guest_swap_ops *vm_swap_guest_ops(void)
{
	static const struct guest_swap_ops ops = { .add = guest_add, .remove = guest_remove };

	return &ops;
}

/* ---- looking ------------------------------------------------------------------ */

void vm_swap_for_each(struct vm_swap *s, void (*fn)(void *arg, unsigned int id, void *area),
		      void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->nr; i++)
		fn(arg, s->v[i].id, s->v[i].area);
	pthread_mutex_unlock(&s->lock);
}

bool vm_swap_is_on(struct vm_swap *s)
{
	bool on;

	pthread_mutex_lock(&s->lock);
	on = s->nr;
	pthread_mutex_unlock(&s->lock);
	return on;
}
