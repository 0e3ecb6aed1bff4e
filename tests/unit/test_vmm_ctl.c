/* SPDX-License-Identifier: MIT */
/*
 * The control socket, with a handler that needs no guest: good requests, and
 * all that a confused or hostile client may send. After each insult the server
 * must still answer a good request.
 */
#include "tests/unit/util.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/ctl_client.h"
#include "vmm/ctl_proto.h"
#include "vmm/ctl_server.h"
#include "vmm/names.h"

static char dir[] = "/tmp/umm-test-ctl-XXXXXX";
static int dirfd_;
static struct ctl_server *server;
static atomic_int stopped_early, begun;

/* "echo" gives the request back; "work" reports progress until it is stopped, "long" for minutes. */
static int handle(void *ctx, struct ctl_conn *conn, const char *op, const json_t *request,
		  json_t **result, struct errmsg *e)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	bool is_long = !strcmp(op, "long");
	unsigned int i, steps = is_long ? 200000 : 500;

	(void)ctx;
	if (!strcmp(op, "echo")) {
		*result = json_deep_copy(request);
		return 0;
	}
	if (is_long || !strcmp(op, "work")) {
		atomic_fetch_add(&begun, 1);
		for (i = 0; i < steps; i++) {
			if (ctl_conn_progress(conn, i, steps)) {
				atomic_fetch_add(&stopped_early, 1);
				return -EINTR;
			}
			nanosleep(&pause, NULL);
		}
		*result = json_pack("{s:i}", "steps", (int)steps);
		return 0;
	}
	return errmsg_set(e, -ENOSYS, "no such op '%s'", op);
}

static int raw_connect(void)
{
	struct errmsg e;
	int fd = runtime_socket_connect(dirfd_, "test", &e);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

/* Send bytes, then read one line within a minute; returns its length, 0 at the end. */
static int raw_ask(int fd, const char *bytes, size_t len, json_t **reply)
{
	struct ctl_reader reader;
	char *line;
	int rc;

	*reply = NULL;
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		bytes += n;
		len -= (size_t)n;
	}
	ctl_reader_init(&reader, fd, 1 << 20);
	rc = ctl_read_line(&reader, 60000, 60000, &line);
	if (rc == 1)
		*reply = json_loads(line, 0, NULL);
	ctl_reader_destroy(&reader);
	return rc;
}

static void assert_server_answers(void)
{
	struct ctl_client c;
	struct errmsg e;
	json_t *result;

	CU_ASSERT_EQUAL_FATAL(ctl_client_open_at(&c, dirfd_, "test", &e), 0);
	c.timeout_ms = 60000;
	CU_ASSERT_EQUAL(
		ctl_client_call(&c, json_pack("{s:s, s:i}", "op", "echo", "n", 7), &result, &e), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(result, "n")), 7);
	json_decref(result);
	ctl_client_close(&c);
}

static void assert_refused(const char *bytes, size_t len)
{
	int fd = raw_connect();
	json_t *reply;

	CU_ASSERT_EQUAL(raw_ask(fd, bytes, len, &reply), 1);
	CU_ASSERT_TRUE(json_is_false(json_object_get(reply, "ok")));
	CU_ASSERT_TRUE(json_string_length(json_object_get(reply, "error")) > 0);
	CU_ASSERT_TRUE(json_integer_value(json_object_get(reply, "errno")) > 0);
	json_decref(reply);
	close(fd);
	assert_server_answers();
}

static void test_good(void)
{
	struct ctl_client c;
	struct errmsg e;
	json_t *result;
	int i;

	CU_ASSERT_EQUAL_FATAL(ctl_client_open_at(&c, dirfd_, "test", &e), 0);
	for (i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(ctl_client_call(&c, json_pack("{s:s, s:i}", "op", "echo", "n", i),
						&result, &e),
				0);
		CU_ASSERT_EQUAL(json_integer_value(json_object_get(result, "n")), i);
		json_decref(result);
	}
	CU_ASSERT_EQUAL(ctl_client_call(&c, json_pack("{s:s}", "op", "nonsense"), &result, &e),
			-ENOSYS);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "nonsense"));
	ctl_client_close(&c);
}

static void test_garbage(void)
{
	static const char *const garbage[] = {
		"\n",
		"hello\n",
		"{\n",
		"[]\n",
		"null\n",
		"7\n",
		"\"op\"\n",
		"{}\n",
		"{\"op\": 7}\n",
		"{\"op\": \"echo\", \"op\": \"echo\"}\n",
		"{\"op\": \"echo\"} trailing\n",
		"{'op': 'echo'}\n",
		"\x80\xff\xfe\n",
		"GET / HTTP/1.1\r\n",
		"{\"op\": \"\"}\n",
		"{\"op\": \"\xff\xff\"}\n",
		"{\"op\": \"%n%s%s%s\"}\n",
	};
	char nested[20000];
	size_t i;

	for (i = 0; i < ARRAY_LEN(garbage); i++)
		assert_refused(garbage[i], strlen(garbage[i]));
	assert_refused("a\0b\n", 4);
	memset(nested, '[', sizeof(nested));
	nested[sizeof(nested) - 1] = '\n';
	assert_refused(nested, sizeof(nested));
}

