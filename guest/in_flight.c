/* SPDX-License-Identifier: MIT */
/* Descriptors on their way through sockets: guest/in_flight.h has the design. */
#include "guest/in_flight.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest/host_dir.h"

struct traveller {
	struct list_head link;
	struct gfile *g;   /* a reference */
	int pipe;          /* the read end */
	uint64_t dev, ino; /* the pipe's */
};

struct in_flight {
	pthread_mutex_t lock;
	struct list_head travellers;
	uint32_t nr; /* a */
};

struct in_flight *in_flight_create(void)
{
	struct in_flight *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	pthread_mutex_init(&all->lock, NULL);
	list_init(&all->travellers);
	return all;
}

static void traveller_free(struct traveller *t)
{
	list_del(&t->link);
	close(t->pipe);
	gfile_put(t->g);
	free(t);
}

void in_flight_destroy(struct in_flight *all)
{
	struct traveller *t, *tmp;

	if (!all)
		return;
	list_for_each_entry_safe(t, tmp, &all->travellers, link) traveller_free(t);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

bool in_flight_wants_token(const struct gfile *g)
{
	if (gfile_is_ours(g))
		return true;
	/* A socket has nothing that a seal keeps from change. In a message to itself it would stay for ever. */
	return g->sealed && g->type != S_IFSOCK;
}

/* ---- sending; lock held -------------------------------------------------------- */

static int make_traveller(struct in_flight *all, struct gfile *g)
{
	struct traveller *t = calloc(1, sizeof(*t));
	struct stat st;
	int fds[2], err;

	if (!t)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) || fstat(fds[0], &st)) {
		err = -errno;
		free(t);
		return err;
	}
	t->g = gfile_get(g);
	t->pipe = fds[0];
	t->dev = st.st_dev;
	t->ino = st.st_ino;
	list_add(&t->link, &all->travellers);
	__atomic_fetch_add(&all->nr, 1, __ATOMIC_RELAXED);
	return fds[1];
}

/* Sent once more, before the first message was received: the same pipe. */
static int token_again(const struct traveller *t)
{
	char name[32];

	snprintf(name, sizeof(name), "self/fd/%d", t->pipe);
	return host_proc_open(name, O_WRONLY | O_NONBLOCK);
}

int in_flight_token(struct in_flight *all, struct gfile *g)
{
	struct traveller *t, *known = NULL;
	int fd;

	in_flight_collect(all);
	pthread_mutex_lock(&all->lock);
	list_for_each_entry(t, &all->travellers, link) if (t->g == g) known = t;
	fd = known ? token_again(known) : -ENOENT;
	/* Others may not open it, who have other rights than who made it. */
	if (fd < 0)
		fd = make_traveller(all, g);
	pthread_mutex_unlock(&all->lock);
	return fd;
}

/* ---- receiving ----------------------------------------------------------------- */

struct gfile *in_flight_find(struct in_flight *all, int fd)
{
	struct gfile *g = NULL;
	struct traveller *t;
	struct stat st;

	if (!__atomic_load_n(&all->nr, __ATOMIC_RELAXED) || fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return NULL;
	pthread_mutex_lock(&all->lock);
	list_for_each_entry(t, &all->travellers,
			    link) if (t->dev == st.st_dev && t->ino == st.st_ino) g = t->g;
	if (g)
		gfile_get(g);
	pthread_mutex_unlock(&all->lock);
	return g;
}

/* Nobody has a token of it, in a message or in hand. */
static bool is_over(const struct traveller *t)
{
	struct pollfd p = { .fd = t->pipe };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

void in_flight_collect(struct in_flight *all)
{
	struct traveller *t, *tmp;
	struct list_head over;

	if (!__atomic_load_n(&all->nr, __ATOMIC_RELAXED))
		return;
	list_init(&over);
	pthread_mutex_lock(&all->lock);
	list_for_each_entry_safe(t, tmp, &all->travellers, link)
	{
		if (!is_over(t))
			continue;
		list_del(&t->link);
		list_add(&t->link, &over);
		__atomic_fetch_sub(&all->nr, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&all->lock);
	list_for_each_entry_safe(t, tmp, &over, link) traveller_free(t);
}
