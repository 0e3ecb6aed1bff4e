/* SPDX-License-Identifier: MIT */
/* "rmap": who maps this frame, and where. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umm/reclaim.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

#define QUERY_TRIES 100

/* x86-64 page-table entry bits, as the architecture manuals have them. */
#define ENTRY_PRESENT  (1ull << 0)
#define ENTRY_WRITE    (1ull << 1)
#define ENTRY_ACCESSED (1ull << 5)
#define ENTRY_DIRTY    (1ull << 6)
#define ENTRY_NX       (1ull << 63)

struct frame_answer {
	struct frame_info info;
	struct rmap_entry *entries;
	unsigned int nr;
};

/* With the entries, however many; the frame may change hands meanwhile, then ask again. */
static int query_frame(struct vm *vm, pfn_t pfn, struct frame_answer *a)
{
	unsigned int cap = 64, tries;
	int rc = -EAGAIN;

	for (tries = 0; tries < QUERY_TRIES; tries++) {
		free(a->entries);
		a->entries = calloc(cap, sizeof(*a->entries));
		if (!a->entries)
			return -ENOMEM;
		rc = mm_query_frame(vm->sys, pfn, &a->info, a->entries, cap, &a->nr);
		if (rc == -EAGAIN)
			continue;
		if (rc || a->nr <= cap)
			break;
		cap = a->nr + a->nr / 4;
	}
	if (a->nr > cap)
		a->nr = cap;
	return rc;
}

static json_t *flags_json(uint32_t flags)
{
	json_t *list = json_array();
	unsigned int bit;

	/* The question itself locks the folio. */
	flags &= ~(1u << PG_locked);
	for (bit = 0; folio_flag_name(bit); bit++)
		if (flags & (1u << bit))
			json_array_append_new(list, json_string(folio_flag_name(bit)));
	return list;
}

static const char *frame_kind(const struct frame_info *f)
{
	return f->free   ? "free"
	       : f->ksm  ? "ksm"
	       : f->anon ? "anonymous"
	       : f->file ? "file"
			 : "other";
}

static json_t *frame_json(const struct vm *vm, const struct frame_info *f)
{
	return json_pack("{s:I, s:I, s:i, s:i, s:i, s:s, s:o, s:i, s:i, s:i, s:I}", "pfn",
			 (json_int_t)f->pfn.v, "head", (json_int_t)f->head.v, "node", f->node,
			 "host_node", host_frame_node(vm->host, f->pfn), "order", (int)f->order,
			 "kind", frame_kind(f), "flags", flags_json(f->flags), "refcount",
			 f->refcount, "mapcount", f->mapcount, "pincount", f->pincount, "index",
			 (json_int_t)f->index.v);
}

static const char *proc_name(const struct proc_note *notes, unsigned int nr, int32_t pid)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (notes[i].pid == pid)
			return notes[i].comm;
	return "";
}

static json_t *entry_json(const struct rmap_entry *r, const char *comm)
{
	char flags[5];

	vma_flags_text(r->vma_flags, flags);
	return json_pack("{s:i, s:o, s:o, s:o, s:s, s:o, s:o, s:b, s:b, s:b, s:b, s:b, s:b}", "pid",
			 r->mm_id, "name", json_text(comm, strlen(comm)), "area_start",
			 json_hex(r->vma_start.v), "area_end", json_hex(r->vma_end.v), "area_flags",
			 flags, "address", json_hex(r->addr.v), "entry", json_hex(r->entry),
			 "present", !!(r->entry & ENTRY_PRESENT), "write",
			 !!(r->entry & ENTRY_WRITE), "accessed", !!(r->entry & ENTRY_ACCESSED),
			 "dirty", !!(r->entry & ENTRY_DIRTY), "no_exec", !!(r->entry & ENTRY_NX),
			 "huge", r->huge);
}

static json_t *entries_json(struct vm *vm, const struct frame_answer *a)
{
	json_t *list = json_array();
	struct proc_note *notes = NULL;
	unsigned int nr = 0, i;

	if (proc_notes_take(vm, &notes, &nr))
		nr = 0;
	for (i = 0; i < a->nr; i++)
		json_array_append_new(list, entry_json(&a->entries[i],
						       proc_name(notes, nr, a->entries[i].mm_id)));
	if (nr)
		proc_notes_free(notes, nr);
	return list;
}

/* True, which ends the search, if the address lies in the area. */
static int area_holds(const struct vma_report *r, void *addr)
{
	uint64_t a = *(const uint64_t *)addr;

	if (r->mapping)
		mapping_put(r->mapping);
	return a >= r->start.v && a < r->end.v;
}

int ctl_find_frame(struct vm *vm, const json_t *request, pfn_t *pfn, uint64_t *entry, bool *absent,
		   struct errmsg *e)
{
	uint64_t addr = UINT64_MAX;
	bool present = false;
	int64_t n = -1;
	struct mm *mm;
	int rc;

	rc = param_number(request, "pfn", 0, INT64_MAX, &n, e);
	if (rc || n >= 0) {
		*pfn = pfn_make((uint64_t)n);
		return rc;
	}
	rc = param_address(request, "addr", &addr, e);
	if (rc)
		return rc;
	if (addr == UINT64_MAX)
		return errmsg_set(e, -EINVAL, "which frame? give \"pfn\", or \"pid\" and \"addr\"");
	rc = param_mm(vm, request, &mm, e);
	if (rc)
		return rc;
	if (!mm)
		return errmsg_set(e, -EINVAL, "an address needs a process: \"pid\"");
	rc = mm_for_each_vma(mm, false, area_holds, &addr) ? 0 : -EFAULT;
	if (!rc)
		rc = mm_query_address(mm, gva_make(addr), pfn, entry, &present);
	mm_put(mm);
	if (rc)
		return errmsg_set(e, rc, "no area of the process has the address 0x%lx", addr);
	*absent = !present;
	return 0;
}

int ctl_op_rmap(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e)
{
	struct frame_answer a = { .entries = NULL };
	bool absent = false;
	uint64_t entry = 0;
	pfn_t pfn;
	int rc;

	(void)conn;
	rc = ctl_find_frame(vm, request, &pfn, &entry, &absent, e);
	if (rc)
		return rc;
	if (absent) {
		*result = json_pack("{s:b, s:o}", "present", 0, "entry", json_hex(entry));
		return 0;
	}
	rc = query_frame(vm, pfn, &a);
	if (rc == -EINVAL)
		errmsg_set(e, rc, "no node of the guest has a frame %lu (0x%lx)", pfn.v, pfn.v);
	else if (rc == -EAGAIN)
		errmsg_set(e, rc, "frame %lu changes hands all the time; try again", pfn.v);
	else if (!rc)
		*result = json_pack("{s:b, s:o, s:o}", "present", 1, "frame",
				    frame_json(vm, &a.info), "entries", entries_json(vm, &a));
	free(a.entries);
	return rc;
}
