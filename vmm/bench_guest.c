/* SPDX-License-Identifier: MIT */
#include "vmm/bench_guest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/program.h"
#include "vmm/vm.h"

#define WAIT_NS 180000000000ull

static void sleep_ms(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void read_output(const struct bench_moved *g, char *buf, size_t size)
{
	ssize_t n = pread(g->err_fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = 0;
}

bool bench_moved_alive(const struct bench_moved *g)
{
	siginfo_t info = { .si_pid = 0 };

	return !waitid(P_PID, (id_t)g->guest.pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       !info.si_pid;
}

static int wait_ready(struct bench_moved *g, struct errmsg *e)
{
	uint64_t end = vm_now_ns() + WAIT_NS;
	char out[1024];

	while (vm_now_ns() < end) {
		read_output(g, out, sizeof(out));
		if (strstr(out, "ready"))
			return 0;
		if (!bench_moved_alive(g))
			return errmsg_set(e, -ECHILD, "the guest ended too early: %.300s", out);
		sleep_ms(10);
	}
	return errmsg_set(e, -ETIMEDOUT, "the guest's program was not ready in time");
}

int bench_moved_start(struct bench_moved *g, const struct bench_paths *paths, char *const *options,
		      char *const *argv, struct errmsg *e)
{
	int rc;

	*g = (struct bench_moved){ .err_fd = memfd_create("stderr", MFD_CLOEXEC) };
	if (g->err_fd < 0)
		return errmsg_set(e, -errno, "memfd_create: %s", strerror(errno));
	rc = bench_guest_start_to(paths, options, argv, g->err_fd, &g->guest, e);
	if (rc) {
		close(g->err_fd);
		return rc;
	}
	rc = wait_ready(g, e);
	if (!rc)
		rc = ctl_client_open(&g->client, g->guest.name, e);
	g->connected = !rc;
	if (g->connected)
		g->client.timeout_ms = -1;
	else
		bench_moved_stop(g);
	return rc;
}

int bench_moved_migrate(struct bench_moved *g, json_t *how, json_t **result, struct errmsg *e)
{
	json_t *request = how ? how : json_object();

	g->node = !g->node;
	json_object_set_new(request, "op", json_string("migrate"));
	json_object_set_new(request, "to", json_integer(g->node));
	return ctl_client_call(&g->client, request, result, e);
}

int bench_moved_signal(struct bench_moved *g, int sig, struct errmsg *e)
{
	json_t *result = NULL;
	int rc = ctl_client_call(&g->client, json_pack("{s:s, s:i}", "op", "kill", "signal", sig),
				 &result, e);

	json_decref(result);
	return rc;
}

static void disconnect(struct bench_moved *g)
{
	if (g->connected)
		ctl_client_close(&g->client);
	g->connected = false;
}

int bench_moved_output(struct bench_moved *g, char *buf, size_t size, struct errmsg *e)
{
	int status;

	disconnect(g);
	while (waitpid(g->guest.pid, &status, 0) < 0)
		if (errno != EINTR)
			return errmsg_set(e, -errno, "waitpid: %s", strerror(errno));
	g->guest.pid = 0;
	read_output(g, buf, size);
	close(g->err_fd);
	status = program_wait_status(status);
	if (status)
		return errmsg_set(e, -EIO, "the guest ended with status %d: %.300s", status, buf);
	return 0;
}

void bench_moved_stop(struct bench_moved *g)
{
	if (!g->guest.pid)
		return;
	disconnect(g);
	bench_guest_stop(&g->guest);
	g->guest.pid = 0;
	close(g->err_fd);
}
