/* SPDX-License-Identifier: MIT */
/*
 * Terminals of the guest, and job control on them.
 *
 * The host's terminals do the work of a line (echo, editing, buffers). What Linux ties to processes, a
 * terminal's session and the group in front of it, is the guest's own: the host sees all of a
 * guest as one process, of which it knows the controlling terminal of umm only. So the host
 * never finds a session on a pty that the guest opened, and sends no signal; guest/ does,
 * when a program writes the characters to the master (guest/ctty_input.c), changes the size
 * (guest/ctty_ioctl.c), reads or writes from the background, hangs up, or ends
 * (guest/ctty_session.c). The one terminal on which the host finds somebody is umm's own: its
 * signals come to umm, which passes them on to the group in front (guest_signal()).
 *
 * A terminal is named by the place of its slave: device of the file system (each devpts has
 * numbers of its own) and device number. There is one struct for all descriptors of
 * master and slave, and for the processes that it controls.
 *
 * Locks: session and group are part of the process tree, under guest->lock. The list of terminals,
 * and who has the master open, are under cttys->lock, which is taken inside of guest->lock;
 * nothing is taken inside of it.
 */
#ifndef GUEST_CTTY_H
#define GUEST_CTTY_H

#include "guest/files.h"
#include "guest/task.h"

struct ctty {
	struct guest *g;       /* c */
	struct list_head link; /* cttys->lock */
	uint32_t refs;         /* a */
	uint64_t dev, rdev;    /* c  of the slave */
	bool own;              /* c  umm's controlling terminal */
	bool host_session;     /* c  own: umm has one at all */
	bool sealed;           /* c  came from outside into a confined guest */
	int place;             /* c  O_PATH descriptor of the slave, -1: none */
	uint32_t masters;      /* cttys->lock: open file descriptions of the master */
	struct gfile *master;  /* cttys->lock: one of them, no reference; NULL: not known */
	int32_t session;       /* g  0: it controls nobody */
	int32_t pgrp;          /* g, a  in front; 0: none */
	bool hung_up;          /* a  the master was closed */
	bool literal;          /* a  what was last written quotes the next character */
};

/* ---- guest/ctty.c: the terminals --------------------------------------------- */

int cttys_create(struct guest *g, struct cttys **out) UMM_MUST_CHECK;
/* All processes and files are gone. */
void cttys_destroy(struct cttys *c);
/* umm's own, whether it has one or not; lives as long as the guest. */
struct ctty *ctty_own(const struct guest *g);
struct ctty *ctty_get(struct ctty *c);
/* NULL is fine. May be called with guest->lock held. */
void ctty_put(struct ctty *c);
/*
 * A new open file description, which nobody else knows yet: note in it the terminal that it
 * is of, if any. Where there is no memory for that it is one without job control.
 */
void ctty_attach(struct guest *g, struct gfile *f);
/* gfile_put(): @f is of a terminal, and its host descriptor was closed. Takes guest->lock. */
void ctty_closed(struct gfile *f);
/*
 * A host descriptor of the slave of @c, opened with @flags, or -errno. Without rights to
 * the file itself, as by /dev/tty, while the guest has the master open.
 */
int ctty_open_slave(struct ctty *c, int flags);
/* The file is /dev/tty, whatever that is for who opened it. */
bool ctty_is_dev_tty(mode_t type, uint64_t rdev);
/*
 * Task @t opens /dev/tty with @flags. @host is what the host gave for it (taken over), NULL: nothing.
 * *out is its controlling terminal; 0, -ENXIO: it has none, -errno.
 */
int ctty_open_dev_tty(struct task *t, struct gfile *host, int flags,
		      struct gfile **out) UMM_MUST_CHECK;

/* ---- guest/ctty_session.c: who it controls ------------------------------------ */

/* @f was opened with @flags: it may become the controlling terminal. Takes guest->lock. */
void ctty_opened(struct task *t, struct gfile *f, int flags);
/* TIOCSCTTY; @arg 1: away from another session. Takes guest->lock. */
int ctty_take(struct task *t, struct gfile *f, uint64_t arg);
/* TIOCNOTTY. Takes guest->lock. */
int ctty_leave(struct task *t, const struct gfile *f);
/* TIOCGPGRP, TIOCSPGRP, TIOCGSID: 0 or -errno. Take guest->lock. */
int ctty_pgrp(struct task *t, const struct gfile *f, int32_t *pgid);
int ctty_set_pgrp(struct task *t, const struct gfile *f, int32_t pgid);
int ctty_session(struct task *t, const struct gfile *f, int32_t *sid);
/*
 * The caller is about to use @c in a way that is not for groups in the background. 0: it may;
 * -ERESTARTSYS_: @sig was sent to its group; -EIO. Takes guest->lock, if it is in the background.
 */
int ctty_check(struct task *t, struct ctty *c, int sig);
/* The same for a read() or write() of @f, which is of a terminal. */
int ctty_check_io(struct task *t, const struct gfile *f, bool write);
static inline bool ctty_is_hung_up(const struct ctty *c)
{
	return __atomic_load_n(&c->hung_up, __ATOMIC_RELAXED);
}
/* From the kernel to the group in front, if there is one. Takes guest->lock. */
void ctty_signal(struct ctty *c, int sig);
/* Nobody can reach it any more: its session hears of it. Takes guest->lock. */
void ctty_hangup(struct ctty *c);
/* guest->lock held: a child; a session of its own; the end of a process; its last trace. */
void ctty_inherit(struct proc *child, const struct proc *parent);
void ctty_new_session(struct proc *p);
void ctty_proc_ended(struct proc *p);
void ctty_proc_freed(struct proc *p);
/* guest->lock held: what /proc/PID/stat tells of it, 0 and -1 for none. */
void ctty_tell(const struct proc *p, int *device, int32_t *pgrp);

/* ---- guest/ctty_ioctl.c, guest/ctty_input.c ------------------------------------- */

/*
 * The part of an ioctl that is about sessions, groups and sizes. True: it was all of it, and *r is
 * the result; else the host is to be asked.
 */
bool ctty_ioctl(struct task *t, struct gfile *f, unsigned int request, uint64_t arg, int64_t *r);
/*
 * write() to the host of @len bytes, of which some may be characters that send a signal. Bytes
 * or -errno. Only for a master.
 */
int64_t ctty_master_write(struct task *t, struct gfile *f, const char *buf, size_t len);

#endif
