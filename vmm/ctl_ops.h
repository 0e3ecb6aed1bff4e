/* SPDX-License-Identifier: MIT */
/*
 * The requests of a guest's control socket, done on the running guest. One
 * function an "op"; each checks all that it takes from the request.
 */
#ifndef VMM_CTL_OPS_H
#define VMM_CTL_OPS_H

#include <jansson.h>

#include "vmm/ctl_server.h"
#include "vmm/vm.h"

/* A ctl_handler whose ctx is the struct vm. */
int ctl_ops_handle(void *ctx, struct ctl_conn *conn, const char *op, const json_t *request,
		   json_t **result, struct errmsg *e);

typedef int (*ctl_op_fn)(struct vm *vm, struct ctl_conn *conn, const json_t *request,
			 json_t **result, struct errmsg *e);

int ctl_op_info(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_stat(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_maps(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_migrate(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e);
int ctl_op_reclaim(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e);
int ctl_op_swap(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_limit(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		 struct errmsg *e);
int ctl_op_balance(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		   struct errmsg *e);
int ctl_op_tier(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_rmap(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_poison(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		  struct errmsg *e);
int ctl_op_check(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		 struct errmsg *e);
int ctl_op_node(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);
int ctl_op_policy(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		  struct errmsg *e);
int ctl_op_kill(struct vm *vm, struct ctl_conn *conn, const json_t *request, json_t **result,
		struct errmsg *e);

/* Both kinds of automatic placement, for "stat". */
json_t *placement_json(const struct vm *vm);

/* ---- parameters (ctl_params.c) ------------------------------------------ */

/*
 * Look up members of a request. The optional ones leave *out alone when the
 * member is missing. 0, or -EINVAL with a sentence that names the member.
 */
int param_number(const json_t *request, const char *name, int64_t min, int64_t max, int64_t *out,
		 struct errmsg *e) UMM_MUST_CHECK;
int param_flag(const json_t *request, const char *name, bool *out, struct errmsg *e) UMM_MUST_CHECK;
int param_address(const json_t *request, const char *name, uint64_t *out,
		  struct errmsg *e) UMM_MUST_CHECK;
/* A node of the guest. */
int param_node(const struct vm *vm, const json_t *request, const char *name, int *out,
	       struct errmsg *e) UMM_MUST_CHECK;
/*
 * "pid": the address space of a process with a reference; NULL without "pid".
 * -ESRCH names the processes there are.
 */
int param_mm(struct vm *vm, const json_t *request, struct mm **out,
	     struct errmsg *e) UMM_MUST_CHECK;
/* "start", "end" of a range, which needs "pid". 0, 0 without. */
int param_range(const json_t *request, const struct mm *mm, gva_t *start, gva_t *end,
		struct errmsg *e) UMM_MUST_CHECK;

/* ---- processes (ctl_procs.c) -------------------------------------------- */

/* A process as reports need it, with a reference on its address space. */
struct proc_note {
	int32_t pid, ppid;
	char state, comm[16];
	uint32_t nr_tasks;
	struct mm *mm; /* NULL: a zombie */
};

/* All of them by pid; free with proc_notes_free(). 0 or -ENOMEM. */
int proc_notes_take(struct vm *vm, struct proc_note **out, unsigned int *nr) UMM_MUST_CHECK;
void proc_notes_free(struct proc_note *notes, unsigned int nr);
/* {"pid":..., "ppid", "state", "threads", "name", "command", rss, swap, ...}; NULL: no memory. */
json_t *proc_note_json(const struct proc_note *n);

/* Each swap area with its figures, for "stat" and "swap". */
json_t *swap_areas_json(struct vm *vm);

/* The frame asked for, by "pfn" or by "pid" and "addr"; *absent: nothing is there. */
int ctl_find_frame(struct vm *vm, const json_t *request, pfn_t *pfn, uint64_t *entry, bool *absent,
		   struct errmsg *e);

/* What a migration did, into an answer. */
struct migrate_result;
void json_set_migrated(json_t *o, const struct migrate_result *r);

/* Pages in memory, and in swap. */
uint64_t mm_resident_pages(const struct mm *mm);
uint64_t mm_swapped_pages(const struct mm *mm);

/* Flags of an area as /proc/PID/maps has them, "rw-p". */
void vma_flags_text(uint64_t flags, char text[5]);

/* "anon": the name of a folio flag; NULL past the last. */
const char *folio_flag_name(unsigned int bit);

#endif
