/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

int param_number(const json_t *request, const char *name, int64_t min, int64_t max, int64_t *out,
		 struct errmsg *e)
{
	const json_t *v = json_object_get(request, name);
	json_int_t n = json_integer_value(v);

	if (!v)
		return 0;
	if (!json_is_integer(v) || n < min || n > max)
		return errmsg_set(e, -EINVAL, "\"%s\" must be a whole number from %ld to %ld", name,
				  min, max);
	*out = n;
	return 0;
}

int param_flag(const json_t *request, const char *name, bool *out, struct errmsg *e)
{
	const json_t *v = json_object_get(request, name);

	if (!v)
		return 0;
	if (!json_is_boolean(v))
		return errmsg_set(e, -EINVAL, "\"%s\" must be true or false", name);
	*out = json_is_true(v);
	return 0;
}

int param_address(const json_t *request, const char *name, uint64_t *out, struct errmsg *e)
{
	const json_t *v = json_object_get(request, name);

	if (v && json_hex_get(v, out))
		return errmsg_set(e, -EINVAL, "\"%s\" must be an address such as \"0x7f00\"", name);
	return 0;
}

int param_node(const struct vm *vm, const json_t *request, const char *name, int *out,
	       struct errmsg *e)
{
	unsigned int nodes = host_nr_nodes(vm->host);
	int64_t n = *out;

	if (param_number(request, name, INT64_MIN, INT64_MAX, &n, e))
		return -EINVAL;
	if (json_object_get(request, name) && (n < 0 || n >= (int64_t)nodes))
		return errmsg_set(e, -EINVAL, "there is no node %ld: the guest has %u, from 0 on",
				  n, nodes);
	*out = (int)n;
	return 0;
}

static int take_mm(const struct proc_info *p, void *arg)
{
	struct mm **mm = arg;

	*mm = p->mm ? mm_get(p->mm) : NULL;
	return 0;
}

static int no_such_process(struct vm *vm, int64_t pid, struct errmsg *e)
{
	struct proc_note *notes;
	unsigned int nr, i;
	size_t len;

	errmsg_set(e, 0, "the guest has no process %ld", pid);
	if (proc_notes_take(vm, &notes, &nr))
		return -ESRCH;
	for (i = 0; i < nr && i < 8; i++) {
		len = strlen(e->text);
		snprintf(e->text + len, sizeof(e->text) - len, "%s%d (%s)", i ? ", " : "; it has ",
			 notes[i].pid, notes[i].comm);
	}
	len = strlen(e->text);
	if (nr > i)
		snprintf(e->text + len, sizeof(e->text) - len, " and %u more", nr - i);
	proc_notes_free(notes, nr);
	return -ESRCH;
}

int param_mm(struct vm *vm, const json_t *request, struct mm **out, struct errmsg *e)
{
	int64_t pid = 0;
	int rc;

	*out = NULL;
	if (!json_object_get(request, "pid"))
		return 0;
	rc = param_number(request, "pid", 1, INT32_MAX, &pid, e);
	if (rc)
		return rc;
	if (guest_with_proc(vm->guest, (int32_t)pid, take_mm, out))
		return no_such_process(vm, pid, e);
	if (!*out)
		return errmsg_set(e, -ESRCH, "process %ld has ended and has no memory", pid);
	return 0;
}

int param_range(const json_t *request, const struct mm *mm, gva_t *start, gva_t *end,
		struct errmsg *e)
{
	uint64_t a = 0, b = 0;

	*start = *end = gva_make(0);
	if (param_address(request, "start", &a, e) || param_address(request, "end", &b, e))
		return -EINVAL;
	if (!a && !b)
		return 0;
	if (!mm)
		return errmsg_set(e, -EINVAL, "a range of addresses needs a process: --pid");
	if (a >= b || b > UMM_TASK_SIZE)
		return errmsg_set(e, -EINVAL, "0x%lx-0x%lx is no range of a program's addresses", a,
				  b);
	*start = gva_make(page_align_down(a));
	*end = gva_make(page_align_up(b));
	return 0;
}
