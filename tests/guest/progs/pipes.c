/* SPDX-License-Identifier: MIT */
/* Pipes, sockets, descriptors, polling, vectors and large transfers between processes. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "progs.h"

#define LARGE (3UL << 20)

static void fill(unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 7 + (i >> 12));
}

static long count_wrong(const unsigned char *p, size_t n)
{
	long wrong = 0;
	size_t i;

	for (i = 0; i < n; i++)
		wrong += p[i] != (unsigned char)(i * 7 + (i >> 12));
	return wrong;
}

static long read_all(int fd, unsigned char *p, size_t n)
{
	size_t done = 0;
	ssize_t got;

	while (done < n && (got = read(fd, p + done, n - done)) > 0)
		done += (size_t)got;
	return (long)done;
}

static void test_large_pipe(void)
{
	unsigned char *buffer = malloc(LARGE);
	int p[2];
	pid_t pid;

	SHOW(pipe(p));
	pid = fork_flushed();
	if (!pid) {
		close(p[0]);
		fill(buffer, LARGE);
		_exit(write(p[1], buffer, LARGE) != (ssize_t)LARGE);
	}
	close(p[1]);
	SHOW(read_all(p[0], buffer, LARGE + 1));
	printf("wrong bytes: %ld\n", count_wrong(buffer, LARGE));
	show_child("writer", pid);
	close(p[0]);
	free(buffer);
}

static void test_descriptors(void)
{
	int p[2], q, byte = 0;

	SHOW(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	SHOW(fcntl(p[0], F_GETFD));
	SHOW(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	SHOW(read(p[0], &byte, 1));
	SHOW(dup2(p[1], 50));
	SHOW(fcntl(50, F_GETFD));
	SHOW(write(50, "d", 1));
	SHOW(ioctl(p[0], FIONREAD, &byte));
	printf("readable %d\n", byte);
	q = fcntl(p[0], F_DUPFD_CLOEXEC, 60);
	printf("F_DUPFD_CLOEXEC: %d, flags %d\n", q, fcntl(q, F_GETFD));
	SHOW(dup3(p[0], p[0], 0));
	SHOW(dup2(p[0], p[0]) == p[0]);
	SHOW(dup2(999, 5));
	SHOW(close(999));
	SHOW(read(p[1], &byte, 1));
	SHOW(write(p[0], &byte, 1));
	SHOW(close(50));
	SHOW(close(50));
	SHOW(syscall(SYS_close_range, 60, 70, 0));
	SHOW(fcntl(q, F_GETFD));
	SHOW(lseek(p[0], 0, SEEK_SET));
	SHOW(pipe2(p, 0x1));
	close(p[0]);
	close(p[1]);
}

static void test_vectors(void)
{
	char a[4] = "", b[8] = "", c[16] = "";
	struct iovec out[3] = { { "one", 3 }, { NULL, 0 }, { "twothree", 8 } };
	struct iovec in[3] = { { a, 2 }, { b, 4 }, { c, 15 } };
	int p[2];

	if (pipe(p))
		return;
	SHOW(writev(p[1], out, 3));
	SHOW(readv(p[0], in, 3));
	printf("%s|%s|%s\n", a, b, c);
	SHOW(writev(p[1], out, 0));
	SHOW(syscall(SYS_writev, p[1], out, -1));
	SHOW(syscall(SYS_writev, p[1], out, 5000));
	close(p[0]);
	close(p[1]);
}

static void test_polling(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	struct timeval now = { 0, 1000 };
	struct pollfd entries[2];
	int p[2], e;
	fd_set set;

	if (pipe(p))
		return;
	entries[0] = (struct pollfd){ .fd = p[0], .events = POLLIN };
	entries[1] = (struct pollfd){ .fd = p[1], .events = POLLOUT };
	SHOW(poll(entries, 2, 10));
	printf("%#x %#x\n", (unsigned int)entries[0].revents, (unsigned int)entries[1].revents);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	SHOW(select(p[0] + 1, &set, NULL, NULL, &now));
	e = epoll_create1(EPOLL_CLOEXEC);
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
	event.data.u64 = 0;
	SHOW(epoll_wait(e, &event, 1, 5));
	SHOW(write(p[1], "x", 1));
	SHOW(epoll_wait(e, &event, 1, 1000));
	printf("data %lu\n", (unsigned long)event.data.u64);
	FD_SET(p[0], &set);
	now.tv_sec = 1;
	SHOW(select(p[0] + 1, &set, NULL, NULL, &now));
	close(p[1]);
	SHOW(poll(entries, 1, 10));
	printf("%#x\n", (unsigned int)entries[0].revents);
	close(p[0]);
	close(e);
	e = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
	SHOW(read(e, &event.data.u64, 8));
	SHOW(read(e, &event.data.u64, 8));
	close(e);
}

static void test_sockets(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	struct iovec part = { "message", 7 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	char buffer[16] = "";
	int s[2], listener, client, server;

	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(send(s[0], "hi", 2, 0));
	SHOW(recv(s[1], buffer, 16, 0));
	SHOW(sendmsg(s[1], &message, 0));
	part.iov_base = buffer;
	part.iov_len = sizeof(buffer);
	SHOW(recvmsg(s[0], &message, 0));
	printf("%s\n", buffer);
	SHOW(shutdown(s[0], SHUT_WR));
	SHOW(recv(s[1], buffer, 16, 0));
	close(s[0]);
	close(s[1]);
	unlink("socket");
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	SHOW(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	SHOW(listen(listener, 4));
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(connect(client, (struct sockaddr *)&address, sizeof(address)));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	SHOW(write(client, "over", 4));
	SHOW(read(server, buffer, 16));
	printf("%.4s\n", buffer);
	close(listener);
	close(client);
	close(server);
	SHOW(unlink("socket"));
}

static void test_files(void)
{
	unsigned char *buffer = malloc(LARGE);
	int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600), out;
	off_t at = 0;
	struct stat st;

	fill(buffer, LARGE);
	SHOW(write(fd, buffer, LARGE));
	memset(buffer, 0, LARGE);
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read_all(fd, buffer, LARGE));
	printf("wrong bytes: %ld\n", count_wrong(buffer, LARGE));
	out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
	SHOW(sendfile(out, fd, &at, LARGE));
	SHOW(pread(out, buffer, LARGE, 0));
	printf("wrong bytes: %ld\n", count_wrong(buffer, LARGE));
	SHOW(fstat(out, &st));
	printf("size %ld mode %o\n", (long)st.st_size, st.st_mode);
	SHOW(posix_fallocate(out, 0, 2 * LARGE));
	SHOW(lseek(out, 0, SEEK_END));
	SHOW(fdatasync(out));
	SHOW(rename("copy", "renamed"));
	SHOW(access("copy", F_OK));
	SHOW(link("renamed", "linked"));
	SHOW(symlink("renamed", "symbolic"));
	SHOW(readlink("symbolic", (char *)buffer, 100));
	SHOW(unlink("renamed"));
	SHOW(stat("symbolic", &st));
	SHOW(unlink("linked"));
	SHOW(unlink("symbolic"));
	SHOW(mkdir("folder", 0700));
	SHOW(mkdir("folder", 0700));
	SHOW(chdir("folder"));
	SHOW(rmdir("../folder"));
	SHOW(chdir(".."));
	SHOW(open("folder/x", O_RDONLY));
	SHOW(open("large", O_RDONLY | O_DIRECTORY));
	SHOW(unlink("large"));
	close(fd);
	close(out);
	free(buffer);
}

static char *volatile nowhere = (char *)16;

/* A read into memory that cannot take it: what becomes of the bytes. */
static void read_badly(int in, int out)
{
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char all[16] = "";

	munmap(edge + 4096, 4096);
	SHOW(write(in, "hello", 5));
	SHOW(read(out, nowhere, 5));
	SHOW(read(out, edge + 4094, 5));
	SHOW(read(out, edge + 4091, 100));
	printf("%.5s\n", edge + 4091);
	SHOW(write(in, "!", 1));
	SHOW(read(out, all, 10));
	puts(all);
	close(in);
	SHOW(read(out, nowhere, 5));
	close(out);
	munmap(edge, 4096);
}

