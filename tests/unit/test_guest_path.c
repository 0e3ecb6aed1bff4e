/* SPDX-License-Identifier: MIT */
/* Names: normalisation, what is the guest's own, working directories, umask. */
#include "guest/path.h"
#include "guest/procfs.h"
#include "tests/unit/guest_task.h"

static void test_normalize(void)
{
	static const char *const rows[][2] = {
		{ "/", "/" },
		{ "//proc///self/", "/proc/self" },
		{ "/a/./b/../c", "/a/c" },
		{ "/../../etc", "/etc" },
		{ "/a/b/../../..", "/" },
		{ "/a/..b/.c/...", "/a/..b/.c/..." },
	};
	char out[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		CU_ASSERT_EQUAL(path_normalize(rows[i][0], out, sizeof(out)), 0);
		CU_ASSERT_STRING_EQUAL(out, rows[i][1]);
	}
	CU_ASSERT_EQUAL(path_normalize("/a/b/c", out, 5), -ENAMETOOLONG);
}

static void test_below(void)
{
	const char *rest;

	CU_ASSERT_TRUE(path_below("/proc/self", "/proc", &rest));
	CU_ASSERT_STRING_EQUAL(rest, "/self");
	CU_ASSERT_TRUE(path_below("/proc", "/proc", &rest));
	CU_ASSERT_STRING_EQUAL(rest, "");
	CU_ASSERT_FALSE(path_below("/process", "/proc", &rest));
}

/* @name resolves to kind and name. */
static void expect(struct guest_unit *u, const char *name, unsigned int flags, enum gpath_kind kind,
		   const char *result)
{
	struct gpath p;

	CU_ASSERT_EQUAL_FATAL(path_resolve(u->t, AT_FDCWD, name, flags, &p), 0);
	CU_ASSERT_EQUAL(p.kind, kind);
	CU_ASSERT_STRING_EQUAL(p.name, result);
	path_release(&p);
}

static void expect_error(struct guest_unit *u, const char *name, int error)
{
	struct gpath p;

	CU_ASSERT_EQUAL(path_resolve(u->t, AT_FDCWD, name, 0, &p), error);
}

static void test_translation(void)
{
	struct guest_unit u;
	struct gfile *g;
	char name[64], other[64];

	guest_unit_open(&u);
	expect(&u, "/usr/../bin/ls", 0, GPATH_HOST, "/usr/../bin/ls");
	expect(&u, "file", 0, GPATH_HOST, "file");
	expect(&u, "/dev/../dev/null", 0, GPATH_HOST, "/dev/../dev/null");
	snprintf(name, sizeof(name), "/proc/%d/maps", u.t->tid);
	expect(&u, "/proc/self/maps", 0, GPATH_PROC, name);
	expect(&u, "//proc/./self/../self/maps", 0, GPATH_PROC, name);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/stat", u.t->tid, u.t->tid);
	expect(&u, "/proc/thread-self/stat", 0, GPATH_PROC, name);
	expect(&u, "/proc/self", PATH_NOFOLLOW, GPATH_PROC, "/proc/self");
	expect(&u, "/proc/meminfo", 0, GPATH_PROC, "/proc/meminfo");
	expect(&u, "/proc/version", 0, GPATH_HOST, "version");
	expect(&u, "/sys/devices/system/node/node1/meminfo", 0, GPATH_PROC,
	       "/sys/devices/system/node/node1/meminfo");
	expect(&u, "/proc/self/root/etc/passwd", 0, GPATH_HOST, "/etc/passwd");
	/* Processes of the host: there are none. */
	expect_error(&u, "/proc/1/stat", -ENOENT);
	snprintf(other, sizeof(other), "/proc/%d/maps", (int)getpid());
	expect_error(&u, other, -ENOENT);
	expect_error(&u, "/proc/self/fd/77", -ENOENT);
	expect_error(&u, "", -ENOENT);
	/* A descriptor leads to the host's, by its own number. */
	CU_ASSERT_EQUAL(guest_open(&u, "/dev/null", O_RDONLY), 0);
	g = files_lookup(u.t->files, 0);
	snprintf(name, sizeof(name), "self/fd/%d", g->host_fd);
	gfile_put(g);
	expect(&u, "/proc/self/fd/0", 0, GPATH_HOST, name);
	expect(&u, "/dev/stdin", 0, GPATH_HOST, name);
	expect(&u, "/dev/fd/0", 0, GPATH_HOST, name);
	snprintf(name, sizeof(name), "/proc/%d/fd/0", u.t->tid);
	expect(&u, "/proc/self/fd/0", PATH_NOFOLLOW, GPATH_PROC, name);
	guest_unit_close(&u);
}

