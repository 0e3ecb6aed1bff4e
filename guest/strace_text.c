/* SPDX-License-Identifier: MIT */
/* Values as --strace writes them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "guest/guest.h"
#include "guest/strace_text.h"

#define RESULT_HEX_FROM 4096 /* results from here on that are addresses: in hex */

struct bit_name {
	uint64_t bits;
	const char *name;
};

#define BIT(name)           \
	{                   \
		name, #name \
	}

void text_add(struct strace_text *x, const char *fmt, ...)
{
	size_t room = sizeof(x->buf) - x->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(x->buf + x->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		x->len += (size_t)n < room ? (size_t)n : room - 1;
}

void text_pad(struct strace_text *x, size_t column)
{
	text_add(x, "%*s", x->len < column ? (int)(column - x->len) : 1, "");
}

void text_add_quoted(struct strace_text *x, const char *bytes, size_t len, bool cut)
{
	static const char from[] = "\n\t\r\v\f\"\\", to[] = "ntrvf\"\\";
	const char *hit;
	unsigned char c;
	size_t i;
	bool digit;

	text_add(x, "\"");
	for (i = 0; i < len; i++) {
		c = (unsigned char)bytes[i];
		hit = c ? strchr(from, c) : NULL;
		/* An octal escape takes all three digits only where one more follows. */
		digit = i + 1 < len && bytes[i + 1] >= '0' && bytes[i + 1] <= '7';
		if (hit)
			text_add(x, "\\%c", to[hit - from]);
		else if (c >= ' ' && c < 0x7f)
			text_add(x, "%c", c);
		else
			text_add(x, digit ? "\\%03o" : "\\%o", c);
	}
	text_add(x, cut ? "\"..." : "\"");
}

/* Names of all bits joined by "|"; @zero when none is set; the rest in hex. */
static void add_bits(struct strace_text *x, uint64_t v, const struct bit_name *names,
		     const char *zero)
{
	const char *bar = "";

	for (; names->name; names++) {
		if ((v & names->bits) != names->bits)
			continue;
		text_add(x, "%s%s", bar, names->name);
		v &= ~names->bits;
		bar = "|";
	}
	if (v)
		text_add(x, "%s%#" PRIx64, bar, v);
	else if (!*bar)
		text_add(x, "%s", zero);
}

void text_add_open_flags(struct strace_text *x, uint64_t flags)
{
	static const struct bit_name names[] = {
		BIT(O_CREAT),     BIT(O_EXCL),
		BIT(O_NOCTTY),    { __O_TMPFILE | O_DIRECTORY, "O_TMPFILE" },
		BIT(O_TRUNC),     BIT(O_APPEND),
		BIT(O_NONBLOCK),  BIT(O_SYNC),
		BIT(O_DSYNC),     BIT(O_ASYNC),
		BIT(O_DIRECT),    { 0100000, "O_LARGEFILE" },
		BIT(O_NOFOLLOW),  BIT(O_NOATIME),
		BIT(O_CLOEXEC),   BIT(O_PATH),
		BIT(O_DIRECTORY), { 0, NULL },
	};
	static const char *const modes[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

	text_add(x, "%s", modes[flags & O_ACCMODE]);
	flags &= ~(uint64_t)O_ACCMODE & UINT32_MAX;
	if (!flags)
		return;
	text_add(x, "|");
	add_bits(x, flags, names, "");
}

void text_add_at_flags(struct strace_text *x, uint64_t flags)
{
	/* AT_EACCESS and AT_REMOVEDIR are one bit: the name fits the calls we print. */
	static const struct bit_name names[] = {
		BIT(AT_SYMLINK_NOFOLLOW), BIT(AT_REMOVEDIR),  BIT(AT_SYMLINK_FOLLOW),
		BIT(AT_NO_AUTOMOUNT),     BIT(AT_EMPTY_PATH), BIT(AT_STATX_FORCE_SYNC),
		BIT(AT_STATX_DONT_SYNC),  { 0, NULL },
	};

	add_bits(x, flags, names, "0");
}

void text_add_prot(struct strace_text *x, uint64_t prot)
{
	static const struct bit_name names[] = {
		BIT(PROT_READ),      BIT(PROT_WRITE),   BIT(PROT_EXEC),
		BIT(PROT_GROWSDOWN), BIT(PROT_GROWSUP), { 0, NULL },
	};

	add_bits(x, prot, names, "PROT_NONE");
}

void text_add_mmap_flags(struct strace_text *x, uint64_t flags)
{
	static const struct bit_name names[] = {
		BIT(MAP_SHARED_VALIDATE), BIT(MAP_SHARED),
		BIT(MAP_PRIVATE),         BIT(MAP_FIXED_NOREPLACE),
		BIT(MAP_FIXED),           BIT(MAP_ANONYMOUS),
		BIT(MAP_NORESERVE),       BIT(MAP_POPULATE),
		BIT(MAP_NONBLOCK),        BIT(MAP_GROWSDOWN),
		BIT(MAP_DENYWRITE),       BIT(MAP_EXECUTABLE),
		BIT(MAP_LOCKED),          BIT(MAP_STACK),
		BIT(MAP_HUGETLB),         BIT(MAP_SYNC),
		BIT(MAP_32BIT),           { 0, NULL },
	};

	add_bits(x, flags, names, "0");
}

void text_add_clone_flags(struct strace_text *x, uint64_t flags)
{
	static const struct bit_name names[] = {
		BIT(CLONE_VM),
		BIT(CLONE_FS),
		BIT(CLONE_FILES),
		BIT(CLONE_SIGHAND),
		BIT(CLONE_PIDFD),
		BIT(CLONE_PTRACE),
		BIT(CLONE_VFORK),
		BIT(CLONE_PARENT),
		BIT(CLONE_THREAD),
		BIT(CLONE_NEWNS),
		BIT(CLONE_SYSVSEM),
		BIT(CLONE_SETTLS),
		BIT(CLONE_PARENT_SETTID),
		BIT(CLONE_CHILD_CLEARTID),
		BIT(CLONE_DETACHED),
		BIT(CLONE_UNTRACED),
		BIT(CLONE_CHILD_SETTID),
		BIT(CLONE_NEWCGROUP),
		BIT(CLONE_NEWUTS),
		BIT(CLONE_NEWIPC),
		BIT(CLONE_NEWUSER),
		BIT(CLONE_NEWPID),
		BIT(CLONE_NEWNET),
		BIT(CLONE_IO),
		{ 0, NULL },
	};
	uint64_t sig = flags & CSIGNAL;

	if (flags & ~(uint64_t)CSIGNAL)
		add_bits(x, flags & ~(uint64_t)CSIGNAL, names, "");
	if (!sig && flags)
		return;
	text_add(x, flags & ~(uint64_t)CSIGNAL ? "|" : "");
	if (sig)
		text_add_signal(x, (int)sig);
	else
		text_add(x, "0");
}

void text_add_advice(struct strace_text *x, uint64_t advice)
{
	static const struct bit_name names[] = {
		BIT(MADV_NORMAL),
		BIT(MADV_RANDOM),
		BIT(MADV_SEQUENTIAL),
		BIT(MADV_WILLNEED),
		BIT(MADV_DONTNEED),
		BIT(MADV_FREE),
		BIT(MADV_REMOVE),
		BIT(MADV_DONTFORK),
		BIT(MADV_DOFORK),
		BIT(MADV_MERGEABLE),
		BIT(MADV_UNMERGEABLE),
		BIT(MADV_HUGEPAGE),
		BIT(MADV_NOHUGEPAGE),
		BIT(MADV_DONTDUMP),
		BIT(MADV_DODUMP),
		BIT(MADV_WIPEONFORK),
		BIT(MADV_KEEPONFORK),
		BIT(MADV_COLD),
		BIT(MADV_PAGEOUT),
		BIT(MADV_POPULATE_READ),
		BIT(MADV_POPULATE_WRITE),
		{ 25, "MADV_COLLAPSE" },
		{ 0, NULL },
	};
	const struct bit_name *n;

	for (n = names; n->name; n++) {
		if (n->bits == advice) {
			text_add(x, "%s", n->name);
			return;
		}
	}
	text_add(x, "%#" PRIx64 " /* MADV_??? */", advice);
}

void text_add_signal(struct strace_text *x, int sig)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		text_add(x, "SIG%s", name);
	else if (sig >= 34 && sig <= GUEST_NSIG)
		text_add(x, "SIGRT_%d", sig - 32);
	else if (sig == 32 || sig == 33)
		text_add(x, "SIGRT_%d", sig - 32);
	else
		text_add(x, "%d", sig);
}

void text_add_mode(struct strace_text *x, unsigned int mode)
{
	static const struct bit_name types[] = {
		BIT(S_IFSOCK), BIT(S_IFLNK), BIT(S_IFREG), BIT(S_IFBLK),
		BIT(S_IFDIR),  BIT(S_IFCHR), BIT(S_IFIFO), { 0, NULL },
	};
	const struct bit_name *n;

	for (n = types; n->name; n++)
		if ((mode & S_IFMT) == n->bits)
			text_add(x, "%s|", n->name);
	text_add(x, "%#03o", mode & 07777);
}

void text_add_fd(struct strace_text *x, int fd)
{
	if (fd == AT_FDCWD)
		text_add(x, "AT_FDCWD");
	else
		text_add(x, "%d", fd);
}

void text_add_result(struct strace_text *x, int64_t ret, bool address)
{
	static const struct {
		int err;
		const char *text;
	} restarts[] = {
		{ ERESTARTSYS_, "ERESTARTSYS (To be restarted if SA_RESTART is set)" },
		{ ERESTARTNOINTR_, "ERESTARTNOINTR (To be restarted)" },
		{ ERESTARTNOHAND_, "ERESTARTNOHAND (To be restarted if no handler)" },
		{ ERESTARTBLOCK_, "ERESTART_RESTARTBLOCK (Interrupted by signal)" },
	};
	const char *name;
	size_t i;

	text_add(x, "= ");
	if (ret >= 0 || ret < -4095) {
		text_add(x,
			 address && (ret < 0 || ret >= RESULT_HEX_FROM) ? "%#" PRIx64 : "%" PRId64,
			 ret);
		return;
	}
	for (i = 0; i < sizeof(restarts) / sizeof(*restarts); i++) {
		if (-ret == restarts[i].err) {
			text_add(x, "? %s", restarts[i].text);
			return;
		}
	}
	name = strerrorname_np((int)-ret);
	if (name)
		text_add(x, "-1 %s (%s)", name, strerrordesc_np((int)-ret));
	else
		text_add(x, "-1 (errno %d)", (int)-ret);
}

static const char *code_of_signal(int sig, int code)
{
	static const char *const segv[] = { NULL, "SEGV_MAPERR", "SEGV_ACCERR" };
	static const char *const bus[] = { NULL, "BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR",
					   "BUS_MCEERR_AR" };
	static const char *const child[] = { NULL,           "CLD_EXITED",  "CLD_KILLED",
					     "CLD_DUMPED",   "CLD_TRAPPED", "CLD_STOPPED",
					     "CLD_CONTINUED" };
	static const char *const fpe[] = { NULL,         "FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV",
					   "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV" };

	if (code <= 0)
		return NULL;
	if (sig == SIGSEGV && code < 3)
		return segv[code];
	if (sig == SIGBUS && code < 5)
		return bus[code];
	if (sig == SIGCHLD && code < 7)
		return child[code];
	if (sig == SIGFPE && code < 8)
		return fpe[code];
	return NULL;
}

void text_add_si_code(struct strace_text *x, int sig, int code)
{
	const char *name = code_of_signal(sig, code);

	if (!name && code == SI_USER)
		name = "SI_USER";
	if (!name && code == SI_TKILL)
		name = "SI_TKILL";
	if (!name && code == SI_QUEUE)
		name = "SI_QUEUE";
	if (!name && code == SI_KERNEL)
		name = "SI_KERNEL";
	if (name)
		text_add(x, "%s", name);
	else
		text_add(x, "%d", code);
}
