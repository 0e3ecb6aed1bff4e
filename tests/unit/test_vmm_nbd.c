/* SPDX-License-Identifier: MIT */
/*
 * Swap over NBD, with nbdkit as the server: what was written comes back, also when the
 * server is killed amid it and started again; without a server each transfer is an
 * error of its own; a server that comes back with other bytes is found out.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/backend_lab.h"

static struct backend_lab lab;
static char dir[64], sock[96], image[96], pidfile[96];

/* ---- the server --------------------------------------------------------------------- */

#define ARGS_MAX 14

static pid_t server_fork(char *const argv[])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	close(2);
	dup2(open("/dev/null", O_WRONLY), 2);
	execvp(argv[0], argv);
	_exit(127);
}

/* nbdkit with these arguments, listening when this returns. */
static pid_t server_start(const char *const *args)
{
	char *argv[ARGS_MAX] = { "nbdkit", "-f", "-U", sock, "-P", pidfile, "-t", "4" };
	struct stat st;
	pid_t pid;

	for (unsigned int i = 0; args[i]; i++)
		argv[8 + i] = (char *)args[i];
	unlink(sock);
	unlink(pidfile);
	pid = server_fork(argv);
	/* The file is made when it listens. */
	for (unsigned int i = 0; i < 6000 && stat(pidfile, &st); i++)
		usleep(10000);
	CU_ASSERT_EQUAL_FATAL(stat(pidfile, &st), 0);
	return pid;
}

static pid_t server_memory(void)
{
	return server_start((const char *const[]){ "memory", "64M", NULL });
}

static pid_t server_file(void)
{
	return server_start((const char *const[]){ "file", image, NULL });
}

static void server_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void image_make(void)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 64 << 20), 0);
	close(fd);
}

static struct swap_backend *area_open(const char *options)
{
	char text[256];

	snprintf(text, sizeof(text), "nbd:nbd+unix:///?socket=%s%s", sock, options);
	return lab_open(&lab, text);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool wait_figure(struct swap_backend *b, const char *name, uint64_t least)
{
	for (unsigned int i = 0; i < 3000 && lab_figure(b, name) < least; i++)
		usleep(20000);
	return lab_figure(b, name) >= least;
}

/* ---- as long as the server is there ----------------------------------------------------- */

static void test_oracle(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open(",connections=3");
	uint64_t fails;

	CU_ASSERT_EQUAL(b->nr_slots, 16384);
	CU_ASSERT_TRUE(wait_figure(b, "connected", 3));
	CU_ASSERT_EQUAL(lab_figure(b, "connections"), 3);
	CU_ASSERT_EQUAL(oracle_run(&lab, b, 4, 150, 11, &fails), 0);
	CU_ASSERT_EQUAL(fails, 0);
	CU_ASSERT_EQUAL(lab_figure(b, "lost_connections"), 0);
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* Many pages in one transfer: cut up, and together again. */
static void test_large(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open("");
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < LAB_FRAMES; i++)
		lab_fill(&lab, i, i + 1);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 5000, 0, LAB_FRAMES, true), 0);
	memset(lab.memory.ram, 0xee, lab.memory.ram_bytes);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 5000, 0, LAB_FRAMES, false), 0);
	for (unsigned int i = 0; i < LAB_FRAMES; i++)
		wrong += !lab_same(&lab, i, i + 1);
	CU_ASSERT_EQUAL(wrong, 0);
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* Freed pages are trimmed, and slots that are used again meanwhile keep what they got. */
static void test_trim(void)
{
	pid_t server;
	struct swap_backend *b;
	unsigned int wrong = 0;
	struct stat before, after;

	image_make();
	server = server_file();
	b = area_open("");
	for (unsigned int i = 0; i < 2048; i++)
		lab_fill(&lab, i, 4 * i + 1);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 2048, true), 0);
	stat(image, &before);
	swap_areas_freed(b, 0, 2048);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 300, 300, 3, true), 0);
	CU_ASSERT_TRUE(wait_figure(b, "trimmed_pages", 2045));
	CU_ASSERT_EQUAL(lab_figure(b, "trimmed_pages"), 2045);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 300, 0, 3, false), 0);
	for (unsigned int i = 0; i < 3; i++)
		wrong += !lab_same(&lab, i, 4 * (300 + i) + 1);
	CU_ASSERT_EQUAL(wrong, 0);
	stat(image, &after);
	CU_ASSERT_TRUE(after.st_blocks <= before.st_blocks - 2000 * 8);
	/* Nothing of what was freed may be read. */
	CU_ASSERT_EQUAL(lab_io(&lab, b, 7, 0, 1, false), -EIO);
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* ---- when it is not ------------------------------------------------------------------------ */

struct user {
	struct swap_backend *b;
	bool stop;
	uint64_t rounds, bad, fails;
};

