/* SPDX-License-Identifier: MIT */
/* /proc/sys/fs/mqueue: the limits of POSIX message queues. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "guest/mqueue.h"
#include "guest/procfs.h"

#define FOLDER "sys/fs/mqueue/"

static const char *const names[] = { "msg_default", "msg_max", "msgsize_default", "msgsize_max",
				     "queues_max" };
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Where a limit is kept, and Linux's bounds for it, in the order of the names. */
struct limit {
	long *value;
	long min, max;
};

/* ipc->lock held. */
static struct limit find_limit(struct ipc *ipc, const struct proc_name *n)
{
	const struct limit all[NAMES] = {
		{ &ipc->mq_msg_default, 1, MQUEUE_HARD_MESSAGES },
		{ &ipc->mq_msg_max, 1, MQUEUE_HARD_MESSAGES },
		{ &ipc->mq_msgsize_default, 128, MQUEUE_HARD_SIZE },
		{ &ipc->mq_msgsize_max, 128, MQUEUE_HARD_SIZE },
		{ &ipc->mq_queues_max, INT_MIN, INT_MAX },
	};

	return all[n->number];
}

static int show_limit(struct task *t, const struct proc_name *n, FILE *out)
{
	struct ipc *ipc = t->g->ipc;

	pthread_mutex_lock(&ipc->lock);
	fprintf(out, "%ld\n", *find_limit(ipc, n).value);
	pthread_mutex_unlock(&ipc->lock);
	return 0;
}

static int store_limit(struct task *t, const struct proc_name *n, const char *text)
{
	struct ipc *ipc = t->g->ipc;
	struct limit limit;
	char *end;
	long value;
	int err = 0;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || end[strspn(end, " \t\n")])
		return -EINVAL;
	pthread_mutex_lock(&ipc->lock);
	limit = find_limit(ipc, n);
	if (value < limit.min || value > limit.max)
		err = -EINVAL;
	else
		*limit.value = value;
	pthread_mutex_unlock(&ipc->lock);
	return err;
}

int procfs_mqueue_parse(const char *name, struct proc_name *n)
{
	size_t i;

	if (strncmp(name, FOLDER, strlen(FOLDER)))
		return -ENOENT;
	for (i = 0; i < NAMES; i++) {
		if (strcmp(name + strlen(FOLDER), names[i]))
			continue;
		n->type = PROC_FILE;
		n->mode = 0644;
		n->show = show_limit;
		n->store = store_limit;
		n->writable = true;
		n->number = (int)i;
		n->leaf = names[i];
		return 0;
	}
	return -ENOENT;
}
