/* SPDX-License-Identifier: MIT */
/* The guest's terminals: which there are, and which file is of which. guest/ctty.h tells the design. */
#include "guest/ctty.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "guest/host_dir.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

#define MAJOR_MEMORY 1 /* /dev/null and the like: no terminals */
#define DEV_TTY      makedev(5, 0)
#define DEV_PTMX     makedev(5, 2)

struct cttys {
	struct guest *g;
	pthread_mutex_t lock;
	struct list_head all; /* but for own, and those that were hung up */
	struct ctty *own;
};

static struct ctty *ctty_alloc(struct guest *g)
{
	struct ctty *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->g = g;
	c->refs = 1;
	c->place = -1;
	list_init(&c->link);
	return c;
}

/* The device number of umm's controlling terminal, 0: it has none. */
static uint64_t host_terminal(void)
{
	FILE *own = host_proc_fopen("self/stat");
	char text[512] = "";
	unsigned int device = 0;
	const char *end;

	if (!own)
		return 0;
	end = fgets(text, sizeof(text), own) ? strrchr(text, ')') : NULL;
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %u", &device) != 1)
		device = 0;
	fclose(own);
	return makedev(device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00));
}

int cttys_create(struct guest *g, struct cttys **out)
{
	struct cttys *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->own = ctty_alloc(g);
	if (!all->own) {
		free(all);
		return -ENOMEM;
	}
	all->g = g;
	pthread_mutex_init(&all->lock, NULL);
	list_init(&all->all);
	all->own->own = true;
	all->own->rdev = host_terminal();
	all->own->host_session = all->own->rdev;
	all->own->session = PID_OUTSIDE;
	all->own->pgrp = PID_FIRST;
	*out = all;
	return 0;
}

void cttys_destroy(struct cttys *all)
{
	if (!all)
		return;
	ctty_put(all->own);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

struct ctty *ctty_own(const struct guest *g)
{
	return g->cttys->own;
}

struct ctty *ctty_get(struct ctty *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void ctty_put(struct ctty *c)
{
	struct cttys *all;

	if (!c)
		return;
	all = c->g->cttys;
	/* Found in the list, it gets a reference under the lock: the last one goes under it, too. */
	pthread_mutex_lock(&all->lock);
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL)) {
		pthread_mutex_unlock(&all->lock);
		return;
	}
	list_del(&c->link);
	pthread_mutex_unlock(&all->lock);
	if (c->place >= 0)
		close(c->place);
	free(c);
}

/* ---- files and terminals --------------------------------------------------- */

/* A place without its file: the pty is gone, and its number may be another's by now. */
static bool is_gone(const struct ctty *c)
{
	struct stat st;

	return c->place >= 0 && !fstat(c->place, &st) && !st.st_nlink;
}

