/* SPDX-License-Identifier: MIT */
/* read and write: partial transfers, bad addresses, large ones, mappings of the file. */
#include <sys/socket.h>
#include <sys/uio.h>

#include "guest/filemap.h"
#include "tests/unit/guest_task.h"

#define END (GUEST_BUF_PAGES * UMM_PAGE_SIZE)

/* A file of @len bytes of a pattern, and the same bytes in *copy (free it). */
static void make_file(const char *name, size_t len, char **copy)
{
	FILE *f = fopen(name, "w");
	size_t i;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	*copy = malloc(len);
	for (i = 0; i < len; i++)
		(*copy)[i] = (char)(i * 31 + (i >> 12));
	CU_ASSERT_EQUAL(fwrite(*copy, 1, len, f), len);
	fclose(f);
}

static void test_read_sizes(void)
{
	static const size_t sizes[] = { 1, 4095, 4096, 16384, 16385, 100000, 200000 };
	struct guest_unit u;
	char *data;
	size_t i;
	int fd;

	guest_unit_open(&u);
	make_file("f", 150000, &data);
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t want = sizes[i] < 150000 ? sizes[i] : 150000;

		fd = guest_open(&u, "f", O_RDONLY);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, read, (uint64_t)fd, u.buf.v + 5, sizes[i]),
				(int64_t)want);
		CU_ASSERT_TRUE(guest_holds(&u, 5, data, want));
		CU_ASSERT_EQUAL(GUEST_CALL(&u, lseek, (uint64_t)fd, 0, SEEK_CUR), (int64_t)want);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, pread64, (uint64_t)fd, u.buf.v, sizes[i], 149999),
				1);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, pread64, (uint64_t)fd, u.buf.v, sizes[i], 150000),
				0);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, close, (uint64_t)fd), 0);
	}
	free(data);
	guest_unit_close(&u);
}

/* The buffer ends in a hole: what comes before it is transferred. */
static void test_partly_bad(void)
{
	struct guest_unit u;
	uint64_t fd;
	char *data;

	guest_unit_open(&u);
	make_file("f", 100000, &data);
	fd = (uint64_t)guest_open(&u, "f", O_RDWR);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fd, u.buf.v + END - 100, 200), 100);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, lseek, fd, 0, SEEK_CUR), 100);
	CU_ASSERT_TRUE(guest_holds(&u, END - 100, data, 100));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fd, u.buf.v + END, 200), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, lseek, fd, 0, SEEK_CUR), 100);
	/* The same when the frames are pinned. */
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fd, u.buf.v + END - 20000, 50000), 20000);
	CU_ASSERT_TRUE(guest_holds(&u, END - 20000, data + 100, 20000));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fd, u.buf.v + END - 50, 100), 50);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fd, u.buf.v + END, 100), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fd, 1ul << 63, 10), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, 99, 1ul << 63, 10), -EBADF);
	free(data);
	guest_unit_close(&u);
}

static void test_write_back(void)
{
	static const size_t sizes[] = { 10, 16384, 100001 };
	struct guest_unit u;
	char *data, *text;
	size_t i, len;
	uint64_t fd;

	guest_unit_open(&u);
	make_file("pattern", 100001, &data);
	guest_put(&u, 7, data, 100001);
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		fd = (uint64_t)guest_open(&u, "out", O_WRONLY | O_CREAT | O_TRUNC);
		/* guest_open() used the start of the buffer. */
		guest_put(&u, 0, data, 7);
		guest_put(&u, 7, data, 100001);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fd, u.buf.v + 7, sizes[i]),
				(int64_t)sizes[i]);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fd, u.buf.v, 1), -EBADF);
		text = host_file_text("out", &len);
		CU_ASSERT_EQUAL(len, sizes[i]);
		CU_ASSERT_EQUAL(memcmp(text, data, len), 0);
		free(text);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, close, fd), 0);
	}
	free(data);
	guest_unit_close(&u);
}

