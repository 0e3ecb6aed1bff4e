/* SPDX-License-Identifier: MIT */
/* "maps": the areas of one process, or of all. */
#include <errno.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"
#include "vmm/ctl_physical.h"

/* What is asked of each process. */
struct maps_question {
	gva_t start, end; /* only areas that overlap this range; 0, 0: all */
	bool physical;    /* count host nodes too */
};

struct maps_arg {
	const struct vm *vm;
	const struct maps_question *question;
	const struct mm *mm;
	json_t *areas;
};

static const char *area_name(const struct maps_arg *a, const struct vma_report *r)
{
	const struct mm *mm = a->mm;
	const char *path;

	if (r->mapping) {
		path = r->mapping->ops ? mapping_path(r->mapping) : NULL;
		return path ? path : "[shared]";
	}
	if (r->start.v <= mm->start_stack.v && r->end.v > mm->start_stack.v)
		return "[stack]";
	if (r->start.v < mm->brk.v && r->end.v > mm->start_brk.v)
		return "[heap]";
	return "";
}

static json_t *usage_json(const struct maps_arg *a, const struct vma_usage *u)
{
	json_t *nodes = json_array();
	unsigned int i;

	for (i = 0; i < host_nr_nodes(a->vm->host); i++)
		json_array_append_new(nodes, json_integer((json_int_t)u->on_node[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "rss",
			 (json_int_t)u->rss, "pss_bytes", (json_int_t)u->pss_x4096, "shared_clean",
			 (json_int_t)u->shared_clean, "shared_dirty", (json_int_t)u->shared_dirty,
			 "private_clean", (json_int_t)u->private_clean, "private_dirty",
			 (json_int_t)u->private_dirty, "referenced", (json_int_t)u->referenced,
			 "anonymous", (json_int_t)u->anonymous, "lazyfree", (json_int_t)u->lazyfree,
			 "swap", (json_int_t)u->swap, "locked", (json_int_t)u->locked, "on_node",
			 nodes);
}

static int area_add(const struct vma_report *r, void *arg)
{
	struct maps_arg *a = arg;
	const struct maps_question *q = a->question;
	const char *name = area_name(a, r);
	char flags[5];
	json_t *o;

	if (q->end.v && (r->end.v <= q->start.v || r->start.v >= q->end.v)) {
		if (r->mapping)
			mapping_put(r->mapping);
		return 0;
	}
	o = usage_json(a, &r->usage);
	vma_flags_text(r->flags, flags);
	if (o) {
		json_object_set_new(o, "start", json_hex(r->start.v));
		json_object_set_new(o, "end", json_hex(r->end.v));
		json_object_set_new(o, "flags", json_string(flags));
		json_object_set_new(o, "vm_flags", json_hex(r->flags));
		json_object_set_new(o, "pgoff", json_integer((json_int_t)r->pgoff.v));
		json_object_set_new(o, "file", json_boolean(r->mapping && r->mapping->ops));
		json_object_set_new(o, "has_anon_vma", json_boolean(r->has_anon_vma));
		json_object_set_new(o, "name", json_text(name, strlen(name)));
	}
	if (r->mapping)
		mapping_put(r->mapping);
	return json_array_append_new(a->areas, o) ? -ENOMEM : 0;
}

/* After the areas were listed, as their lock must be free for it: they may have changed. */
static void add_physical(struct vm *vm, struct ctl_conn *conn, struct mm *mm,
			 const struct maps_question *q, json_t *areas)
{
	uint64_t start, end;
	json_t *area;
	size_t i;

	json_array_foreach(areas, i, area)
	{
		struct physical_census census = { .absent = 0 };

		if (json_hex_get(json_object_get(area, "start"), &start) ||
		    json_hex_get(json_object_get(area, "end"), &end))
			continue;
		if (q->end.v) {
			start = start > q->start.v ? start : q->start.v;
			end = end < q->end.v ? end : q->end.v;
		}
		physical_count(vm, conn, mm, gva_make(start), gva_make(end),
			       (uint64_t)json_integer_value(json_object_get(area, "rss")), &census);
		json_object_set_new(area, "physical", physical_json(&census));
	}
}

static json_t *process_json(struct vm *vm, struct ctl_conn *conn, const struct proc_note *n,
			    const struct maps_question *q)
{
	struct maps_arg a = { .vm = vm, .question = q, .mm = n->mm, .areas = json_array() };
	json_t *o = proc_note_json(n);

	if (!o || (n->mm && mm_for_each_vma(n->mm, true, area_add, &a))) {
		json_decref(o);
		json_decref(a.areas);
		return NULL;
	}
	if (n->mm && q->physical)
		add_physical(vm, conn, n->mm, q, a.areas);
	json_object_set_new(o, "areas", a.areas);
	return o;
}

int ctl_op_maps(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	struct maps_question q = { .physical = false };
	json_t *list = json_array();
	struct proc_note *notes = NULL;
	struct mm *mm = NULL;
	unsigned int nr = 0, i;
	int64_t pid = 0;
	int rc;

	rc = param_mm(vm, request, &mm, e);
	if (!rc)
		rc = param_range(request, mm, &q.start, &q.end, e);
	if (!rc)
		rc = param_flag(request, "physical", &q.physical, e);
	if (!rc)
		rc = param_number(request, "pid", 1, INT32_MAX, &pid, e);
	if (!rc)
		rc = proc_notes_take(vm, &notes, &nr);
	for (i = 0; !rc && i < nr; i++)
		if (!mm || notes[i].pid == pid)
			rc = json_array_append_new(list, process_json(vm, conn, &notes[i], &q))
				     ? -ENOMEM
				     : 0;
	if (mm)
		mm_put(mm);
	if (notes)
		proc_notes_free(notes, nr);
	if (!rc)
		*result = json_pack("{s:O}", "processes", list);
	json_decref(list);
	return rc;
}
