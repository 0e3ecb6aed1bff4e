/* SPDX-License-Identifier: MIT */
/*
 * Who a terminal controls: sessions, the group in front, and what those in the background may
 * not do. The rules and their order are those of Linux (drivers/tty/tty_jobctrl.c).
 */
#include <linux/capability.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "guest/ctty.h"

static bool is_leader(const struct proc *p)
{
	return p->sid == p->pid;
}

/* ---- lock held ------------------------------------------------------------- */

static void set_pgrp(struct ctty *c, int32_t pgid)
{
	__atomic_store_n(&c->pgrp, pgid, __ATOMIC_RELAXED);
}

/* The reference on @c, if any, is taken over. */
static void proc_set_tty(struct proc *p, struct ctty *c)
{
	struct ctty *old = p->tty;

	__atomic_store_n(&p->tty, c, __ATOMIC_RELAXED);
	ctty_put(old);
}

static void session_clear(struct guest *g, int32_t sid)
{
	struct proc *p;

	list_for_each_entry(p, &g->procs, all) if (p->sid == sid) proc_set_tty(p, NULL);
}

static void become(struct proc *p, struct ctty *c)
{
	c->session = p->sid;
	set_pgrp(c, p->pgid);
	p->tty_old_pgrp = 0;
	proc_set_tty(p, ctty_get(c));
}

static void hang_up_group(struct guest *g, int32_t pgid, bool go_on)
{
	if (!pgid)
		return;
	signal_send_pgrp(g, pgid, SIGHUP, NULL);
	if (go_on)
		signal_send_pgrp(g, pgid, SIGCONT, NULL);
}

/* The leader of a session gives up its terminal, at its @end or before. */
static void disassociate(struct proc *p, bool end)
{
	struct ctty *c = p->tty;
	int32_t old = p->tty_old_pgrp;

	p->tty_old_pgrp = 0;
	if (!c) {
		if (end)
			hang_up_group(p->g, old, true);
		return;
	}
	hang_up_group(p->g, c->pgrp, !end);
	c->session = 0;
	set_pgrp(c, 0);
	session_clear(p->g, p->sid);
}

void ctty_inherit(struct proc *child, const struct proc *parent)
{
	proc_set_tty(child, parent->tty ? ctty_get(parent->tty) : NULL);
}

void ctty_new_session(struct proc *p)
{
	proc_set_tty(p, NULL);
}

void ctty_proc_ended(struct proc *p)
{
	if (is_leader(p))
		disassociate(p, true);
}

void ctty_proc_freed(struct proc *p)
{
	proc_set_tty(p, NULL);
}

void ctty_tell(const struct proc *p, int *device, int32_t *pgrp)
{
	const struct ctty *c = p->tty;
	unsigned int ma, mi;

	*device = 0;
	*pgrp = -1;
	if (!c)
		return;
	ma = major(c->rdev);
	mi = minor(c->rdev);
	*device = (int)((mi & 0xff) | ma << 8 | (mi & ~0xffu) << 12);
	*pgrp = c->pgrp ? c->pgrp : -1;
}

/* ---- taking and leaving ------------------------------------------------------ */

void ctty_opened(struct task *t, struct gfile *f, int flags)
{
	struct ctty *c = f->tty;

	if (!c || f->pty_master || flags & O_NOCTTY || !gfile_readable(f))
		return;
	guest_lock(t->g);
	if (is_leader(t->proc) && !t->proc->tty && !c->session)
		become(t->proc, c);
	guest_unlock(t->g);
}

