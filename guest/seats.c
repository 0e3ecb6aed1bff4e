/* SPDX-License-Identifier: MIT */
/*
 * Seats: who is which processor of the guest. A task that has asked for restartable
 * sequences (guest/rseq.c) runs guest code in a seat only, and a seat has one task: so no
 * two of these tasks are ever in guest code with one processor's number. There are as many
 * seats as the guest has processors. Other tasks know nothing of this and need no seat.
 *
 *	          seat_enter()                    seat_leave()
 *	nobody ----------------> holder | IN  <-------------------> holder
 *	                             ^   (one compare-and-exchange)    |
 *	                             |                                 |
 *	                             +--- another task: from seat_enter(), or it was given
 *
 * A task keeps its seat while it is out of the guest, so most exits change nothing. Who
 * needs one takes, in this order: one that nobody has; one whose task sleeps; one whose
 * task has been out of the guest for GRACE_NS, whatever it does there. If there is none it
 * stands in a queue. Then whoever goes to sleep, or leaves the guest after TURN_NS or more
 * in its seat, gives it to the first in the queue who may have it, and who stays in the
 * guest for longer is kicked out.
 *
 * The host may take the processor from a task in the guest at any time. Nobody notices, and
 * nobody needs to: its seat stays its own. What Linux does by aborting a sequence at each
 * switch, this does by letting nobody else be that processor meanwhile. A task that has
 * lost its seat learns that from the failed exchange, and its sequence is aborted then.
 *
 * Lock: seats->lock, below guest->lock and above nothing but the vCPU's own. A task whose
 * pointer is in a seat or in the queue is alive: it leaves both before it ends, under
 * the lock.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/task.h"

#define TURN_NS  2000000u /* with a queue; Linux gives 0.75 to 3 ms */
#define GRACE_NS 250000u  /* several exits of the slowest host */
#define SEAT_IN  1ul      /* in seat.holder: in guest code, or about to be */

struct seat {
	uintptr_t holder; /* a  struct task * and SEAT_IN; 0: nobody */
	uint32_t turns;   /* a  by the holder: how often it went in */
	bool kicked;      /* a  set under the lock: a signal is on its way to the holder */
	/* The lock guards what follows. */
	uint32_t seen_turns; /* what turns was at seen_ns, its holder being out */
	uint64_t seen_ns;
	uint64_t since_ns;   /* the holder has had it since then */
	const struct mm *mm; /* the holder's, only to be compared */
	uint32_t cid;
};

struct seats {
	pthread_mutex_t lock;
	uint32_t nr_waiting;    /* a  set under the lock */
	uint64_t fences;        /* a  how often all sequences were fenced */
	struct list_head queue; /* of tasks by seat.link, the first is the oldest */
	unsigned int nr;
	struct seat seat[];
};

int seats_create(unsigned int nr_cpus, struct seats **out)
{
	unsigned int nr = nr_cpus < CPU_MASK_WORDS * 64 ? nr_cpus : CPU_MASK_WORDS * 64;
	struct seats *s;

	if (!nr)
		nr = 1;
	s = calloc(1, sizeof(*s) + nr * sizeof(s->seat[0]));
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->queue);
	s->nr = nr;
	*out = s;
	return 0;
}

