/* SPDX-License-Identifier: MIT */
/*
 * For call_storm: arguments that get past a call's first checks, so that what is behind them
 * is tried, too. Each call is nearly right: one thing or another of it is random.
 */
#ifndef UMM_TESTS_STORM_CALLS_H
#define UMM_TESTS_STORM_CALLS_H

#include <mqueue.h>

#include "progs.h"

/* Newer than some headers. */
#define STORM_futex_waitv   449
#define STORM_futex_wake    454
#define STORM_futex_wait    455
#define STORM_futex_requeue 456
#define STORM_mseal         462
#define STORM_mrelease      448
#define STORM_PAGEMAP_SCAN  0xc0606610u
#define STORM_FUTEX_U32     2u
#define STORM_FUTEX_PRIVATE 128u

#define STORM_FILES   7
#define STORM_QUEUES  4
#define STORM_PIDFDS  2
#define STORM_WAITERS 8

/* What a child has to make calls with. */
struct storm {
	uint64_t (*next)(void);   /* the storm's random numbers */
	char *area;               /* two pages */
	int files[STORM_FILES];   /* of /proc, that tell of memory and change it */
	int pidfds[STORM_PIDFDS]; /* itself, and one that is being killed */
	int queues[STORM_QUEUES];
};

static inline uint64_t storm_size(struct storm *s)
{
	static const uint64_t sizes[] = { 0,          1,          7,           8,
					  24,         PAGE - 1,   PAGE,        PAGE + 1,
					  10,         8192,       16ul << 20,  (16ul << 20) + 1,
					  INT32_MAX,  UINT32_MAX, 1ul << 32,   INT64_MAX,
					  UINT64_MAX, 1ul << 63,  0xfffff000u, 65536 };

	return sizes[s->next() % (sizeof(sizes) / sizeof(*sizes))];
}

/* Ends of the address space, of the area, of nothing. */
static inline uint64_t storm_place(struct storm *s)
{
	switch (s->next() % 6) {
	case 0:
		return 0x7fffffffe000 + s->next() % PAGE;
	case 1:
		return 0xffff800000000000 + s->next() % PAGE;
	case 2:
		return storm_size(s);
	default:
		return (uint64_t)s->area + s->next() % (3 * PAGE);
	}
}

static inline int storm_file(struct storm *s)
{
	return s->files[s->next() % STORM_FILES];
}

/* A process that may be running, dying or dead when it is asked about. */
static inline int storm_victim(void)
{
	pid_t pid = fork();
	int fd;

	if (!pid) {
		memset(mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0),
		       1, 64 * PAGE);
		for (;;)
			pause();
	}
	fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pid > 0)
		kill(pid, SIGKILL);
	return fd;
}

/* ---- message queues ---------------------------------------------------------------- */

static inline void storm_mq_open(struct storm *s, uint64_t a[6])
{
	struct mq_attr *attr = (struct mq_attr *)(s->area + PAGE);
	unsigned int n = (unsigned int)(s->next() % STORM_QUEUES);

	snprintf(s->area, 32, "storm-%u", n);
	attr->mq_maxmsg = (long)(s->next() % 2 ? s->next() % 16 : storm_size(s));
	attr->mq_msgsize = (long)(s->next() % 2 ? s->next() % 256 : storm_size(s));
	a[0] = (uint64_t)s->area;
	a[1] = O_RDWR | (s->next() % 4 ? O_CREAT : 0) | (s->next() % 2 ? O_NONBLOCK : 0) |
	       (s->next() % 4 ? 0 : s->next());
	a[2] = s->next() % 8 ? 0600 : s->next();
	a[3] = s->next() % 4 ? (uint64_t)attr : s->next() % 2 ? 0 : a[3];
}

static inline void storm_mq(struct storm *s, long nr, uint64_t a[6])
{
	if (nr == SYS_mq_open) {
		storm_mq_open(s, a);
		return;
	}
	if (nr == SYS_mq_unlink) {
		snprintf(s->area, 32, "storm-%u", (unsigned int)(s->next() % STORM_QUEUES));
		a[0] = (uint64_t)s->area;
		return;
	}
	a[0] = (uint64_t)s->queues[s->next() % STORM_QUEUES];
	if (nr == SYS_mq_timedsend || nr == SYS_mq_timedreceive) {
		if (s->next() % 4)
			a[1] = (uint64_t)s->area;
		a[2] = s->next() % 2 ? s->next() % 300 : storm_size(s);
		a[3] = nr == SYS_mq_timedsend ? s->next() % 40000 : storm_place(s);
		if (s->next() % 2)
			a[4] = 0;
	}
}

