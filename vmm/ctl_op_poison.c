/* SPDX-License-Identifier: MIT */
/* "poison": a frame fails; who mapped it is told as Linux would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umm/poison.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

/* A page that more processes map than this has them all poisoned, and this many told. */
#define MAX_MAPPERS 4096u

static const char *outcome_name(enum poison_outcome o)
{
	static const char *const names[] = {
		[POISON_READ_AGAIN] = "read again",
		[POISON_LOST] = "lost",
		[POISON_IN_CACHE] = "lost, kept in its cache",
	};

	return names[o];
}

static json_t *mappers_json(struct vm *vm, const struct poison_mapper *m,
			    const struct poison_result *r)
{
	unsigned int nr = r->nr_mappers < MAX_MAPPERS ? r->nr_mappers : MAX_MAPPERS, i;
	json_t *list = json_array();

	for (i = 0; i < nr; i++) {
		const char *told = "no signal";

		/* What is dirty in a cache is met there: nobody is told early of that either. */
		if (r->outcome == POISON_LOST)
			told = guest_memory_failure(vm->guest, m[i].mm_id, m[i].addr)
				       ? "SIGBUS now, BUS_MCEERR_AO"
				       : "SIGBUS when touched, BUS_MCEERR_AR";
		else if (r->outcome == POISON_IN_CACHE)
			told = "SIGBUS when touched, BUS_MCEERR_AR";
		json_array_append_new(list,
				      json_pack("{s:i, s:o, s:s}", "pid", m[i].mm_id, "address",
						json_hex(m[i].addr.v), "signal", told));
	}
	return list;
}

static int say_why_not(int rc, pfn_t pfn, struct errmsg *e)
{
	switch (rc) {
	case -EINVAL:
		return errmsg_set(e, rc, "no node of the guest has a frame %lu", pfn.v);
	case -ENOENT:
		return errmsg_set(e, rc, "frame %lu is free: nothing would notice", pfn.v);
	case -EHWPOISON:
		return errmsg_set(e, rc, "frame %lu has failed already", pfn.v);
	case -EBUSY:
		return errmsg_set(e, rc, "frame %lu is in use by umm itself just now; try again",
				  pfn.v);
	default:
		return errmsg_set(e, rc, "frame %lu: %s", pfn.v, strerror(-rc));
	}
}

int ctl_op_poison(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		  struct errmsg *e)
{
	struct poison_mapper *mappers;
	struct poison_result r;
	bool absent = false;
	uint64_t entry = 0;
	pfn_t pfn;
	int rc;

	(void)conn;
	rc = ctl_find_frame(vm, request, &pfn, &entry, &absent, e);
	if (rc)
		return rc;
	if (absent)
		return errmsg_set(e, -ENOENT,
				  "no frame is there: the page was not touched yet, "
				  "is in swap, or is poisoned");
	mappers = calloc(MAX_MAPPERS, sizeof(*mappers));
	if (!mappers)
		return errmsg_set(e, -ENOMEM, "no memory for an answer");
	rc = mm_poison(vm->sys, pfn, mappers, MAX_MAPPERS, &r);
	if (rc)
		say_why_not(rc, pfn, e);
	else
		*result = json_pack("{s:I, s:s, s:s, s:o}", "pfn", (json_int_t)pfn.v, "kind",
				    r.ksm    ? "ksm"
				    : r.anon ? "anon"
					     : "file",
				    "content", outcome_name(r.outcome), "mappers",
				    mappers_json(vm, mappers, &r));
	free(mappers);
	return rc;
}