static void test_oversize(void)
{
	size_t len = CTL_MAX_REQUEST + 100000;
	char *big = malloc(len);

	memset(big, ' ', len);
	big[len - 1] = '\n';
	assert_refused(big, len);
	/* No newline at all. */
	memset(big, 'x', len);
	assert_refused(big, len);
	free(big);
}

/* Exactly the longest request is served. */
static void test_longest(void)
{
	static const char head[] = "{\"op\": \"echo\", \"n\": 1}";
	char *line = malloc(CTL_MAX_REQUEST + 1);
	json_t *reply;
	int fd = raw_connect();

	memset(line, ' ', CTL_MAX_REQUEST);
	memcpy(line, head, sizeof(head) - 1);
	line[CTL_MAX_REQUEST] = '\n';
	CU_ASSERT_EQUAL(raw_ask(fd, line, CTL_MAX_REQUEST + 1, &reply), 1);
	CU_ASSERT_TRUE(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	close(fd);
	free(line);
}

/* Half a request, then silence: others are served, and it is ended in time. */
static void test_half(void)
{
	static const char half[] = "{\"op\": \"ec";
	struct pollfd p;
	int fd = raw_connect();
	char byte;

	CU_ASSERT_EQUAL(send(fd, half, sizeof(half) - 1, 0), (ssize_t)sizeof(half) - 1);
	assert_server_answers();
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	CU_ASSERT_EQUAL(poll(&p, 1, (CTL_REQUEST_SECONDS + 60) * 1000), 1);
	CU_ASSERT_EQUAL(recv(fd, &byte, 1, 0), 1);
	close(fd);

	/* And one that ends in the middle. */
	fd = raw_connect();
	CU_ASSERT_EQUAL(send(fd, half, sizeof(half) - 1, 0), (ssize_t)sizeof(half) - 1);
	close(fd);
	assert_server_answers();
}

/* Byte by byte, and several in one write. */
static void test_pieces(void)
{
	static const char one[] = "{\"op\": \"echo\", \"n\": 3}\n";
	struct ctl_reader reader;
	int fd = raw_connect(), i;
	char *line, three[128];
	size_t k;

	for (k = 0; k < sizeof(one) - 1; k++)
		CU_ASSERT_EQUAL(send(fd, one + k, 1, 0), 1);
	snprintf(three, sizeof(three), "%s%s%s", one, one, one);
	CU_ASSERT_EQUAL(send(fd, three, strlen(three), 0), (ssize_t)strlen(three));
	ctl_reader_init(&reader, fd, 1 << 20);
	for (i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(ctl_read_line(&reader, 60000, 60000, &line), 1);
		CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"n\":3"));
	}
	ctl_reader_destroy(&reader);
	close(fd);
}

static unsigned int progress_seen;

static void count_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	CU_ASSERT_TRUE(done <= total);
	progress_seen++;
}

static void test_progress(void)
{
	struct ctl_client c;
	struct errmsg e;
	json_t *result;

	progress_seen = 0;
	CU_ASSERT_EQUAL_FATAL(ctl_client_open_at(&c, dirfd_, "test", &e), 0);
	c.progress = count_progress;
	CU_ASSERT_EQUAL(ctl_client_call(&c, json_pack("{s:s}", "op", "work"), &result, &e), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(result, "steps")), 500);
	CU_ASSERT_TRUE(progress_seen >= 2);
	json_decref(result);
	ctl_client_close(&c);
}

/* Work that takes minutes has begun for @fd. */
static void begin_long(int fd)
{
	static const char work[] = "{\"op\": \"long\"}\n";
	int before = atomic_load(&begun), i;

	CU_ASSERT_EQUAL(send(fd, work, sizeof(work) - 1, 0), (ssize_t)sizeof(work) - 1);
	for (i = 0; i < 6000 && atomic_load(&begun) == before; i++)
		unit_sleep_ms(10);
	CU_ASSERT_EQUAL(atomic_load(&begun), before + 1);
}

/* A client that leaves stops its work. */
static void test_leave(void)
{
	int before = atomic_load(&stopped_early), fd = raw_connect(), i;

	begin_long(fd);
	close(fd);
	for (i = 0; i < 3000 && atomic_load(&stopped_early) == before; i++)
		unit_sleep_ms(20);
	CU_ASSERT_EQUAL(atomic_load(&stopped_early), before + 1);
}

/* Is the one that has connected served? */
static bool is_served(int fd)
{
	static const char echo[] = "{\"op\": \"echo\", \"n\": 7}\n";
	json_t *reply;
	bool served = raw_ask(fd, echo, sizeof(echo) - 1, &reply) == 1 &&
		      json_integer_value(json_object_get(json_object_get(reply, "result"), "n")) ==
			      7;

	json_decref(reply);
	return served;
}

