/* SPDX-License-Identifier: MIT */
/*
 * A file that is read, written, mapped, cut, grown, filled, copied within and given holes, at random, beside a
 * model of its bytes: after each step some of them, and now and then all, are asked for in every way in which
 * they can be had. Then the same by several processes, each with a part of one file that begins and ends within
 * a page. file_storm [SEED [STEPS]]: prints the last state of each; the first difference ends it.
 */
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "progs.h"

#define SIZE_MAX_ 200000 /* not whole pages */
#define ROOM      (64 * PAGE)
#define STEPS     4000
#define PARTS     3
#define PART      ((long)(5 * PAGE + 700))
#define HOLE      (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

struct storm {
	uint64_t random;
	const char *name;
	int fd, reader; /* the second one: opened by itself, to read */
	char *shared;   /* a mapping of ROOM */
	char *private;  /* another, never stored to */
	char model[ROOM], got[ROOM];
	long size;
	long low, high; /* the part of the file that is ours */
	bool whole;     /* all is, so that its size may change */
	int step;
	const char *what;
};

static uint64_t next_random(struct storm *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	return x ^ (x >> 29);
}

static long below(struct storm *s, long limit)
{
	return limit > 0 ? (long)(next_random(s) % (uint64_t)limit) : 0;
}

static void fail(const struct storm *s, const char *how, long at)
{
	printf("FAIL: step %d, %s, then %s at %ld of %ld: errno %s\n", s->step, s->what, how, at,
	       s->size, errno ? strerrorname_np(errno) : "0");
	exit(1);
}

static void check(const struct storm *s, const char *how, bool fine, long at)
{
	if (!fine)
		fail(s, how, at);
}

