/* SPDX-License-Identifier: MIT */
#include "vmm/bench_paged.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/vm.h"

#define LINE_MAX_BYTES (1u << 16)
/* Under an emulator a command may take minutes. */
#define ANSWER_MS 300000

/* ---- its end of the socket ------------------------------------------------- */

/* Lines of others than the program (umm's own messages) are passed over. */
static int read_until(struct bench_paged *p, const char *start, char **line, struct errmsg *e)
{
	char last[200] = "it said nothing";
	int rc;

	for (;;) {
		rc = ctl_read_line(&p->reader, ANSWER_MS, ANSWER_MS, line);
		if (rc <= 0)
			return errmsg_set(e, rc ? rc : -ECHILD, "the workload paged: %s",
					  rc ? strerror(-rc) : last);
		if (!strncmp(*line, start, strlen(start)))
			return 0;
		snprintf(last, sizeof(last), "%s", *line);
	}
}

int paged_ask(struct bench_paged *p, const char *command, json_t **answer, struct errmsg *e)
{
	char text[80], *line;
	json_t *o;
	int rc, n = snprintf(text, sizeof(text), "%s\n", command);

	if (send(p->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return errmsg_set(e, -EPIPE, "the workload paged has ended");
	rc = read_until(p, "{", &line, e);
	if (rc)
		return rc;
	o = json_loads(line, 0, NULL);
	if (!o)
		return errmsg_set(e, -EPROTO, "the workload paged answered: %.200s", line);
	if (json_integer_value(json_object_get(o, "wrong")))
		rc = errmsg_set(e, -EBADMSG, "memory was not as stored, after %s: %.200s", command,
				line);
	if (!rc && answer)
		*answer = json_incref(o);
	json_decref(o);
	return rc;
}

int paged_control(struct bench_paged *p, json_t *request, json_t **answer, struct errmsg *e)
{
	return ctl_client_call(&p->client, request, answer, e);
}

/* ---- start and end ----------------------------------------------------------- */

static int start_program(struct bench_paged *p, const struct bench_paths *paths,
			 char *const *options, const char *name, const char *content,
			 struct errmsg *e)
{
	char size[32];
	char *argv[] = { "paged", "--size", size, "--content", (char *)(uintptr_t)content, NULL };
	struct bench_start s = {
		.side = options ? BENCH_UMM : BENCH_NATIVE,
		.cgroup = p->cgroup,
		.name = name,
		.options = options,
		.argv = argv,
		.out_fd = -1,
	};
	int pair[2], rc;

	snprintf(size, sizeof(size), "%" PRIu64, p->bytes);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return errmsg_set(e, -errno, "socketpair: %s", strerror(errno));
	s.in_fd = s.err_fd = pair[1];
	rc = bench_spawn(paths, &s, &p->pid, e);
	close(pair[1]);
	if (rc) {
		close(pair[0]);
		return rc;
	}
	p->fd = pair[0];
	ctl_reader_init(&p->reader, p->fd, LINE_MAX_BYTES);
	return 0;
}

int paged_start(struct bench_paged *p, const struct bench_paths *paths, char *const *options,
		const struct bench_cgroup *cgroup, uint64_t bytes, const char *content,
		struct errmsg *e)
{
	static unsigned int count;
	char name[64], *line;
	int rc;

	*p = (struct bench_paged){ .fd = -1, .bytes = bytes, .cgroup = cgroup };
	snprintf(name, sizeof(name), "bench-%d-%u", (int)getpid(), ++count);
	rc = start_program(p, paths, options, name, content, e);
	if (rc)
		return rc;
	rc = read_until(p, "ready", &line, e);
	if (!rc && options) {
		rc = ctl_client_open(&p->client, name, e);
		p->connected = !rc;
		p->client.timeout_ms = -1;
	}
	if (rc)
		paged_stop(p);
	return rc;
}

void paged_stop(struct bench_paged *p)
{
	if (p->fd < 0)
		return;
	if (p->connected)
		ctl_client_close(&p->client);
	ctl_reader_destroy(&p->reader);
	close(p->fd);
	p->fd = -1;
	kill(p->pid, SIGTERM);
	bench_wait(p->pid, NULL);
}

/* ---- paging it out ------------------------------------------------------------ */

static uint64_t thread_cpu_ns(const char *path)
{
	FILE *f = fopen(path, "re");
	uint64_t ns = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

uint64_t process_cpu_ns(pid_t pid)
{
	char path[300];
	struct dirent *d;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, d->d_name);
		sum += thread_cpu_ns(path);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static int out_of_guest(struct bench_paged *p, struct paged_out *out, struct errmsg *e)
{
	uint64_t cpu = process_cpu_ns(p->pid);
	json_t *r, *why;
	int rc = paged_control(p,
			       json_pack("{s:s, s:s}", "op", "reclaim", "mechanism",
					 p->holes ? "hole" : "unmap"),
			       &r, e);

	if (rc)
		return rc;
	out->cpu_ns = (double)(process_cpu_ns(p->pid) - cpu);
	out->ns = (double)json_integer_value(json_object_get(r, "ns_total"));
	out->freed = (uint64_t)json_integer_value(json_object_get(r, "freed")) * UMM_PAGE_SIZE;
	why = json_object_get(r, "error");
	if (why)
		rc = errmsg_set(e, -EIO, "reclaim: %s", json_string_value(why));
	json_decref(r);
	return rc;
}

/*
 * MADV_PAGEOUT starts the writes and leaves the pages in the swap cache; the pass
 * that frees them is asked for again and again until a sixteenth is left.
 */
static int out_of_process(struct bench_paged *p, struct paged_out *out, struct errmsg *e)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t before = bench_cgroup_usage(p->cgroup), start = vm_now_ns(), left;
	uint64_t cpu = process_cpu_ns(p->pid) + process_cpu_ns(getpid());
	json_t *r;
	int rc = paged_ask(p, "pageout", &r, e);

	if (rc)
		return rc;
	out->first_ns = (double)json_integer_value(json_object_get(r, "ns"));
	json_decref(r);
	for (unsigned int i = 0;; i++) {
		left = bench_cgroup_usage(p->cgroup);
		if (left + p->bytes < before + p->bytes / 16)
			break;
		if (i == 5000)
			return errmsg_set(e, -EBUSY,
					  "the kernel does not page out: %lu of %lu MiB left",
					  left >> 20, before >> 20);
		(void)bench_cgroup_reclaim(p->cgroup);
		if (bench_cgroup_usage(p->cgroup) >= left)
			nanosleep(&pause, NULL);
	}
	out->ns = (double)(vm_now_ns() - start);
	out->freed = before - left;
	out->cpu_ns = (double)(process_cpu_ns(p->pid) + process_cpu_ns(getpid()) - cpu);
	return 0;
}

int paged_out(struct bench_paged *p, struct paged_out *out, struct errmsg *e)
{
	int rc;

	*out = (struct paged_out){ .freed = 0 };
	rc = p->connected ? out_of_guest(p, out, e) : out_of_process(p, out, e);
	if (!rc && out->freed < p->bytes / 2)
		rc = errmsg_set(e, -ENOSPC, "only %lu of %lu MiB were paged out", out->freed >> 20,
				p->bytes >> 20);
	return rc;
}
