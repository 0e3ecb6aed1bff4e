/* SPDX-License-Identifier: MIT */
/*
 * break_net listen NAME: listen on a port of the loopback, on the abstract Unix address NAME
 * and on the file NAME; say the port, and until standard input ends say who comes.
 *
 * break_net PORT NAME: a hostile program under --no-net tries to come. One line for each way
 * that led there; networking within the guest must work.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "progs.h"

static int tried, out;

static socklen_t unix_address(struct sockaddr_un *un, const char *name, bool abstract)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path + abstract, sizeof(un->sun_path) - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name) +
			   !abstract);
}

static int bound(int domain, int type, void *address, socklen_t len)
{
	int fd = socket(domain, type, 0);

	if (fd < 0 || bind(fd, address, len) || (type == SOCK_STREAM && listen(fd, 8))) {
		perror("listen");
		exit(2);
	}
	return fd;
}

static int serve(const char *name)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd p[5] = { { 0, POLLIN, 0 } };
	socklen_t len = sizeof(in);
	struct sockaddr_un un;
	char datagrams[200];
	int i;

	p[1].fd = bound(AF_INET, SOCK_STREAM, &in, sizeof(in));
	getsockname(p[1].fd, (struct sockaddr *)&in, &len);
	len = unix_address(&un, name, true);
	p[2].fd = bound(AF_UNIX, SOCK_STREAM, &un, len);
	len = unix_address(&un, name, false);
	p[3].fd = bound(AF_UNIX, SOCK_STREAM, &un, len);
	snprintf(datagrams, sizeof(datagrams), "%s.d", name);
	len = unix_address(&un, datagrams, false);
	p[4].fd = bound(AF_UNIX, SOCK_DGRAM, &un, len);
	printf("%d\n", ntohs(in.sin_port));
	fflush(stdout);
	for (i = 1; i < 5; i++)
		p[i].events = POLLIN;
	while (poll(p, 5, -1) > 0 && !p[0].revents)
		for (i = 1; i < 5; i++)
			if (p[i].revents) {
				printf("VISITED %d\n", i);
				fflush(stdout);
				p[i].fd = -1;
			}
	return 0;
}

/* Has a connection that was begun come about? To nobody it fails at once, or never ends. */
static bool arrives(int fd)
{
	struct pollfd p = { fd, POLLOUT, 0 };
	socklen_t len = sizeof(int);
	int error = -1;

	return poll(&p, 1, 200) == 1 && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) &&
	       !error;
}

static void try_connect(int domain, int type, const void *address, socklen_t len, const char *how)
{
	int fd = socket(domain, type | SOCK_NONBLOCK, 0);
	bool there;

	tried++;
	if (fd < 0)
		return;
	there = !connect(fd, address, len) || errno == EAGAIN ||
		(errno == EINPROGRESS && arrives(fd));
	/* A datagram makes itself known only by being sent. */
	if (type == SOCK_DGRAM)
		there = sendto(fd, "x", 1, MSG_NOSIGNAL, address, len) == 1;
	if (there) {
		out++;
		printf("OUT: %s\n", how);
	}
	close(fd);
}

static void try_hosts(int port, const char *name)
{
	static const char *const hosts[] = { "127.0.0.1", "127.1.2.3",       "1.1.1.1",
					     "10.0.0.1",  "169.254.169.254", "255.255.255.255" };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_un un;
	char datagrams[200];
	socklen_t len;
	size_t i;

	for (i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		inet_pton(AF_INET, hosts[i], &in.sin_addr);
		try_connect(AF_INET, SOCK_STREAM, &in, sizeof(in), hosts[i]);
		/* A datagram to the guest's own loopback is sent, and lost. */
		if (i >= 2)
			try_connect(AF_INET, SOCK_DGRAM, &in, sizeof(in), hosts[i]);
	}
	inet_pton(AF_INET6, "2606:4700:4700::1111", &in6.sin6_addr);
	try_connect(AF_INET6, SOCK_STREAM, &in6, sizeof(in6), "IPv6");
	len = unix_address(&un, name, true);
	try_connect(AF_UNIX, SOCK_STREAM, &un, len, "abstract");
	len = unix_address(&un, name, false);
	try_connect(AF_UNIX, SOCK_STREAM, &un, len, "a socket's file");
	snprintf(datagrams, sizeof(datagrams), "%s.d", name);
	len = unix_address(&un, datagrams, false);
	try_connect(AF_UNIX, SOCK_DGRAM, &un, len, "a datagram socket's file");
}

/* Families that network namespaces do not confine, or that tell of the host. */
static void try_families(void)
{
	int family, fd;

	for (family = 0; family < 64; family++) {
		if (family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
		    family == AF_NETLINK)
			continue;
		tried++;
		fd = socket(family, SOCK_STREAM, 0);
		if (fd < 0)
			fd = socket(family, SOCK_DGRAM, 0);
		if (fd < 0)
			fd = socket(family, SOCK_RAW, 0);
		if (fd < 0)
			continue;
		out++;
		printf("OUT: family %d\n", family);
		close(fd);
	}
}

/* Does a file that tells of a network tell of @what, which is the host's? */
static void try_told(const char *file, const char *what)
{
	static char text[1 << 20];
	int fd = open(file, O_RDONLY);
	size_t n = 0;
	ssize_t got;

	tried++;
	while (fd >= 0 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = 0;
	if (strstr(text, what)) {
		out++;
		printf("OUT: %s tells of it\n", file);
	}
}

static void try_tables(int port, const char *name)
{
	char listening[32];

	snprintf(listening, sizeof(listening), "0100007F:%04X 00000000:0000 0A", port);
	try_told("/proc/net/tcp", listening);
	try_told("/proc/self/net/tcp", listening);
	try_told("/proc/thread-self/net/tcp", listening);
	try_told("../../../../../../../../proc/self/net/tcp", listening);
	try_told("/proc/net/unix", name);
}

/* Two processes of the guest may talk. */
static void try_within(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	struct sockaddr_un un;
	int s = bound(AF_INET, SOCK_STREAM, &in, sizeof(in)), c = socket(AF_INET, SOCK_STREAM, 0);

	getsockname(s, (struct sockaddr *)&in, &len);
	if (connect(c, (struct sockaddr *)&in, len))
		printf("no loopback: %s\n", strerror(errno));
	len = unix_address(&un, "within", true);
	bound(AF_UNIX, SOCK_STREAM, &un, len);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(c, (struct sockaddr *)&un, len))
		printf("no abstract sockets: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "listen"))
		return serve(argv[2]);
	try_hosts(atoi(argv[1]), argv[2]);
	try_families();
	try_tables(atoi(argv[1]), argv[2]);
	try_within();
	printf("tried %d, out %d\n", tried, out);
	return out != 0;
}