/* Later calls find the queues that were opened. */
static inline void storm_opened(struct storm *s, long nr, long result)
{
	int *slot = &s->queues[s->next() % STORM_QUEUES];

	if (nr != SYS_mq_open || result < 0)
		return;
	if (*slot >= 0)
		close(*slot);
	*slot = (int)result;
}

/* ---- futexes ----------------------------------------------------------------------- */

static inline void storm_waiters(struct storm *s)
{
	struct {
		uint64_t value, address;
		uint32_t flags, reserved;
	} *w = (void *)s->area;
	int i;

	for (i = 0; i < STORM_WAITERS; i++) {
		w[i].address = s->next() % 8 ? ((uint64_t)s->area + PAGE + s->next() % PAGE) & ~3ul
					     : storm_place(s);
		w[i].value = s->next() % 2 ? 0 : s->next();
		w[i].flags = STORM_FUTEX_U32 | (s->next() % 2 ? STORM_FUTEX_PRIVATE : 0) |
			     (s->next() % 16 ? 0 : (uint32_t)s->next());
		w[i].reserved = s->next() % 16 ? 0 : 1;
	}
}

static inline void storm_futex(struct storm *s, long nr, uint64_t a[6])
{
	uint32_t flags = STORM_FUTEX_U32 | (s->next() % 2 ? STORM_FUTEX_PRIVATE : 0);

	if (nr == STORM_futex_waitv || nr == STORM_futex_requeue) {
		storm_waiters(s);
		a[0] = (uint64_t)s->area;
		if (nr == STORM_futex_waitv)
			a[1] = s->next() % 8 ? s->next() % (STORM_WAITERS + 1) : storm_size(s);
		a[nr == STORM_futex_waitv ? 2 : 1] = 0;
		a[4] = s->next() % 2; /* clock; what is requeued */
		return;
	}
	a[0] = ((uint64_t)s->area + PAGE + s->next() % PAGE) & ~3ul;
	a[3] = flags;
	a[nr == STORM_futex_wait ? 2 : 1] = s->next() % 4 ? UINT32_MAX : s->next();
	if (nr == STORM_futex_wait)
		a[1] = s->next() % 2 ? 0 : s->next();
}

/* ---- files of /proc ------------------------------------------------------------------ */

/* size, flags, start, end, -, vector, its length, most pages, four masks */
static inline void storm_scan(struct storm *s, uint64_t a[6])
{
	uint64_t *w = (uint64_t *)s->area;
	int i;

	w[0] = s->next() % 16 ? 12 * sizeof(*w) : storm_size(s);
	w[1] = s->next() % 4 ? 0 : s->next() % 4;
	w[2] = s->next() % 2 ? (uint64_t)s->area - s->next() % 1024 * PAGE
			     : storm_place(s) & ~(PAGE - 1);
	w[3] = s->next() % 2 ? w[2] + s->next() % 2048 * PAGE : storm_place(s);
	w[5] = s->next() % 4 ? (uint64_t)s->area + PAGE : storm_place(s);
	w[6] = s->next() % 2 ? s->next() % 200 : storm_size(s);
	w[7] = s->next() % 2 ? 0 : storm_size(s);
	for (i = 8; i < 12; i++)
		w[i] = s->next() % 4 ? s->next() % 256 & s->next() : s->next() % 512;
	a[1] = STORM_PAGEMAP_SCAN;
	a[2] = s->next() % 16 ? (uint64_t)s->area : storm_place(s);
}

