/* SPDX-License-Identifier: MIT */
/*
 * Telling the time to programs: the line from counter to nanoseconds that they
 * read in their page (guest/vdso/vvar.h).
 *
 * The host's clock is the truth, and what it says can be had only by reading it.
 * A thread reads it together with the counter, PERIOD_MAX_NS apart, takes the
 * rate from the oldest reading that it remembers, and gives programs a new line:
 *
 *  - The new line begins where the old one is at that moment, so no program sees
 *    time go back, and its rate is such that it meets the truth HORIZON_NS
 *    later. Only a line that is JUMP_NS behind jumps forward.
 *  - The moment is read while the sequence count is odd: whoever used the old line
 *    read the counter before it.
 *  - When the host's clock changes its rate (the line was off by more than
 *    ERROR_NS), older readings are forgotten and new ones taken in shorter periods.
 *    The first line is drawn after FIRST_READINGS: this thread may be late on a
 *    busy machine, and a bad rate would take the line far away until then.
 *
 * The first line begins START_AHEAD_NS ahead: a program that has just asked the
 * host must not find the line behind what it was told. Of the other way round the
 * cost of a system call takes care.
 *
 * Real time minus monotonic time is a constant until somebody sets the clock. What
 * it is, is narrowed down from many readings once, and changed only when a
 * reading contradicts it.
 */
#include <stdlib.h>
#include <time.h>

#include "guest/task.h"
#include "guest/vdso.h"

#define PERIOD_MIN_NS  1000000ul
#define PERIOD_MAX_NS  20000000ul
#define HORIZON_NS     (2 * PERIOD_MAX_NS)
#define READINGS       8 /* remembered: 160 ms at the longest period */
#define FIRST_READINGS 6
#define TRIES          12 /* a reading is the quickest of so many */
#define ERROR_NS       300
#define JUMP_NS        1000
#define START_AHEAD_NS 100
#define OFFSET_ROUNDS  200
#define OFFSET_SLACK   50 /* ns by which a reading may miss without contradicting */

struct reading {
	uint64_t counter, mono_ns;
};

struct vdso_clock {
	struct vvar *page;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t poke; /* on CLOCK_MONOTONIC */
	bool stop;           /* lock */
	/* The thread's own. */
	struct reading readings[READINGS]; /* oldest first */
	unsigned int nr;
	uint64_t period_ns;
	uint64_t offset_low, offset_high; /* real time minus monotonic is in there */
};

/* ---- reading the host's clock ------------------------------------------ */

static struct reading clock_take_reading(void)
{
	uint64_t best = UINT64_MAX, before, after, now;
	struct reading r = { 0 };
	int i;

	for (i = 0; i < TRIES; i++) {
		before = vvar_counter();
		now = clock_ns(CLOCK_MONOTONIC);
		after = vvar_counter();
		if (after - before >= best)
			continue;
		best = after - before;
		r = (struct reading){ .counter = before + best / 2, .mono_ns = now };
	}
	return r;
}

/* One pair of bounds; false: it contradicts the bounds that were. */
static bool offset_narrow(struct vdso_clock *c)
{
	uint64_t before = clock_ns(CLOCK_MONOTONIC);
	uint64_t real = clock_ns(CLOCK_REALTIME);
	uint64_t low = real - clock_ns(CLOCK_MONOTONIC);
	uint64_t high = real - before;

	if (low > c->offset_high + OFFSET_SLACK || high + OFFSET_SLACK < c->offset_low)
		return false;
	if (low > c->offset_low && low <= c->offset_high)
		c->offset_low = low;
	if (high < c->offset_high && high >= c->offset_low)
		c->offset_high = high;
	return true;
}

/* The real-time clock was set, or is asked for the first time. */
static void offset_find(struct vdso_clock *c)
{
	int i;

	c->offset_low = 0;
	c->offset_high = UINT64_MAX - OFFSET_SLACK;
	for (i = 0; i < OFFSET_ROUNDS; i++)
		(void)offset_narrow(c);
}

static uint64_t offset_middle(const struct vdso_clock *c)
{
	return c->offset_low + (c->offset_high - c->offset_low) / 2;
}

/* ---- the line ----------------------------------------------------------- */

/* Release: behind the odd number of page_open(). */
static void store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Programs look away between these two. */
static void page_open(struct vvar *page)
{
	__atomic_store_n(&page->seq, page->seq + 1, __ATOMIC_SEQ_CST);
}