/* The slave's place, of @f that is the master or the slave itself. A descriptor or -errno. */
static int find_place(const struct gfile *f)
{
	char name[32];
	int fd;

	if (f->pty_master) {
		/* As a place: that opens nothing, so it may be locked. */
		fd = ioctl(f->host_fd, TIOCGPTPEER, O_PATH | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	snprintf(name, sizeof(name), "self/fd/%d", f->host_fd);
	return host_proc_open(name, O_PATH);
}

/* cttys->lock held. */
static struct ctty *find(struct cttys *all, uint64_t dev, uint64_t rdev)
{
	struct ctty *c;

	list_for_each_entry(c, &all->all,
			    link) if (c->dev == dev && c->rdev == rdev && !is_gone(c)) return c;
	return NULL;
}

/* The terminal of that place, with a reference; @place is owned. NULL: no memory. */
static struct ctty *find_or_make(struct cttys *all, const struct gfile *f, int place)
{
	uint64_t dev = f->dev, rdev = f->rdev;
	struct ctty *c, *fresh;
	struct stat st;

	if (place >= 0 && !fstat(place, &st)) {
		dev = st.st_dev;
		rdev = st.st_rdev;
	}
	fresh = ctty_alloc(all->g);
	if (!fresh) {
		if (place >= 0)
			close(place);
		return NULL;
	}
	fresh->dev = dev;
	fresh->rdev = rdev;
	fresh->place = place;
	fresh->sealed = f->sealed;
	pthread_mutex_lock(&all->lock);
	c = find(all, dev, rdev);
	if (c) {
		ctty_get(c);
	} else {
		list_add(&fresh->link, &all->all);
		c = ctty_get(fresh);
	}
	pthread_mutex_unlock(&all->lock);
	ctty_put(fresh);
	return c;
}

/* The host tells the session of a slave to those only whose terminal it is. */
static bool is_own(const struct gfile *f)
{
	return !f->pty_master && tcgetsid(f->host_fd) >= 0;
}

void ctty_attach(struct guest *g, struct gfile *f)
{
	struct cttys *all = g->cttys;
	struct ctty *c;
	unsigned int number;

	if (f->kind != GFILE_HOST || !S_ISCHR(f->type) || f->flags & O_PATH ||
	    major(f->rdev) == MAJOR_MEMORY || !isatty(f->host_fd))
		return;
	f->pty_master = f->rdev == DEV_PTMX && !ioctl(f->host_fd, TIOCGPTN, &number);
	if (is_own(f)) {
		f->tty = ctty_get(all->own);
		return;
	}
	c = find_or_make(all, f, find_place(f));
	if (!c)
		return;
	f->tty = c;
	if (!f->pty_master)
		return;
	pthread_mutex_lock(&all->lock);
	c->masters++;
	c->master = f;
	pthread_mutex_unlock(&all->lock);
}

/* True: @f was the last of the master's that the guest has. */
static bool master_leaves(struct ctty *c, const struct gfile *f)
{
	struct cttys *all = c->g->cttys;
	bool last;

	pthread_mutex_lock(&all->lock);
	if (c->master == f)
		c->master = NULL;
	last = !--c->masters;
	pthread_mutex_unlock(&all->lock);
	return last;
}

void ctty_closed(struct gfile *f)
{
	struct ctty *c = f->tty;

	/* Sent through a socket it is still open, for who will receive it: then its name stays. */
	if (f->pty_master && master_leaves(c, f) && (c->place < 0 || is_gone(c)))
		ctty_hangup(c);
	ctty_put(c);
}

/* ---- opening by another name -------------------------------------------------- */

int ctty_open_slave(struct ctty *c, int flags)
{
	struct cttys *all = c->g->cttys;
	struct gfile *master;
	char name[32];
	int fd;

	flags = (flags & (O_ACCMODE | O_NONBLOCK | O_APPEND | O_SYNC)) | O_CLOEXEC | O_NOCTTY;
	pthread_mutex_lock(&all->lock);
	master = c->master && gfile_try_get(c->master) ? c->master : NULL;
	pthread_mutex_unlock(&all->lock);
	if (master) {
		fd = ioctl(master->host_fd, TIOCGPTPEER, flags);
		fd = fd < 0 ? -errno : fd;
		gfile_put(master);
		return fd;
	}
	if (c->sealed || c->place < 0)
		return -ENXIO;
	snprintf(name, sizeof(name), "self/fd/%d", c->place);
	return host_proc_open(name, flags);
}

bool ctty_is_dev_tty(mode_t type, uint64_t rdev)
{
	return S_ISCHR(type) && rdev == DEV_TTY;
}

/* With a reference; NULL: none. */
static struct ctty *controlling(struct task *t)
{
	struct ctty *c;

	guest_lock(t->g);
	c = t->proc->tty ? ctty_get(t->proc->tty) : NULL;
	guest_unlock(t->g);
	return c;
}

int ctty_open_dev_tty(struct task *t, struct gfile *host, int flags, struct gfile **out)
{
	struct ctty *c = controlling(t);
	int fd, r = -ENXIO;

	if (c && c->own && host) {
		*out = host;
		ctty_put(c);
		return 0;
	}
	gfile_put(host);
	if (c && !c->own) {
		fd = ctty_open_slave(c, flags);
		r = fd < 0 ? fd : gfile_create(guest_filemaps(t->g), fd, flags, out);
		if (!r)
			ctty_attach(t->g, *out);
	}
	ctty_put(c);
	return r;
}
