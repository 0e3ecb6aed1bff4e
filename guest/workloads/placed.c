/* SPDX-License-Identifier: MIT */
/*
 * Memory that is not where it is used, for placement to put right.
 *
 * The main thread fills everything from processor 0: first the cold memory, then
 * an area for each thread. Thread i binds itself to processor --first + i * --step
 * and stores to random words of its own area only. At the end, which SIGTERM
 * brings early, every word is checked. "area I START END" on stdout lets the host
 * look where an area is; the addresses differ from run to run, which is why --quiet
 * is there to compare runs.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "common.h"

#define MAX_THREADS 64
/* A look at the clock costs more than a store: look once in so many. */
#define CHUNK 16384UL

struct worker {
	pthread_t thread;
	uint64_t *area;
	uint64_t words, seconds, cpu, seed, done;
	bool bind, failed;
};

struct settings {
	uint64_t threads, mem, cold, seconds, first, step;
	bool unbound, quiet;
};

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	(void)number;
	stop = 1;
}

static int bind_to(uint64_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Word i holds i, and in its upper half how often it was stored to. */
static void store_some(struct worker *w, uint64_t *state)
{
	for (uint64_t i = 0; i < CHUNK; i++)
		w->area[wl_random(state) % w->words] += 1ULL << 40;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t state = w->seed, start, second = 0, before = 0;

	if (w->bind && bind_to(w->cpu)) {
		fprintf(stderr, "placed: processor %" PRIu64 ": %s\n", w->cpu, strerror(errno));
		w->failed = true;
		return NULL;
	}
	for (start = wl_now_ns(); second < w->seconds && !stop;) {
		store_some(w, &state);
		w->done += CHUNK;
		if (wl_now_ns() - start < (second + 1) * 1000000000ULL)
			continue;
		second++;
		fprintf(stderr, "placed: cpu %" PRIu64 " second %" PRIu64 ": %.2f M stores\n",
			w->cpu, second, (double)(w->done - before) / 1e6);
		before = w->done;
	}
	return NULL;
}

/* Between areas lies a page that nobody may touch, so that each is one of its own. */
static uint64_t *map_area(uint64_t bytes)
{
	char *p = wl_map(bytes + 2 * WL_PAGE);

	if (!p || mprotect(p, WL_PAGE, PROT_NONE) ||
	    mprotect(p + WL_PAGE + bytes, WL_PAGE, PROT_NONE))
		return NULL;
	return (uint64_t *)(p + WL_PAGE);
}

static uint64_t *make_area(const char *name, uint64_t number, uint64_t bytes, bool quiet)
{
	uint64_t *area = map_area(bytes);

	if (!area)
		return NULL;
	for (uint64_t i = 0; i < bytes / sizeof(*area); i++)
		area[i] = i;
	if (!quiet)
		printf("%s %" PRIu64 " %p %p\n", name, number, (void *)area,
		       (void *)((char *)area + bytes));
	return area;
}

static uint64_t sum_area(const uint64_t *area, uint64_t words, uint64_t *stores)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < words; i++) {
		wrong += (area[i] & ((1ULL << 40) - 1)) != i;
		*stores += area[i] >> 40;
	}
	return wrong;
}

static int check(const struct settings *s, const struct worker *w, const uint64_t *cold)
{
	uint64_t stores = 0, done = 0, wrong = 0;

	if (cold)
		wrong += sum_area(cold, s->cold / sizeof(*cold), &stores);
	for (uint64_t i = 0; i < s->threads; i++) {
		wrong += sum_area(w[i].area, w[i].words, &stores);
		done += w[i].done;
		wrong += w[i].failed;
	}
	wrong += stores != done;
	printf("placed: %s\n", wrong ? "WRONG" : "all words right");
	return wrong ? 1 : 0;
}

static int run(const struct settings *s)
{
	static struct worker workers[MAX_THREADS];
	uint64_t *cold = NULL;

	if (!s->unbound)
		(void)bind_to(0);
	if (s->cold) {
		cold = make_area("cold", 0, s->cold, s->quiet);
		if (!cold)
			return 1;
	}
	for (uint64_t i = 0; i < s->threads; i++) {
		workers[i] = (struct worker){ .words = s->mem / sizeof(uint64_t),
					      .seconds = s->seconds,
					      .cpu = s->first + i * s->step,
					      .bind = !s->unbound,
					      .seed = i + 1 };
		workers[i].area = make_area("area", i, s->mem, s->quiet);
		if (!workers[i].area)
			return 1;
	}
	fflush(stdout);
	for (uint64_t i = 0; i < s->threads; i++)
		if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]))
			return 1;
	for (uint64_t i = 0; i < s->threads; i++)
		pthread_join(workers[i].thread, NULL);
	return check(s, workers, cold);
}

int main(int argc, char **argv)
{
	struct settings s = { .threads = 2, .mem = 16UL << 20, .seconds = 5, .step = 1 };
	const struct wl_option options[] = {
		{ "threads", WL_COUNT, &s.threads, "how many work (default 2)" },
		{ "mem", WL_SIZE, &s.mem, "area of each (default 16M)" },
		{ "cold", WL_SIZE, &s.cold, "memory that is filled first and not used again" },
		{ "seconds", WL_COUNT, &s.seconds, "how long (default 5)" },
		{ "first", WL_COUNT, &s.first, "processor of the first thread (default 0)" },
		{ "step", WL_COUNT, &s.step,
		  "from one thread's processor to the next's (default 1)" },
		{ "unbound", WL_FLAG, &s.unbound, "bind no thread" },
		{ "quiet", WL_FLAG, &s.quiet, "do not print addresses" },
		{ .name = NULL },
	};
	struct sigaction action = { .sa_handler = on_stop };
	int rc = wl_parse(argc, argv, "Threads bound to processors, each with its own memory.",
			  options);

	if (rc)
		return rc > 0 ? 0 : 2;
	s.mem &= ~(WL_PAGE - 1);
	s.cold &= ~(WL_PAGE - 1);
	if (!s.threads || s.threads > MAX_THREADS || !s.mem) {
		fprintf(stderr, "placed: 1 to %d threads with at least a page each\n", MAX_THREADS);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	return run(&s);
}