/* Bytes [at, at + len) of the file are those in @bytes. */
static void check_bytes(const struct storm *s, const char *how, const char *bytes, long at,
			long len)
{
	for (long i = 0; i < len; i++)
		check(s, how, bytes[i] == s->model[at + i], at + i);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask_by_copy(struct storm *s, long at, long len)
{
	off_t from = at;
	long done = 0;
	int p[2];

	check(s, "pipe", !pipe(p), at);
	while (done < len) {
		long part = len - done < 32768 ? len - done : 32768;
		long n = splice(s->reader, &from, p[1], NULL, (size_t)part, 0);

		check(s, "splice", n > 0 && read(p[0], s->got + done, (size_t)n) == n, at + done);
		done += n;
	}
	close(p[0]);
	close(p[1]);
	check_bytes(s, "splice", s->got, at, len);
}

static void ask(struct storm *s, long at, long len)
{
	long n;

	errno = 0;
	switch (below(s, 5)) {
	case 0:
		n = pread(s->reader, s->got, (size_t)len, at);
		check(s, "pread", n == len, at);
		check_bytes(s, "pread", s->got, at, len);
		break;
	case 1:
		check_bytes(s, "private mapping", s->private + at, at, len);
		break;
	case 2:
		ask_by_copy(s, at, len);
		break;
	default:
		check_bytes(s, "mapping", s->shared + at, at, len);
	}
}

static void ask_some(struct storm *s)
{
	struct stat st;
	long at;

	if (s->whole)
		check(s, "fstat", !fstat(s->reader, &st) && st.st_size == s->size, st.st_size);
	if (s->low == s->high)
		return;
	at = s->low + below(s, s->high - s->low);
	ask(s, at, 1 + below(s, s->high - at));
	if (s->step % 64 == 0)
		for (int i = 0; i < 5; i++)
			ask(s, s->low, s->high - s->low);
}

/* ---- changing -------------------------------------------------------------------------------- */

static void random_bytes(struct storm *s, long at, long len)
{
	uint64_t word = next_random(s);

	for (long i = 0; i < len; i++) {
		word = word * 6364136223846793005 + 1442695040888963407;
		s->model[at + i] = (char)(word >> 56 | 1);
	}
}

static void resize(struct storm *s, long size)
{
	if (size > s->size)
		memset(s->model + s->size, 0, (size_t)(size - s->size));
	s->size = s->high = size;
}

/* A place to change, within the file, or up to @beyond behind its end. */
static long pick(struct storm *s, long *len, long beyond)
{
	long end = s->high + (s->whole ? beyond : 0), at, most;

	end = s->whole && end > SIZE_MAX_ ? SIZE_MAX_ : end;
	at = s->low + below(s, end - s->low);
	most = end - at < 9000 || below(s, 8) == 0 ? end - at : 9000;
	*len = most ? 1 + below(s, most) : 0;
	return at;
}

static void step_write(struct storm *s)
{
	long len, at = pick(s, &len, 20000);
	struct iovec v[2];

	if (!len)
		return;
	s->what = "write";
	if (at + len > s->size)
		resize(s, at + len);
	random_bytes(s, at, len);
	v[0] = (struct iovec){ s->model + at, (size_t)(len / 2) };
	v[1] = (struct iovec){ s->model + at + len / 2, (size_t)(len - len / 2) };
	if (below(s, 2))
		check(s, "pwrite", pwrite(s->fd, s->model + at, (size_t)len, at) == len, at);
	else
		check(s, "pwritev", pwritev(s->fd, v, 2, at) == len, at);
}

static void step_append(struct storm *s)
{
	long len = 1 + below(s, 6000), at = s->size;
	int fd;

	if (!s->whole || at + len > SIZE_MAX_)
		return;
	s->what = "append";
	resize(s, at + len);
	random_bytes(s, at, len);
	fd = open(s->name, O_WRONLY | O_APPEND);
	check(s, "write", write(fd, s->model + at, (size_t)len) == len, at);
	close(fd);
}

static void step_store(struct storm *s)
{
	long len, at = pick(s, &len, 0);

	s->what = "store";
	random_bytes(s, at, len);
	memcpy(s->shared + at, s->model + at, (size_t)len);
}

/* Stored from the file's own mapping, by a call. */
static void step_read_into(struct storm *s)
{
	long len, at = pick(s, &len, 0), from = s->low + below(s, s->high - s->low - len);

	if (!len || (from < at + len && at < from + len))
		return;
	s->what = "pread into the mapping";
	check(s, "pread", pread(s->reader, s->shared + at, (size_t)len, from) == len, at);
	memcpy(s->model + at, s->model + from, (size_t)len);
}

static void step_copy(struct storm *s)
{
	long len, at = pick(s, &len, 0), from = s->low + below(s, s->high - s->low - len);
	off_t in = from, out = at;

	if (!len || (from < at + len && at < from + len))
		return;
	s->what = "copy";
	if (below(s, 2)) {
		check(s, "copy_file_range",
		      copy_file_range(s->reader, &in, s->fd, &out, (size_t)len, 0) == len, at);
	} else {
		int fd = open(s->name, O_WRONLY);

		check(s, "lseek", lseek(fd, at, SEEK_SET) == at, at);
		check(s, "sendfile", sendfile(fd, s->reader, &in, (size_t)len) == len, at);
		close(fd);
	}
	memcpy(s->model + at, s->model + from, (size_t)len);
}

static void step_hole(struct storm *s)
{
	bool zeroes = s->whole && below(s, 3) == 0;
	long len, at = pick(s, &len, zeroes ? 9000 : 0);

	if (!len)
		return;
	s->what = zeroes ? "zero range" : "punch";
	if (fallocate(s->fd, zeroes ? FALLOC_FL_ZERO_RANGE : HOLE, at, len)) {
		check(s, "fallocate", errno == EOPNOTSUPP, at);
		return;
	}
	if (at + len > s->size)
		resize(s, at + len);
	memset(s->model + at, 0, (size_t)len);
}

static void step_remove(struct storm *s)
{
	long first = (s->low + (long)PAGE - 1) / (long)PAGE, last = s->high / (long)PAGE, nr;

	if (last <= first)
		return;
	s->what = "MADV_REMOVE";
	first += below(s, last - first);
	nr = 1 + below(s, last - first < 4 ? last - first : 4);
	check(s, "madvise",
	      !madvise(s->shared + first * (long)PAGE, (size_t)nr * PAGE, MADV_REMOVE), first);
	memset(s->model + first * (long)PAGE, 0, (size_t)nr * PAGE);
}

static void step_allocate(struct storm *s)
{
	long len, at = pick(s, &len, 9000);
	bool keep = below(s, 2);

	if (!len || !s->whole)
		return;
	s->what = keep ? "allocate, keep size" : "allocate";
	check(s, "fallocate", !fallocate(s->fd, keep ? FALLOC_FL_KEEP_SIZE : 0, at, len), at);
	if (!keep && at + len > s->size)
		resize(s, at + len);
}

/* Whole blocks out of the middle, or into it. */
static void step_shift(struct storm *s)
{
	long blocks = s->size / (long)PAGE, at, len;
	bool insert = below(s, 2);

	if (!s->whole || blocks < 4)
		return;
	at = (1 + below(s, blocks - 2)) * (long)PAGE;
	len = (1 + below(s, 2)) * (long)PAGE;
	if (insert ? s->size + len > SIZE_MAX_ : at + len >= s->size)
		return;
	s->what = insert ? "insert" : "collapse";
	if (fallocate(s->fd, insert ? FALLOC_FL_INSERT_RANGE : FALLOC_FL_COLLAPSE_RANGE, at, len)) {
		check(s, "fallocate", errno == EOPNOTSUPP, at);
		return;
	}
	if (insert) {
		memmove(s->model + at + len, s->model + at, (size_t)(s->size - at));
		memset(s->model + at, 0, (size_t)len);
		s->size = s->high = s->size + len;
	} else {
		memmove(s->model + at, s->model + at + len, (size_t)(s->size - at - len));
		s->size = s->high = s->size - len;
	}
}

static void step_truncate(struct storm *s)
{
	long size = below(s, 4) ? s->size - below(s, 20000) : below(s, SIZE_MAX_);

	if (!s->whole)
		return;
	s->what = "truncate";
	size = size < 0 ? 0 : size;
	if (below(s, 20) == 0) {
		size = 0;
		close(open(s->name, O_WRONLY | O_TRUNC));
	} else if (below(s, 2)) {
		check(s, "ftruncate", !ftruncate(s->fd, size), size);
	} else {
		check(s, "truncate", !truncate(s->name, size), size);
	}
	resize(s, size);
}

static void step_memory(struct storm *s)
{
	static const int advice[] = { MADV_DONTNEED, MADV_PAGEOUT, MADV_COLD,
				      MADV_WILLNEED, MADV_RANDOM,  MADV_NORMAL };
	long page = below(s, ROOM / PAGE), nr = 1 + below(s, (long)(ROOM / PAGE) - page);
	int which = (int)below(s, 6);

	s->what = "advice";
	(void)madvise(s->shared + page * (long)PAGE, (size_t)nr * PAGE, advice[which]);
	(void)madvise(s->private + page * (long)PAGE, (size_t)nr * PAGE, advice[which]);
	if (below(s, 2))
		check(s, "msync", !msync(s->shared, ROOM, below(s, 2) ? MS_SYNC : MS_ASYNC), 0);
	else
		check(s, "fdatasync", !fdatasync(s->fd), 0);
}

static char *map_file(const struct storm *s, int flags)
{
	int prot = flags == MAP_SHARED ? PROT_READ | PROT_WRITE : PROT_READ;
	char *p = mmap(NULL, ROOM, prot, flags, s->fd, 0);

	check(s, "mmap", p != MAP_FAILED, 0);
	return p;
}

/* Everything again from the name on; the mappings by themselves, so that the file may have none. */
static void step_reopen(struct storm *s)
{
	s->what = "open";
	munmap(s->shared, ROOM);
	if (below(s, 2))
		munmap(s->private, ROOM);
	else
		s->what = "open beside a mapping";
	close(s->fd);
	close(s->reader);
	s->fd = open(s->name, O_RDWR);
	s->reader = open(s->name, O_RDONLY);
	check(s, "open", s->fd >= 0 && s->reader >= 0, 0);
	if (strcmp(s->what, "open"))
		munmap(s->private, ROOM);
	s->shared = map_file(s, MAP_SHARED);
	s->private = map_file(s, MAP_PRIVATE);
}

static void run(struct storm *s, int steps)
{
	static void (*const kinds[])(struct storm *) = {
		step_write, step_write,     step_store,  step_store,  step_store,
		step_copy,  step_read_into, step_hole,   step_remove, step_allocate,
		step_shift, step_truncate,  step_append, step_memory, step_memory,
	};

	for (s->step = 0; s->step < steps; s->step++) {
		errno = 0;
		if (below(s, 100) == 0)
			step_reopen(s);
		else
			kinds[below(s, sizeof(kinds) / sizeof(kinds[0]))](s);
		ask_some(s);
	}
}

static void storm_open(struct storm *s, uint64_t seed)
{
	s->name = "stormy";
	s->random = seed;
	s->what = "nothing";
	s->fd = open(s->name, O_RDWR | O_CREAT | (s->whole ? O_TRUNC : 0), 0600);
	s->reader = open(s->name, O_RDONLY);
	check(s, "open", s->fd >= 0 && s->reader >= 0, 0);
	s->shared = map_file(s, MAP_SHARED);
	s->private = map_file(s, MAP_PRIVATE);
}

/* A sum of what the file holds at the end. */
static uint64_t storm_close(struct storm *s)
{
	uint64_t sum = 0;

	for (long i = s->low; i < s->high; i++)
		sum = sum * 31 + (unsigned char)s->model[i];
	munmap(s->shared, ROOM);
	munmap(s->private, ROOM);
	close(s->fd);
	close(s->reader);
	return sum;
}

/* Neighbours share a page: each stores, writes and makes holes on its own side of it. */
static void run_parts(struct storm *s, uint64_t seed, int steps)
{
	int fd = open("stormy", O_RDWR | O_CREAT | O_TRUNC, 0600), status;
	uint64_t *sums =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(s, "mmap", sums != MAP_FAILED, 0);
	check(s, "ftruncate", !ftruncate(fd, PARTS * PART), 0);
	close(fd);
	fflush(stdout);
	for (int i = 0; i < PARTS; i++) {
		if (fork())
			continue;
		memset(s, 0, sizeof(*s));
		storm_open(s, seed * 100 + (uint64_t)i);
		s->size = PARTS * PART;
		s->low = i * PART;
		s->high = s->low + PART;
		run(s, steps);
		sums[i] = storm_close(s);
		exit(0);
	}
	for (int i = 0; i < PARTS; i++)
		check(s, "a part", wait(&status) > 0 && !status, i);
	for (int i = 0; i < PARTS; i++)
		printf("part %d: sum %016" PRIx64 "\n", i, sums[i]);
	munmap(sums, PAGE);
	unlink("stormy");
}

int main(int argc, char **argv)
{
	static struct storm s;
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	int steps = argc > 2 ? atoi(argv[2]) : STEPS;

	s.whole = true;
	storm_open(&s, seed);
	run(&s, steps);
	printf("alone: %ld bytes, sum %016" PRIx64 "\n", s.size, storm_close(&s));
	unlink("stormy");
	run_parts(&s, seed, steps);
	return 0;
}
