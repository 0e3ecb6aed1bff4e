/* SPDX-License-Identifier: MIT */
/* "reclaim": paging a guest's memory out. */
#include <errno.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

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

	json_set_count(o, "scanned", r->scanned);
	json_set_count(o, "freed", r->freed);
	json_set_count(o, "swapped", r->swapped);
	json_set_count(o, "written", r->written);
	json_set_count(o, "zero", r->zero);
	json_set_count(o, "referenced", r->referenced);
	json_set_count(o, "mlocked", r->mlocked);
	json_set_count(o, "pinned", r->pinned);
	json_set_count(o, "busy", r->busy);
	json_set_count(o, "no_swap", r->no_swap);
	json_set_count(o, "io_error", r->io_error);
	json_set_count(o, "ns_total", ns);
	return o;
}

/* "mechanism": "unmap", as without it, or "hole". */
static int parse_mechanism(struct vm *vm, const json_t *request, struct reclaim_request *req,
			   struct errmsg *e)
{
	const json_t *o = json_object_get(request, "mechanism");
	const char *name = o ? json_string_value(o) : "unmap";

	if (name && !strcmp(name, "unmap"))
		return 0;
	if (!name || strcmp(name, "hole"))
		return errmsg_set(e, -EINVAL, "mechanism: \"unmap\" or \"hole\"");
	if (!host_holes(vm->host))
		return errmsg_set(e, -ENOTSUP,
				  "mechanism: the guest cannot have holes; start it with "
				  "umm run --holes AREA");
	req->holes = true;
	return 0;
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
	if (!rc)
		rc = parse_mechanism(vm, request, req, e);
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
	json_object_set_new(*result, "has_swap", json_boolean(vm_swap_is_on(&vm->swap)));
	json_object_set_new(*result, "mechanism", json_string(req.holes ? "hole" : "unmap"));
	json_set_count(*result, "rss_before_bytes", before);
	json_set_count(*result, "rss_after_bytes", vm_resident(vm));
	rc = 0;
out:
	if (req.mm)
		mm_put(req.mm);
	return rc;
}
