/* SPDX-License-Identifier: MIT */
#include "vmm/bench_ycsb.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/bench_reclaim.h"
#include "vmm/vm.h"

#define RECORD    1000u
#define THETA     0.99
#define ANSWER_MS 60000
#define LOOK_MS   100
/* Records that are stored at a time, while nothing is measured. */
#define LOAD_DEPTH 32u
/* Redis keeps some 200 bytes beside a record of this size. */
#define RECORD_MEMORY 1200u

struct ycsb {
	int fd;
	const struct bench_cgroup *cgroup; /* the server's; NULL: none */
	uint64_t records, ops;
	char mix;
	uint64_t state;
	double zetan, eta;
	uint32_t *version; /* of each record, as stored last */
	double *ns;        /* of each request */
	char in[4096];
	size_t used;
};

/* ---- who is asked for ----------------------------------------------------------------- */

static uint64_t mix64(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x7fb5d329728ea185ull;
	x ^= x >> 27;
	x *= 0x81dadef4bc2dd44dull;
	return x ^ x >> 33;
}

static double draw(struct ycsb *y)
{
	return (double)(mix64(++y->state) >> 11) * 0x1p-53;
}

static void zipf_init(struct ycsb *y)
{
	for (uint64_t i = 1; i <= y->records; i++)
		y->zetan += 1 / pow((double)i, THETA);
	y->eta = (1 - pow(2.0 / (double)y->records, 1 - THETA)) /
		 (1 - (1 + pow(0.5, THETA)) / y->zetan);
}

static uint64_t zipf_record(struct ycsb *y)
{
	double u = draw(y), uz = u * y->zetan;
	uint64_t rank =
		(uint64_t)((double)y->records * pow(y->eta * u - y->eta + 1, 1 / (1 - THETA)));

	if (uz < 1)
		rank = 0;
	else if (uz < 1 + pow(0.5, THETA))
		rank = 1;
	return mix64(rank) % y->records;
}

/* ---- the protocol ------------------------------------------------------------------------ */

static void record_fill(char *to, uint64_t record, uint32_t version)
{
	uint64_t state = mix64(record * 65537 + version);

	for (unsigned int i = 0; i < RECORD; i++) {
		if (!(i % 8))
			state = mix64(state + 1);
		to[i] = (char)('a' + (state >> i % 8 * 8) % 26);
	}
}

static int send_all(struct ycsb *y, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(y->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Meanwhile the server may need help to get memory. */
static bool wait_for_answer(const struct ycsb *y)
{
	struct pollfd p = { .fd = y->fd, .events = POLLIN };

	for (unsigned int ms = 0; ms < ANSWER_MS && !reclaim_stopped(); ms += LOOK_MS) {
		if (poll(&p, 1, LOOK_MS) > 0)
			return true;
		if (y->cgroup)
			(void)bench_cgroup_nudge(y->cgroup);
	}
	return false;
}

/* Until @want bytes are there, or with 0 a line is. */
static int receive(struct ycsb *y, size_t want)
{
	while (want ? y->used < want : !memchr(y->in, '\n', y->used)) {
		ssize_t n;

		if (y->used == sizeof(y->in) || !wait_for_answer(y))
			return reclaim_stopped() ? -EINTR : -ETIMEDOUT;
		n = recv(y->fd, y->in + y->used, sizeof(y->in) - y->used, 0);
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		y->used += (size_t)n;
	}
	return 0;
}

static void consume(struct ycsb *y, size_t len)
{
	memmove(y->in, y->in + len, y->used - len);
	y->used -= len;
}

static size_t line_length(const struct ycsb *y)
{
	return (size_t)((const char *)memchr(y->in, '\n', y->used) - y->in) + 1;
}

static int send_set(struct ycsb *y, uint64_t record, uint32_t version)
{
	char text[RECORD + 128];
	int n = snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$16\r\n%016lx\r\n$%u\r\n", record,
			 RECORD);

	record_fill(text + n, record, version);
	memcpy(text + n + RECORD, "\r\n", 2);
	y->version[record] = version;
	return send_all(y, text, (size_t)n + RECORD + 2);
}

static int receive_ok(struct ycsb *y)
{
	int rc = receive(y, 0);

	if (!rc && strncmp(y->in, "+OK", 3))
		rc = -EPROTO;
	if (!rc)
		consume(y, line_length(y));
	return rc;
}

static int set_record(struct ycsb *y, uint64_t record, uint32_t version)
{
	int rc = send_set(y, record, version);

	return rc ? rc : receive_ok(y);
}

static int get_record(struct ycsb *y, uint64_t record)
{
	char request[128], expected[RECORD];
	int n = snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$16\r\n%016lx\r\n", record);
	int rc = send_all(y, request, (size_t)n);
	size_t head;

	if (!rc)
		rc = receive(y, 0);
	if (rc)
		return rc;
	head = line_length(y);
	if (strncmp(y->in, "$1000\r\n", 7))
		return -EBADMSG;
	rc = receive(y, head + RECORD + 2);
	if (rc)
		return rc;
	record_fill(expected, record, y->version[record]);
	if (memcmp(y->in + head, expected, RECORD))
		return -EBADMSG;
	consume(y, head + RECORD + 2);
	return 0;
}

/* ---- the run -------------------------------------------------------------------------------- */

static int connect_to(struct ycsb *y, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct timespec pause = { .tv_nsec = 50000000 };
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned int i = 0; i < 200; i++) {
		y->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(y->fd, (struct sockaddr *)&to, sizeof(to))) {
			setsockopt(y->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			return 0;
		}
		close(y->fd);
		y->fd = -1;
		nanosleep(&pause, NULL);
	}
	return -ECONNREFUSED;
}

