/* SPDX-License-Identifier: MIT */
/*
 * Seats: whoever is in guest code has a processor's number for itself. On which processor of
 * the host a thread runs, this file says instead of the C library: a list for one step, or
 * another one at each look.
 */
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest/task.h"
#include "tests/unit/util.h"

#define NR_SEATS   3
#define NR_WORKERS 7
#define ROUNDS     3000

/* All that guest/ does with one here is to kick it. */
struct vcpu {
	uint32_t kicked; /* a */
};

struct member {
	struct vcpu vcpu;
	struct task t;
};

static const struct guest_cpu cpus[] = { { .host = 0 }, { .host = 1 }, { .host = 2 } };
static struct guest guest;

/* ---- where a thread is -------------------------------------------------------------- */

static __thread const int *places; /* the answers to come, the last one for ever */
static __thread uint32_t place_seed;

int sched_getcpu(void)
{
	if (place_seed)
		return (int)((place_seed = place_seed * 1664525u + 1013904223u) >> 16) % NR_SEATS;
	return places[0] < 0 ? -places[0] - 1 : *places++;
}

/* On processor @n from now on. */
static void go_to(int n)
{
	static const int always[NR_SEATS] = { -1, -2, -3 };

	places = &always[n];
}

/* ---- tasks -------------------------------------------------------------------------- */

static void kick(struct vcpu *v)
{
	__atomic_store_n(&v->kicked, 1, __ATOMIC_RELEASE);
}

static bool was_kicked(struct vcpu *v)
{
	return __atomic_exchange_n(&v->kicked, 0, __ATOMIC_ACQ_REL);
}

static void seats_begin(void)
{
	guest.cfg.nr_cpus = NR_SEATS;
	guest.cfg.cpus = cpus;
	CU_ASSERT_EQUAL_FATAL(seats_create(NR_SEATS, &guest.seats), 0);
	go_to(0);
}

static void member_init(struct member *m)
{
	static const struct vcpu_ops ops = { .kick = kick };

	*m = (struct member){ .t = { .g = &guest, .ops = &ops, .vcpu = &m->vcpu } };
	m->t.seat.number = -1;
	m->t.rseq.at = 4096;
}

static void bind_to(struct member *m, int n)
{
	__atomic_store_n(&m->t.affinity[0], 1ull << n, __ATOMIC_RELAXED);
}

/* It goes in, and is told of another seat if @told. */
#define GOES_IN(m, n, told)                                 \
	do {                                                \
		CU_ASSERT_TRUE(seat_enter(&(m)->t));        \
		CU_ASSERT_EQUAL((m)->t.seat.number, n);     \
		CU_ASSERT_EQUAL((m)->t.seat.changed, told); \
		(m)->t.seat.changed = false;                \
	} while (0)

static void fill_seats(struct member in[NR_SEATS])
{
	for (int i = 0; i < NR_SEATS; i++) {
		member_init(&in[i]);
		go_to(i);
		GOES_IN(&in[i], i, true);
	}
}

/* ---- fences --------------------------------------------------------------------------- */

static uint32_t fenced; /* a */

static void *make_fence(void *arg)
{
	seats_fence(arg, -1);
	__atomic_store_n(&fenced, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Who is in with the same memory is kicked and waited for; a new turn of it is another one. */
static void test_fence(void)
{
	const struct mm *ours = (const struct mm *)&guest, *theirs = (const struct mm *)&fenced;
	struct member in[NR_SEATS], maker;
	pthread_t thread;
	uint64_t before;

	seats_begin();
	member_init(&maker);
	maker.t.mm = (struct mm *)ours;
	for (int i = 0; i < NR_SEATS; i++) {
		member_init(&in[i]);
		in[i].t.mm = (struct mm *)(i == 1 ? theirs : ours);
		go_to(i);
		GOES_IN(&in[i], i, true);
	}
	seat_leave(&in[2].t);
	before = seat_fences(&maker.t);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, make_fence, &maker.t), 0);
	while (!was_kicked(&in[0].vcpu))
		usleep(100);
	usleep(1000);
	CU_ASSERT_FALSE(__atomic_load_n(&fenced, __ATOMIC_ACQUIRE));
	CU_ASSERT_EQUAL(seat_fences(&in[0].t), before + 1);
	seat_leave(&in[0].t);
	go_to(0);
	GOES_IN(&in[0], 0, false);
	pthread_join(thread, NULL);
	CU_ASSERT_FALSE(was_kicked(&in[0].vcpu));
	CU_ASSERT_FALSE(was_kicked(&in[1].vcpu));
	CU_ASSERT_FALSE(was_kicked(&in[2].vcpu));
	for (int i = 0; i < NR_SEATS; i++) {
		if (i < 2)
			seat_leave(&in[i].t);
		seat_release(&in[i].t);
	}
	seats_destroy(guest.seats);
}

