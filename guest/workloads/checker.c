/* SPDX-License-Identifier: MIT */
/*
 * Fills memory with a keyed pattern and verifies every word of it, for ever or
 * as long as told, while somebody else moves and reclaims that memory.
 *
 * Each page has a generation; a word's value is a mix of seed, process, word
 * number and its page's generation, so that a page that is lost, stale, zeroed,
 * doubled or put in another's place is wrong in nearly every word. Each round
 * verifies all pages and rewrites a random share of them in the next
 * generation. Threads own slices of the memory; forked children (--fork) start
 * from the parent's memory, shared until written; --file adds a MAP_SHARED
 * part, a slice for each process, read back from the file at the end.
 *
 * The last fill does not depend on the number of rounds, so the last line of
 * stdout is the same in every run with the same options, --seconds included.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "common.h"

#define PAGE_WORDS       (WL_PAGE / sizeof(uint64_t))
#define MAX_THREADS      64UL
#define REWRITE_ONE_IN   8UL
#define FINAL_GENERATION 0xfffffffeU
#define REST_PAGES       64UL

struct config {
	uint64_t size;
	uint64_t threads;
	uint64_t seed;
	uint64_t forks;
	uint64_t rounds;
	uint64_t seconds;
	uint64_t rest; /* ms, after each REST_PAGES of an area */
	const char *file;
	uint64_t file_size;
	uint64_t deadline; /* by wl_now_ns(); 0: none */
};

struct area {
	uint64_t *words;
	uint32_t *generations; /* one a page */
	uint64_t pages;
	uint64_t key;
};

struct worker {
	pthread_t thread;
	const struct config *config;
	struct area memory, file; /* this thread's slices; file.pages may be 0 */
	uint64_t random;
	uint64_t checksum;
	bool reports; /* tells of its progress */
	int failed;
};

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

static uint64_t word_value(const struct area *a, uint64_t page, uint64_t i)
{
	return wl_mix(a->key ^ (page * PAGE_WORDS + i) ^ (uint64_t)a->generations[page] << 40);
}

static void page_fill(struct area *a, uint64_t page, uint32_t generation)
{
	uint64_t *w = a->words + page * PAGE_WORDS;
	uint64_t i;

	a->generations[page] = generation;
	for (i = 0; i < PAGE_WORDS; i++)
		w[i] = word_value(a, page, i);
}

/* => 0 with the page's sum in *sum, or 1 after telling of the first wrong word. */
static int page_verify(const struct area *a, uint64_t page, uint64_t *sum)
{
	const volatile uint64_t *w = a->words + page * PAGE_WORDS;
	uint64_t i, got, expected;

	for (i = 0; i < PAGE_WORDS; i++) {
		expected = word_value(a, page, i);
		got = w[i];
		if (got != expected) {
			printf("FAIL pid %d at %p (page %" PRIu64
			       ", generation %u): expected %#" PRIx64 ", got %#" PRIx64
			       ", read again %#" PRIx64 "\n",
			       getpid(), (const void *)&a->words[page * PAGE_WORDS + i], page,
			       a->generations[page], expected, got, w[i]);
			fflush(stdout);
			return 1;
		}
		*sum += got;
	}
	return 0;
}

/* Where others need the processor too, and the memory has only to be in use. */
static void rest(const struct config *c, uint64_t page)
{
	if (c->rest && page % REST_PAGES == REST_PAGES - 1)
		usleep((useconds_t)(c->rest * 1000));
}

static int area_round(const struct config *c, struct area *a, uint64_t *random)
{
	uint64_t page, sum = 0;

	for (page = 0; page < a->pages; page++) {
		if (page_verify(a, page, &sum))
			return 1;
		if (!(wl_random(random) % REWRITE_ONE_IN))
			page_fill(a, page, a->generations[page] + 1);
		rest(c, page);
	}
	return 0;
}

static void area_fill(struct area *a, uint32_t generation)
{
	uint64_t page;

	for (page = 0; page < a->pages; page++)
		page_fill(a, page, generation);
}

static int area_verify(const struct area *a, uint64_t *sum)
{
	uint64_t page;

	for (page = 0; page < a->pages; page++)
		if (page_verify(a, page, sum))
			return 1;
	return 0;
}