/* A link of the program's own that leads into /proc must not show the VMM. */
static void test_stray_link(void)
{
	struct guest_unit u;
	char text[64] = "", pid[32];
	int fd;

	guest_unit_open(&u);
	CU_ASSERT_EQUAL(symlink("/proc/self/stat", "link"), 0);
	fd = guest_open(&u, "link", O_RDONLY);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_TRUE(GUEST_CALL(&u, read, (uint64_t)fd, u.buf.v, 60) > 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(u.t->mm, text, u.buf, 60, NULL), 0);
	snprintf(pid, sizeof(pid), "%d (", u.t->tid);
	CU_ASSERT_NSTRING_EQUAL(text, pid, strlen(pid));
	guest_unit_close(&u);
}

static void test_cwd(void)
{
	struct guest_unit u;
	struct stat st;
	char cwd[128];

	guest_unit_open(&u);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, mkdir, guest_put_str(&u, 0, "sub"), 0777), 0);
	CU_ASSERT_EQUAL(stat("sub", &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0755);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, chdir, guest_put_str(&u, 0, "sub")), 0);
	CU_ASSERT_TRUE(guest_open(&u, "inner", O_CREAT | O_WRONLY) >= 0);
	CU_ASSERT_EQUAL(access("sub/inner", F_OK), 0);
	snprintf(cwd, sizeof(cwd), "%s/sub", u.dir);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, getcwd, u.buf.v, 4096), (int64_t)strlen(cwd) + 1);
	CU_ASSERT_TRUE(guest_holds(&u, 0, cwd, strlen(cwd) + 1));
	CU_ASSERT_EQUAL(GUEST_CALL(&u, getcwd, u.buf.v, 4), -ERANGE);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, chdir, guest_put_str(&u, 0, "inner")), -ENOTDIR);
	CU_ASSERT_EQUAL(GUEST_CALL(&u, chdir, guest_put_str(&u, 0, "/proc/self")), 0);
	expect(&u, "../meminfo", 0, GPATH_PROC, "/proc/meminfo");
	CU_ASSERT_EQUAL(GUEST_CALL(&u, chdir, guest_put_str(&u, 0, "/")), 0);
	expect(&u, "proc/meminfo", 0, GPATH_PROC, "/proc/meminfo");
	guest_unit_close(&u);
}

static int count_entry(const char *name, unsigned char type, uint64_t ino, void *arg)
{
	unsigned int *seen = arg;

	(void)type;
	CU_ASSERT_NOT_EQUAL(ino, 0);
	*seen += name[0] >= '0' && name[0] <= '9';
	return 0;
}

static void test_listings(void)
{
	struct guest_unit u;
	unsigned int numbers = 0;
	char name[64];

	guest_unit_open(&u);
	/* One process, and none of the host's. */
	CU_ASSERT_EQUAL(procfs_list(u.t, "/proc", count_entry, &numbers), 0);
	CU_ASSERT_EQUAL(numbers, 1);
	guest_open(&u, "/dev/null", O_RDONLY);
	guest_open(&u, "/dev/null", O_RDONLY);
	numbers = 0;
	snprintf(name, sizeof(name), "/proc/%d/fd", u.t->tid);
	CU_ASSERT_EQUAL(procfs_list(u.t, name, count_entry, &numbers), 0);
	CU_ASSERT_EQUAL(numbers, 2);
	guest_unit_close(&u);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "normalisation", test_normalize },
		{ "below a folder", test_below },
		{ "the guest's names and the host's", test_translation },
		{ "a link into /proc", test_stray_link },
		{ "working directory and umask", test_cwd },
		{ "listings tell of the guest", test_listings },
	};

	return unit_run("guest_path", tests, ARRAY_LEN(tests), argc, argv);
}