/* Tries until it is: connections that were closed may still be on their way out. */
static int served_connect(void)
{
	for (int i = 0; i < 3000; i++) {
		int fd = raw_connect();

		if (is_served(fd))
			return fd;
		close(fd);
		unit_sleep_ms(20);
	}
	CU_FAIL("there is no room");
	return -1;
}

/* One more than are served is told so; when they go there is room again. */
static void test_too_many(void)
{
	int fds[CTL_MAX_CONNECTIONS], fd, i;
	json_t *reply;

	for (i = 0; i < CTL_MAX_CONNECTIONS; i++)
		fds[i] = served_connect();
	fd = raw_connect();
	CU_ASSERT_EQUAL(raw_ask(fd, "", 0, &reply), 1);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(reply, "errno")), EBUSY);
	json_decref(reply);
	close(fd);
	for (i = 0; i < CTL_MAX_CONNECTIONS; i++)
		close(fds[i]);
	close(served_connect());
	assert_server_answers();
}

/* A client that asks and never reads must not hold anybody else up. */
static void test_deaf_client(void)
{
	static const char one[] = "{\"op\": \"echo\", \"n\": 3}\n";
	int fd = raw_connect();

	while (send(fd, one, sizeof(one) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_server_answers();
	close(fd);
}

/* The file of a dead guest is removed when it is met; its name can be used again. */
static void test_stale(void)
{
	struct errmsg e;
	struct stat st;
	int fd;

	fd = runtime_socket_listen(dirfd_, "dead", &e);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(fstatat(dirfd_, "dead.sock", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(runtime_socket_listen(dirfd_, "dead", &e), -EADDRINUSE);
	close(fd);
	CU_ASSERT_EQUAL(runtime_socket_connect(dirfd_, "dead", &e), -ENOENT);
	CU_ASSERT_NOT_EQUAL(fstatat(dirfd_, "dead.sock", &st, 0), 0);

	fd = runtime_socket_listen(dirfd_, "dead", &e);
	close(fd);
	fd = runtime_socket_listen(dirfd_, "dead", &e);
	CU_ASSERT_TRUE(fd >= 0);
	close(fd);
	runtime_socket_remove(dirfd_, "dead");
}

static void test_names_offered(void)
{
	struct ctl_client c;
	struct errmsg e;

	CU_ASSERT_EQUAL(ctl_client_open(&c, "tset", &e), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "did you mean 'test'?"));
	CU_ASSERT_EQUAL(ctl_client_open(&c, "something", &e), -ENOENT);
	CU_ASSERT_PTR_NULL(strstr(e.text, "did you mean"));
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "running: test"));
	CU_ASSERT_EQUAL(ctl_client_open(&c, "../etc", &e), -EINVAL);
}

/* A directory that others may enter is not used. */
static void test_open_directory(void)
{
	char path[64];
	struct errmsg e;

	snprintf(path, sizeof(path), "%s/umm", dir);
	CU_ASSERT_EQUAL(chmod(path, 0755), 0);
	CU_ASSERT_EQUAL(runtime_dir_open(true, &e), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "chmod 700"));
	CU_ASSERT_EQUAL(chmod(path, 0700), 0);
}

/* Stopping ends connections that wait and work that goes on. */
static void test_stop(void)
{
	int before = atomic_load(&stopped_early), idle = raw_connect(), busy = raw_connect();
	struct pollfd p = { .fd = idle, .events = POLLIN };

	begin_long(busy);
	ctl_server_stop(server);
	server = NULL;
	CU_ASSERT_EQUAL(atomic_load(&stopped_early), before + 1);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 1);
	close(idle);
	close(busy);
}

static int start(void)
{
	struct errmsg e;
	int fd;

	if (!mkdtemp(dir) || setenv("XDG_RUNTIME_DIR", dir, 1))
		return -1;
	dirfd_ = runtime_dir_open(true, &e);
	fd = dirfd_ < 0 ? -1 : runtime_socket_listen(dirfd_, "test", &e);
	return fd < 0 ? -1 : ctl_server_start(fd, handle, NULL, &server, &e);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "good requests", test_good },
		{ "garbage", test_garbage },
		{ "too long", test_oversize },
		{ "the longest", test_longest },
		{ "half a request", test_half },
		{ "in pieces, several at once", test_pieces },
		{ "progress", test_progress },
		{ "the client leaves", test_leave },
		{ "too many connections", test_too_many },
		{ "a client that never reads", test_deaf_client },
		{ "sockets of dead guests", test_stale },
		{ "names are suggested", test_names_offered },
		{ "a directory that is open to others", test_open_directory },
		{ "stop", test_stop },
	};
	char path[64];
	int rc;

	if (start()) {
		fprintf(stderr, "cannot start the server in %s\n", dir);
		return 1;
	}
	rc = unit_run("ctl", tests, ARRAY_LEN(tests), argc, argv);
	ctl_server_stop(server);
	runtime_socket_remove(dirfd_, "test");
	close(dirfd_);
	snprintf(path, sizeof(path), "%s/umm", dir);
	rmdir(path);
	rmdir(dir);
	return rc;
}
