/* SPDX-License-Identifier: MIT */
/* "node": what the guest's nodes hold; taking one offline and back, compacting one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

/* Frames that stay on a node are told one by one up to so many. */
#define STAYS_TOLD 8

static const char *const state_names[] = {
	[MM_NODE_ONLINE] = "online",
	[MM_NODE_DRAINING] = "draining",
	[MM_NODE_OFFLINE] = "offline",
};

/* ---- what there is ------------------------------------------------------ */

static json_t *orders_json(const uint64_t *counts)
{
	json_t *list = json_array();

	for (unsigned int o = 0; o <= UMM_MAX_ORDER; o++)
		json_array_append_new(list, json_integer((json_int_t)counts[o]));
	return list;
}

static json_t *distances_json(const struct vm *vm, unsigned int node)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < host_nr_nodes(vm->host); i++)
		json_array_append_new(list, json_integer(host_mm_ops()->node_distance(
						    vm->host, (int)node, (int)i)));
	return list;
}

static int area_add(const struct vma_report *r, void *arg)
{
	uint64_t *on_node = arg;

	for (unsigned int i = 0; i < UMM_MAX_NODES; i++)
		on_node[i] += r->usage.on_node[i];
	if (r->mapping)
		mapping_put(r->mapping);
	return 0;
}

/* Adds the process to the list of each node that it maps something on. */
static int process_add(const struct vm *vm, const struct proc_note *n, json_t *nodes)
{
	uint64_t on_node[UMM_MAX_NODES] = { 0 };
	json_t *list;

	if (!n->mm)
		return 0;
	mm_for_each_vma(n->mm, true, area_add, on_node);
	for (unsigned int i = 0; i < host_nr_nodes(vm->host); i++) {
		list = json_object_get(json_array_get(nodes, i), "processes");
		if (on_node[i] &&
		    json_array_append_new(list, json_pack("{s:i, s:o, s:I}", "pid", n->pid, "name",
							  json_text(n->comm, strlen(n->comm)),
							  "pages", (json_int_t)on_node[i])))
			return -ENOMEM;
	}
	return 0;
}

static json_t *node_json(const struct vm *vm, unsigned int node)
{
	struct mm_node_info info;
	struct node_blocks blocks;
	json_t *o;

	mm_sys_node_info(vm->sys, (int)node, &info);
	mm_node_blocks(vm->sys, (int)node, &blocks);
	o = json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:[]}", "node", (int)node, "host_node",
		      host_node_get(vm->host, node)->host_node, "state", state_names[info.state],
		      "distances", distances_json(vm, node), "free_blocks",
		      orders_json(blocks.free), "folios", orders_json(blocks.folios), "processes");
	json_set_count(o, "frames", info.present);
	json_set_count(o, "free", info.free);
	json_set_count(o, "used", info.nr_frames - info.free);
	json_set_count(o, "anon", info.anon);
	json_set_count(o, "file", info.file);
	json_set_count(o, "shmem", info.shmem);
	json_set_count(o, "mlocked", info.mlocked);
	json_set_count(o, "rss_bytes", vm_node_resident(vm, node));
	return o;
}

static int show_nodes(struct vm *vm, json_t **result)
{
	json_t *nodes = json_array();
	struct proc_note *notes;
	unsigned int nr, i;
	int rc;

	rc = proc_notes_take(vm, &notes, &nr);
	if (rc) {
		json_decref(nodes);
		return rc;
	}
	for (i = 0; i < host_nr_nodes(vm->host); i++)
		json_array_append_new(nodes, node_json(vm, i));
	for (i = 0; !rc && i < nr; i++)
		rc = process_add(vm, &notes[i], nodes);
	proc_notes_free(notes, nr);
	*result = json_pack("{s:o, s:I, s:b}", "nodes", nodes, "page_tables",
			    (json_int_t)mm_sys_objects(vm->sys, OBJ_TABLE), "simulated_nodes",
			    host_kind_get(vm->host)->simulated_nodes);
	return rc;
}

/* ---- changes -------------------------------------------------------------- */

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	return ctl_conn_progress(arg, done, total);
}

/* The first frames that are still in use on a node, and who maps them. */
static json_t *stays_json(const struct vm *vm, unsigned int node)
{
	const struct host_node *n = host_node_get(vm->host, node);
	json_t *list = json_array(), *o;
	struct rmap_entry entry;
	struct frame_info info;
	unsigned int nr;

	for (uint64_t i = 0; i < n->nr && json_array_size(list) < STAYS_TOLD; i++) {
		if (mm_query_frame(vm->sys, pfn_add(n->base, i), &info, &entry, 1, &nr) ||
		    info.free)
			continue;
		o = json_pack("{s:I, s:i, s:s}", "pfn", (json_int_t)info.pfn.v, "pins",
			      info.pincount, "kind",
			      info.anon   ? "anon"
			      : info.file ? "file"
					  : "other");
		if (nr) {
			json_object_set_new(o, "pid", json_integer(entry.mm_id));
			json_object_set_new(o, "address", json_hex(entry.addr.v));
		}
		json_array_append_new(list, o);
	}
	return list;
}