static void test_vectors(void)
{
	struct guest_unit u;
	struct iovec v[3];
	uint64_t fd, vec;
	char *data;

	guest_unit_open(&u);
	make_file("f", 60000, &data);
	fd = (uint64_t)guest_open(&u, "f", O_RDONLY);
	v[0] = (struct iovec){ (void *)(u.buf.v + 8192), 3 };
	v[1] = (struct iovec){ (void *)(u.buf.v + 16384), 0 };
	v[2] = (struct iovec){ (void *)(u.buf.v + 20000), 40000 };
	vec = guest_put(&u, 4096, v, sizeof(v));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, readv, fd, vec, 3), 40003);
	CU_ASSERT_TRUE(guest_holds(&u, 8192, data, 3));
	CU_ASSERT_TRUE(guest_holds(&u, 20000, data + 3, 40000));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, readv, fd, vec, 1025), -EINVAL);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, readv, fd, vec, 0), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, readv, fd, u.buf.v + END, 1), -EFAULT);
	/* A bad part in the middle: what comes before counts. */
	v[1] = (struct iovec){ (void *)(u.buf.v + END), 100 };
	guest_put(&u, 4096, v, sizeof(v));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, preadv, fd, vec, 3, 0), 3);
	free(data);
	guest_unit_close(&u);
}

/* What pipe2() or socketpair(), which said @ret, left at the start of the buffer. */
static void take_fds(struct guest_unit *u, int64_t ret, uint64_t fds[2])
{
	int32_t two[2];

	CU_ASSERT_EQUAL(ret, 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(u->t->mm, two, u->buf, sizeof(two), NULL), 0);
	fds[0] = (uint64_t)two[0];
	fds[1] = (uint64_t)two[1];
}

static void pipe_open(struct guest_unit *u, uint64_t fds[2])
{
	take_fds(u, GUEST_CALL(u, pipe2, u->buf.v, O_NONBLOCK), fds);
}

static void sockets_open(struct guest_unit *u, int type, uint64_t fds[2])
{
	take_fds(u,
		 GUEST_CALL(u, socketpair, AF_UNIX, (uint64_t)(type | SOCK_NONBLOCK), 0, u->buf.v),
		 fds);
}

static void test_pipe(void)
{
	struct guest_unit u;
	uint64_t fds[2];

	guest_unit_open(&u);
	pipe_open(&u, fds);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fds[0], u.buf.v, 10), -EAGAIN);
	guest_put_str(&u, 100, "through");
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v + 100, 8), 8);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fds[0], u.buf.v + 200, 100), 8);
	CU_ASSERT_TRUE(guest_holds(&u, 200, "through", 8));
	/* More than it holds: a short count, and then nothing. */
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v, 200000), 65536);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v, 10), -EAGAIN);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, pread64, fds[0], u.buf.v, 10, 0), -ESPIPE);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, lseek, fds[0], 0, SEEK_SET), -ESPIPE);
	/* Nobody reads: EPIPE, and SIGPIPE waits. */
	CU_ASSERT_EQUAL(GUEST_CALL(&u, close, fds[0]), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v, 10), -EPIPE);
	CU_ASSERT_TRUE(u.t->pending.set & SIGSET_BIT(SIGPIPE));
	guest_unit_close(&u);
}

/* What gives its bytes once keeps them when they cannot be delivered. */
static void keeps_undelivered(struct guest_unit *u, uint64_t out, uint64_t in)
{
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, u->buf.v + END, 5), -EAGAIN);
	guest_put(u, 100, "hello", 5);
	CU_ASSERT_EQUAL(GUEST_CALL(u, write, in, u->buf.v + 100, 5), 5);
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, u->buf.v + END, 5), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, 16, 5), -EFAULT);
	/* Its last three bytes have no place; then all that there are have one. */
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, u->buf.v + END - 2, 5), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, u->buf.v + END - 5, 100), 5);
	CU_ASSERT_TRUE(guest_holds(u, END - 5, "hello", 5));
	CU_ASSERT_EQUAL(GUEST_CALL(u, close, in), 0);
	CU_ASSERT_EQUAL(GUEST_CALL(u, read, out, u->buf.v + END, 5), 0);
}

static void test_undelivered(void)
{
	struct guest_unit u;
	uint64_t fds[2];

	guest_unit_open(&u);
	pipe_open(&u, fds);
	keeps_undelivered(&u, fds[0], fds[1]);
	sockets_open(&u, SOCK_STREAM, fds);
	keeps_undelivered(&u, fds[0], fds[1]);
	/* By recvfrom, too; a message is gone, as on Linux. */
	sockets_open(&u, SOCK_STREAM, fds);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v + 100, 5), 5);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, recvfrom, fds[0], 16, 5, 0, 0, 0), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, recvfrom, fds[0], u.buf.v, 5, 0, 0, 0), 5);
	sockets_open(&u, SOCK_DGRAM, fds);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, write, fds[1], u.buf.v + 100, 5), 5);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fds[0], 16, 5), -EFAULT);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, read, fds[0], u.buf.v, 5), -EAGAIN);
	guest_unit_close(&u);
}

