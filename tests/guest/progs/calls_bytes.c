/* SPDX-License-Identifier: MIT */
/*
 * Calls that move bytes between descriptors, one by one: what each gives, each errno that a program
 * can provoke, and what a signal makes of it.
 */
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "calls.h"

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

/* ---- from descriptor to descriptor ----------------------------------------------------------- */

static void test_sendfile(void)
{
	int in = file_make("in", 3), out = file_make("out", 0), p[2], s[2], read_only, write_only;
	int dir = open(".", O_RDONLY | O_DIRECTORY), event = eventfd(1, EFD_NONBLOCK);
	off_t off = 4000;

	printf("-- sendfile\n");
	pipe_make(p);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		exit(2);
	read_only = open("in", O_RDONLY);
	write_only = open("in", O_WRONLY);
	SHOW(sendfile(out, in, &off, 200));
	printf("offset %ld, at %ld and %ld\n", (long)off, (long)lseek(in, 0, SEEK_CUR),
	       (long)lseek(out, 0, SEEK_CUR));
	SHOW(lseek(in, 0, SEEK_SET));
	SHOW(sendfile(out, in, NULL, 100));
	printf("at %ld, size %ld\n", (long)lseek(in, 0, SEEK_CUR), (long)size_of(out));
	SHOW(sendfile(out, in, NULL, 0));
	off = 3 * PAGE;
	SHOW(sendfile(out, in, &off, 10));
	off = -1;
	SHOW(sendfile(out, in, &off, 10));
	off = INT64_MAX;
	SHOW(sendfile(out, in, &off, 10));
	off = 0;
	SHOW(sendfile(out, in, BAD, 10));
	SHOW(sendfile(-1, in, NULL, 10));
	SHOW(sendfile(out, -1, NULL, 10));
	SHOW(sendfile(-1, in, BAD, 10));
	SHOW(sendfile(read_only, in, NULL, 10));
	SHOW(sendfile(out, write_only, NULL, 10));
	SHOW(sendfile(out, dir, NULL, 10));
	SHOW(sendfile(out, event, NULL, 8));
	SHOW(sendfile(out, s[0], &off, 10));
	SHOW(sendfile(p[1], in, &off, 10));
	SHOW(sendfile(s[0], in, &off, 10));
	SHOW(sendfile(out, p[0], &off, 10));
	SHOW(sendfile(out, p[0], NULL, 10));
	SHOW(sendfile(event, in, NULL, 8));
	SHOW(lseek(in, 0, SEEK_SET));
	SHOW(fcntl(out, F_SETFL, O_APPEND));
	SHOW(sendfile(out, in, NULL, 10));
	SHOW(fcntl(s[0], F_SETFL, O_NONBLOCK));
	while (send(s[0], "x", 1, 0) == 1)
		;
	SHOW(sendfile(s[0], in, NULL, 10));
	close(s[1]);
	signal(SIGPIPE, SIG_IGN);
	SHOW(sendfile(s[0], in, NULL, 10));
	close_two(p[0], p[1]);
	close_two(in, out);
	close_two(read_only, write_only);
	close_two(dir, event);
	close(s[0]);
}

