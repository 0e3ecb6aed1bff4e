/* SPDX-License-Identifier: MIT */
/* "migrate" and "reclaim": what changes where a guest's memory is. */
#include <errno.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_ops.h"

static bool report_progress(void *arg, uint64_t done, uint64_t total)
{
	return ctl_conn_progress(arg, done, total);
}

static void set_count(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

/* ---- migrate ------------------------------------------------------------ */

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

static json_t *migrate_json(const struct migrate_result *r, uint64_t ns)
{
	json_t *o = json_object();

	set_count(o, "total", r->total);
	set_count(o, "moved", r->moved);
	set_count(o, "already_there", r->already_there);
	set_count(o, "pinned", r->pinned);
	set_count(o, "shared", r->shared);
	set_count(o, "no_memory", r->no_memory);
	set_count(o, "busy", r->busy);
	set_count(o, "failed", r->failed);
	set_count(o, "ns_alloc", r->ns_alloc);
	set_count(o, "ns_unmap", r->ns_unmap);
	set_count(o, "ns_zap", r->ns_zap);
	set_count(o, "ns_copy", r->ns_copy);
	set_count(o, "ns_restore", r->ns_restore);
	set_count(o, "ns_window", r->ns_window);
	set_count(o, "ns_bare", r->ns_bare);
	set_count(o, "batches", r->batches);
	set_count(o, "early", r->early);
	set_count(o, "stale", r->stale);
	set_count(o, "late", r->late);
	/* The bare copies, and the target's memory kept for them, are no part of the moves. */
	set_count(o, "ns_total", ns - r->ns_bare);
	return o;
}

/* How to move, as opposed to what; the guest keeps nothing of it. */
static int migrate_parse_way(struct vm *vm, const json_t *request, struct migrate_request *req,
			     struct errmsg *e)
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
		req->mode = (enum migrate_mode)i;
		mode = NULL;
	}
	if (mode)
		return errmsg_set(e, -EINVAL, "\"mode\" must be auto, stop or optimistic");
	rc = param_number(request, "batch", 1, 512, &batch, e);
	if (!rc)
		rc = param_number(request, "copy_threads", 1, 2, &threads, e);
	if (!rc)
		rc = param_flag(request, "time_copy", &req->time_copy, e);
	if (rc)
		return rc;
	req->batch = (unsigned int)batch;
	host_set_copy_threads(vm->host, (unsigned int)threads);
	return 0;
}

static int migrate_parse(struct vm *vm, const json_t *request, struct migrate_request *req,
			 bool *verify, struct errmsg *e)
{
	int from = -1, rc;

	req->to = -1;
	rc = param_node(vm, request, "to", &req->to, e);
	if (!rc && req->to < 0)
		rc = errmsg_set(e, -EINVAL, "\"to\" is missing: which node?");
	if (!rc)
		rc = param_node(vm, request, "from", &from, e);
	if (!rc && from == req->to)
		rc = errmsg_set(e, -EINVAL, "from node %d to node %d moves nothing", from, req->to);
	if (!rc && from >= 0)
		req->from_mask = 1ull << from;
	if (!rc)
		rc = param_flag(request, "shared", &req->move_shared, e);
	if (!rc)
		rc = param_flag(request, "verify", verify, e);
	if (!rc)
		rc = migrate_parse_way(vm, request, req, e);
	if (!rc)
		rc = param_mm(vm, request, &req->mm, e);
	if (!rc)
		rc = param_range(request, req->mm, &req->start, &req->end, e);
	return rc;
}

int ctl_op_migrate(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e)
{
	struct migrate_request req = { .progress = report_progress, .arg = conn };
	struct migrate_result res;
	bool verify = false;
	uint64_t start;
	int rc;

	rc = migrate_parse(vm, request, &req, &verify, e);
	if (rc)
		goto out;
	memset(&res, 0, sizeof(res));
	start = vm_now_ns();
	rc = mm_migrate(vm->sys, &req, &res);
	if (rc) {
		errmsg_set(e, rc, "the migration stopped after %lu frames: %s", res.moved,
			   strerror(-rc));
		goto out;
	}
	*result = migrate_json(&res, vm_now_ns() - start);
	set_count(*result, "to", (uint64_t)req.to);
	json_object_set_new(*result, "simulated_nodes",
			    json_boolean(host_kind_get(vm->host)->simulated_nodes));
	if (verify)
		json_object_set_new(*result, "verify", verify_json(vm));
out:
	if (req.mm)
		mm_put(req.mm);
	return rc;
}

