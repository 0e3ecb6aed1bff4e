/* SPDX-License-Identifier: MIT */
#include "vmm/vm_swap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	swap_set_name(s->sys, *area, report.name);
	return 0;
}

static void enter(struct vm_swap *s, void *area, unsigned int *id)
{
	pthread_mutex_lock(&s->lock);
	*id = s->next_id++;
	s->v[s->nr].id = *id;
	s->v[s->nr].area = area;
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
		enter(s, area, id);
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
