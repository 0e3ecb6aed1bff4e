/* SPDX-License-Identifier: MIT */
/* "policy": the reclaim policy, told and switched. */
#include <errno.h>
#include <string.h>

#include "vmm/ctl_ops.h"
#include "vmm/policy_load.h"

static const enum mm_event events[] = {
	EV_PGSCAN,
	EV_PGSTEAL,
	EV_WORKINGSET_REFAULT_ANON,
	EV_WORKINGSET_REFAULT_FILE,
	EV_WORKINGSET_ACTIVATE_ANON,
	EV_WORKINGSET_ACTIVATE_FILE,
	EV_POLICY_LOOKED,
	EV_POLICY_YOUNG,
};

static void tell(void *arg, const char *name, uint64_t value)
{
	json_object_set_new(arg, name, json_integer((json_int_t)value));
}

static json_t *nodes_json(const struct vm *vm)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < mm_sys_nr_nodes(vm->sys); i++) {
		json_t *facts = json_object();

		mm_policy_describe(vm->sys, (int)i, tell, facts);
		json_array_append_new(list, json_pack("{s:i, s:I, s:o}", "node", (int)i, "pages",
						      (json_int_t)mm_policy_listed(vm->sys, (int)i),
						      "facts", facts));
	}
	return list;
}

static json_t *policies_json(void)
{
	const struct reclaim_policy *p;
	json_t *list = json_array();

	for (unsigned int i = 0; (p = reclaim_policy_get(i)); i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "name", p->name, "summary",
						      p->summary ? p->summary : ""));
	return list;
}

static json_t *counts_json(const struct vm *vm)
{
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		tell(o, mm_event_name(events[i]), mm_sys_event(vm->sys, events[i]));
	return o;
}

int ctl_op_policy(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		  struct errmsg *e)
{
	const json_t *wanted = json_object_get(request, "policy");
	const struct reclaim_policy *p;
	int rc;

	(void)conn;
	if (wanted && !json_is_string(wanted))
		return errmsg_set(e, -EINVAL, "\"policy\" must be a text");
	if (wanted) {
		rc = policyd_switch(&vm->policyd, json_string_value(wanted), e);
		if (rc)
			return rc;
	}
	p = mm_policy_get(vm->sys);
	*result = json_pack("{s:s, s:s, s:o, s:o, s:o}", "policy", p->name, "summary",
			    p->summary ? p->summary : "", "nodes", nodes_json(vm), "events",
			    counts_json(vm), "policies", policies_json());
	return 0;
}
