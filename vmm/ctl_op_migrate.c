/* SPDX-License-Identifier: MIT */
/* "migrate": moving a guest's memory to another of its nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"
#include "vmm/page_list.h"
#include "vmm/pace.h"

/* So long at most between two looks at whether the client wants to stop. */
#define NAP_NS 20000000ull

struct job {
	struct vm *vm;
	struct ctl_conn *conn;
	struct migrate_request req;
	struct migrate_result res;
	struct pacer pacer;
	uint64_t rate, *pages;       /* pages: what req.pages is, to be freed */
	unsigned int gentle_percent; /* 0: the usual */
	bool verify, gentle;
	/* gentle: since the last rest. */
	struct host_counters counters;
	uint64_t woke_ns, moved, folios, ns_rested;
};

static bool nap(struct job *job, uint64_t ns, uint64_t done, uint64_t total)
{
	uint64_t now = vm_now_ns(), until = now + ns, left;

	for (; now < until; now = vm_now_ns()) {
		left = until - now < NAP_NS ? until - now : NAP_NS;
		nanosleep(&(struct timespec){ .tv_nsec = (long)left }, NULL);
		if (ctl_conn_progress(job->conn, done, total))
			return true;
	}
	return false;
}

static uint64_t frames_in_use(const struct vm *vm)
{
	struct mm_node_info info;
	uint64_t used = 0;

	for (unsigned int i = 0; i < host_nr_nodes(vm->host); i++) {
		mm_sys_node_info(vm->sys, (int)i, &info);
		used += info.nr_frames - info.free;
	}
	return used;
}

/* A guest that does not run has nothing to lose. */
static uint64_t gentle_rest(struct job *job)
{
	struct host_counters now;
	struct pace_cost cost = {
		.ns = vm_now_ns() - job->woke_ns,
		.folios = job->res.folios - job->folios,
		.guest_frames = frames_in_use(job->vm),
		.percent = job->gentle_percent,
	};
	bool runs;

	host_counters_read(job->vm->host, &now);
	cost.flushes = now.table_flushes - job->counters.table_flushes;
	runs = now.in_guest || now.exits != job->counters.exits;
	job->counters = now;
	job->moved = job->res.moved;
	job->folios = job->res.folios;
	return runs ? pace_gentle_rest(&cost) : 0;
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct job *job = arg;
	uint64_t wait = pacer_wait(&job->pacer, job->res.moved * UMM_PAGE_SIZE, vm_now_ns());
	bool stop;

	if (job->gentle && job->res.moved != job->moved)
		wait = gentle_rest(job);
	if (ctl_conn_progress(job->conn, done, total))
		return true;
	stop = wait && nap(job, wait, done, total);
	job->ns_rested += wait;
	job->woke_ns = vm_now_ns();
	return stop;
}

/* Frames of all guest nodes by whether the host has them where the guest thinks. */
static json_t *verify_json(const struct vm *vm)
{
	uint64_t on_host[UMM_MAX_NODES], absent, all_absent = 0, match = 0, other = 0;
	unsigned int node, i;
	int home;

	for (node = 0; node < host_nr_nodes(vm->host); node++) {
		home = host_node_get(vm->host, node)->host_node;
		vm_node_physical(vm, node, on_host, &absent);
		all_absent += absent;
		for (i = 0; i < UMM_MAX_NODES; i++)
			*((int)i == home ? &match : &other) += on_host[i];
	}
	return json_pack("{s:I, s:I, s:I}", "on_their_host_node", (json_int_t)match, "elsewhere",
			 (json_int_t)other, "absent", (json_int_t)all_absent);
}

