/* SPDX-License-Identifier: MIT */
/*
 * The process tree and the pid tables. Everything here needs guest->lock.
 *
 * Tasks and processes have tables of their own: a process keeps its number
 * while its first thread is gone, and as a zombie.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/ctty.h"

static struct list_head *pid_bucket(struct list_head *table, int32_t pid)
{
	return &table[(uint32_t)pid % PID_BUCKETS];
}

struct proc *proc_find(struct guest *g, int32_t pid)
{
	struct list_head *head = pid_bucket(g->proc_hash, pid);
	struct proc *p;

	list_for_each_entry(p, head, hash) if (p->pid == pid) return p;
	return NULL;
}

struct task *task_find(struct guest *g, int32_t tid)
{
	struct list_head *head = pid_bucket(g->task_hash, tid);
	struct task *t;

	list_for_each_entry(t, head, hash) if (t->tid == tid) return t;
	return NULL;
}

/* Is there a process of that group; in session @sid if that is not 0? */
bool pgrp_exists(struct guest *g, int32_t pgid, int32_t sid)
{
	struct proc *p;

	list_for_each_entry(p, &g->procs,
			    all) if (p->pgid == pgid && (!sid || p->sid == sid)) return true;
	return false;
}

bool pgrp_is_orphaned(struct guest *g, int32_t pgid)
{
	struct proc *p;

	list_for_each_entry(p, &g->procs, all) if (p->pgid == pgid && !p->zombie && p->parent &&
						   p->parent->pgid != pgid &&
						   p->parent->sid == p->sid) return false;
	return true;
}

static bool pid_in_use(struct guest *g, int32_t pid)
{
	struct proc *p;

	if (proc_find(g, pid) || task_find(g, pid))
		return true;
	list_for_each_entry(p, &g->procs, all) if (p->pgid == pid || p->sid == pid) return true;
	return false;
}

/* Numbers go up and wrap around, as Linux's do; -EAGAIN when all are taken. */
int32_t pid_alloc(struct guest *g)
{
	int32_t tries, pid;

	for (tries = 0; tries < PID_MAX; tries++) {
		pid = g->next_pid++;
		if (g->next_pid >= PID_MAX)
			g->next_pid = PID_FIRST;
		if (!pid_in_use(g, pid))
			return pid;
	}
	return -EAGAIN;
}

struct sighand *sighand_alloc(void)
{
	struct sighand *h = calloc(1, sizeof(*h));

	if (h)
		h->refs = 1;
	return h;
}

void sighand_put(struct sighand *h)
{
	if (h && --h->refs == 0)
		free(h);
}

struct proc *proc_alloc(struct guest *g)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->g = g;
	p->exit_fd = -1;
	p->dumpable = true;
	p->start_ns = clock_ns(CLOCK_BOOTTIME);
	list_init(&p->all);
	list_init(&p->hash);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->tasks);
	list_init(&p->timers);
	sig_pending_init(&p->pending);
	return p;
}

void proc_set_parent(struct proc *p, struct proc *parent)
{
	list_del(&p->sibling);
	p->parent = parent;
	if (parent)
		list_add_tail(&p->sibling, &parent->children);
	__atomic_store_n(&p->ppid, parent ? parent->pid : PID_OUTSIDE, __ATOMIC_RELAXED);
}

/* p->pid is set. */
void proc_publish(struct proc *p, struct proc *parent)
{
	proc_set_parent(p, parent);
	list_add_tail(&p->all, &p->g->procs);
	list_add(&p->hash, pid_bucket(p->g->proc_hash, p->pid));
}

/* Unlinks what is linked. No task is left; children have a new parent. */
void proc_free(struct proc *p)
{
	list_del(&p->all);
	list_del(&p->hash);
	list_del(&p->sibling);
	sig_pending_flush(&p->pending, ~0ull);
	posix_timers_drop(p);
	sighand_put(p->sighand);
	if (p->exit_fd >= 0)
		close(p->exit_fd);
	ctty_proc_freed(p);
	creds_groups_put(p->groups);
	gfile_put(p->exe);
	free(p);
}

struct task *task_alloc(struct proc *p)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->g = p->g;
	t->proc = p;
	t->ops = p->g->cfg.vcpu_ops;
	t->syscall_nr = -1;
	t->seat.number = -1;
	list_init(&t->link);
	list_init(&t->hash);
	sig_pending_init(&t->pending);
	mm_thread_init(&t->placement);
	return t;
}

void task_publish(struct task *t)
{
	list_add_tail(&t->link, &t->proc->tasks);
	list_add(&t->hash, pid_bucket(t->g->task_hash, t->tid));
	t->proc->nr_tasks++;
	if (t->tid == t->proc->pid)
		t->proc->leader = t;
}

void task_unpublish(struct task *t)
{
	list_del(&t->link);
	list_del(&t->hash);
	t->proc->nr_tasks--;
	if (t->proc->leader == t)
		t->proc->leader = NULL;
}

void task_set_comm(struct task *t, const char *name)
{
	snprintf(t->comm, sizeof(t->comm), "%s", name);
	if (t == t->proc->leader)
		memcpy(t->proc->comm, t->comm, sizeof(t->proc->comm));
}

/* exec: the surviving task takes over the number of the first one. */
void task_set_tid(struct task *t, int32_t tid)
{
	list_del(&t->hash);
	t->tid = tid;
	list_add(&t->hash, pid_bucket(t->g->task_hash, tid));
	t->proc->leader = t;
}

/* The task is not published (any more) and holds no vCPU. */
void task_free(struct task *t)
{
	sig_pending_flush(&t->pending, ~0ull);
	mm_thread_destroy(&t->placement);
	free(t->start_xsave);
	free(t);
}

static void times_add_thread(struct task *t, struct proc_times *out)
{
	struct timespec ts;
	clockid_t clock;
	uint64_t us;

	if (!t->vcpu || pthread_getcpuclockid(t->thread, &clock) || clock_gettime(clock, &ts))
		return;
	us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	/*
	 * Another thread's time is not split by its clock. Guest code and the
	 * host's work for it are both host user time, so all counts as that.
	 */
	out->utime_us += us;
	out->minflt += __atomic_load_n(&t->nr_faults, __ATOMIC_RELAXED);
}

void proc_times(struct proc *p, struct proc_times *out)
{
	struct task *t;

	*out = p->dead_tasks;
	list_for_each_entry(t, &p->tasks, link) times_add_thread(t, out);
}