void seats_destroy(struct seats *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool may_have(const struct task *t, unsigned int n)
{
	return !task_is_bound(t) || task_may_use_cpu(t, n);
}

/* ---- having a seat --------------------------------------------------------------- */

/* Only the holder itself, or somebody with the lock, may go by the answer. */
static bool holds(const struct seats *s, const struct task *t)
{
	uintptr_t holder;

	if (t->seat.number < 0)
		return false;
	holder = __atomic_load_n(&s->seat[t->seat.number].holder, __ATOMIC_ACQUIRE);
	return (holder & ~SEAT_IN) == (uintptr_t)t;
}

/* The task's own question. */
static bool is_in(const struct seats *s, const struct task *t)
{
	return t->seat.number >= 0 && __atomic_load_n(&s->seat[t->seat.number].holder,
						      __ATOMIC_RELAXED) == ((uintptr_t)t | SEAT_IN);
}

/* Lock held. The lowest that no other seat has for this memory. */
static uint32_t free_cid(const struct seats *s, const struct seat *but, const struct mm *mm)
{
	uint64_t used[CPU_MASK_WORDS] = { 0 };
	uint32_t cid;

	for (unsigned int i = 0; i < s->nr; i++) {
		const struct seat *seat = &s->seat[i];

		if (seat != but && seat->mm == mm &&
		    __atomic_load_n(&seat->holder, __ATOMIC_RELAXED))
			used[seat->cid / 64] |= 1ull << (seat->cid % 64);
	}
	for (cid = 0; used[cid / 64] >> (cid % 64) & 1; cid++)
		;
	return cid;
}

/* Lock held. The seat's holder is @t since just now. */
static void settle(struct seats *s, struct task *t, unsigned int n, uint64_t now)
{
	struct seat *seat = &s->seat[n];

	__atomic_fetch_add(&seat->turns, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&seat->kicked, false, __ATOMIC_RELAXED);
	seat->since_ns = now;
	seat->cid = free_cid(s, seat, t->mm);
	seat->mm = t->mm;
	t->seat.number = (int)n;
	t->seat.cid = seat->cid;
	t->seat.changed = true;
}

static void dequeue(struct seats *s, struct task *t)
{
	list_del(&t->seat.link);
	t->seat.waiting = false;
	__atomic_fetch_sub(&s->nr_waiting, 1, __ATOMIC_SEQ_CST);
}

/*
 * Lock held. Seat @n, whose task is out of the guest, goes to who waits for it. Who is slow
 * to wake up, on a busy host, may lose it again to another: an empty seat helps nobody.
 */
static bool give(struct seats *s, unsigned int n)
{
	struct task *w;

	list_for_each_entry(w, &s->queue, seat.link)
	{
		if (!may_have(w, n))
			continue;
		dequeue(s, w);
		__atomic_store_n(&s->seat[n].holder, (uintptr_t)w, __ATOMIC_SEQ_CST);
		settle(s, w, n, clock_ns(CLOCK_MONOTONIC));
		task_wake(w);
		return true;
	}
	return false;
}

static void vacate(struct seats *s, unsigned int n)
{
	if (!give(s, n))
		__atomic_store_n(&s->seat[n].holder, 0, __ATOMIC_SEQ_CST);
}

/* Lock held; the signal is sent when it is dropped. */
static void seat_kick(struct seat *seat)
{
	struct task *t =
		(struct task *)(__atomic_load_n(&seat->holder, __ATOMIC_SEQ_CST) & ~SEAT_IN);

	if (__atomic_exchange_n(&seat->kicked, true, __ATOMIC_SEQ_CST))
		return;
	t->ops->kick(t->vcpu);
}

/* ---- finding one ------------------------------------------------------------------ */

/* Lock held. May a seat with this holder be taken from it? */
static bool takeable(struct seat *seat, uintptr_t holder, uint64_t now)
{
	const struct task *t = (const struct task *)holder;
	uint32_t turns;

	if (!holder)
		return true;
	if (holder & SEAT_IN)
		return false;
	if (__atomic_load_n(&t->sleeping, __ATOMIC_RELAXED))
		return true;
	turns = __atomic_load_n(&seat->turns, __ATOMIC_RELAXED);
	if (turns == seat->seen_turns && seat->seen_ns)
		return now - seat->seen_ns > GRACE_NS;
	seat->seen_turns = turns;
	seat->seen_ns = now;
	return false;
}

/* Lock held. */
static bool take(struct seats *s, struct task *t, unsigned int n, uint64_t now)
{
	struct seat *seat = &s->seat[n];
	uintptr_t holder = __atomic_load_n(&seat->holder, __ATOMIC_ACQUIRE);

	if (!may_have(t, n) || !takeable(seat, holder, now))
		return false;
	/* Its holder may be on its way back into the guest. */
	if (!__atomic_compare_exchange_n(&seat->holder, &holder, (uintptr_t)t | SEAT_IN, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		return false;
	settle(s, t, n, now);
	return true;
}

/* Lock held. The one of the processor that @t is on, if it can be had, else any. */
static bool take_any(struct seats *s, struct task *t, uint64_t now)
{
	unsigned int first = task_cpu(t) % s->nr;

	for (unsigned int i = 0; i < s->nr; i++)
		if (take(s, t, (first + i) % s->nr, now))
			return true;
	return false;
}

/* ---- waiting for one -------------------------------------------------------------- */

/*
 * Lock held. The one who has been in its seat for longest comes out, if its turn is over.
 * When is it worth another look?
 */
static uint64_t hurry(struct seats *s, const struct task *t, uint64_t now)
{
	uint64_t next = now + TURN_NS;
	struct seat *oldest = NULL;

	for (unsigned int i = 0; i < s->nr; i++) {
		struct seat *seat = &s->seat[i];
		uintptr_t holder = __atomic_load_n(&seat->holder, __ATOMIC_SEQ_CST);

		if (!may_have(t, i))
			continue;
		if (!(holder & SEAT_IN))
			next = now + GRACE_NS;
		else if (!oldest || seat->since_ns < oldest->since_ns)
			oldest = seat;
	}
	if (!oldest)
		return next;
	if (now - oldest->since_ns < TURN_NS)
		return next < oldest->since_ns + TURN_NS ? next : oldest->since_ns + TURN_NS;
	seat_kick(oldest);
	return next;
}

/* ---- in and out ------------------------------------------------------------------------ */

static bool resume(struct seats *s, struct task *t)
{
	uintptr_t out = (uintptr_t)t;
	struct seat *seat;

	if (t->seat.number < 0 || !may_have(t, (unsigned int)t->seat.number))
		return false;
	seat = &s->seat[t->seat.number];
	if (!__atomic_compare_exchange_n(&seat->holder, &out, (uintptr_t)t | SEAT_IN, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return false;
	__atomic_fetch_add(&seat->turns, 1, __ATOMIC_RELAXED);
	return true;
}

/*
 * Lock held; dropped while asleep. Until @t has one, or was given one that it may or may not
 * still have; false: there is work.
 */
static bool queue_up(struct seats *s, struct task *t, bool first)
{
	t->seat.waiting = true;
	if (first)
		list_add(&t->seat.link, &s->queue);
	else
		list_add_tail(&t->seat.link, &s->queue);
	__atomic_fetch_add(&s->nr_waiting, 1, __ATOMIC_SEQ_CST);
	while (t->seat.waiting) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), until;
		uint32_t seq = task_sleep_begin(t);
		bool work = task_has_work(t);

		if (work || take_any(s, t, now)) {
			dequeue(s, t);
			return !work;
		}
		until = hurry(s, t, now);
		pthread_mutex_unlock(&s->lock);
		task_doze(t, seq, until);
		pthread_mutex_lock(&s->lock);
	}
	return true;
}

static bool wait_for_seat(struct seats *s, struct task *t)
{
	bool got = false, first = false;

	pthread_mutex_lock(&s->lock);
	do {
		/* One where it may be no longer, its affinity having changed. */
		if (holds(s, t))
			vacate(s, (unsigned int)t->seat.number);
		t->seat.number = -1;
		if (!queue_up(s, t, first))
			break;
		got = is_in(s, t) || resume(s, t);
		first = true;
	} while (!got);
	pthread_mutex_unlock(&s->lock);
	return got;
}

/* The host has moved the thread to a processor whose seat may be had. */
static bool was_moved(const struct seats *s, const struct task *t)
{
	unsigned int here = task_cpu(t);

	return here < s->nr && (int)here != t->seat.number &&
	       !(__atomic_load_n(&s->seat[here].holder, __ATOMIC_RELAXED) & SEAT_IN);
}

/* Lock held. Take another seat, and leave the own one if there is one. */
static bool change_seat(struct seats *s, struct task *t)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	int old = holds(s, t) ? t->seat.number : -1;
	int here = (int)(task_cpu(t) % s->nr);
	bool keep = old >= 0 && may_have(t, (unsigned int)old), taken;

	/* The host may have moved the thread back since: what it has it must not leave. */
	if (keep && here == old)
		return false;
	taken = keep ? take(s, t, (unsigned int)here, now) : take_any(s, t, now);
	if (old >= 0 && (taken || !keep))
		vacate(s, (unsigned int)old);
	return taken;
}

bool seat_enter(struct task *t)
{
	struct seats *s = t->g->seats;
	bool taken;

	if (!was_moved(s, t) && resume(s, t))
		return true;
	pthread_mutex_lock(&s->lock);
	taken = change_seat(s, t);
	pthread_mutex_unlock(&s->lock);
	return taken || resume(s, t) || wait_for_seat(s, t);
}

/*
 * A kick that came too late to end guest code must not end a host call that the task makes
 * next: the program would take that for a signal. Who kicked was in the queue before it saw
 * us in, and sent the signal under the lock; so it is on its way once the lock was had, and
 * any system call takes it.
 */
void seat_leave(struct task *t)
{
	struct seats *s = t->g->seats;
	struct seat *seat = &s->seat[t->seat.number];

	__atomic_store_n(&seat->holder, (uintptr_t)t, __ATOMIC_SEQ_CST);
	/* In this order: who is not in the queue any more has left its mark. */
	if (!__atomic_load_n(&s->nr_waiting, __ATOMIC_SEQ_CST) &&
	    !__atomic_load_n(&seat->kicked, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&s->lock);
	if (holds(s, t)) {
		__atomic_store_n(&seat->kicked, false, __ATOMIC_SEQ_CST);
		if (clock_ns(CLOCK_MONOTONIC) - seat->since_ns >= TURN_NS)
			give(s, (unsigned int)t->seat.number);
	}
	pthread_mutex_unlock(&s->lock);
	syscall(SYS_gettid);
}

void seat_rest(struct task *t)
{
	struct seats *s = t->g->seats;

	if (!t->rseq.at || !__atomic_load_n(&s->nr_waiting, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&s->lock);
	if (holds(s, t))
		give(s, (unsigned int)t->seat.number);
	pthread_mutex_unlock(&s->lock);
}

void seat_release(struct task *t)
{
	struct seats *s = t->g->seats;

	if (t->seat.number < 0)
		return;
	pthread_mutex_lock(&s->lock);
	if (holds(s, t))
		vacate(s, (unsigned int)t->seat.number);
	t->seat.number = -1;
	pthread_mutex_unlock(&s->lock);
}

void seat_rebind(struct task *t)
{
	struct seats *s = t->g->seats;
	struct seat *seat;

	pthread_mutex_lock(&s->lock);
	if (holds(s, t) && !may_have(t, (unsigned int)t->seat.number)) {
		seat = &s->seat[t->seat.number];
		if (__atomic_load_n(&seat->holder, __ATOMIC_SEQ_CST) & SEAT_IN)
			seat_kick(seat);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- fencing ----------------------------------------------------------------------------- */

uint64_t seat_fences(const struct task *t)
{
	return __atomic_load_n(&t->g->seats->fences, __ATOMIC_SEQ_CST);
}

/* It is in the guest with the same memory: it comes out, and *turns tells that stay. */
static bool fence_begin(struct seats *s, const struct task *t, unsigned int n, uintptr_t *holder,
			uint32_t *turns)
{
	struct seat *seat = &s->seat[n];
	bool in;

	pthread_mutex_lock(&s->lock);
	/* As one who waits does: seat_leave() says why. */
	__atomic_fetch_add(&s->nr_waiting, 1, __ATOMIC_SEQ_CST);
	*turns = __atomic_load_n(&seat->turns, __ATOMIC_SEQ_CST);
	*holder = __atomic_load_n(&seat->holder, __ATOMIC_SEQ_CST);
	in = (*holder & SEAT_IN) && seat->mm == t->mm;
	if (in)
		seat_kick(seat);
	__atomic_fetch_sub(&s->nr_waiting, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&s->lock);
	return in;
}

static bool fence_goes_on(const struct seats *s, unsigned int n, uintptr_t holder, uint32_t turns)
{
	return __atomic_load_n(&s->seat[n].holder, __ATOMIC_SEQ_CST) == holder &&
	       __atomic_load_n(&s->seat[n].turns, __ATOMIC_SEQ_CST) == turns;
}

/*
 * A task that goes in sees the new count, or was seen in: whoever has the count of before
 * in guest code is waited for.
 */
void seats_fence(struct task *t, int only)
{
	const struct timespec pause = { 0, 20000 };
	struct seats *s = t->g->seats;
	uintptr_t holder;
	uint32_t turns;

	__atomic_fetch_add(&s->fences, 1, __ATOMIC_SEQ_CST);
	for (unsigned int n = 0; n < s->nr; n++) {
		if ((only >= 0 && (unsigned int)only != n) ||
		    !fence_begin(s, t, n, &holder, &turns))
			continue;
		while (fence_goes_on(s, n, holder, turns) &&
		       !(task_has_work(t) && task_is_killed(t)))
			nanosleep(&pause, NULL);
	}
}
