/* SPDX-License-Identifier: MIT */
#include "vmm/ctl_ops.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/ctl_io.h"

static const struct {
	const char *name;
	ctl_op_fn fn;
} ops[] = {
	{ "info", ctl_op_info },       { "stat", ctl_op_stat },       { "maps", ctl_op_maps },
	{ "migrate", ctl_op_migrate }, { "reclaim", ctl_op_reclaim }, { "rmap", ctl_op_rmap },
	{ "check", ctl_op_check },     { "kill", ctl_op_kill },       { "balance", ctl_op_balance },
	{ "tier", ctl_op_tier },       { "node", ctl_op_node },       { "limit", ctl_op_limit },
	{ "swap", ctl_op_swap },       { "policy", ctl_op_policy },   { "poison", ctl_op_poison },
};

int ctl_ops_handle(void *ctx, struct ctl_conn *conn, const char *op, const json_t *request,
		   json_t **result, struct errmsg *e)
{
	unsigned int i;
	int rc;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(op, ops[i].name))
			continue;
		rc = ops[i].fn(ctx, conn, request, result, e);
		if (!rc && !*result)
			rc = errmsg_set(e, -ENOMEM, "no memory for the answer");
		return rc;
	}
	return errmsg_set(e, -ENOSYS, "unknown op '%.40s'", op);
}

static json_t *argv_json(char *const *argv)
{
	json_t *list = json_array();

	for (; *argv; argv++)
		json_array_append_new(list, json_text(*argv, strlen(*argv)));
	return list;
}

/* What `umm ps` shows; asked of every guest, so it must be quick. */
int ctl_op_info(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	struct proc_note *notes;
	unsigned int nr;
	int rc;

	(void)conn;
	(void)request;
	(void)e;
	rc = proc_notes_take(vm, &notes, &nr);
	if (rc)
		return rc;
	proc_notes_free(notes, nr);
	*result = json_pack("{s:s, s:i, s:o, s:I, s:i, s:I, s:i, s:I}", "name", vm->options.name,
			    "pid", (int)getpid(), "command", argv_json(vm->argv), "mem_bytes",
			    (json_int_t)(mm_limit(vm->sys) << UMM_PAGE_SHIFT), "nodes",
			    (int)host_nr_nodes(vm->host), "rss_bytes", (json_int_t)vm_resident(vm),
			    "processes", (int)nr, "uptime_ns",
			    (json_int_t)(vm_now_ns() - vm->start_ns));
	return 0;
}

/* Errors found are an answer, not a failure of the request. */
int ctl_op_check(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		 struct errmsg *e)
{
	struct mm_validate_report report;
	uint64_t start = vm_now_ns();
	int rc;

	(void)conn;
	(void)request;
	memset(&report, 0, sizeof(report));
	rc = mm_validate(vm->sys, &report);
	if (rc && rc != -EUCLEAN)
		return errmsg_set(e, rc, "cannot check the guest: %s", strerror(-rc));
	*result = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "errors",
			    (json_int_t)report.errors, "frames", (json_int_t)report.frames,
			    "processes", (json_int_t)report.mms, "areas", (json_int_t)report.vmas,
			    "entries", (json_int_t)report.entries, "first",
			    json_text(report.first, strlen(report.first)), "ns_total",
			    (json_int_t)(vm_now_ns() - start));
	return 0;
}

/* "signal" for the first process or the foreground group; without: the end of all. */
int ctl_op_kill(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	int64_t sig = 0;
	int rc;

	(void)conn;
	rc = param_number(request, "signal", 1, GUEST_NSIG, &sig, e);
	if (rc)
		return rc;
	if (sig)
		guest_signal(vm->guest, (int)sig);
	else
		guest_kill(vm->guest);
	*result = json_pack("{s:i}", "signal", (int)sig);
	return 0;
}
