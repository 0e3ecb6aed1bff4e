/* SPDX-License-Identifier: MIT */
/*
 * Bytes of any kind to the control socket of a real guest: the server that `umm run`
 * starts, with all of its operations, on a guest of two nodes in which nothing
 * runs. After each input the server must answer a good request, and the validator
 * must find nothing. Without /dev/kvm there is nothing to try: status 77.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/ctl_ops.h"

static struct vm vm;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void set_up(void)
{
	static char *argv[] = { (char *)"nothing", NULL };
	struct ctl_server *server;
	struct run_options o;
	struct errmsg e;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	run_options_default(&o);
	o.mem = 64ull << 20;
	o.nodes = 2;
	strcpy(o.name, "fuzzed");
	fuzz_check(!run_options_complete(&o, &e), e.text);
	if (vm_create(&vm, &o, argv, &e)) {
		printf("SKIP: %s\n", e.text);
		fflush(stdout);
		_exit(77);
	}
	/* An abstract name: nothing to clean up. */
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "umm-fuzz-%d", getpid());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_check(!bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 8),
		   "no socket");
	fuzz_check(!ctl_server_start(fd, ctl_ops_handle, &vm, &server, &e), e.text);
}

/* The fuzzer's own timer interrupts. */
static bool has_answer(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, 20000);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

/* Send it all, and read what comes until the server has nothing more to say. */
static size_t converse(const void *data, size_t size, char *answer, size_t max)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *p = data;
	size_t used = 0;
	ssize_t n;

	fuzz_check(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "cannot connect");
	while (size && (n = send(fd, p, size, 0)) > 0) {
		p += n;
		size -= (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	for (;;) {
		fuzz_check(has_answer(fd), "an answer within 20 seconds");
		n = recv(fd, answer + used, max - 1 - used, 0);
		if (n <= 0)
			break;
		/* The beginning is enough to look at. */
		used = used + (size_t)n < max - 1 ? used + (size_t)n : 0;
	}
	answer[used] = 0;
	close(fd);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char good[] = "{\"op\":\"check\"}\n";
	static char answer[1 << 16];

	if (!vm.host)
		set_up();
	/* "kill" does as it is told, to every program: there is none. */
	converse(data, size, answer, sizeof(answer));
	converse(good, sizeof(good) - 1, answer, sizeof(answer));
	fuzz_check(strstr(answer, "\"ok\":true") || strstr(answer, "\"ok\": true"), answer);
	fuzz_check(strstr(answer, "\"errors\":0") || strstr(answer, "\"errors\": 0"), answer);
	return 0;
}