void json_set_migrated(json_t *o, const struct migrate_result *r)
{
	json_set_count(o, "total", r->total);
	json_set_count(o, "moved", r->moved);
	json_set_count(o, "would_move", r->would_move);
	json_set_count(o, "already_there", r->already_there);
	json_set_count(o, "shared", r->shared);
	json_set_count(o, "pinned", r->pinned);
	json_set_count(o, "busy", r->busy);
	json_set_count(o, "no_memory", r->no_memory);
	json_set_count(o, "failed", r->failed);
	json_set_count(o, "left", r->left);
	json_set_count(o, "gone", r->gone);
	json_set_count(o, "ns_find", r->ns_find);
	json_set_count(o, "ns_alloc", r->ns_alloc);
	json_set_count(o, "ns_unmap", r->ns_unmap);
	json_set_count(o, "ns_flush", r->ns_flush);
	json_set_count(o, "ns_zap", r->ns_zap);
	json_set_count(o, "ns_copy", r->ns_copy);
	json_set_count(o, "ns_restore", r->ns_restore);
	json_set_count(o, "ns_window", r->ns_window);
	json_set_count(o, "ns_bare", r->ns_bare);
	json_set_count(o, "ns_walk", r->ns_walk);
	json_set_count(o, "mappings", r->mappings);
	json_set_count(o, "batches", r->batches);
	json_set_count(o, "early", r->early);
	json_set_count(o, "stale", r->stale);
	json_set_count(o, "late", r->late);
	json_object_set_new(o, "stopped", json_boolean(r->stopped));
}

static json_t *migrate_json(const struct job *job, uint64_t ns)
{
	json_t *o = json_object();

	json_set_migrated(o, &job->res);
	/* The bare copies, and keeping the sources for them, are no part of the moves. */
	json_set_count(o, "ns_total", ns - job->res.ns_bare - job->res.ns_aside - job->res.ns_walk);
	json_set_count(o, "to", (uint64_t)job->req.to);
	json_set_count(o, "tries", job->req.tries);
	if (job->req.pages)
		json_set_count(o, "absent", job->res.absent);
	if (job->req.give_back)
		json_set_count(o, "given_back_bytes", job->res.discarded * UMM_PAGE_SIZE);
	if (job->rate)
		json_set_count(o, "rate_bytes", job->rate);
	json_set_count(o, "ns_rested", job->ns_rested);
	json_object_set_new(o, "dry_run", json_boolean(job->req.dry_run));
	json_object_set_new(o, "simulated_nodes",
			    json_boolean(host_kind_get(job->vm->host)->simulated_nodes));
	if (job->verify)
		json_object_set_new(o, "verify", verify_json(job->vm));
	return o;
}

/* ---- the request -------------------------------------------------------- */

static int parse_nodes(struct job *job, const json_t *request, struct errmsg *e)
{
	struct migrate_request *req = &job->req;
	int from = -1, rc;

	req->to = -1;
	rc = param_node(job->vm, request, "to", &req->to, e);
	if (!rc && req->to < 0)
		rc = errmsg_set(e, -EINVAL, "\"to\" is missing: which node?");
	if (!rc)
		rc = param_node(job->vm, request, "from", &from, e);
	if (!rc && from == req->to)
		rc = errmsg_set(e, -EINVAL, "from node %d to node %d moves nothing", from, req->to);
	if (!rc && from >= 0)
		req->from_mask = 1ull << from;
	return rc;
}

static int parse_page(const json_t *v, bool address, uint64_t *out)
{
	if (address)
		return json_hex_get(v, out);
	*out = (uint64_t)json_integer_value(v);
	return json_is_integer(v) && json_integer_value(v) >= 0 ? 0 : -EINVAL;
}

/* "pages": addresses of "pid" as strings, or without it frame numbers. */
static int parse_pages(struct job *job, const json_t *request, struct errmsg *e)
{
	const json_t *list = json_object_get(request, "pages"), *v;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > PAGE_LIST_MAX)
		return errmsg_set(e, -EINVAL, "\"pages\" must be a list of at most %u pages",
				  PAGE_LIST_MAX);
	if (job->req.end.v)
		return errmsg_set(e, -EINVAL, "either a list of pages or a range, not both");
	job->pages = calloc(json_array_size(list) + 1, sizeof(*job->pages));
	if (!job->pages)
		return errmsg_set(e, -ENOMEM, "no memory for the list of pages");
	json_array_foreach(list, i, v)
	{
		if (parse_page(v, job->req.mm, &job->pages[i]))
			return errmsg_set(e, -EINVAL, "page %zu of the list is no %s", i + 1,
					  job->req.mm ? "address such as \"0x7f00\""
						      : "frame number");
	}
	job->req.pages = job->pages;
	job->req.nr_pages = json_array_size(list);
	return 0;
}

