/* SPDX-License-Identifier: MIT */
/*
 * Random system calls with random arguments, in children that do not last long:
 * none may end the guest, hang it, or touch another child. What a call answers is
 * not looked at. Only calls that cannot reach the host's files are made, and only
 * in a guest: natively this program refuses to run. Meanwhile a process that has
 * nothing to do with it looks after its own memory.
 *
 * Random numbers seldom get past a call's first checks. So some calls find what they
 * can use (storm_calls.h): files of /proc that tell of memory and
 * change it, message queues, descriptors of processes that are just ending, structures
 * that are nearly right.
 *
 *	call_storm SEED SECONDS [all]
 *
 * all: every number, and a second thread that changes what pointers lead to while
 * calls look at it: for a guest that is confined.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "progs.h"
#include "storm_calls.h"

#define CALLS_PER_CHILD 200
#define PATIENCE_MS     300

/* x86-64 numbers: memory, signals, processes, time, pipes, polls; and some that are none. */
static const uint16_t calls[] = {
	0,
	1,
	3,
	5,
	7,
	8,
	9,
	10,
	11,
	12,
	13,
	14,
	15,
	16,
	17,
	18,
	19,
	20,
	22,
	23,
	24,
	25,
	26,
	27,
	28,
	32,
	33,
	34,
	35,
	36,
	37,
	38,
	39,
	41,
	42,
	43,
	44,
	45,
	46,
	47,
	48,
	49,
	50,
	51,
	52,
	53,
	54,
	55,
	56,
	57,
	58,
	59,
	60,
	61,
	62,
	63,
	72,
	73,
	74,
	75,
	77,
	79,
	95,
	96,
	97,
	98,
	99,
	100,
	102,
	104,
	107,
	108,
	109,
	110,
	111,
	112,
	115,
	116,
	117,
	118,
	121,
	124,
	125,
	126,
	127,
	128,
	129,
	130,
	131,
	135,
	140,
	141,
	143,
	144,
	145,
	146,
	147,
	148,
	149,
	150,
	151,
	152,
	157,
	158,
	160,
	186,
	187,
	200,
	201,
	202,
	203,
	204,
	213,
	217,
	218,
	219,
	228,
	229,
	230,
	231,
	232,
	233,
	234,
	247,
	262,
	270,
	271,
	273,
	274,
	275,
	276,
	278,
	281,
	284,
	286,
	287,
	288,
	289,
	290,
	291,
	292,
	293,
	295,
	296,
	297,
	302,
	309,
	310,
	311,
	318,
	319,
	322,
	324,
	325,
	326,
	327,
	328,
	332,
	334,
	424,
	425,
	434,
	435,
	436,
	440,
	441,
	449,
	500,
	511,
	512,
	1000,
	29,
	30,
	31,
	64,
	66,
	67,
	68,
	69,
	70,
	71,
	216,
	220,
	278,
	289,
	314,
	315,
	240,
	241,
	242,
	243,
	244,
	245,
	329,
	330,
	331,
	448,
	454,
	455,
	456,
	462,
	334,
	/* What few of the random ones would be: twice. */
	240,
	242,
	243,
	448,
	449,
	455,
	456,
	462,
	334,
	160,
	302,
	17,
	18,
	16,
};

static uint64_t state;
static char *area;
static bool all;
static pid_t bystander;
static struct storm storm;
static int pipe_fds[2];

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t random_argument(void)
{
	uint64_t r = next_random() >> 8;

	switch (next_random() % 13) {
	case 0:
		return 0;
	case 1:
		return r % 64;
	case 2:
		return r % 8;
	case 3:
		return (uint64_t)area + r % (2 * PAGE);
	case 4:
		return (uint64_t)area + 2 * PAGE - r % 16;
	case 5:
		return next_random();
	case 6:
		return -(r % 300);
	case 7:
		return 1ULL << (r % 64);
	case 8:
		return (uint64_t)area + r % 4 * PAGE;
	case 9:
		return PAGE * (r % 64);
	case 10:
		return 0x7ffffffff000 - r % 9000;
	case 11:
		return 0xffff800000000000ULL + r % 100;
	default:
		return (uint64_t)getpid();
	}
}

/* Aim what could hit somebody else, or only sleep, at ourselves. */
static bool tame(long nr, uint64_t a[6])
{
	switch (nr) {
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
		a[0] = (uint64_t)getpid();
		return true;
	case SYS_pause:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_rt_sigsuspend:
		return next_random() % 8 == 0;
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
	case SYS_setrlimit:
	case SYS_prlimit64:
		return next_random() % 4 == 0;
	case SYS_read:
	case SYS_readv:
		a[0] = (uint64_t)pipe_fds[0];
		return true;
	case SYS_write:
	case SYS_writev:
		a[0] = (uint64_t)pipe_fds[1];
		return true;
	default:
		return true;
	}
}

