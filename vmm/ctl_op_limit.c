/* SPDX-License-Identifier: MIT */
/* "limit": how much memory the guest may use, told or changed while it runs. */
#include <errno.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"
#include "vmm/size.h"

static uint64_t frames_present(const struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < host_nr_nodes(vm->host); i++)
		sum += host_node_get(vm->host, i)->nr;
	return sum;
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	return ctl_conn_progress(arg, done, total);
}

static int refuse_size(const struct vm *vm, struct errmsg *e)
{
	uint64_t least = (uint64_t)LIMIT_NODE_MIN * host_nr_nodes(vm->host);
	char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX];

	return errmsg_set(e, -EINVAL,
			  "the limit can be from %s to %s, which is what the guest was made with "
			  "(umm run --max-mem)",
			  size_format(least << UMM_PAGE_SHIFT, low),
			  size_format(frames_present(vm) << UMM_PAGE_SHIFT, high));
}

static int change(struct vm *vm, struct ctl_conn *conn, uint64_t frames, json_t *o,
		  struct errmsg *e)
{
	struct limit_request req = { .nr_frames = frames, .progress = on_progress, .arg = conn };
	uint64_t start = vm_now_ns(), before = vm_resident(vm);
	struct limit_result r;
	int rc = mm_limit_set(vm->sys, &req, &r);

	if (rc == -EINVAL)
		return refuse_size(vm, e);
	if (rc == -EAGAIN)
		return errmsg_set(e, rc,
				  "another change of the limit or of a node is under way; "
				  "try again");
	if (rc)
		return rc;
	json_set_count(o, "wanted_bytes", frames << UMM_PAGE_SHIFT);
	json_set_count(o, "reclaimed", r.reclaimed);
	json_set_count(o, "discarded", r.discarded);
	json_set_count(o, "no_swap", r.no_swap);
	json_set_count(o, "mlocked", r.mlocked);
	json_set_count(o, "pinned", r.pinned);
	json_object_set_new(o, "stopped", json_boolean(r.stopped));
	if (r.error)
		json_object_set_new(o, "error", json_string(strerror(-r.error)));
	json_set_count(o, "rss_before_bytes", before);
	json_set_count(o, "rss_after_bytes", vm_resident(vm));
	json_set_count(o, "ns_total", vm_now_ns() - start);
	return 0;
}

/* "bytes": change it; "max": to all there is; neither: tell it. */
int ctl_op_limit(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		 struct errmsg *e)
{
	uint64_t was = mm_limit(vm->sys), frames = frames_present(vm);
	int64_t bytes = -1;
	bool max = false;
	json_t *o;
	int rc = param_number(request, "bytes", 1, INT64_MAX - UMM_PAGE_SIZE, &bytes, e);

	if (!rc)
		rc = param_flag(request, "max", &max, e);
	if (rc)
		return rc;
	o = json_object();
	json_set_count(o, "max_bytes", frames << UMM_PAGE_SHIFT);
	json_set_count(o, "was_bytes", was << UMM_PAGE_SHIFT);
	if (!max && bytes >= 0)
		frames = page_align_up((uint64_t)bytes) >> UMM_PAGE_SHIFT;
	if (max || bytes >= 0)
		rc = change(vm, conn, frames, o, e);
	json_set_count(o, "limit_bytes", mm_limit(vm->sys) << UMM_PAGE_SHIFT);
	if (rc)
		json_decref(o);
	else
		*result = o;
	return rc;
}