static void page_close(struct vvar *page)
{
	__atomic_store_n(&page->seq, page->seq + 1, __ATOMIC_SEQ_CST);
}

static void readings_add(struct vdso_clock *c, const struct reading *r)
{
	unsigned int i;

	if (c->nr == READINGS) {
		for (i = 1; i < READINGS; i++)
			c->readings[i - 1] = c->readings[i];
		c->nr--;
	}
	c->readings[c->nr++] = *r;
}

static uint64_t readings_rate(const struct vdso_clock *c)
{
	const struct reading *first = &c->readings[0], *last = &c->readings[c->nr - 1];
	unsigned __int128 ns = last->mono_ns - first->mono_ns;

	if (last->counter <= first->counter || last->mono_ns <= first->mono_ns)
		return 0;
	return (uint64_t)((ns << VVAR_RATE_SHIFT) / (last->counter - first->counter));
}

/* The rate of a line that is @error ns behind (negative: ahead) and must not stand still. */
static uint64_t rate_towards(uint64_t rate, int64_t error)
{
	__int128 change = (__int128)rate * error / (int64_t)HORIZON_NS;

	if (change < -(__int128)(rate / 2))
		change = -(__int128)(rate / 2);
	return (uint64_t)((__int128)rate + change);
}

/* Change the page; returns by how much its old line was behind the truth. */
static int64_t page_update(struct vdso_clock *c, const struct reading *r, uint64_t rate,
			   uint64_t offset)
{
	struct vvar *page = c->page;
	uint64_t counter, truth, now;
	int64_t error;

	page_open(page);
	counter = vvar_counter();
	truth = vvar_line(r->counter, r->mono_ns, rate, counter);
	if (page->rate)
		now = vvar_line(page->tsc, page->mono_ns, page->rate, counter);
	else
		now = truth + START_AHEAD_NS;
	error = (int64_t)(truth - now);
	if (error > JUMP_NS)
		now = truth;
	store(&page->tsc, counter);
	store(&page->mono_ns, now);
	store(&page->rate, rate_towards(rate, (int64_t)(truth - now)));
	store(&page->real_offset, offset);
	page_close(page);
	return error;
}

static void clock_step(struct vdso_clock *c)
{
	struct reading r = clock_take_reading();
	bool first = !c->page->rate;
	uint64_t rate, offset = c->page->real_offset;
	int64_t error;

	readings_add(c, &r);
	rate = readings_rate(c);
	if (!rate || (first && c->nr < FIRST_READINGS))
		return;
	if (first || !offset_narrow(c)) {
		offset_find(c);
		offset = offset_middle(c);
	}
	error = page_update(c, &r, rate, offset);
	if (!first && (error > ERROR_NS || error < -ERROR_NS)) {
		c->readings[0] = c->readings[c->nr - 2];
		c->readings[1] = r;
		c->nr = 2;
		c->period_ns = PERIOD_MIN_NS;
	} else if (c->period_ns < PERIOD_MAX_NS / 2) {
		c->period_ns *= 2;
	} else {
		c->period_ns = PERIOD_MAX_NS;
	}
}

/* ---- the thread ---------------------------------------------------------- */

static void *clock_main(void *arg)
{
	struct vdso_clock *c = arg;
	struct timespec delay = { 0 }, until;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		clock_step(c);
		delay.tv_nsec = (long)c->period_ns;
		until = timespec_after(CLOCK_MONOTONIC, &delay);
		pthread_cond_timedwait(&c->poke, &c->lock, &until);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int start_thread(struct vdso_clock *c)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&c->thread, NULL, clock_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int vdso_clock_start(struct vvar *page, struct vdso_clock **out)
{
	struct vdso_clock *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int err;

	if (!c)
		return -ENOMEM;
	c->page = page;
	c->period_ns = PERIOD_MIN_NS;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->poke, &attr);
	pthread_condattr_destroy(&attr);
	err = start_thread(c);
	if (err) {
		pthread_cond_destroy(&c->poke);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return err;
	}
	*out = c;
	return 0;
}

void vdso_clock_stop(struct vdso_clock *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->poke);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	page_open(c->page);
	store(&c->page->rate, 0);
	page_close(c->page);
	pthread_cond_destroy(&c->poke);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