static void test_splice_errors(int in, int out, const int p[2], const int q[2])
{
	loff_t off = -1;

	SHOW(splice(in, NULL, out, NULL, 10, 0));
	SHOW(splice(in, NULL, p[1], NULL, 10, 0x100));
	SHOW(splice(-1, NULL, p[1], NULL, 10, 0));
	SHOW(splice(in, NULL, -1, NULL, 10, 0));
	SHOW(splice(-1, NULL, -1, NULL, 0, 0));
	SHOW(splice(-1, NULL, -1, NULL, 0, 0x100));
	SHOW(splice(-1, NULL, -1, NULL, 10, 0x100));
	SHOW(splice(in, NULL, p[0], NULL, 10, 0));
	SHOW(splice(p[1], NULL, out, NULL, 10, 0));
	SHOW(splice(p[0], &off, out, NULL, 10, 0));
	SHOW(splice(in, NULL, p[1], &off, 10, 0));
	SHOW(splice(p[0], &off, q[1], NULL, 10, 0));
	SHOW(splice(in, &off, p[1], NULL, 10, 0));
	SHOW(splice(in, BAD, p[1], NULL, 10, 0));
	SHOW(splice(in, BAD, out, NULL, 10, 0));
	SHOW(splice(p[0], BAD, out, NULL, 10, 0));
	SHOW(splice(p[0], NULL, out, BAD, 10, 0));
	SHOW(splice(p[0], NULL, p[1], NULL, 10, 0));
	SHOW(splice(p[0], NULL, q[1], NULL, 10, SPLICE_F_NONBLOCK));
	SHOW(splice(p[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK));
}

static void test_splice(void)
{
	int in = file_make("in", 3), out = file_make("out", 0), p[2], q[2], s[2];
	loff_t from = 4090, to = 5;
	char text[64] = "";

	printf("-- splice, tee\n");
	pipe_make(p);
	pipe_make(q);
	test_splice_errors(in, out, p, q);
	SHOW(lseek(in, 0, SEEK_SET));
	SHOW(splice(in, &from, p[1], NULL, 10, SPLICE_F_MOVE));
	printf("offset %ld, at %ld\n", (long)from, (long)lseek(in, 0, SEEK_CUR));
	SHOW(tee(p[0], q[1], 6, 0));
	SHOW(tee(p[0], p[1], 6, 0));
	SHOW(tee(p[0], out, 6, 0));
	SHOW(tee(in, q[1], 6, 0));
	SHOW(tee(-1, q[1], 6, 0));
	SHOW(tee(p[0], -1, 6, 0));
	SHOW(tee(-1, -1, 0, 0));
	SHOW(tee(-1, -1, 0, 0x100));
	SHOW(tee(p[0], q[1], 6, 0x100));
	SHOW(tee(p[1], q[1], 6, 0));
	SHOW(tee(p[0], q[0], 6, 0));
	SHOW(read(q[0], text, 64));
	puts(text);
	SHOW(tee(q[0], p[1], 6, SPLICE_F_NONBLOCK));
	SHOW(splice(p[0], NULL, out, &to, 4, 0));
	printf("offset %ld, size %ld\n", (long)to, (long)size_of(out));
	SHOW(splice(p[0], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
	SHOW(read(q[0], text, 64));
	SHOW(splice(in, NULL, p[1], NULL, 0, 0));
	from = 3 * PAGE;
	SHOW(splice(in, &from, p[1], NULL, 10, 0));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		exit(2);
	SHOW(send(s[0], "through", 7, 0));
	SHOW(splice(s[1], NULL, p[1], NULL, 100, 0));
	SHOW(splice(p[0], NULL, s[1], NULL, 100, 0));
	SHOW(recv(s[0], text, 64, 0));
	SHOW(splice(p[0], NULL, s[1], &to, 100, 0));
	SHOW(fcntl(out, F_SETFL, O_APPEND));
	SHOW(write(p[1], "more", 4));
	SHOW(splice(p[0], NULL, out, NULL, 100, 0));
	SHOW(fcntl(p[0], F_SETFL, 0));
	SHOW(fcntl(p[1], F_SETFL, 0));
	SHOW(fcntl(q[1], F_SETFL, 0));
	SHOW(read(p[0], text, 64) > 0);
	alarm_in(30, 0);
	SHOW(splice(p[0], NULL, out, NULL, 100, 0));
	SHOW(splice(p[0], NULL, q[1], NULL, 100, 0));
	SHOW(tee(p[0], q[1], 100, 0));
	alarm_in(0, 0);
	close(q[0]);
	SHOW(write(p[1], "more", 4));
	SHOW(splice(p[0], NULL, q[1], NULL, 100, 0));
	SHOW(tee(p[0], q[1], 100, 0));
	close(p[1]);
	SHOW(splice(p[0], NULL, s[1], NULL, 100, 0));
	SHOW(splice(p[0], NULL, s[1], NULL, 100, 0));
	close_two(in, out);
	close_two(p[0], q[1]);
	close_two(s[0], s[1]);
}

static void test_ranges(void)
{
	int in = file_make("in", 3), out = file_make("out", 1), append, read_only, write_only, p[2];
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	loff_t from = 4090, to = 10;
	char text[32] = "";

	printf("-- copy_file_range\n");
	pipe_make(p);
	append = open("out", O_WRONLY | O_APPEND);
	read_only = open("in", O_RDONLY);
	write_only = open("in", O_WRONLY);
	SHOW(copy_file_range(in, &from, out, &to, 20, 0));
	printf("offsets %ld %ld\n", (long)from, (long)to);
	SHOW(pread(out, text, 30, 5));
	puts(text);
	SHOW(lseek(in, 2 * PAGE + 4000, SEEK_SET));
	SHOW(lseek(out, 0, SEEK_END));
	SHOW(copy_file_range(in, NULL, out, NULL, 1000, 0));
	SHOW(copy_file_range(in, NULL, out, NULL, 1000, 0));
	printf("size %ld, at %ld %ld\n", (long)size_of(out), (long)lseek(in, 0, SEEK_CUR),
	       (long)lseek(out, 0, SEEK_CUR));
	from = 0;
	SHOW(copy_file_range(in, &from, out, NULL, 0, 0));
	SHOW(copy_file_range(in, &from, out, NULL, 10, 1));
	SHOW(copy_file_range(-1, &from, out, NULL, 10, 1));
	SHOW(copy_file_range(-1, &from, out, NULL, 10, 0));
	SHOW(copy_file_range(in, &from, -1, NULL, 10, 0));
	SHOW(copy_file_range(in, BAD, out, NULL, 10, 0));
	SHOW(copy_file_range(in, &from, out, BAD, 10, 0));
	SHOW(copy_file_range(write_only, &from, out, NULL, 10, 0));
	SHOW(copy_file_range(in, &from, read_only, NULL, 10, 0));
	SHOW(copy_file_range(in, &from, append, NULL, 10, 0));
	SHOW(copy_file_range(dir, NULL, out, NULL, 10, 0));
	SHOW(copy_file_range(p[0], NULL, out, NULL, 10, 0));
	SHOW(copy_file_range(in, &from, p[1], NULL, 10, 0));
	to = 5;
	SHOW(copy_file_range(in, &from, in, &to, 10, 0));
	to = 100;
	SHOW(copy_file_range(in, &from, in, &to, 10, 0));
	from = -1;
	SHOW(copy_file_range(in, &from, out, &to, 10, 0));
	from = 0;
	to = INT64_MAX - 5;
	SHOW(copy_file_range(in, &from, out, &to, 10, 0));
	to = -5;
	SHOW(copy_file_range(in, &from, out, &to, 10, 0));
	close_two(in, out);
	close_two(append, read_only);
	close_two(write_only, dir);
	close_two(p[0], p[1]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_sendfile();
	test_splice();
	test_ranges();
	return 0;
}