static int take_offline(struct vm *vm, const struct node_request *req, json_t **result,
			struct errmsg *e)
{
	struct node_offline_result r;
	int rc = mm_node_offline(vm->sys, req, &r);

	if (rc == -EBUSY)
		return errmsg_set(e, rc,
				  "node %d is the last one that is online; bring another online "
				  "first",
				  req->node);
	if (rc)
		return rc;
	*result = json_pack("{s:s, s:b}", "state", state_names[r.state], "stopped", r.stopped);
	json_set_count(*result, "used_before", r.used_before);
	json_set_count(*result, "used_after", r.used_after);
	json_set_count(*result, "moved", r.moved);
	json_set_count(*result, "reclaimed", r.reclaimed);
	json_set_count(*result, "pinned", r.pinned);
	json_set_count(*result, "busy", r.busy);
	json_set_count(*result, "no_memory", r.no_memory);
	json_set_count(*result, "failed", r.failed);
	json_set_count(*result, "given_back_bytes", r.discarded * UMM_PAGE_SIZE);
	if (r.state == MM_NODE_DRAINING)
		json_object_set_new(*result, "stays", stays_json(vm, (unsigned int)req->node));
	return 0;
}

static int bring_online(struct vm *vm, const struct node_request *req, json_t **result,
			struct errmsg *e)
{
	int rc = mm_node_online(vm->sys, req->node);

	(void)e;
	if (!rc)
		*result = json_pack("{s:s}", "state", state_names[MM_NODE_ONLINE]);
	return rc;
}

static int compact(struct vm *vm, const struct node_request *req, json_t **result, struct errmsg *e)
{
	struct node_compact_result r;
	int rc = mm_node_compact(vm->sys, req, &r);

	if (rc == -ENODEV)
		return errmsg_set(e, rc, "node %d is not online", req->node);
	if (rc)
		return rc;
	*result = json_pack("{s:b}", "stopped", r.stopped);
	json_set_count(*result, "free_before", r.free_before);
	json_set_count(*result, "free_after", r.free_after);
	json_set_count(*result, "huge_before", r.huge_before);
	json_set_count(*result, "huge_after", r.huge_after);
	json_set_count(*result, "moved", r.moved);
	json_set_count(*result, "pinned", r.pinned);
	json_set_count(*result, "busy", r.busy);
	json_set_count(*result, "failed", r.failed);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct vm *vm, const struct node_request *req, json_t **result, struct errmsg *e);
} actions[] = {
	{ "offline", take_offline },
	{ "online", bring_online },
	{ "compact", compact },
};

static int change_node(struct vm *vm, const char *action, const struct node_request *req,
		       json_t **result, struct errmsg *e)
{
	uint64_t start = vm_now_ns();
	int rc = -ENOSYS;

	errmsg_set(e, rc, "\"action\" must be offline, online or compact");
	for (unsigned int i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(action, actions[i].name))
			continue;
		e->text[0] = 0;
		rc = actions[i].fn(vm, req, result, e);
	}
	if (rc == -EAGAIN)
		return errmsg_set(e, rc, "another change of a node is under way; try again");
	if (rc)
		return rc;
	json_object_set_new(*result, "action", json_string(action));
	json_set_count(*result, "node", (uint64_t)req->node);
	json_set_count(*result, "ns_total", vm_now_ns() - start);
	return 0;
}

/* Without "action": what there is. */
int ctl_op_node(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	struct node_request req = { .node = -1, .progress = on_progress, .arg = conn };
	const json_t *action = json_object_get(request, "action");
	int64_t tries = 0;
	int rc;

	if (!action)
		return show_nodes(vm, result);
	if (!json_is_string(action))
		return errmsg_set(e, -EINVAL, "\"action\" must be offline, online or compact");
	rc = param_node(vm, request, "node", &req.node, e);
	if (!rc && req.node < 0)
		rc = errmsg_set(e, -EINVAL, "\"node\" is missing: which one?");
	if (!rc)
		rc = param_number(request, "tries", 1, 1000, &tries, e);
	req.tries = (unsigned int)tries;
	return rc ? rc : change_node(vm, json_string_value(action), &req, result, e);
}
