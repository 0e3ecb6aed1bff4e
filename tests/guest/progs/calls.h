/* SPDX-License-Identifier: MIT */
/* What the self-tests calls_*.c share beside progs.h: wrong arguments, signals that come in time, pipes. */
#ifndef UMM_TESTS_CALLS_H
#define UMM_TESTS_CALLS_H

#include <sys/time.h>

#include "progs.h"

#define NOBODY 4190000 /* a number that no process has */

/* An address that nothing is at. Volatile, so that no compiler looks at what is passed. */
static char *volatile nowhere = (char *)16;
#define BAD ((void *)nowhere)

static volatile sig_atomic_t caught; /* signals */

static inline void on_signal(int number)
{
	(void)number;
	caught++;
}

/* From now on the signal is counted in caught. */
static inline void install(int number, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(number, &action, NULL);
}

/* SIGALRM every @ms, as the first may come before the call that it is for; 0: no more. */
static inline void alarm_in(long ms, int flags)
{
	struct timeval period = { ms / 1000, ms % 1000 * 1000 };

	caught = 0;
	install(SIGALRM, flags);
	setitimer(ITIMER_REAL, &(struct itimerval){ period, period }, NULL);
}

/* One whose ends do not wait. */
static inline void pipe_make(int p[2])
{
	if (pipe2(p, O_NONBLOCK)) {
		perror("pipe");
		exit(2);
	}
}

static inline void close_two(int a, int b)
{
	close(a);
	close(b);
}

#endif