static int load(struct ycsb *y)
{
	int rc = 0;

	for (uint64_t i = 0, sent = 0; i < y->records && !rc; i++) {
		for (; sent < y->records && sent < i + LOAD_DEPTH && !rc; sent++)
			rc = send_set(y, sent, 1);
		if (!rc)
			rc = receive_ok(y);
	}
	return rc;
}

static int request(struct ycsb *y)
{
	double updates = y->mix == 'A' ? 0.5 : y->mix == 'B' ? 0.05 : 0;
	uint64_t record = zipf_record(y);

	return draw(y) < updates ? set_record(y, record, y->version[record] + 1)
				 : get_record(y, record);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, z = *(const double *)b;

	return (x > z) - (x < z);
}

/* As a workload of ours would say it. */
static json_t *told(struct ycsb *y, double seconds)
{
	uint64_t n = y->ops;

	qsort(y->ns, n, sizeof(*y->ns), compare);
	return json_pack("{s:s, s:I, s:f, s:I, s:[f, f, f, f]}", "workload", "ycsb", "ops",
			 (json_int_t)n, "seconds", seconds, "slow", (json_int_t)n, "slow_ns",
			 y->ns[n / 2], y->ns[n - 1 - n / 10], y->ns[n - 1 - n / 100],
			 y->ns[n - 1 - n / 1000]);
}

static int run_client(struct ycsb *y, uint16_t port, double limit_s, json_t **said)
{
	uint64_t start, last, now;
	int rc = connect_to(y, port);

	if (!rc)
		rc = load(y);
	start = last = vm_now_ns();
	for (uint64_t i = 0; i < y->ops && !rc; i++) {
		rc = request(y);
		now = vm_now_ns();
		y->ns[i] = (double)(now - last);
		last = now;
		if ((double)(now - start) > limit_s * 1e9)
			rc = -ETIMEDOUT;
	}
	if (!rc)
		*said = told(y, (double)(last - start) / 1e9);
	if (y->fd >= 0)
		close(y->fd);
	return rc;
}

/* A port that is free now. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		a.sin_port = 0;
	if (fd >= 0)
		close(fd);
	return ntohs(a.sin_port);
}

int bench_ycsb_run(const struct bench_paths *paths, const struct bench_job *job, char mix,
		   uint64_t bytes, uint64_t ops, struct bench_job_done *out, struct errmsg *e)
{
	uint16_t at = free_port();
	char port[16];
	char *argv[] = {
		"/usr/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
		"--appendonly",          "no",     NULL
	};
	struct bench_start start = job->start;
	struct ycsb y = { .fd = -1,
			  .cgroup = start.cgroup,
			  .records = bytes / RECORD_MEMORY,
			  .ops = ops,
			  .mix = mix };
	struct errmsg why;
	json_t *said = NULL;
	pid_t pid;
	int rc;

	*out = (struct bench_job_done){ .said = NULL };
	snprintf(port, sizeof(port), "%u", at);
	start.argv = argv;
	start.in_fd = start.out_fd = start.err_fd = -1;
	y.version = calloc(y.records, sizeof(*y.version));
	y.ns = calloc(ops, sizeof(*y.ns));
	if (!y.version || !y.ns || !at) {
		rc = errmsg_set(e, -ENOMEM, "out of memory or ports");
		goto out;
	}
	zipf_init(&y);
	rc = bench_spawn(paths, &start, &pid, e);
	if (rc)
		goto out;
	rc = run_client(&y, at, job->limit_s, &said);
	kill(pid, SIGTERM);
	if (bench_job_wait(pid, start.cgroup, 30, out, &why) && !rc)
		rc = errmsg_set(e, -EIO, "redis-server: %.200s", why.text);
	else if (rc)
		errmsg_set(e, rc, "redis under YCSB %c: %s", mix,
			   rc == -EBADMSG ? "an answer was not what had been stored"
					  : strerror(-rc));
	out->said = said;
	out->wall_s = json_number_value(json_object_get(said, "seconds"));
	if (rc)
		bench_job_done(out);
out:
	free(y.version);
	free(y.ns);
	return rc;
}