/* Lock held. */
static int take(struct task *t, struct gfile *f, bool steal)
{
	struct ctty *c = f->tty;
	struct proc *p = t->proc;

	if (is_leader(p) && p->sid == c->session)
		return 0;
	if (!is_leader(p) || p->tty)
		return -EPERM;
	if (c->session && !(steal && creds_capable(CAP_SYS_ADMIN)))
		return -EPERM;
	if (!gfile_readable(f) && !creds_capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (c->session)
		session_clear(t->g, c->session);
	become(p, c);
	return 0;
}

int ctty_take(struct task *t, struct gfile *f, uint64_t arg)
{
	int r;

	guest_lock(t->g);
	r = take(t, f, arg == 1);
	guest_unlock(t->g);
	return r;
}

int ctty_leave(struct task *t, const struct gfile *f)
{
	struct proc *p = t->proc;
	int r = -ENOTTY;

	guest_lock(t->g);
	if (!f->pty_master && p->tty == f->tty) {
		if (is_leader(p))
			disassociate(p, false);
		proc_set_tty(p, NULL);
		r = 0;
	}
	guest_unlock(t->g);
	return r;
}

/* ---- questions --------------------------------------------------------------- */

/* Lock held: the slave answers to those only whose terminal it is. */
static bool may_ask(const struct task *t, const struct gfile *f)
{
	return f->pty_master || t->proc->tty == f->tty;
}

int ctty_pgrp(struct task *t, const struct gfile *f, int32_t *pgid)
{
	int r = -ENOTTY;

	guest_lock(t->g);
	if (may_ask(t, f)) {
		*pgid = f->tty->pgrp;
		r = 0;
	}
	guest_unlock(t->g);
	return r;
}

int ctty_session(struct task *t, const struct gfile *f, int32_t *sid)
{
	int r = -ENOTTY;

	guest_lock(t->g);
	if (may_ask(t, f) && f->tty->session) {
		*sid = f->tty->session;
		r = 0;
	}
	guest_unlock(t->g);
	return r;
}

/* Lock held: the session of a group, or of the process of that number; 0: there is neither. */
static int32_t session_of(struct guest *g, int32_t pgid)
{
	struct proc *p;
	struct task *t;

	list_for_each_entry(p, &g->procs, all) if (p->pgid == pgid) return p->sid;
	p = proc_find(g, pgid);
	t = p ? NULL : task_find(g, pgid);
	return p ? p->sid : t ? t->proc->sid : 0;
}

int ctty_set_pgrp(struct task *t, const struct gfile *f, int32_t pgid)
{
	struct proc *p = t->proc;
	struct ctty *c = f->tty;
	int32_t sid;
	int r = 0;

	if (pgid < 0)
		return -EINVAL;
	guest_lock(t->g);
	sid = session_of(t->g, pgid);
	if (p->tty != c || c->session != p->sid)
		r = -ENOTTY;
	else if (!sid)
		r = -ESRCH;
	else if (sid != p->sid)
		r = -EPERM;
	else
		set_pgrp(c, pgid);
	guest_unlock(t->g);
	return r;
}

/* ---- the background ------------------------------------------------------------ */

/* Without the lock, of what others change under it: the answer may be that of a moment ago. */
static bool in_background(const struct task *t, const struct ctty *c)
{
	int32_t front = __atomic_load_n(&c->pgrp, __ATOMIC_RELAXED);

	return __atomic_load_n(&t->proc->tty, __ATOMIC_RELAXED) == c && front &&
	       __atomic_load_n(&t->proc->pgid, __ATOMIC_RELAXED) != front;
}

int ctty_check(struct task *t, struct ctty *c, int sig)
{
	struct proc *p = t->proc;
	int r = 0;

	if (!in_background(t, c))
		return 0;
	guest_lock(t->g);
	if (!in_background(t, c)) {
		r = 0;
	} else if (t->blocked & SIGSET_BIT(sig) ||
		   p->sighand->action[sig - 1].handler == (uintptr_t)SIG_IGN) {
		r = sig == SIGTTIN ? -EIO : 0;
	} else if (pgrp_is_orphaned(t->g, p->pgid)) {
		r = -EIO;
	} else {
		signal_send_pgrp(t->g, p->pgid, sig, NULL);
		r = -ERESTARTSYS_;
	}
	guest_unlock(t->g);
	return r;
}

int ctty_check_io(struct task *t, const struct gfile *f, bool write)
{
	struct termios mode;

	if (f->pty_master || !in_background(t, f->tty))
		return 0;
	if (!write)
		return ctty_check(t, f->tty, SIGTTIN);
	if (tcgetattr(f->host_fd, &mode) || !(mode.c_lflag & TOSTOP))
		return 0;
	return ctty_check(t, f->tty, SIGTTOU);
}

/* ---- signals from the terminal --------------------------------------------------- */

void ctty_signal(struct ctty *c, int sig)
{
	guest_lock(c->g);
	if (c->pgrp)
		signal_send_pgrp(c->g, c->pgrp, sig, NULL);
	guest_unlock(c->g);
}

void ctty_hangup(struct ctty *c)
{
	struct proc *p;

	guest_lock(c->g);
	__atomic_store_n(&c->hung_up, true, __ATOMIC_RELAXED);
	p = c->session ? proc_find(c->g, c->session) : NULL;
	if (p && p->tty == c) {
		signal_send(p, NULL, SIGHUP, NULL);
		signal_send(p, NULL, SIGCONT, NULL);
		/* It hears of it when the leader ends. */
		p->tty_old_pgrp = c->pgrp;
	}
	if (c->session)
		session_clear(c->g, c->session);
	c->session = 0;
	set_pgrp(c, 0);
	guest_unlock(c->g);
}
