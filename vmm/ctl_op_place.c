/* SPDX-License-Identifier: MIT */
/* "balance", "tier": automatic placement, told and switched; and its part of "stat". */
#include <errno.h>
#include <string.h>

#include "vmm/ctl_ops.h"

static void set_count(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

static json_t *slow_json(const struct vm *vm)
{
	uint64_t slow = mm_placement_slow_nodes(vm->sys);
	json_t *list = json_array();

	for (int node = 0; node < UMM_MAX_NODES; node++)
		if (slow & (1ull << node))
			json_array_append_new(list, json_integer(node));
	return list;
}

static json_t *policies_json(enum placement_kind kind)
{
	const struct placement_policy *p;
	json_t *list = json_array();

	for (unsigned int i = 0; (p = placement_policy_get(i)); i++)
		if (p->kind == kind)
			json_array_append_new(list, json_pack("{s:s, s:s}", "name", p->name,
							      "summary", p->summary));
	return list;
}

static json_t *kind_json(const struct vm *vm, enum placement_kind kind)
{
	struct placement_info info;
	json_t *o = json_object();

	mm_placement_get(vm->sys, kind, &info);
	json_object_set_new(o, "policy",
			    info.policy ? json_string(info.policy->name) : json_null());
	set_count(o, "scanned", info.count.scanned);
	set_count(o, "hint_faults", info.count.faults);
	set_count(o, "local", info.count.local);
	set_count(o, "tried", info.count.tried);
	set_count(o, "moved", info.count.moved);
	set_count(o, "pinned", info.count.pinned);
	set_count(o, "no_memory", info.count.no_memory);
	set_count(o, "busy", info.count.busy);
	set_count(o, "failed", info.count.failed);
	set_count(o, "rate_limited", info.count.rate_limited);
	set_count(o, "ping_pong", info.count.ping_pong);
	if (kind == PLACEMENT_TIER) {
		set_count(o, "promoted", info.count.promoted);
		set_count(o, "demoted", info.count.demoted);
		json_object_set_new(o, "slow_nodes", slow_json(vm));
	}
	return o;
}

json_t *placement_json(const struct vm *vm)
{
	json_t *o = json_object();

	for (int kind = 0; kind < PLACEMENT_KINDS; kind++)
		json_object_set_new(o, placement_kind_name((enum placement_kind)kind),
				    kind_json(vm, (enum placement_kind)kind));
	return o;
}

/* A text that need not be there. */
static int parse_text(const json_t *request, const char *name, const char **out, struct errmsg *e)
{
	const json_t *o = json_object_get(request, name);

	*out = json_string_value(o);
	return o && !*out ? errmsg_set(e, -EINVAL, "\"%s\" must be a text", name) : 0;
}

static int switch_placement(struct vm *vm, enum placement_kind kind, const json_t *request,
			    struct errmsg *e)
{
	const char *policy, *slow;
	uint64_t nodes;
	int rc;

	rc = parse_text(request, "policy", &policy, e);
	if (!rc)
		rc = parse_text(request, "slow", &slow, e);
	if (!rc && policy)
		rc = placer_check(kind, policy, e);
	if (!rc && slow) {
		rc = node_list_parse(slow, &nodes, e);
		if (!rc)
			rc = placer_set_slow(&vm->placer, nodes, e);
	}
	return rc || !policy ? rc : placer_set(&vm->placer, kind, policy, e);
}

static int answer(struct vm *vm, enum placement_kind kind, const json_t *request, json_t **result,
		  struct errmsg *e)
{
	int rc = switch_placement(vm, kind, request, e);

	if (rc)
		return rc;
	*result = kind_json(vm, kind);
	json_object_set_new(*result, "simulated_nodes",
			    json_boolean(host_kind_get(vm->host)->simulated_nodes));
	json_object_set_new(*result, "policies", policies_json(kind));
	return 0;
}

int ctl_op_balance(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e)
{
	(void)conn;
	return answer(vm, PLACEMENT_BALANCE, request, result, e);
}

int ctl_op_tier(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	(void)conn;
	return answer(vm, PLACEMENT_TIER, request, result, e);
}
