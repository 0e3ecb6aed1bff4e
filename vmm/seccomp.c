/* SPDX-License-Identifier: MIT */
#include "vmm/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"
#include "vmm/cmd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEFAULT_MODE SECCOMP_OFF
#else
#define DEFAULT_MODE SECCOMP_ON
#endif

static const struct {
	const char *name;
	enum seccomp_mode mode;
} modes[] = { { "off", SECCOMP_OFF }, { "on", SECCOMP_ON }, { "log", SECCOMP_LOG } };

int seccomp_mode_parse(const char *text, enum seccomp_mode *mode)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(text, modes[i].name))
			continue;
		*mode = modes[i].mode;
		return 0;
	}
	return -EINVAL;
}

/* ---- what is let through --------------------------------------------------- */

static const int allowed[] = {
#define ALLOW(name) SCMP_SYS(name),
#include "vmm/seccomp.def"
#undef ALLOW
};

/* What clone() may be asked for: no process, no namespace. */
#define CLONE_THREAD_FLAGS (CLONE_VM | CLONE_THREAD)
#define CLONE_NAMESPACES                                                               \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static int allow_listed(scmp_filter_ctx f)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	return rc;
}

static int allow_to_ourselves(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	static const int calls[] = { SCMP_SYS(kill), SCMP_SYS(tgkill),
				     SCMP_SYS(rt_tgsigqueueinfo) };
	int rc = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls) && !rc; i++)
		rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, calls[i], 1, &self);
	/* Limits of this process: glibc asks for them by the number 0. */
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
				      SCMP_A0(SCMP_CMP_EQ, 0, 0));
	return rc;
}

/* clone3()'s arguments cannot be looked at: without it, libc takes clone(). */
static int allow_threads(scmp_filter_ctx f)
{
	/* A thread's name, and what guest/sys_prctl.c passes on: all of the thread's own. */
	static const scmp_datum_t options[] = {
		PR_SET_NAME,       PR_GET_NAME,       PR_GET_KEEPCAPS,   PR_SET_KEEPCAPS,
		PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAPBSET_READ,   PR_CAPBSET_DROP,
		PR_CAP_AMBIENT,    PR_GET_TIMERSLACK, PR_SET_TIMERSLACK,
	};
	int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ,
					      CLONE_THREAD_FLAGS | CLONE_NAMESPACES,
					      CLONE_THREAD_FLAGS));
	/* A working directory of the thread's own: guest/host_dir.h. */
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(unshare), 1,
				      SCMP_A0(SCMP_CMP_EQ, CLONE_FS, 0));
	for (size_t i = 0; i < sizeof(options) / sizeof(*options) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				      SCMP_A0(SCMP_CMP_EQ, options[i], 0));
	return rc;
}

/* FIFOs, sockets and plain files can be made, devices cannot. */
static int allow_nodes(scmp_filter_ctx f)
{
	static const mode_t types[] = { 0, S_IFREG, S_IFIFO, S_IFSOCK };
	int rc = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types) && !rc; i++) {
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mknodat), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, S_IFMT, types[i]));
		if (!rc)
			rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mknod), 1,
					      SCMP_A1(SCMP_CMP_MASKED_EQ, S_IFMT, types[i]));
	}
	return rc;
}

/* All of fcntl() but what lets a descriptor send signals, to whatever process (F_SETOWN and kin). */
static int allow_fcntl(scmp_filter_ctx f)
{
	static const scmp_datum_t commands[] = {
		F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,      F_SETFD,     F_GETFL,
		F_SETFL,     F_GETPIPE_SZ,    F_SETPIPE_SZ, F_GET_SEALS, F_ADD_SEALS,
		F_OFD_GETLK, F_OFD_SETLK,     F_OFD_SETLKW,
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, commands[i]));
	return rc;
}

/* ---- what is not --------------------------------------------------------------- */

static size_t put_text(char *to, size_t at, size_t size, const char *text)
{
	while (*text && at < size)
		to[at++] = *text++;
	return at;
}

static size_t put_number(char *to, size_t at, size_t size, unsigned int n)
{
	char digits[12];
	size_t i = sizeof(digits) - 1;

	digits[i] = 0;
	do
		digits[--i] = (char)('0' + n % 10);
	while (n /= 10);
	return put_text(to, at, size, digits + i);
}

/* In a signal handler: no stdio, no locks. The call has not been made. */
static void report_call(int sig, siginfo_t *info, void *context)
{
	unsigned int nr = (unsigned int)info->si_syscall;
	const char *name = nr < SYSCALL_MAX ? syscall_table[nr].name : NULL;
	char text[200];
	size_t n = 0;

	(void)sig;
	(void)context;
	n = put_text(text, n, sizeof(text), "umm: stopped by its own seccomp filter: system call ");
	n = put_number(text, n, sizeof(text), nr);
	n = put_text(text, n, sizeof(text), " (");
	n = put_text(text, n, sizeof(text), name ? name : "unknown");
	n = put_text(text, n, sizeof(text),
		     ").\numm: this is an error in umm; `umm run --seccomp off` goes without.\n");
	if (write(STDERR_FILENO, text, n) < 0)
		_exit(CMD_NOT_STARTED);
	_exit(CMD_NOT_STARTED);
}

static int catch_refusals(void)
{
	struct sigaction act = { .sa_sigaction = report_call, .sa_flags = SA_SIGINFO };

	sigfillset(&act.sa_mask);
	return sigaction(SIGSYS, &act, NULL) ? -errno : 0;
}

int seccomp_start(enum seccomp_mode mode, struct errmsg *e)
{
	scmp_filter_ctx f;
	int rc;

	if (mode == SECCOMP_DEFAULT)
		mode = DEFAULT_MODE;
	if (mode == SECCOMP_OFF)
		return 0;
	f = seccomp_init(mode == SECCOMP_LOG ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
	rc = f ? catch_refusals() : -ENOMEM;
	if (!rc)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A tree of comparisons instead of one after the other. */
	if (!rc)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!rc)
		rc = allow_listed(f);
	if (!rc)
		rc = allow_to_ourselves(f);
	if (!rc)
		rc = allow_threads(f);
	if (!rc)
		rc = allow_nodes(f);
	if (!rc)
		rc = allow_fcntl(f);
	if (!rc)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc ? errmsg_set(e, rc, "no seccomp filter: %s; --seccomp off goes without",
			       strerror(-rc))
		  : 0;
}