static void *user_main(void *arg)
{
	struct user *u = arg;
	uint64_t fails;

	while (!__atomic_load_n(&u->stop, __ATOMIC_ACQUIRE)) {
		u->bad += oracle_run(&lab, u->b, 4, 10, u->rounds++, &fails);
		u->fails += fails;
	}
	return NULL;
}

/*
 * Killed and started again amid transfers of four threads: nobody notices. The servers
 * are started by this thread, as they end with the thread that did.
 */
static void test_killed_in_mid_run(void)
{
	struct user u = { .stop = false };
	pthread_t thread;
	pid_t server;

	image_make();
	server = server_file();
	u.b = area_open(",wait=30");
	CU_ASSERT_TRUE(wait_figure(u.b, "connected", 4));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, user_main, &u), 0);
	for (unsigned int i = 1; i <= 5; i++) {
		usleep(100000);
		server_kill(server);
		usleep(50000);
		server = server_file();
		/* In this order: those of the old server may look connected for a moment. */
		CU_ASSERT_TRUE(wait_figure(u.b, "lost_connections", 4 * i));
		CU_ASSERT_TRUE(wait_figure(u.b, "connected", 4));
	}
	__atomic_store_n(&u.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(u.rounds > 0);
	CU_ASSERT_EQUAL(u.bad, 0);
	CU_ASSERT_EQUAL(u.fails, 0);
	CU_ASSERT_TRUE(lab_figure(u.b, "retried") > 0);
	swap_areas_close(&lab.areas, u.b);
	server_kill(server);
}

/* No server and no patience: errors at once; back again, all is there that was. */
static void test_errors_while_gone(void)
{
	struct swap_backend *b;
	pid_t server;
	double start;

	image_make();
	server = server_file();
	b = area_open(",wait=0");
	for (unsigned int i = 0; i < 64; i++)
		lab_fill(&lab, i, i + 1);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 64, true), 0);
	server_kill(server);
	start = seconds();
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 100, 1, false), -EIO);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 100, 0, 16, true), -EIO);
	CU_ASSERT_TRUE(seconds() - start < 10);
	CU_ASSERT_EQUAL(lab_figure(b, "connected"), 0);
	server = server_file();
	CU_ASSERT_TRUE(wait_figure(b, "connected", 1));
	for (unsigned int i = 0; i < 64; i++) {
		CU_ASSERT_EQUAL(lab_io(&lab, b, i, 200, 1, false), 0);
		CU_ASSERT_TRUE(lab_same(&lab, 200, i + 1));
	}
	/* What could not be written has nothing to read, until it is written. */
	CU_ASSERT_EQUAL(lab_io(&lab, b, 101, 200, 1, false), -EIO);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 100, 0, 16, true), 0);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 101, 200, 1, false), 0);
	CU_ASSERT_TRUE(lab_same(&lab, 200, 2));
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* It waits as long as it was told to, and then no longer. */
static void test_wait_is_bounded(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open(",wait=1");
	double start;

	server_kill(server);
	start = seconds();
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 0, 1, true), -EIO);
	CU_ASSERT_TRUE(seconds() - start > 0.9 && seconds() - start < 30);
	swap_areas_close(&lab.areas, b);
}

/* Memory of a server that was killed is gone: zeros are not handed out for it. */
static void test_contents_gone(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open(",wait=20");

	for (unsigned int i = 0; i < 8; i++)
		lab_fill(&lab, i, i + 1);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 8, true), 0);
	server_kill(server);
	server = server_memory();
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(lab_io(&lab, b, i, 100, 1, false), -EIO);
	CU_ASSERT_EQUAL(lab_figure(b, "wrong_checksums"), 8);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 8, true), 0);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 5, 100, 1, false), 0);
	CU_ASSERT_TRUE(lab_same(&lab, 100, 6));
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/*
 * What was written before a connection was lost is doubtful until it is written again, as
 * the manager may have the only copy of what it could drop as clean.
 */