static long random_call(void)
{
	long nr;

	if (!all)
		return calls[next_random() % (sizeof(calls) / sizeof(*calls))];
	/* Writing back all of the host's files takes it too long. */
	do
		nr = (long)(next_random() % 470);
	while (nr == SYS_sync || nr == SYS_syncfs);
	return nr;
}

/* Arguments in memory change between the look that checks them and the one that uses them. */
static void *scribble(void *arg)
{
	volatile uint64_t *words = (volatile uint64_t *)area;
	uint64_t r = (uint64_t)(uintptr_t)arg | 1;

	for (;;) {
		r = r * 6364136223846793005ULL + 1442695040888963407ULL;
		words[(r >> 33) % (2 * PAGE / sizeof(*words))] = r >> 60 ? r >> 40
									 : 0xffff800000000000;
		if (!(r >> 54))
			sched_yield();
	}
	return NULL;
}

/* Should memory run out, it is this child's fault. */
static void volunteer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, "1000", 4) != 4)
		_exit(2);
	close(fd);
}

static void child(uint64_t seed)
{
	pthread_t thread;
	uint64_t a[6], *words;
	int null = open("/dev/null", O_RDWR), n, k;
	size_t i;

	state = seed | 1;
	setsid();
	/* What the test reads is the first process's alone. */
	for (n = 0; n < 3; n++)
		dup2(null, n);
	close(null);
	volunteer();
	area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	words = (uint64_t *)area;
	for (i = 0; i < 2 * PAGE / sizeof(*words); i++)
		words[i] = random_argument();
	if (pipe(pipe_fds))
		_exit(1);
	storm = (struct storm){ .next = next_random, .area = area };
	storm_begin(&storm, bystander);
	if (all && pthread_create(&thread, NULL, scribble, (void *)(uintptr_t)seed))
		_exit(1);
	for (n = 0; n < CALLS_PER_CHILD; n++) {
		long nr = random_call();

		for (k = 0; k < 6; k++)
			a[k] = random_argument();
		if (!tame(nr, a))
			continue;
		if (next_random() % 4)
			storm_arguments(&storm, nr, a);
		storm_opened(&storm, nr, syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
	}
	_exit(0);
}

/* Children that wait for ever, or changed their ways, end by the clock. */
static void end_child(pid_t pid)
{
	int tries;

	for (tries = 0; tries < PATIENCE_MS && !waitpid(pid, NULL, WNOHANG); tries++)
		usleep(1000);
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (!waitpid(pid, NULL, WNOHANG))
		usleep(1000);
}

#define OWN_PAGES 512

/* The bystander: its memory is as it left it, until the pipe's other end is closed. */
static int bystand(int stop)
{
	uint64_t *own = mmap(NULL, OWN_PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i, words = OWN_PAGES * PAGE / sizeof(*own);
	uint64_t round;
	char byte;

	for (round = 1; read(stop, &byte, 1) < 0; round++) {
		for (i = 0; i < words; i++)
			own[i] = i * round;
		usleep(20000);
		for (i = 0; i < words; i++)
			if (own[i] != i * round)
				return 1;
	}
	return 0;
}

static pid_t bystander_start(int *stop)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_NONBLOCK | O_CLOEXEC))
		exit(2);
	pid = fork();
	if (!pid) {
		close(p[1]);
		setsid();
		_exit(bystand(p[0]));
	}
	close(p[0]);
	*stop = p[1];
	return pid;
}

int main(int argc, char **argv)
{
	int stop, status;
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 5);
	long children = 0;
	pid_t pid;

	if (getppid() != 1 || getpid() != 100) {
		fprintf(stderr, "call_storm: only as the first process of a guest\n");
		return 2;
	}
	all = argc > 3 && !strcmp(argv[3], "all");
	bystander = bystander_start(&stop);
	while (time(NULL) < end) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		pid = fork();
		if (!pid) {
			close(stop);
			child(seed);
		}
		if (pid > 0)
			end_child(pid);
		children += pid > 0;
	}
	close(stop);
	if (waitpid(bystander, &status, 0) != bystander || status) {
		printf("the bystander was hit: status %#x\n", status);
		return 1;
	}
	fprintf(stderr, "%ld children\n", children);
	printf("alive\n");
	return 0;
}