static void report_round(const struct config *c, uint64_t round)
{
	if (round & (round - 1))
		return;
	/* With a clock, how far we get is not the same twice: keep it off stdout. */
	fprintf(c->rounds ? stdout : stderr, "ok rounds=%" PRIu64 "\n", round);
	fflush(stdout);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;
	const struct config *c = w->config;
	uint64_t round = 0;

	while (!stop && (!c->rounds || round < c->rounds) &&
	       (!c->deadline || wl_now_ns() < c->deadline)) {
		if (area_round(c, &w->memory, &w->random) || area_round(c, &w->file, &w->random))
			goto failed;
		round++;
		if (w->reports)
			report_round(c, round);
	}
	area_fill(&w->memory, FINAL_GENERATION);
	area_fill(&w->file, FINAL_GENERATION);
	if (area_verify(&w->memory, &w->checksum) || area_verify(&w->file, &w->checksum))
		goto failed;
	if (w->reports)
		fprintf(stderr, "checker: pid %d did %" PRIu64 " rounds\n", getpid(), round);
	return NULL;
failed:
	w->failed = 1;
	stop = 1;
	return NULL;
}

static struct area area_slice(const struct area *a, uint64_t part, uint64_t parts)
{
	uint64_t first = a->pages * part / parts, end = a->pages * (part + 1) / parts;

	return (struct area){
		.words = a->words + first * PAGE_WORDS,
		.generations = a->generations + first,
		.pages = end - first,
		.key = a->key ^ wl_mix(part),
	};
}

/* A new key for every page would undo the sharing that fork gives: children keep the key. */
static int run_process(const struct config *c, struct area *memory, struct area *file,
		       uint64_t number, uint64_t *checksum)
{
	static struct worker workers[MAX_THREADS];
	uint64_t started, i;
	int failed = 0;

	for (started = 0; started < c->threads; started++) {
		struct worker *w = &workers[started];

		w->config = c;
		w->memory = area_slice(memory, started, c->threads);
		w->file = area_slice(file, started, c->threads);
		w->random = wl_mix(c->seed ^ number << 32 ^ started);
		w->reports = number == 0 && started == 0;
		errno = pthread_create(&w->thread, NULL, run_worker, w);
		if (errno) {
			perror("checker: pthread_create");
			failed = stop = 1;
			break;
		}
	}
	for (i = 0; i < started; i++) {
		pthread_join(workers[i].thread, NULL);
		failed |= workers[i].failed;
		*checksum = wl_mix(*checksum + workers[i].checksum);
	}
	return failed;
}

/* The slices get their keys when they are cut, so fill through the same slices. */
static void fill_slices(const struct config *c, struct area *a)
{
	struct area slice;
	uint64_t i;

	for (i = 0; i < c->threads; i++) {
		slice = area_slice(a, i, c->threads);
		area_fill(&slice, 0);
	}
}

static int area_init(struct area *a, uint64_t bytes, uint64_t key)
{
	a->pages = bytes / WL_PAGE;
	a->key = wl_mix(key);
	if (!a->pages)
		return 0;
	a->generations = wl_map(a->pages * sizeof(*a->generations));
	return a->generations ? 0 : -ENOMEM;
}

static int file_map(const struct config *c, struct area *a, uint64_t bytes)
{
	int fd = open(c->file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
		fprintf(stderr, "checker: %s: %s\n", c->file, strerror(errno));
		return -EIO;
	}
	a->words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (a->words == MAP_FAILED) {
		fprintf(stderr, "checker: mapping %s: %s\n", c->file, strerror(errno));
		return -EIO;
	}
	return 0;
}

/* What was stored through the mapping must be what read() finds. */
static int file_compare(const struct config *c, const struct area *a)
{
	uint64_t buffer[PAGE_WORDS], page;
	int fd = open(c->file, O_RDONLY), failed = 1;

	if (fd < 0) {
		fprintf(stderr, "checker: %s: %s\n", c->file, strerror(errno));
		return 1;
	}
	for (page = 0; page < a->pages; page++) {
		if (pread(fd, buffer, WL_PAGE, (off_t)(page * WL_PAGE)) != (ssize_t)WL_PAGE ||
		    memcmp(buffer, a->words + page * PAGE_WORDS, WL_PAGE)) {
			printf("FAIL file %s: page %" PRIu64 " differs from the mapping\n", c->file,
			       page);
			goto out;
		}
	}
	failed = 0;
out:
	close(fd);
	return failed;
}

