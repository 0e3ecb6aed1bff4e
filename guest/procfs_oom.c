/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/oom_score_adj, oom_adj and oom_score: who dies when memory is out.
 * guest/oom.c acts on them. Values and errors: proc(5).
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "guest/procfs.h"
#include "guest/task.h"

#define OLD_ADJ_MIN (-17)
#define OLD_ADJ_MAX 15

/* ---- what they tell ------------------------------------------------------------ */

/* As it is now: 0 or -ESRCH. */
static int adj_of(struct task *t, const struct proc_name *n, int *adj)
{
	struct guest *g = task_guest(t);
	struct proc *p;

	guest_lock(g);
	p = proc_find(g, n->pid);
	if (p)
		*adj = p->oom_score_adj;
	guest_unlock(g);
	return p ? 0 : -ESRCH;
}

int procfs_show_oom_score_adj(struct task *t, const struct proc_name *n, FILE *out)
{
	int adj, r = adj_of(t, n, &adj);

	if (!r)
		fprintf(out, "%d\n", adj);
	return r;
}

int procfs_show_oom_adj(struct task *t, const struct proc_name *n, FILE *out)
{
	int adj, r = adj_of(t, n, &adj);

	if (!r)
		fprintf(out, "%d\n",
			adj == OOM_SCORE_ADJ_MAX ? OLD_ADJ_MAX
						 : adj * -OLD_ADJ_MIN / OOM_SCORE_ADJ_MAX);
	return r;
}

/* Thousandths of all memory and swap, moved and scaled as Linux does since 5.9. */
int procfs_show_oom_score(struct task *t, const struct proc_name *n, FILE *out)
{
	struct guest *g = task_guest(t);
	uint64_t all = oom_all_frames(g);
	int64_t score = INT64_MIN;
	struct proc *p;

	guest_lock(g);
	p = proc_find(g, n->pid);
	if (p)
		score = oom_score(p, all);
	guest_unlock(g);
	if (!p)
		return -ESRCH;
	/* INT64_MIN: spared, or a zombie, which has no memory. */
	score = score == INT64_MIN ? 0 : (1000 + score * 1000 / (int64_t)all) * 2 / 3;
	fprintf(out, "%" PRId64 "\n", score > 0 ? score : 0);
	return 0;
}

/* ---- what is written ------------------------------------------------------------ */

static int parse(const char *text, long min, long max, int *out)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 0);
	if (end == text || end[strspn(end, " \t\n")])
		return -EINVAL;
	if (errno || v < INT_MIN || v > INT_MAX)
		return -ERANGE;
	if (v < min || v > max)
		return -EINVAL;
	*out = (int)v;
	return 0;
}

/*
 * Only the privileged go below what the privileged have set; by the old file (@old), below
 * what is set now.
 */
static int set(struct task *t, const struct proc_name *n, int adj, bool old)
{
	struct guest *g = task_guest(t);
	struct proc *p;
	bool may = creds_capable(CAP_SYS_RESOURCE);
	int r = 0;

	guest_lock(g);
	p = proc_find(g, n->pid);
	if (!p) {
		r = -ESRCH;
	} else if (adj < (old ? p->oom_score_adj : p->oom_adj_min) && !may) {
		r = -EACCES;
	} else {
		p->oom_score_adj = adj;
		if (may && !old)
			p->oom_adj_min = adj;
	}
	guest_unlock(g);
	return r;
}

int procfs_store_oom_score_adj(struct task *t, const struct proc_name *n, const char *text)
{
	int adj, r = parse(text, OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX, &adj);

	return r ? r : set(t, n, adj, false);
}

int procfs_store_oom_adj(struct task *t, const struct proc_name *n, const char *text)
{
	int old, r = parse(text, OLD_ADJ_MIN, OLD_ADJ_MAX, &old);

	if (r)
		return r;
	old = old == OLD_ADJ_MAX ? OOM_SCORE_ADJ_MAX : old * OOM_SCORE_ADJ_MAX / -OLD_ADJ_MIN;
	return set(t, n, old, true);
}
