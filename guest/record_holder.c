/* SPDX-License-Identifier: MIT */
/* Who holds a record lock, and circles of those who wait; guest/record_holder.h tells how. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "guest/host_dir.h"
#include "guest/record_holder.h"

/* Linux gives up after as many. */
#define CIRCLE_MAX 10

/* Of the process umm, as the locks are on the host. */
static pthread_mutex_t holder_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list_head owners = { &owners, &owners };
static struct list_head waits = { &waits, &waits };

void record_owner_list(struct record_owner *o)
{
	pthread_mutex_lock(&holder_lock);
	list_add_tail(&o->all, &owners);
	pthread_mutex_unlock(&holder_lock);
}

void record_owner_unlist(struct record_owner *o)
{
	pthread_mutex_lock(&holder_lock);
	list_del(&o->all);
	pthread_mutex_unlock(&holder_lock);
}

/* Is @line of fdinfo the lock @fl? "lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:12 100 149" or "EOF". */
static bool line_is_lock(const char *line, const struct flock *fl)
{
	char type[16], last[32];
	long long start;

	if (sscanf(line, "lock: %*d: OFDLCK %*s %15s %*d %*s %lld %31s", type, &start, last) != 3)
		return false;
	if (start != fl->l_start || strcmp(type, fl->l_type == F_RDLCK ? "READ" : "WRITE") != 0)
		return false;
	if (!fl->l_len)
		return !strcmp(last, "EOF");
	return strtoll(last, NULL, 10) == fl->l_start + fl->l_len - 1;
}

static bool fd_has_lock(int fd, const struct flock *fl)
{
	char name[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(name, sizeof(name), "self/fdinfo/%d", fd);
	f = host_proc_fopen(name);
	while (f && !found && fgets(line, sizeof(line), f))
		found = line_is_lock(line, fl);
	if (f)
		fclose(f);
	return found;
}

/* Lock held. */
static const struct record_owner *owner_of(const struct gfile *g, const struct flock *fl)
{
	const struct record_owner *o;

	list_for_each_entry(o, &owners, all)
	{
		if (o->ino == g->ino && o->dev == g->dev && fd_has_lock(o->fd, fl))
			return o;
	}
	return NULL;
}

void record_holder_name(const struct gfile *g, struct flock *fl)
{
	const struct record_owner *o;

	if (fl->l_type == F_UNLCK || fl->l_pid != -1)
		return;
	pthread_mutex_lock(&holder_lock);
	o = owner_of(g, fl);
	if (o)
		fl->l_pid = o->pid;
	pthread_mutex_unlock(&holder_lock);
}

/* Lock held. NULL: nothing is in the way, or no process of the guest. */
static const struct record_owner *in_the_way(const struct record_wait *w)
{
	struct flock fl = w->fl;

	if (fcntl(w->fd, F_OFD_GETLK, &fl) || fl.l_type == F_UNLCK || fl.l_pid != -1)
		return NULL;
	return owner_of(w->file, &fl);
}

/* Lock held. */
static const struct record_wait *wait_of(const struct files *files)
{
	const struct record_wait *w;

	list_for_each_entry(w, &waits, link) if (w->files == files) return w;
	return NULL;
}

/* Lock held. */
static bool closes_circle(const struct record_wait *first)
{
	const struct record_wait *w = first;
	const struct record_owner *o;
	int i;

	for (i = 0; w && i < CIRCLE_MAX; i++) {
		o = in_the_way(w);
		if (!o)
			return false;
		if (o->files == first->files)
			return true;
		w = wait_of(o->files);
	}
	return false;
}

int record_wait_begin(struct record_wait *w)
{
	int err = 0;

	pthread_mutex_lock(&holder_lock);
	if (closes_circle(w))
		err = -EDEADLK;
	else
		list_add_tail(&w->link, &waits);
	pthread_mutex_unlock(&holder_lock);
	return err;
}

void record_wait_end(struct record_wait *w)
{
	pthread_mutex_lock(&holder_lock);
	list_del(&w->link);
	pthread_mutex_unlock(&holder_lock);
}
