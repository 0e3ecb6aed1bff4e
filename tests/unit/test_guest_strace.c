/* SPDX-License-Identifier: MIT */
/* --strace: values, and whole lines of a task that never runs. */
#include <sys/syscall.h>

#include "guest/strace_text.h"
#include "tests/unit/guest_task.h"

static struct strace_text x;

#define EXPECT(call, wanted)                           \
	do {                                           \
		text_init(&x);                         \
		call;                                  \
		CU_ASSERT_STRING_EQUAL(x.buf, wanted); \
		if (strcmp(x.buf, wanted))             \
			printf("got: %s\n", x.buf);    \
	} while (0)

static void test_strings(void)
{
	EXPECT(text_add_quoted(&x, "plain", 5, false), "\"plain\"");
	EXPECT(text_add_quoted(&x, "a\n\t\"\\", 5, false), "\"a\\n\\t\\\"\\\\\"");
	EXPECT(text_add_quoted(&x, "\0x\0001\377", 5, true), "\"\\0x\\0001\\377\"...");
	EXPECT(text_add_quoted(&x, "", 0, false), "\"\"");
}

static void test_flags(void)
{
	EXPECT(text_add_open_flags(&x, O_RDONLY), "O_RDONLY");
	EXPECT(text_add_open_flags(&x, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC),
	       "O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC");
	EXPECT(text_add_prot(&x, PROT_NONE), "PROT_NONE");
	EXPECT(text_add_prot(&x, PROT_READ | PROT_EXEC), "PROT_READ|PROT_EXEC");
	EXPECT(text_add_mmap_flags(&x, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS),
	       "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS");
	EXPECT(text_add_advice(&x, 4), "MADV_DONTNEED");
	EXPECT(text_add_advice(&x, 250), "0xfa /* MADV_??? */");
	EXPECT(text_add_clone_flags(&x, 0x4111 /* CLONE_VM|CLONE_VFORK|SIGCHLD */),
	       "CLONE_VM|CLONE_VFORK|SIGCHLD");
	EXPECT(text_add_signal(&x, SIGCHLD), "SIGCHLD");
	EXPECT(text_add_signal(&x, 34), "SIGRT_2");
	EXPECT(text_add_mode(&x, S_IFREG | 0644), "S_IFREG|0644");
	EXPECT(text_add_fd(&x, AT_FDCWD), "AT_FDCWD");
}

static void test_results(void)
{
	EXPECT(text_add_result(&x, 3, false), "= 3");
	EXPECT(text_add_result(&x, 0x7f0000001000, true), "= 0x7f0000001000");
	EXPECT(text_add_result(&x, -ENOENT, false), "= -1 ENOENT (No such file or directory)");
	EXPECT(text_add_result(&x, -ERESTARTSYS_, false),
	       "= ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
	EXPECT(text_add_si_code(&x, SIGSEGV, 1), "SEGV_MAPERR");
	EXPECT(text_add_si_code(&x, SIGCHLD, 1), "CLD_EXITED");
	EXPECT(text_add_si_code(&x, SIGTERM, SI_USER), "SI_USER");
}

/* What a line may not overflow: data without end, and no NUL anywhere. */
static void test_long_line(void)
{
	static char junk[STRACE_LINE_MAX];

	memset(junk, 1, sizeof(junk));
	text_init(&x);
	text_add_quoted(&x, junk, sizeof(junk), false);
	text_add_result(&x, -EIO, false);
	CU_ASSERT_TRUE(x.len < sizeof(x.buf));
	CU_ASSERT_EQUAL(x.buf[x.len], 0);
}

/* One call of @u's task as --strace would print it. */
static void expect_line(struct guest_unit *u, uint64_t nr, const uint64_t a[6], int64_t ret,
			const char *wanted)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	u->g->cfg.strace = out;
	strace_enter(u->t, nr, a);
	strace_leave(u->t, nr, a, ret);
	u->g->cfg.strace = NULL;
	fclose(out);
	CU_ASSERT_STRING_EQUAL(text, wanted);
	if (strcmp(text, wanted))
		printf("got: %s", text);
	free(text);
}

static void test_lines(void)
{
	struct guest_unit u;
	uint64_t path, data;

	guest_unit_open(&u);
	path = guest_put_str(&u, 0, "/etc/passwd");
	data = guest_put_str(&u, 100, "0123456789012345678901234567890123456789");
	expect_line(&u, SYS_openat, (uint64_t[6]){ (uint64_t)AT_FDCWD, path, O_RDONLY }, 3,
		    "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY) = 3\n");
	expect_line(&u, SYS_write, (uint64_t[6]){ 1, data, 40 }, 40,
		    "write(1, \"01234567890123456789012345678901\"..., 40) = 40\n");
	expect_line(&u, SYS_close, (uint64_t[6]){ 9 }, -EBADF,
		    "close(9)                                = -1 EBADF (Bad file descriptor)\n");
	expect_line(&u, SYS_exit_group, (uint64_t[6]){ 2 }, 0,
		    "exit_group(2)                           = ?\n");
	/* A pointer that leads nowhere is shown as a number. */
	expect_line(&u, SYS_chdir, (uint64_t[6]){ 0x1000 }, -EFAULT,
		    "chdir(0x1000)                           = -1 EFAULT (Bad address)\n");
	expect_line(&u, 511, (uint64_t[6]){ 1, 2, 3, 4, 5, 6 }, -ENOSYS,
		    "syscall_0x1ff(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) "
		    "= -1 ENOSYS (Function not implemented)\n");
	guest_unit_close(&u);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "strings", test_strings }, { "flags", test_flags },
		{ "results", test_results }, { "a line that is too long", test_long_line },
		{ "lines", test_lines },
	};

	return unit_run("guest_strace", tests, ARRAY_LEN(tests), argc, argv);
}