/* A mapping that goes on where its file has ended, or its shared memory. */
static void read_beyond(const char *what, char *map, int in, int out)
{
	char all[16] = "";

	printf("---- %s\n", what);
	SHOW(write(in, "hello", 5));
	SHOW(read(out, map + PAGE, 5));
	SHOW(read(out, map + PAGE - 2, 5));
	SHOW(read(out, all, 10));
	puts(all);
	SHOW(write(in, "bye", 3));
	SHOW(read(out, map + PAGE - 3, 100));
	printf("%.3s\n", map + PAGE - 3);
	munmap(map, 4 * PAGE);
}

static void test_beyond_files(void)
{
	int p[2], fd = file_make("short", 1), memory = memfd_create("short", 0), whole;

	SHOW(pipe(p));
	SHOW(ftruncate(memory, PAGE));
	read_beyond("a file, shared", mmap(NULL, 4 * PAGE, 3, MAP_SHARED, fd, 0), p[1], p[0]);
	read_beyond("a file, private", mmap(NULL, 4 * PAGE, 3, MAP_PRIVATE, fd, 0), p[1], p[0]);
	read_beyond("a memfd", mmap(NULL, 4 * PAGE, 3, MAP_SHARED, memory, 0), p[1], p[0]);
	whole = file_make("whole", 5);
	SHOW(ftruncate(whole, 4 * PAGE - 100));
	/* Only the first page of the area is in the file, and not all of it. */
	read_beyond("from an offset", mmap(NULL, 4 * PAGE, 3, MAP_SHARED, whole, 3 * PAGE), p[1],
		    p[0]);
	close(p[0]);
	close(p[1]);
	close(fd);
	close(memory);
	close(whole);
}

static void test_bad_buffers(void)
{
	int p[2];

	SHOW(pipe(p));
	read_badly(p[1], p[0]);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	read_badly(p[1], p[0]);
	SHOW(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p));
	SHOW(write(p[1], "hello", 5));
	SHOW(read(p[0], nowhere, 5));
	SHOW(recv(p[0], p, 4, 0));
}

int main(void)
{
	umask(022);
	test_large_pipe();
	test_descriptors();
	test_vectors();
	test_polling();
	test_sockets();
	test_bad_buffers();
	test_beyond_files();
	test_files();
	return 0;
}
