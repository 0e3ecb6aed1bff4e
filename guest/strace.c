/* SPDX-License-Identifier: MIT */
/*
 * --strace: the guest's system calls, signals and exits, as strace prints them.
 *
 * A line is written when its call is over, so that what the call filled in can be
 * shown, and lines of several tasks do not mix. Calls that do not come back the
 * way they went (exit, execve) are put into words before they are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest/path.h"
#include "guest/strace_text.h"
#include "guest/task.h"

#define RESULT_COLUMN   40
#define EXECVE_ARGS_MAX 32

/* The call of this thread that had to be put into words early. */
static __thread struct strace_text early;

static void start_line(struct task *t, struct strace_text *x)
{
	text_init(x);
	if (__atomic_load_n(&t->g->nr_threads, __ATOMIC_RELAXED) > 1)
		text_add(x, "[pid %5d] ", t->tid);
}

/* One write for the whole line: tasks run in parallel. */
static void finish_line(struct task *t, struct strace_text *x)
{
	FILE *out = t->g->cfg.strace;

	if (x->len > sizeof(x->buf) - 2)
		x->len = sizeof(x->buf) - 2;
	x->buf[x->len++] = '\n';
	fwrite(x->buf, 1, x->len, out);
	fflush(out);
}

/* ---- what pointers lead to ------------------------------------------------------- */

static bool peek(struct task *t, void *dst, uint64_t src, size_t len)
{
	return !mm_copy_from_guest(t->mm, dst, gva_make(src), len, NULL);
}

static void add_pointer(struct strace_text *x, uint64_t p)
{
	text_add(x, p ? "%#" PRIx64 : "NULL", p);
}

static void add_path(struct task *t, struct strace_text *x, uint64_t p)
{
	char path[4096];
	ssize_t n = mm_strncpy_from_guest(t->mm, path, gva_make(p), sizeof(path));

	if (n < 0)
		add_pointer(x, p);
	else
		text_add_quoted(x, path, (size_t)n, false);
}

static void add_data(struct task *t, struct strace_text *x, uint64_t p, uint64_t len)
{
	char data[STRACE_STRING_MAX];
	size_t n = len < sizeof(data) ? len : sizeof(data);

	if (n && !peek(t, data, p, n))
		add_pointer(x, p);
	else
		text_add_quoted(x, data, n, len > n);
}

static void add_stat(struct task *t, struct strace_text *x, uint64_t p)
{
	struct stat st;

	if (!peek(t, &st, p, sizeof(st))) {
		add_pointer(x, p);
		return;
	}
	text_add(x, "{st_mode=");
	text_add_mode(x, st.st_mode);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		text_add(x, ", st_rdev=%#" PRIx64 ", ...}", (uint64_t)st.st_rdev);
	else
		text_add(x, ", st_size=%" PRId64 ", ...}", (int64_t)st.st_size);
}

