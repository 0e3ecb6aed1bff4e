/* SPDX-License-Identifier: MIT */
/* "stat": all counters of a guest in one answer. */
#include <errno.h>
#include <unistd.h>

#include <umm/ksm.h>
#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"
#include "vmm/holes.h"

static json_t *host_json(const struct vm *vm)
{
	const struct host_kind *k = host_kind_get(vm->host);

	return json_pack("{s:s, s:i, s:s, s:s, s:b, s:i, s:b, s:b, s:i, s:o, s:I, s:I}", "paging",
			 k->paging, "syscall_cpl", k->syscall_cpl, "zap", k->zap, "flush", k->flush,
			 "tsc_is_host", k->tsc_is_host, "nodes", (int)k->nr_host_nodes,
			 "simulated_nodes", k->simulated_nodes, "hugepages", k->hugepages,
			 "max_vcpus", (int)k->max_vcpus, "xcr0", json_hex(k->xcr0), "setup_us",
			 (json_int_t)k->setup_us, "probe_us", (json_int_t)k->probe_us);
}

/* Frames by the host node that really holds them: {"0": 512, "absent": 3}. */
static json_t *physical_json(const struct vm *vm, unsigned int node)
{
	uint64_t on_host[UMM_MAX_NODES], absent;
	json_t *o = json_object();
	char name[16];
	unsigned int i;

	vm_node_physical(vm, node, on_host, &absent);
	for (i = 0; i < UMM_MAX_NODES; i++) {
		if (!on_host[i])
			continue;
		snprintf(name, sizeof(name), "%u", i);
		json_set_count(o, name, on_host[i]);
	}
	json_set_count(o, "absent", absent);
	return o;
}