/* => the number of children started; they do not come back from here. */
static uint64_t fork_children(const struct config *c, struct area *memory, struct area *file)
{
	uint64_t i, checksum = 0;
	struct area own;
	pid_t pid;

	fflush(stdout);
	for (i = 1; i <= c->forks; i++) {
		pid = fork();
		if (pid < 0) {
			perror("checker: fork");
			break;
		}
		if (pid == 0) {
			own = area_slice(file, i, c->forks + 1);
			_exit(run_process(c, memory, &own, i, &checksum));
		}
	}
	return i - 1;
}

static int wait_children(uint64_t children)
{
	int status, failed = 0;

	for (; children; children--) {
		if (wait(&status) < 0 && errno == EINTR) {
			children++;
			continue;
		}
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		printf("FAIL: a child ended with status %#x\n", (unsigned int)status);
		failed = 1;
	}
	return failed;
}

static int run_checker(struct config *c)
{
	struct area memory = { NULL }, file = { NULL }, own;
	uint64_t bytes = c->file ? c->file_size : 0, checksum = 0, children, i;
	int failed;

	if (area_init(&memory, c->size, c->seed) || area_init(&file, bytes, ~c->seed))
		return 1;
	memory.words = wl_map(c->size);
	if (!memory.words || (c->file && file_map(c, &file, bytes)))
		return 1;
	fill_slices(c, &memory);
	for (i = 0; i <= c->forks; i++) {
		own = area_slice(&file, i, c->forks + 1);
		fill_slices(c, &own);
	}
	if (c->seconds)
		c->deadline = wl_now_ns() + c->seconds * 1000000000ULL;
	children = fork_children(c, &memory, &file);
	own = area_slice(&file, 0, c->forks + 1);
	failed = run_process(c, &memory, &own, 0, &checksum);
	failed |= wait_children(children) || children != c->forks;
	if (!failed && c->file)
		failed = file_compare(c, &file);
	if (!failed)
		printf("PASS bytes=%" PRIu64 " checksum=%016" PRIx64 "\n", c->size + bytes,
		       checksum);
	return failed;
}

int main(int argc, char **argv)
{
	struct config c = { .size = 64UL << 20, .threads = 1, .seed = 1, .file_size = 4UL << 20 };
	const struct wl_option options[] = {
		{ "size", WL_SIZE, &c.size, "bytes of private memory" },
		{ "threads", WL_COUNT, &c.threads, "threads a process, at most 64" },
		{ "seed", WL_COUNT, &c.seed, "key of the pattern" },
		{ "fork", WL_COUNT, &c.forks, "children that share the memory until they write" },
		{ "rounds", WL_COUNT, &c.rounds, "rounds to do (default: for ever)" },
		{ "seconds", WL_COUNT, &c.seconds, "time to run (default: for ever)" },
		{ "rest", WL_COUNT, &c.rest, "ms to rest after each 64 pages (default: 0)" },
		{ "file", WL_TEXT, &c.file, "a file to map shared and verify too; overwritten" },
		{ "file-size", WL_SIZE, &c.file_size, "bytes of that file" },
		{ NULL, WL_FLAG, NULL, NULL },
	};
	struct sigaction action = { .sa_handler = on_stop };
	int rc = wl_parse(argc, argv,
			  "Keeps verifying a pattern in memory; SIGTERM or SIGINT end it well.",
			  options);

	if (rc)
		return rc < 0 ? 2 : 0;
	if (!c.threads || c.threads > MAX_THREADS || c.size % WL_PAGE || !c.size ||
	    c.file_size % WL_PAGE || c.rest >= 1000) {
		fprintf(stderr,
			"checker: --threads is 1 to %lu, sizes are multiples of 4K, "
			"--rest is less than 1000\n",
			MAX_THREADS);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	return run_checker(&c);
}