/* ---- one at a time -------------------------------------------------------------------- */

static void test_keeps(void)
{
	struct member a, b;

	seats_begin();
	member_init(&a);
	member_init(&b);
	GOES_IN(&a, 0, true);
	seat_leave(&a.t);
	GOES_IN(&a, 0, false);
	seat_leave(&a.t);
	/* The host moved it: so does its number, and the old seat is empty. */
	go_to(1);
	GOES_IN(&a, 1, true);
	go_to(0);
	GOES_IN(&b, 0, true);
	seat_leave(&a.t);
	seat_release(&a.t);
	CU_ASSERT_EQUAL(a.t.seat.number, -1);
	seat_leave(&b.t);
	go_to(1);
	GOES_IN(&b, 1, true);
	seats_destroy(guest.seats);
}

/* Moved when it looks first, and back when it looks again: its own seat is no other one. */
static void test_moved_back(void)
{
	static const int back[] = { 2, 0, -1 };
	struct member a, b;

	seats_begin();
	member_init(&a);
	member_init(&b);
	GOES_IN(&a, 0, true);
	seat_leave(&a.t);
	go_to(1);
	GOES_IN(&b, 1, true);
	/* Somebody looks at the seat, and then it is long unused: it could be taken. */
	seat_leave(&b.t);
	go_to(0);
	GOES_IN(&b, 1, false);
	usleep(2000);
	places = back;
	GOES_IN(&a, 0, false);
	/* While it is in, nobody else gets its seat. */
	seat_leave(&b.t);
	seat_release(&b.t);
	go_to(0);
	GOES_IN(&b, 1, true);
	seat_leave(&a.t);
	GOES_IN(&a, 0, false);
	seats_destroy(guest.seats);
}

static void test_numbers_of_memory(void)
{
	struct member a, b, c;

	seats_begin();
	member_init(&a);
	member_init(&b);
	member_init(&c);
	GOES_IN(&a, 0, true);
	GOES_IN(&b, 1, true);
	CU_ASSERT_EQUAL(a.t.seat.cid, 0);
	CU_ASSERT_EQUAL(b.t.seat.cid, 1);
	c.t.mm = (struct mm *)&c;
	GOES_IN(&c, 2, true);
	CU_ASSERT_EQUAL(c.t.seat.cid, 0);
	seats_destroy(guest.seats);
}

static void test_taken(void)
{
	struct member in[NR_SEATS], late;

	seats_begin();
	member_init(&late);
	fill_seats(in);
	/* Who is out for long, whatever it does there. */
	seat_leave(&in[1].t);
	GOES_IN(&late, 1, true);
	seat_leave(&late.t);
	seat_release(&late.t);
	/* Who sleeps, at once; it has not lost what it was not told of. */
	go_to(1);
	GOES_IN(&in[1], 1, true);
	seat_leave(&in[1].t);
	in[1].t.sleeping = true;
	GOES_IN(&late, 1, true);
	in[1].t.sleeping = false;
	seat_leave(&late.t);
	seat_release(&late.t);
	GOES_IN(&in[1], 1, true);
	seats_destroy(guest.seats);
}

