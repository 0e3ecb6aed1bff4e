/* SPDX-License-Identifier: MIT */
/* Messages in and out of POSIX queues: guest/mqueue.h has the design. */
#include "guest/mqueue.h"

#include <unistd.h>

/* A task that waits to send @m, or for the message that a sender leaves there. */
struct mqueue_waiter {
	struct list_head link;
	struct task *task;
	struct message *m;
	bool done;
};

/* A notice on its way; pid 0: none. */
struct notice {
	int32_t pid;
	siginfo_t info;
};

/* Lock held, and held again in the end; dropped while asleep. 0: done by another. */
static int wait_turn(struct task *t, struct mqueue *q, struct list_head *line,
		     struct mqueue_waiter *w, const struct timespec *deadline)
{
	uint32_t seq;
	int err = 0;

	list_add_tail(&w->link, line);
	while (!w->done && !err) {
		seq = task_sleep_begin(t);
		if (task_has_work(t)) {
			err = -ERESTARTSYS_;
			break;
		}
		pthread_mutex_unlock(&q->ipc->lock);
		err = task_sleep(t, seq, CLOCK_REALTIME, deadline);
		pthread_mutex_lock(&q->ipc->lock);
	}
	if (w->done)
		return 0;
	list_del(&w->link);
	return err;
}

/* Lock held: the first in line is served. */
static struct mqueue_waiter *first_waiter(struct list_head *line)
{
	return list_empty(line) ? NULL : list_first_entry(line, struct mqueue_waiter, link);
}

static void waiter_done(struct mqueue_waiter *w)
{
	list_del(&w->link);
	w->done = true;
	task_wake(w->task);
}

/* Behind all of at least its priority. */
static void insert_message(struct mqueue *q, struct message *m)
{
	struct list_head *at = q->messages.prev;

	while (at != &q->messages && list_entry(at, struct message, link)->type < m->type)
		at = at->prev;
	list_add(&m->link, at);
	q->nr++;
	q->bytes += m->len;
}

/* Lock held: a message came into the empty queue. One notice, then no more. */
static void note_arrival(struct task *t, struct mqueue *q, struct notice *n)
{
	struct mqueue_notify *to = &q->notify;

	if (!to->pid)
		return;
	if (to->how == SIGEV_SIGNAL && to->signo) {
		n->pid = to->pid;
		siginfo_from_task(&n->info, to->signo, SI_MESGQ, t);
		n->info.si_ptr = (void *)(uintptr_t)to->value;
	}
	to->pid = 0;
}

static void send_notice(struct task *t, const struct notice *n)
{
	struct proc *p;

	if (!n->pid)
		return;
	guest_lock(t->g);
	p = proc_find(t->g, n->pid);
	if (p)
		(void)signal_send(p, NULL, n->info.si_signo, &n->info);
	guest_unlock(t->g);
}

int mqueue_send(struct task *t, struct mqueue *q, struct message *m, bool wait,
		const struct timespec *deadline)
{
	struct mqueue_waiter self = { .task = t, .m = m }, *receiver;
	struct notice n = { .pid = 0 };
	int err = 0;

	pthread_mutex_lock(&q->ipc->lock);
	receiver = first_waiter(&q->receivers);
	if (q->nr >= q->max_messages) {
		err = wait ? wait_turn(t, q, &q->senders, &self, deadline) : -EAGAIN;
	} else if (receiver) {
		receiver->m = m;
		waiter_done(receiver);
	} else {
		insert_message(q, m);
		if (q->nr == 1)
			note_arrival(t, q, &n);
		mqueue_ring(q);
	}
	pthread_mutex_unlock(&q->ipc->lock);
	send_notice(t, &n);
	return err;
}

int mqueue_receive(struct task *t, struct mqueue *q, struct message **out, bool wait,
		   const struct timespec *deadline)
{
	struct mqueue_waiter self = { .task = t }, *sender;
	int err = 0;

	pthread_mutex_lock(&q->ipc->lock);
	if (!q->nr) {
		err = wait ? wait_turn(t, q, &q->receivers, &self, deadline) : -EAGAIN;
		*out = self.m;
	} else {
		*out = list_first_entry(&q->messages, struct message, link);
		list_del(&(*out)->link);
		q->nr--;
		q->bytes -= (*out)->len;
		sender = first_waiter(&q->senders);
		if (sender) {
			insert_message(q, sender->m);
			waiter_done(sender);
		}
		mqueue_ring(q);
	}
	pthread_mutex_unlock(&q->ipc->lock);
	return err;
}