static inline void storm_proc(struct storm *s, long nr, uint64_t a[6])
{
	a[0] = (uint64_t)storm_file(s);
	if (nr == SYS_ioctl) {
		/* Its own or another's. */
		a[0] = (uint64_t)s->files[s->next() % 2 ? 0 : 5];
		storm_scan(s, a);
		return;
	}
	if (nr == SYS_lseek) {
		a[1] = s->next() % 2 ? storm_place(s) : storm_size(s);
		a[2] = s->next() % 3;
		return;
	}
	a[1] = storm_place(s);
	if (nr == SYS_readv || nr == SYS_writev) {
		a[2] = s->next() % 16;
		return;
	}
	a[2] = storm_size(s) % (1ul << 20);
	/* What clear_refs takes, more often than not. */
	if (nr == SYS_write && s->next() % 2) {
		s->area[0] = (char)('0' + s->next() % 8);
		s->area[1] = '\0';
		a[1] = (uint64_t)s->area;
		a[2] = 1 + s->next() % 2;
	}
	a[3] = s->next() % 2 ? storm_place(s) : storm_place(s) >> 12 << 3;
}

/* ---- and others ------------------------------------------------------------------------ */

static inline void storm_limit(struct storm *s, long nr, uint64_t a[6])
{
	uint64_t *limit = (uint64_t *)s->area;

	limit[0] = storm_size(s);
	limit[1] = s->next() % 2 ? UINT64_MAX : storm_size(s);
	a[nr == SYS_setrlimit ? 0 : 1] = s->next() % 18;
	a[nr == SYS_setrlimit ? 1 : 2] = (uint64_t)s->area;
	if (nr == SYS_prlimit64)
		a[0] = s->next() % 2 ? 0 : (uint64_t)getpid();
}

static inline void storm_pages(struct storm *s, long nr, uint64_t a[6])
{
	a[0] = s->next() % 2 ? (uint64_t)s->area : storm_place(s) & ~(PAGE - 1);
	a[1] = s->next() % 2 ? PAGE * (s->next() % 3) : storm_size(s);
	if (nr == STORM_mseal)
		a[2] = s->next() % 8 ? 0 : 1;
	if (nr == SYS_pkey_mprotect) {
		a[2] = s->next() % 8 ? PROT_READ | PROT_WRITE : s->next();
		a[3] = s->next() % 2 ? UINT64_MAX : s->next() % 17;
	}
}

/* Makes the arguments of @nr nearly right, if it is one of these. */
static inline void storm_arguments(struct storm *s, long nr, uint64_t a[6])
{
	if (nr >= SYS_mq_open && nr <= SYS_mq_getsetattr) {
		storm_mq(s, nr, a);
	} else if (nr == STORM_futex_waitv ||
		   (nr >= STORM_futex_wake && nr <= STORM_futex_requeue)) {
		storm_futex(s, nr, a);
	} else if (nr == STORM_mrelease) {
		a[0] = (uint64_t)s->pidfds[s->next() % STORM_PIDFDS];
		a[1] = s->next() % 8 ? 0 : 1;
	} else if (nr == SYS_setrlimit || nr == SYS_prlimit64) {
		storm_limit(s, nr, a);
	} else if (nr == STORM_mseal || nr == SYS_pkey_mprotect) {
		storm_pages(s, nr, a);
	} else if (nr == SYS_read || nr == SYS_write || nr == SYS_pread64 || nr == SYS_pwrite64 ||
		   nr == SYS_readv || nr == SYS_writev || nr == SYS_lseek || nr == SYS_ioctl) {
		storm_proc(s, nr, a);
	}
}

/* Before the first call. @bystander is only looked at. */
static inline void storm_begin(struct storm *s, pid_t bystander)
{
	static const char *const names[] = { "pagemap", "clear_refs", "mem", "oom_score_adj",
					     "smaps" };
	char path[64];
	int i;

	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", names[i]);
		s->files[i] = open(path, i == 1 ? O_WRONLY : i == 2 || i == 3 ? O_RDWR : O_RDONLY);
	}
	/* Of another only what does not change its memory. */
	snprintf(path, sizeof(path), "/proc/%d/pagemap", bystander);
	s->files[5] = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", bystander);
	s->files[6] = open(path, O_WRONLY);
	s->pidfds[0] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	s->pidfds[1] = storm_victim();
	for (i = 0; i < STORM_QUEUES; i++) {
		uint64_t a[6] = { 0 };

		storm_mq_open(s, a);
		s->queues[i] = (int)syscall(SYS_mq_open, a[0], a[1], a[2], a[3]);
	}
}

#endif
