/* SPDX-License-Identifier: MIT */
/* "swap": the guest's swap areas; adding one, removing one, while it runs. */
#include <errno.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

struct areas {
	const struct vm *vm;
	json_t *list;
};

static void add_area(void *arg, unsigned int id, void *area)
{
	struct areas *areas = arg;
	struct swap_report r;
	struct swap_info info;
	json_t *o;

	host_swap_report(areas->vm->host, area, &r);
	/* An area that the manager does not know has nothing in use. */
	(void)!swap_get_area_info(areas->vm->sys, area, &info);
	o = json_pack("{s:i, s:s, s:s, s:i}", "area", (int)id, "kind", r.kind, "name", r.name,
		      "priority", r.priority);
	json_set_count(o, "slots", r.slots);
	json_set_count(o, "used", info.used);
	json_set_count(o, "cached", info.cached);
	json_set_count(o, "pages_read", r.pages_read);
	json_set_count(o, "pages_written", r.pages_written);
	json_set_count(o, "errors", r.errors);
	for (unsigned int i = 0; i < r.nr; i++)
		json_set_count(o, r.figures[i].name, r.figures[i].value);
	json_array_append_new(areas->list, o);
}

json_t *swap_areas_json(struct vm *vm)
{
	struct areas areas = { .vm = vm, .list = json_array() };

	vm_swap_for_each(&vm->swap, add_area, &areas);
	return areas.list;
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	return ctl_conn_progress(arg, done, total);
}

static int add(struct vm *vm, const char *text, struct errmsg *e)
{
	struct swap_spec *spec = calloc(1, sizeof(*spec));
	unsigned int id;
	int rc;

	if (!spec)
		return errmsg_set(e, -ENOMEM, "out of memory");
	rc = swap_spec_parse(text, spec, e);
	if (!rc)
		rc = vm_swap_add(&vm->swap, spec, &id, e);
	free(spec);
	return rc;
}

static int change(struct vm *vm, struct ctl_conn *conn, const char *action, const char *what,
		  struct errmsg *e)
{
	struct swap_off_request req = { .progress = on_progress, .arg = conn };

	if (!strcmp(action, "add"))
		return add(vm, what, e);
	if (!strcmp(action, "remove"))
		return vm_swap_remove(&vm->swap, what, &req, e);
	return errmsg_set(e, -EINVAL, "\"action\" must be add or remove");
}

/* Without "action": what there is. */
int ctl_op_swap(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	const json_t *action = json_object_get(request, "action");
	const char *what = json_string_value(json_object_get(request, "area"));
	uint64_t start = vm_now_ns();
	int rc = 0;

	if (action && (!json_is_string(action) || !what))
		return errmsg_set(e, -EINVAL, "\"action\" must be add or remove, of an \"area\"");
	if (action)
		rc = change(vm, conn, json_string_value(action), what, e);
	if (rc)
		return rc;
	*result = json_pack("{s:o}", "areas", swap_areas_json(vm));
	if (action)
		json_set_count(*result, "ns_total", vm_now_ns() - start);
	return 0;
}