static json_t *nodes_json(const struct vm *vm, bool physical)
{
	json_t *list = json_array(), *o;
	struct mm_node_info info;
	unsigned int i;

	for (i = 0; i < host_nr_nodes(vm->host); i++) {
		mm_sys_node_info(vm->sys, (int)i, &info);
		o = json_pack("{s:i, s:i}", "node", (int)i, "host_node",
			      host_node_get(vm->host, i)->host_node);
		json_set_count(o, "frames", info.nr_frames);
		json_set_count(o, "free", info.free);
		json_set_count(o, "anon", info.anon);
		json_set_count(o, "file", info.file);
		json_set_count(o, "shmem", info.shmem);
		json_set_count(o, "mlocked", info.mlocked);
		json_set_count(o, "rss_bytes", vm_node_resident(vm, i));
		if (physical)
			json_object_set_new(o, "physical", physical_json(vm, i));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *swap_json(struct vm *vm)
{
	uint64_t bytes, pages;
	struct swap_info info;

	if (!vm_swap_is_on(&vm->swap))
		return json_null();
	swap_get_info(vm->sys, &info);
	host_swap_compressed(vm->host, &bytes, &pages);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "slots", (json_int_t)info.nr_slots,
			 "used", (json_int_t)info.used, "cached", (json_int_t)info.cached,
			 "compressed", (json_int_t)pages, "compressed_memory_bytes",
			 (json_int_t)bytes, "areas", swap_areas_json(vm));
}

static json_t *holes_json(struct vm *vm)
{
	struct holes_counts c;
	struct swap_report area;
	json_t *o;

	if (!host_holes(vm->host))
		return json_null();
	holes_counts_read(host_holes(vm->host), &c);
	host_holes_report(vm->host, &area);
	o = json_pack("{s:s, s:s}", "kind", area.kind, "name", area.name);
	json_set_count(o, "frames", c.frames);
	json_set_count(o, "slots", c.slots);
	json_set_count(o, "slots_used", c.used);
	json_set_count(o, "out", c.out);
	json_set_count(o, "out_zero", c.out_zero);
	json_set_count(o, "stayed", c.stayed);
	json_set_count(o, "in", c.in);
	json_set_count(o, "in_zero", c.in_zero);
	json_set_count(o, "in_asked", c.in_asked);
	json_set_count(o, "dropped", c.dropped);
	json_set_count(o, "faults", c.faults);
	json_set_count(o, "fault_ns", c.fault_ns);
	json_set_count(o, "fault_max_ns", c.fault_max_ns);
	json_set_count(o, "fresh", c.fresh);
	json_set_count(o, "write_errors", c.write_errors);
	json_set_count(o, "read_errors", c.read_errors);
	json_set_count(o, "waiting_for_device", c.lost);
	json_set_count(o, "given_up", c.given_up);
	json_set_count(o, "resident_bytes", host_resident_frames(vm->host) << UMM_PAGE_SHIFT);
	json_set_count(o, "resident_limit_bytes", vm->options.resident);
	json_set_count(o, "resident_peak_bytes", atomic_load(&vm->holed.peak) << UMM_PAGE_SHIFT);
	return o;
}

static json_t *pressure_json(const struct vm *vm)
{
	struct mm_pressure p;

	mm_pressure_get(vm->sys, &p);
	return json_pack("{s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:I}", "some_avg10", p.avg[0][0],
			 "some_avg60", p.avg[0][1], "some_avg300", p.avg[0][2], "some_total_us",
			 (json_int_t)p.total_us[0], "full_avg10", p.avg[1][0], "full_avg60",
			 p.avg[1][1], "full_avg300", p.avg[1][2], "full_total_us",
			 (json_int_t)p.total_us[1]);
}

static json_t *events_json(const struct vm *vm)
{
	json_t *o = json_object();
	int ev;

	for (ev = 0; ev < EV_NR; ev++)
		json_set_count(o, mm_event_name(ev), mm_sys_event(vm->sys, ev));
	return o;
}

static json_t *ksm_json(const struct vm *vm)
{
	struct ksm_stats s;
	json_t *o = json_object();

	ksm_get_stats(vm->sys, &s);
	json_set_count(o, "run", ksm_get(vm->sys, KSM_RUN));
	json_set_count(o, "pages_shared", s.pages_shared);
	json_set_count(o, "pages_sharing", s.pages_sharing);
	json_set_count(o, "pages_unshared", s.pages_unshared);
	json_set_count(o, "pages_volatile", s.pages_volatile);
	json_set_count(o, "pages_scanned", s.pages_scanned);
	json_set_count(o, "full_scans", s.full_scans);
	json_object_set_new(o, "general_profit", json_integer(s.general_profit));
	return o;
}

static json_t *objects_json(const struct vm *vm)
{
	static const char *const names[OBJ_NR] = {
		[OBJ_MM] = "mm",
		[OBJ_VMA] = "vma",
		[OBJ_ANON_VMA] = "anon_vma",
		[OBJ_ANON_VMA_CHAIN] = "anon_vma_chain",
		[OBJ_ADDRESS_SPACE] = "address_space",
		[OBJ_TABLE] = "page_table",
	};
	json_t *o = json_object();
	int i;

	for (i = 0; i < OBJ_NR; i++)
		if (names[i])
			json_object_set_new(o, names[i], json_integer(mm_sys_objects(vm->sys, i)));
	return o;
}

static json_t *exits_json(const struct vm *vm)
{
	struct host_counters c;
	json_t *o = json_object();

	host_counters_read(vm->host, &c);
	json_set_count(o, "exits", c.exits);
	json_set_count(o, "exits_syscall", c.exits_syscall);
	json_set_count(o, "exits_fault", c.exits_fault);
	json_set_count(o, "exits_other", c.exits_other);
	json_set_count(o, "zap_calls", c.zap_calls);
	json_set_count(o, "zap_ranges", c.zap_ranges);
	json_set_count(o, "zap_frames", c.zap_frames);
	json_set_count(o, "table_flushes", c.table_flushes);
	json_set_count(o, "discarded", c.discarded);
	json_set_count(o, "populated", c.populated);
	json_set_count(o, "swap_read_bytes", c.swap_read);
	json_set_count(o, "swap_written_bytes", c.swap_written);
	return o;
}

static json_t *guest_json(const struct vm *vm)
{
	struct guest_counters c;
	json_t *o = json_object();

	guest_counters_read(vm->guest, &c);
	json_set_count(o, "syscalls", c.syscalls);
	json_set_count(o, "unknown_syscalls", c.unknown_syscalls);
	json_set_count(o, "faults", c.faults);
	json_set_count(o, "exceptions", c.exceptions);
	json_set_count(o, "kicks", c.kicks);
	json_set_count(o, "signals", c.signals);
	json_set_count(o, "forks", c.forks);
	json_set_count(o, "execs", c.execs);
	json_set_count(o, "oom_kills", c.oom_kills);
	return o;
}

static json_t *processes_json(struct vm *vm)
{
	json_t *list = json_array();
	struct proc_note *notes;
	unsigned int nr, i;

	if (proc_notes_take(vm, &notes, &nr))
		return list;
	for (i = 0; i < nr; i++)
		json_array_append_new(list, proc_note_json(&notes[i]));
	proc_notes_free(notes, nr);
	return list;
}

/* "physical": also ask the host where each used frame is (slow: a call a frame). */
int ctl_op_stat(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	bool physical = false;
	json_t *o;
	int rc;

	rc = param_flag(request, "physical", &physical, e);
	if (rc)
		return rc;
	rc = ctl_op_info(vm, conn, request, &o, e);
	if (rc || !o)
		return rc;
	json_object_set_new(o, "processes", processes_json(vm));
	json_object_set_new(o, "host", host_json(vm));
	json_object_set_new(o, "numa", nodes_json(vm, physical));
	json_object_set_new(o, "swap", swap_json(vm));
	json_object_set_new(o, "holes", holes_json(vm));
	json_object_set_new(o, "pressure", pressure_json(vm));
	json_object_set_new(o, "placement", placement_json(vm));
	json_object_set_new(o, "events", events_json(vm));
	json_object_set_new(o, "ksm", ksm_json(vm));
	json_object_set_new(o, "objects", objects_json(vm));
	json_object_set_new(o, "machine", exits_json(vm));
	json_object_set_new(o, "guest", guest_json(vm));
	*result = o;
	return 0;
}