static void test_bound(void)
{
	struct member a, b;

	seats_begin();
	member_init(&a);
	member_init(&b);
	GOES_IN(&a, 0, true);
	/* It may not be there any more: it has to come out, but only then. */
	bind_to(&a, 0);
	seat_rebind(&a.t);
	CU_ASSERT_FALSE(was_kicked(&a.vcpu));
	bind_to(&a, 1);
	seat_rebind(&a.t);
	CU_ASSERT_TRUE(was_kicked(&a.vcpu));
	seat_leave(&a.t);
	GOES_IN(&a, 1, true);
	GOES_IN(&b, 0, true);
	seats_destroy(guest.seats);
}

/* ---- many ---------------------------------------------------------------------------------- */

struct worker {
	struct member m;
	pthread_t thread;
	uint32_t seed;
	bool stays;      /* in guest code until it is kicked out */
	uint32_t rounds; /* a  that it was in */
	uint32_t *in;    /* a  shared: how many are in each seat */
	uint32_t *cids;  /* a  shared: how many have each cid */
	uint32_t *wrong; /* a  shared */
	uint32_t *stop;  /* a  shared */
};

static void expect(struct worker *w, bool right)
{
	if (!right)
		__atomic_fetch_add(w->wrong, 1, __ATOMIC_RELAXED);
}

static uint32_t any(struct worker *w)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return w->seed >> 16;
}