static int parse_how(struct job *job, const json_t *request, struct errmsg *e)
{
	int64_t rate = 0, percent = 0, tries = MIGRATE_DEFAULT_TRIES, gentle = 0;
	int rc;

	rc = param_number(request, "rate_bytes", 1, INT64_MAX, &rate, e);
	if (!rc)
		rc = param_number(request, "percent", 1, 100, &percent, e);
	if (!rc)
		rc = param_number(request, "tries", 1, 1000, &tries, e);
	if (!rc)
		rc = param_flag(request, "dry_run", &job->req.dry_run, e);
	if (!rc)
		rc = param_flag(request, "give_back", &job->req.give_back, e);
	if (!rc)
		rc = param_flag(request, "verify", &job->verify, e);
	if (!rc)
		rc = param_flag(request, "gentle", &job->gentle, e);
	if (!rc)
		rc = param_number(request, "gentle_percent", 1, PACE_PERCENT_MAX, &gentle, e);
	job->gentle |= gentle != 0;
	job->gentle_percent = (unsigned int)gentle;
	if (!rc && job->gentle && rate)
		rc = errmsg_set(e, -EINVAL, "either \"gentle\" or \"rate_bytes\", not both");
	job->rate = (uint64_t)rate;
	job->req.percent = (unsigned int)percent;
	job->req.tries = (unsigned int)tries;
	return rc;
}

/* The engine's way of moving, which is for measurements. */
static int parse_way(struct job *job, const json_t *request, struct errmsg *e)
{
	static const char *const modes[] = {
		[MIGRATE_AUTO] = "auto",
		[MIGRATE_STOP] = "stop",
		[MIGRATE_OPTIMISTIC] = "optimistic",
	};
	const char *mode = json_string_value(json_object_get(request, "mode"));
	int64_t batch = 0, threads = 0;
	int rc;

	for (unsigned int i = 0; mode && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(mode, modes[i]))
			continue;
		job->req.mode = (enum migrate_mode)i;
		mode = NULL;
	}
	if (mode)
		return errmsg_set(e, -EINVAL, "\"mode\" must be auto, stop or optimistic");
	rc = param_number(request, "batch", 1, 512, &batch, e);
	if (!rc)
		rc = param_number(request, "copy_threads", 1, 2, &threads, e);
	if (!rc)
		rc = param_flag(request, "time_copy", &job->req.time_copy, e);
	if (!rc)
		rc = param_flag(request, "time_walk", &job->req.time_walk, e);
	if (rc)
		return rc;
	job->req.batch = (unsigned int)batch;
	job->req.threads = (unsigned int)threads;
	host_set_copy_threads(job->vm->host, (unsigned int)threads);
	return 0;
}

static int job_parse(struct job *job, const json_t *request, struct errmsg *e)
{
	struct migrate_request *req = &job->req;
	int rc;

	rc = parse_nodes(job, request, e);
	if (!rc)
		rc = param_flag(request, "shared", &req->move_shared, e);
	if (!rc)
		rc = param_mm(job->vm, request, &req->mm, e);
	if (!rc)
		rc = param_range(request, req->mm, &req->start, &req->end, e);
	if (!rc)
		rc = parse_pages(job, request, e);
	if (!rc)
		rc = parse_how(job, request, e);
	if (!rc)
		rc = parse_way(job, request, e);
	return rc;
}

int ctl_op_migrate(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e)
{
	struct job job = { .vm = vm, .conn = conn };
	uint64_t start;
	int rc;

	rc = job_parse(&job, request, e);
	if (rc)
		goto out;
	start = vm_now_ns();
	pacer_start(&job.pacer, job.rate, start);
	host_counters_read(vm->host, &job.counters);
	job.woke_ns = start;
	if (job.rate && (!job.req.batch || job.req.batch > pacer_piece(&job.pacer)))
		job.req.batch = pacer_piece(&job.pacer);
	job.req.progress = on_progress;
	job.req.arg = &job;
	rc = mm_migrate(vm->sys, &job.req, &job.res);
	if (rc == -ENODEV)
		errmsg_set(e, rc, "node %d is not online (umm node)", job.req.to);
	else if (rc)
		errmsg_set(e, rc, "the migration ended after %lu frames: %s", job.res.moved,
			   strerror(-rc));
	else
		*result = migrate_json(&job, vm_now_ns() - start);
out:
	free(job.pages);
	if (job.req.mm)
		mm_put(job.req.mm);
	return rc;
}