static void test_doubtful(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open(",wait=20");

	CU_ASSERT_TRUE(wait_figure(b, "connected", 4));
	CU_ASSERT_EQUAL(lab_io(&lab, b, 0, 0, 8, true), 0);
	CU_ASSERT_FALSE(swap_areas_doubtful(b, 0, 8));
	server_kill(server);
	server = server_memory();
	CU_ASSERT_TRUE(wait_figure(b, "lost_connections", 4));
	CU_ASSERT_TRUE(wait_figure(b, "connected", 4));
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_TRUE(swap_areas_doubtful(b, i, 1));
	CU_ASSERT_EQUAL(lab_io(&lab, b, 2, 0, 3, true), 0);
	CU_ASSERT_FALSE(swap_areas_doubtful(b, 2, 3));
	CU_ASSERT_TRUE(swap_areas_doubtful(b, 0, 8));
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* A server that takes requests and answers none is given up after the timeout, not before. */
static void test_hangs(void)
{
	pid_t server = server_memory();
	struct swap_backend *b = area_open(",wait=0,timeout=2");
	double start;

	CU_ASSERT_TRUE(wait_figure(b, "connected", 4));
	lab_fill(&lab, 0, 77);
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 0, 1, true), 0);
	/* Not before all of its threads stand still. */
	kill(server, SIGSTOP);
	CU_ASSERT_EQUAL(waitpid(server, NULL, WUNTRACED), server);
	start = seconds();
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 1, 1, false), -EIO);
	CU_ASSERT_TRUE(seconds() - start > 1.5 && seconds() - start < 60);
	kill(server, SIGCONT);
	CU_ASSERT_TRUE(wait_figure(b, "connected", 4));
	CU_ASSERT_EQUAL(lab_io(&lab, b, 3, 1, 1, false), 0);
	CU_ASSERT_TRUE(lab_same(&lab, 1, 77));
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

/* A server whose disk is full every other time. */
static void test_server_errors(void)
{
	pid_t server = server_start((const char *const[]){ "--filter=error", "memory", "64M",
							   "error-pwrite=ENOSPC",
							   "error-pwrite-rate=50%", NULL });
	struct swap_backend *b = area_open("");
	unsigned int good = 0, full = 0, wrong = 0;
	struct swap_io ios[64];

	for (unsigned int i = 0; i < 64; i++) {
		lab_fill(&lab, i, i + 1);
		ios[i] = (struct swap_io){
			.area = b, .slot = 2 * i, .pfn = lab_frame(i), .nr = 1, .write = true
		};
	}
	CU_ASSERT_EQUAL(swap_areas_run(&lab.areas, ios, 64), -ENOSPC);
	for (unsigned int i = 0; i < 64; i++) {
		good += !ios[i].error;
		full += ios[i].error == -ENOSPC;
		if (ios[i].error)
			continue;
		wrong += lab_io(&lab, b, 2 * i, 100, 1, false) || !lab_same(&lab, 100, i + 1);
	}
	CU_ASSERT_TRUE(good > 8 && full > 8 && good + full == 64);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(lab_figure(b, "lost_connections"), 0);
	swap_areas_close(&lab.areas, b);
	server_kill(server);
}

static void open_refused(const char *options, int want, const char *word)
{
	struct swap_backend *b;
	struct errmsg e = { "" };
	struct swap_spec spec;
	char text[256];

	snprintf(text, sizeof(text), "nbd:nbd+unix:///?socket=%s%s", sock, options);
	CU_ASSERT_EQUAL_FATAL(swap_spec_parse(text, &spec, &e), 0);
	CU_ASSERT_EQUAL(swap_areas_open(&lab.areas, &spec, &b, &e), want);
	if (!strstr(e.text, word))
		printf("  no \"%s\" in \"%s\"\n", word, e.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, word));
}

static void test_open_errors(void)
{
	pid_t server;

	unlink(sock);
	open_refused("", -ENOENT, "is the server running");
	server = server_memory();
	open_refused(",size=65M", -ENOSPC, "64 MiB");
	server_kill(server);
	server = server_start((const char *const[]){ "-r", "memory", "64M", NULL });
	open_refused("", -EROFS, "read-only");
	server_kill(server);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	if (system("nbdkit --version >/dev/null 2>&1")) {
		printf("SKIP: no nbdkit here\n");
		return 77;
	}
	snprintf(dir, sizeof(dir), "/tmp/umm-nbd-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(pidfile, sizeof(pidfile), "%s/pid", dir);
	lab_init(&lab);
	CU_initialize_registry();
	suite = CU_add_suite("nbd", NULL, NULL);
	CU_add_test(suite, "oracle", test_oracle);
	CU_add_test(suite, "one large transfer", test_large);
	CU_add_test(suite, "freed pages are trimmed", test_trim);
	CU_add_test(suite, "killed in mid-run, nothing is lost", test_killed_in_mid_run);
	CU_add_test(suite, "errors while it is gone", test_errors_while_gone);
	CU_add_test(suite, "waiting is bounded", test_wait_is_bounded);
	CU_add_test(suite, "contents gone: errors, not zeros", test_contents_gone);
	CU_add_test(suite, "a connection was lost: doubtful", test_doubtful);
	CU_add_test(suite, "a server that hangs", test_hangs);
	CU_add_test(suite, "errors of the server", test_server_errors);
	CU_add_test(suite, "open errors", test_open_errors);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	lab_destroy(&lab);
	unlink(sock);
	unlink(image);
	unlink(pidfile);
	rmdir(dir);
	return failures ? 1 : 0;
}