/* In guest code. */
static void be_in(struct worker *w)
{
	struct task *t = &w->m.t;
	int n = t->seat.number;
	uint32_t cid = t->seat.cid;

	t->seat.changed = false;
	expect(w, !__atomic_fetch_add(&w->in[n], 1, __ATOMIC_ACQ_REL));
	expect(w, !__atomic_fetch_add(&w->cids[cid], 1, __ATOMIC_ACQ_REL));
	if (w->stays) {
		while (!was_kicked(&w->m.vcpu) && !__atomic_load_n(w->stop, __ATOMIC_ACQUIRE))
			sched_yield();
	} else if (any(w) % 4 == 0) {
		sched_yield();
	}
	__atomic_fetch_sub(&w->cids[cid], 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_sub(&w->in[n], 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&w->rounds, 1, __ATOMIC_RELAXED);
}

/* Out of it: most exits are short, some are sleeps. */
static void be_out(struct worker *w)
{
	struct task *t = &w->m.t;
	uint32_t what = any(w) % 16;

	if (what == 0) {
		__atomic_store_n(&t->sleeping, true, __ATOMIC_RELAXED);
		seat_rest(t);
		usleep(50);
		__atomic_store_n(&t->sleeping, false, __ATOMIC_RELAXED);
	} else if (what == 1) {
		seat_release(t);
	} else if (what == 2) {
		usleep(400);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	place_seed = w->seed;
	while (!__atomic_load_n(w->stop, __ATOMIC_ACQUIRE)) {
		if (!seat_enter(&w->m.t))
			break;
		be_in(w);
		seat_leave(&w->m.t);
		be_out(w);
	}
	seat_release(&w->m.t);
	return NULL;
}

static bool all_had(struct worker *w, unsigned int nr, uint32_t rounds)
{
	for (unsigned int i = 0; i < nr; i++)
		if (__atomic_load_n(&w[i].rounds, __ATOMIC_RELAXED) < rounds)
			return false;
	return true;
}

/* Until each was in guest code so often; how often two had one number. */
static uint32_t run_workers(struct worker *w, unsigned int nr, uint32_t rounds)
{
	uint32_t in[NR_SEATS] = { 0 }, cids[NR_SEATS] = { 0 }, wrong = 0, stop = 0;

	seats_begin();
	for (unsigned int i = 0; i < nr; i++) {
		member_init(&w[i].m);
		w[i].seed = i + 1;
		w[i].in = in;
		w[i].cids = cids;
		w[i].wrong = &wrong;
		w[i].stop = &stop;
	}
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	while (!all_had(w, nr, rounds))
		usleep(1000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(w[i].thread, NULL);
	seats_destroy(guest.seats);
	return wrong;
}

static void test_many(void)
{
	struct worker w[NR_WORKERS] = { { .rounds = 0 } };

	CU_ASSERT_EQUAL(run_workers(w, NR_WORKERS, ROUNDS), 0);
}

/* Nobody leaves guest code by itself: everybody has a turn all the same. */
static void test_turns(void)
{
	struct worker w[NR_WORKERS] = { { .rounds = 0 } };

	for (int i = 0; i < NR_WORKERS; i++)
		w[i].stays = true;
	CU_ASSERT_EQUAL(run_workers(w, NR_WORKERS, 10), 0);
}

/* ---- one that waits -------------------------------------------------------------------------- */

static void *enter(void *arg)
{
	struct member *m = arg;

	go_to(0);
	return seat_enter(&m->t) ? m : NULL;
}

/* @late waits for a seat, as the kick of @in tells, who has been in for longest. */
static pthread_t begin_to_wait(struct member *late, struct member *in)
{
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, enter, late), 0);
	while (!was_kicked(&in->vcpu))
		usleep(100);
	return thread;
}

/* Nobody is out, and @late waits for the seat of the first one. */
static pthread_t begin_full(struct member in[NR_SEATS], struct member *late)
{
	seats_begin();
	fill_seats(in);
	member_init(late);
	return begin_to_wait(late, &in[0]);
}

/* Its wait ends with seat @n. */
static void gets_seat(struct member *m, pthread_t thread, int n)
{
	void *got;

	pthread_join(thread, &got);
	CU_ASSERT_PTR_EQUAL(got, m);
	CU_ASSERT_EQUAL(m->t.seat.number, n);
}

/* Work ends the wait, and leaves nothing behind in the queue. */
static void test_work(void)
{
	struct member in[NR_SEATS], late;
	pthread_t thread;
	void *got;

	thread = begin_full(in, &late);
	__atomic_store_n(&late.t.work, 1, __ATOMIC_RELEASE);
	task_wake(&late.t);
	pthread_join(thread, &got);
	CU_ASSERT_PTR_NULL(got);
	seat_leave(&in[0].t);
	CU_ASSERT_EQUAL(late.t.seat.number, -1);
	go_to(0);
	GOES_IN(&in[0], 0, false);
	/* The next one that waits has it kicked again, and is given its seat. */
	late.t.work = 0;
	thread = begin_to_wait(&late, &in[0]);
	seat_leave(&in[0].t);
	gets_seat(&late, thread, 0);
	seats_destroy(guest.seats);
}

/* Whose turn is over gives its seat away: it does not have it when it comes back at once. */
static void test_given(void)
{
	struct member in[NR_SEATS], late;
	pthread_t thread;

	thread = begin_full(in, &late);
	seat_leave(&in[0].t);
	in[1].t.sleeping = true;
	seat_leave(&in[1].t);
	go_to(0);
	GOES_IN(&in[0], 1, true);
	gets_seat(&late, thread, 0);
	seats_destroy(guest.seats);
}

/* A seat that it may have is waited for, though its own is free. */
static void test_waits_where_bound(void)
{
	struct member in[NR_SEATS];
	pthread_t thread;

	seats_begin();
	fill_seats(in);
	seat_leave(&in[0].t);
	bind_to(&in[0], 1);
	thread = begin_to_wait(&in[0], &in[1]);
	seat_leave(&in[1].t);
	gets_seat(&in[0], thread, 1);
	seats_destroy(guest.seats);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "a task keeps its seat, and goes with its processor", test_keeps },
		{ "moved and moved back", test_moved_back },
		{ "the lowest number that no other task of a memory has", test_numbers_of_memory },
		{ "a seat is taken from who is out", test_taken },
		{ "bound to a processor", test_bound },
		{ "many for few seats", test_many },
		{ "everybody has a turn", test_turns },
		{ "work ends the wait", test_work },
		{ "a seat is given when a turn is over", test_given },
		{ "waiting for a processor that it is bound to", test_waits_where_bound },
		{ "a fence waits for who is in", test_fence },
	};

	alarm(280);
	return unit_run("seats", tests, ARRAY_LEN(tests), argc, argv);
}