/* ---- coherence with mappings --------------------------------------------------- */

struct mapped {
	struct guest_unit u;
	uint64_t fd;
	gva_t at;
	char *data;
};

static void mapped_open(struct mapped *m, size_t size)
{
	struct address_space *space;
	struct gfile *g;

	guest_unit_open(&m->u);
	make_file("f", size, &m->data);
	m->fd = (uint64_t)guest_open(&m->u, "f", O_RDWR);
	g = files_lookup(m->u.t->files, (int)m->fd);
	CU_ASSERT_EQUAL_FATAL(gfile_mapping(g, &space), 0);
	m->at = unit_map_file(m->u.t->mm, space, 0, (size + UMM_PAGE_SIZE - 1) / UMM_PAGE_SIZE,
			      PROT_RW, MAP_SHARED);
	mapping_put(space);
	gfile_put(g);
}

static void mapped_close(struct mapped *m)
{
	free(m->data);
	guest_unit_close(&m->u);
}

static uint64_t word_of(const char *data, size_t off)
{
	uint64_t v;

	memcpy(&v, data + off, sizeof(v));
	return v;
}

static void test_store_then_read(void)
{
	struct mapped m;
	uint64_t v = 0x1122334455667788, got = 0;
	int fd;

	mapped_open(&m, 20000);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 4096)), word_of(m.data, 4096));
	unit_put(m.u.h, m.u.t->mm, gva_add(m.at, 8192), v);
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, pread64, m.fd, m.u.buf.v, 8, 8192), 8);
	CU_ASSERT_TRUE(guest_holds(&m.u, 0, &v, 8));
	/* And the host sees it, as the read wrote it back. */
	fd = open("f", O_RDONLY);
	CU_ASSERT_EQUAL(pread(fd, &got, 8, 8192), 8);
	CU_ASSERT_EQUAL(got, v);
	close(fd);
	unit_check(m.u.h);
	mapped_close(&m);
}

static void test_write_then_load(void)
{
	struct mapped m;
	uint64_t small = 0xabcdef, neighbour = 77;
	char *big;
	size_t i;

	mapped_open(&m, 100000);
	for (i = 0; i < 24; i++)
		unit_get(m.u.h, m.u.t->mm, page_at(m.at, i));
	/* A store beside what is written must survive. */
	unit_put(m.u.h, m.u.t->mm, gva_add(m.at, 4096 + 64), neighbour);
	guest_put(&m.u, 0, &small, 8);
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, pwrite64, m.fd, m.u.buf.v, 8, 4096), 8);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 4096)), small);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 4096 + 64)), neighbour);
	/* Large: through pinned frames. */
	big = malloc(40000);
	memset(big, 0x5a, 40000);
	guest_put(&m.u, 0, big, 40000);
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, pwrite64, m.fd, m.u.buf.v, 40000, 50000), 40000);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 61440)), 0x5a5a5a5a5a5a5a5a);
	free(big);
	unit_check(m.u.h);
	mapped_close(&m);
}

static void test_append_and_truncate(void)
{
	struct mapped m;
	uint64_t v = 42, fd;
	size_t len;
	char *text;

	mapped_open(&m, 8192);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, page_at(m.at, 1)), word_of(m.data, 4096));
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, ftruncate, m.fd, 4096 + 8), 0);
	/* What lies behind the end in its page reads as zero. */
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, page_at(m.at, 1)), word_of(m.data, 4096));
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 4096 + 8)), 0);
	fd = (uint64_t)guest_open(&m.u, "f", O_WRONLY | O_APPEND);
	guest_put(&m.u, 0, &v, 8);
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, write, fd, m.u.buf.v, 8), 8);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, gva_add(m.at, 4096 + 8)), v);
	text = host_file_text("f", &len);
	CU_ASSERT_EQUAL(len, 4096 + 16);
	free(text);
	CU_ASSERT_EQUAL(GUEST_CALL(&m.u, ftruncate, m.fd, 4096), 0);
	CU_ASSERT_EQUAL(mm_fault(m.u.t->mm, page_at(m.at, 1), 0), FAULT_BUS);
	unit_check(m.u.h);
	mapped_close(&m);
}