/* ---- reclaim ------------------------------------------------------------ */

static void result_add(struct reclaim_result *sum, const struct reclaim_result *r)
{
	sum->scanned += r->scanned;
	sum->freed += r->freed;
	sum->swapped += r->swapped;
	sum->written += r->written;
	sum->zero += r->zero;
	/* Why folios stayed: what the last pass says holds. */
	sum->referenced = r->referenced;
	sum->mlocked = r->mlocked;
	sum->pinned = r->pinned;
	sum->busy = r->busy;
	sum->no_swap = r->no_swap;
	sum->io_error = r->io_error;
}

/*
 * First what has not been used lately; if that is not enough, or everything is
 * asked for, then whatever can go.
 */
static int reclaim_run(struct vm *vm, struct reclaim_request *req, struct reclaim_result *sum)
{
	uint64_t wanted = req->nr_frames;
	struct reclaim_result r;
	int rc = 0, pass;

	for (pass = wanted == UINT64_MAX; pass < 2 && !rc && sum->freed < wanted; pass++) {
		req->ignore_references = pass;
		req->nr_frames = wanted == UINT64_MAX ? wanted : wanted - sum->freed;
		memset(&r, 0, sizeof(r));
		rc = mm_reclaim(vm->sys, req, &r);
		result_add(sum, &r);
	}
	return rc;
}

static json_t *reclaim_json(const struct reclaim_result *r, uint64_t ns)
{
	json_t *o = json_object();

	set_count(o, "scanned", r->scanned);
	set_count(o, "freed", r->freed);
	set_count(o, "swapped", r->swapped);
	set_count(o, "written", r->written);
	set_count(o, "zero", r->zero);
	set_count(o, "referenced", r->referenced);
	set_count(o, "mlocked", r->mlocked);
	set_count(o, "pinned", r->pinned);
	set_count(o, "busy", r->busy);
	set_count(o, "no_swap", r->no_swap);
	set_count(o, "io_error", r->io_error);
	set_count(o, "ns_total", ns);
	return o;
}

static int reclaim_parse(struct vm *vm, const json_t *request, struct reclaim_request *req,
			 struct errmsg *e)
{
	int64_t bytes = -1;
	int rc;

	rc = param_number(request, "bytes", 1, INT64_MAX, &bytes, e);
	if (!rc)
		rc = param_node(vm, request, "node", &req->node, e);
	if (!rc)
		rc = param_mm(vm, request, &req->mm, e);
	if (!rc)
		rc = param_range(request, req->mm, &req->start, &req->end, e);
	req->nr_frames = bytes < 0 ? UINT64_MAX : page_align_up((uint64_t)bytes) >> UMM_PAGE_SHIFT;
	return rc;
}

/* "bytes" missing: all. An I/O error is told beside what was freed. */
int ctl_op_reclaim(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e)
{
	struct reclaim_request req = { .node = -1, .discard = true };
	struct reclaim_result sum;
	uint64_t start, ns, before;
	int rc;

	(void)conn;
	rc = reclaim_parse(vm, request, &req, e);
	if (rc)
		goto out;
	memset(&sum, 0, sizeof(sum));
	before = vm_resident(vm);
	start = vm_now_ns();
	rc = reclaim_run(vm, &req, &sum);
	ns = vm_now_ns() - start;
	*result = reclaim_json(&sum, ns);
	if (rc)
		json_object_set_new(*result, "error", json_string(strerror(-rc)));
	json_object_set_new(*result, "has_swap", json_boolean(vm->swap_area != NULL));
	set_count(*result, "rss_before_bytes", before);
	set_count(*result, "rss_after_bytes", vm_resident(vm));
	rc = 0;
out:
	if (req.mm)
		mm_put(req.mm);
	return rc;
}