static void add_wait_status(struct task *t, struct strace_text *x, uint64_t p)
{
	int status;

	if (!p || !peek(t, &status, p, sizeof(status))) {
		add_pointer(x, p);
	} else if (WIFEXITED(status)) {
		text_add(x, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(status));
	} else if (WIFSIGNALED(status)) {
		text_add(x, "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		text_add_signal(x, WTERMSIG(status));
		text_add(x, "%s}]", WCOREDUMP(status) ? " && WCOREDUMP(s)" : "");
	} else {
		text_add(x, "[%#x]", status);
	}
}

/* execve's argument list, cut after some. */
static void add_strings(struct task *t, struct strace_text *x, uint64_t p)
{
	uint64_t s;
	unsigned int i;

	text_add(x, "[");
	for (i = 0; peek(t, &s, p + i * sizeof(s), sizeof(s)) && s; i++) {
		text_add(x, i ? ", " : "");
		if (i == EXECVE_ARGS_MAX) {
			text_add(x, "...");
			break;
		}
		add_path(t, x, s);
	}
	text_add(x, "]");
}

static void add_environment(struct task *t, struct strace_text *x, uint64_t p)
{
	uint64_t s;
	unsigned int nr = 0;

	while (nr < 10000 && peek(t, &s, p + nr * sizeof(s), sizeof(s)) && s)
		nr++;
	add_pointer(x, p);
	text_add(x, " /* %u var%s */", nr, nr == 1 ? "" : "s");
}

/* ---- arguments ---------------------------------------------------------------------- */

/* A call whose arguments need more than a letter each. True: done. */
static bool add_special(struct task *t, struct strace_text *x, uint64_t nr, unsigned int i,
			const uint64_t a[6], int64_t ret)
{
	int fds[2];

	switch (nr) {
	case SYS_stat:
	case SYS_lstat:
	case SYS_fstat:
		if (i != 1 || ret)
			return false;
		add_stat(t, x, a[1]);
		return true;
	case SYS_newfstatat:
		if (i == 3) {
			text_add_at_flags(x, a[3]);
			return true;
		}
		if (i != 2 || ret)
			return false;
		add_stat(t, x, a[2]);
		return true;
	case SYS_wait4:
		if (i != 1 || ret <= 0)
			return false;
		add_wait_status(t, x, a[1]);
		return true;
	case SYS_pipe:
	case SYS_pipe2:
		if (i != 0 || ret || !peek(t, fds, a[0], sizeof(fds)))
			return false;
		text_add(x, "[%d, %d]", fds[0], fds[1]);
		return true;
	case SYS_statx:
	case SYS_unlinkat:
		if (i != 2)
			return false;
		text_add_at_flags(x, a[i]);
		return true;
	case SYS_clone:
		if (i != 0)
			return false;
		text_add(x, "flags=");
		text_add_clone_flags(x, a[0]);
		return true;
	case SYS_readlink:
		if (i != 1 || ret < 0)
			return false;
		add_data(t, x, a[1], (uint64_t)ret);
		return true;
	default:
		return false;
	}
}

static void add_argument(struct task *t, struct strace_text *x, char letter, const uint64_t *arg,
			 int64_t ret)
{
	switch (letter) {
	case 'd':
		text_add(x, "%d", (int)*arg);
		break;
	case 'u':
		text_add(x, "%" PRIu64, *arg);
		break;
	case 'l':
		text_add(x, "%" PRId64, (int64_t)*arg);
		break;
	case 'o':
		text_add(x, "%#03o", (unsigned int)*arg);
		break;
	case 'x':
		text_add(x, "%#" PRIx64, *arg);
		break;
	case 'f':
		text_add_fd(x, (int)*arg);
		break;
	case 's':
		add_path(t, x, *arg);
		break;
	case 'b':
		add_data(t, x, *arg, ret >= 0 && (uint64_t)ret < arg[1] ? (uint64_t)ret : arg[1]);
		break;
	case 'F':
		text_add_open_flags(x, *arg);
		break;
	case 'P':
		text_add_prot(x, *arg);
		break;
	case 'M':
		text_add_mmap_flags(x, *arg);
		break;
	case 'A':
		text_add_advice(x, *arg);
		break;
	case 'S':
		text_add_signal(x, (int)*arg);
		break;
	default:
		add_pointer(x, *arg);
	}
}

/* Arguments that say nothing are left out, as strace does. */
static unsigned int arguments_shown(uint64_t nr, const uint64_t a[6], unsigned int all)
{
	switch (nr) {
	case SYS_open:
		return a[1] & (O_CREAT | O_TMPFILE_BIT) ? 3 : 2;
	case SYS_openat:
		return a[2] & (O_CREAT | O_TMPFILE_BIT) ? 4 : 3;
	case SYS_fcntl:
		return a[1] == F_GETFD || a[1] == F_GETFL ? 2 : 3;
	default:
		return all;
	}
}

static void add_call(struct task *t, struct strace_text *x, uint64_t nr, const uint64_t a[6],
		     int64_t ret)
{
	const struct syscall_entry *e = nr < SYSCALL_MAX ? &syscall_table[nr] : NULL;
	unsigned int i, shown;

	if (!e || !e->name) {
		text_add(x, "syscall_%#" PRIx64 "(", nr);
		for (i = 0; i < 6; i++)
			text_add(x, "%s%#" PRIx64, i ? ", " : "", a[i]);
		text_add(x, ")");
		return;
	}
	text_add(x, "%s(", e->name);
	shown = arguments_shown(nr, a, (unsigned int)strlen(e->format));
	for (i = 0; i < shown; i++) {
		text_add(x, i ? ", " : "");
		if (!add_special(t, x, nr, i, a, ret))
			add_argument(t, x, e->format[i], &a[i], ret);
	}
	text_add(x, ")");
}

static bool is_exec(uint64_t nr)
{
	return nr == SYS_execve || nr == SYS_execveat;
}

static bool returns_address(uint64_t nr)
{
	return nr == SYS_mmap || nr == SYS_mremap || nr == SYS_brk || nr == SYS_shmat;
}

/* ---- the doors ---------------------------------------------------------------------- */

void strace_enter(struct task *t, uint64_t nr, const uint64_t a[6])
{
	unsigned int path = nr == SYS_execveat;

	if (nr == SYS_exit || nr == SYS_exit_group) {
		start_line(t, &early);
		add_call(t, &early, nr, a, 0);
		text_pad(&early, RESULT_COLUMN);
		text_add(&early, "= ?");
		finish_line(t, &early);
	} else if (is_exec(nr)) {
		start_line(t, &early);
		text_add(&early, "%s(", path ? "execveat" : "execve");
		if (path) {
			text_add_fd(&early, (int)a[0]);
			text_add(&early, ", ");
		}
		add_path(t, &early, a[path]);
		text_add(&early, ", ");
		add_strings(t, &early, a[path + 1]);
		text_add(&early, ", ");
		add_environment(t, &early, a[path + 2]);
		text_add(&early, ")");
	}
}

void strace_leave(struct task *t, uint64_t nr, const uint64_t a[6], int64_t ret)
{
	struct strace_text line, *x = is_exec(nr) ? &early : &line;

	if (nr == SYS_exit || nr == SYS_exit_group)
		return;
	if (!is_exec(nr)) {
		start_line(t, x);
		add_call(t, x, nr, a, ret);
	}
	text_pad(x, RESULT_COLUMN);
	text_add_result(x, ret, returns_address(nr));
	finish_line(t, x);
}

/* guest->lock may be held. */
void strace_signal(struct task *t, int sig, int code, gva_t addr)
{
	struct strace_text x;

	start_line(t, &x);
	text_add(&x, "--- ");
	text_add_signal(&x, sig);
	text_add(&x, " {si_signo=");
	text_add_signal(&x, sig);
	text_add(&x, ", si_code=");
	text_add_si_code(&x, sig, code);
	if (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL)
		text_add(&x, addr.v ? ", si_addr=%#" PRIx64 : ", si_addr=NULL", addr.v);
	text_add(&x, "} ---");
	finish_line(t, &x);
}

/* guest->lock held. */
void strace_exit(struct task *t, int status)
{
	struct strace_text x;

	start_line(t, &x);
	if (WIFSIGNALED(status)) {
		text_add(&x, "+++ killed by ");
		text_add_signal(&x, WTERMSIG(status));
		text_add(&x, "%s +++", WCOREDUMP(status) ? " (core dumped)" : "");
	} else {
		text_add(&x, "+++ exited with %d +++", WEXITSTATUS(status));
	}
	finish_line(t, &x);
}