static void test_changed_by_others(void)
{
	struct mapped m;
	uint64_t v = 4711;
	int fd;

	mapped_open(&m, 8192);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, m.at), word_of(m.data, 0));
	fd = open("f", O_WRONLY);
	CU_ASSERT_EQUAL(pwrite(fd, &v, 8, 0), 8);
	close(fd);
	/* Seen when the guest opens it the next time. */
	CU_ASSERT_TRUE(guest_open(&m.u, "f", O_RDONLY) >= 0);
	CU_ASSERT_EQUAL(unit_get(m.u.h, m.u.t->mm, m.at), v);
	mapped_close(&m);
}

static void test_one_cache_an_inode(void)
{
	struct guest_unit u;
	struct address_space *a, *b;
	struct filemaps *fm;
	struct gfile *g;
	unsigned int idle;
	char *data;

	guest_unit_open(&u);
	fm = guest_filemaps(u.g);
	make_file("f", 5000, &data);
	CU_ASSERT_EQUAL(link("f", "g"), 0);
	guest_open(&u, "f", O_RDONLY);
	guest_open(&u, "g", O_RDWR);
	guest_open(&u, "f", O_WRONLY);
	guest_open(&u, ".", O_RDONLY);
	g = files_lookup(u.t->files, 0);
	CU_ASSERT_EQUAL(gfile_mapping(g, &a), 0);
	gfile_put(g);
	g = files_lookup(u.t->files, 1);
	CU_ASSERT_EQUAL(gfile_mapping(g, &b), 0);
	gfile_put(g);
	CU_ASSERT_PTR_EQUAL(a, b);
	mapping_put(b);
	g = files_lookup(u.t->files, 2);
	CU_ASSERT_EQUAL(gfile_mapping(g, &b), -EACCES);
	gfile_put(g);
	g = files_lookup(u.t->files, 3);
	CU_ASSERT_EQUAL(gfile_mapping(g, &b), -ENODEV);
	gfile_put(g);
	/* Kept when nobody uses it, gone with the last name of the file. */
	CU_ASSERT_EQUAL(filemaps_count(fm, &idle), 1);
	CU_ASSERT_EQUAL(idle, 0);
	mapping_put(a);
	CU_ASSERT_EQUAL(filemaps_count(fm, &idle), 1);
	CU_ASSERT_EQUAL(idle, 1);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, unlink, guest_put_str(&u, 0, "f")), 0);
	CU_ASSERT_EQUAL(filemaps_count(fm, &idle), 1);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, unlink, guest_put_str(&u, 0, "g")), 0);
	CU_ASSERT_EQUAL(filemaps_count(fm, &idle), 0);
	free(data);
	guest_unit_close(&u);
}

static void test_idle_limit(void)
{
	struct guest_unit u;
	struct address_space *a;
	struct gfile *g;
	unsigned int idle;
	char name[32], *data;
	int i, fd;

	guest_unit_open(&u);
	for (i = 0; i < FILEMAPS_IDLE_MAX + 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name, 10, &data);
		free(data);
		fd = guest_open(&u, name, O_RDONLY);
		g = files_lookup(u.t->files, fd);
		CU_ASSERT_EQUAL(gfile_mapping(g, &a), 0);
		mapping_put(a);
		gfile_put(g);
		CU_ASSERT_EQUAL(GUEST_CALL(&u, close, (uint64_t)fd), 0);
	}
	CU_ASSERT_EQUAL(filemaps_count(guest_filemaps(u.g), &idle), FILEMAPS_IDLE_MAX);
	guest_unit_close(&u);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "reads of all sizes", test_read_sizes },
		{ "buffers that are partly bad", test_partly_bad },
		{ "writes of all sizes", test_write_back },
		{ "vectors", test_vectors },
		{ "pipes, EPIPE and SIGPIPE", test_pipe },
		{ "what cannot be delivered stays", test_undelivered },
		{ "read() sees a store", test_store_then_read },
		{ "a load sees write()", test_write_then_load },
		{ "O_APPEND and ftruncate", test_append_and_truncate },
		{ "a file changed by others", test_changed_by_others },
		{ "one cache an inode", test_one_cache_an_inode },
		{ "unused caches are bounded", test_idle_limit },
	};

	return unit_run("guest_io", tests, ARRAY_LEN(tests), argc, argv);
}
