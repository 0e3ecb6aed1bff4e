/* SPDX-License-Identifier: MIT */
/*
 * Terminals that a program opens itself: what jobs in the background may not do there, and the end of
 * the master, of a session's leader, and of the shell of jobs that are stopped.
 */
#include "ptys.h"

/* ---- the background ---------------------------------------------------------------------------------- */

/* A child in the background, which leads a group and does @body. */
#define BEHIND(what, body)                          \
	do {                                        \
		pid_t behind_pid_ = fork_flushed(); \
		if (!behind_pid_) {                 \
			setpgid(0, 0);              \
			body;                       \
			child_exit(0);              \
		}                                   \
		show_stops(what, behind_pid_);      \
	} while (0)

/* How often and by what it stops until it ends; the last stop is its end. */
static void show_stops(const char *what, pid_t pid)
{
	int status = 0;

	if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
		printf("%s: stopped by SIG%s\n", what, signal_name(WSTOPSIG(status)));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return;
	}
	printf("%s: exit %d\n", what, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void read_behind(const struct pty *p, int fd)
{
	char c;

	SHOW(write(p->master, "typed\n", 6));
	BEHIND("read", SHOW(read(fd, &c, 1)));
	BEHIND("read, ignored", {
		signal(SIGTTIN, SIG_IGN);
		SHOW(read(fd, &c, 1));
	});
	BEHIND("read, blocked", {
		block(SIGTTIN, SIGTTIN, SIGTTIN, SIGTTIN);
		SHOW(read(fd, &c, 1));
	});
	BEHIND("read, caught", {
		catch_signal(SIGTTIN, 0);
		SHOW(read(fd, &c, 1));
	});
	BEHIND("read of another's", {
		SHOW(ioctl(fd, TIOCNOTTY));
		SHOW(read(fd, &c, 1));
	});
}

static void orphan_reads(int fd)
{
	int go[2], done[2];
	char c;

	make_pipe(go);
	make_pipe(done);
	/* Its father leads a group of its own, and ends; who inherits it is no part of the session. */
	BEHIND("father", {
		pid_t father = getpid();

		if (!fork_flushed()) {
			setpgid(0, 0);
			while (getppid() == father)
				usleep(1000);
			hear(go);
			SHOW(read(fd, &c, 1));
			SHOW(tcflush(fd, TCIFLUSH));
			fflush(stdout);
			tell(done);
			_exit(0);
		}
	});
	tell(go);
	hear(done);
}

static void change_behind(int fd)
{
	struct termios mode;
	int number;

	tcgetattr(fd, &mode);
	BEHIND("write", SHOW(write(fd, "w", 1)));
	set_mode(fd, 0, TOSTOP);
	BEHIND("write, TOSTOP", SHOW(write(fd, "w", 1)));
	BEHIND("write, TOSTOP, ignored", {
		signal(SIGTTOU, SIG_IGN);
		SHOW(write(fd, "w", 1));
	});
	set_mode(fd, TOSTOP, 0);
	BEHIND("tcgetattr", SHOW(tcgetattr(fd, &mode)));
	BEHIND("tcsetattr", SHOW(tcsetattr(fd, TCSANOW, &mode)));
	BEHIND("tcsetattr, ignored", {
		signal(SIGTTOU, SIG_IGN);
		SHOW(tcsetattr(fd, TCSADRAIN, &mode));
	});
	BEHIND("tcsetattr, caught", {
		catch_signal(SIGTTOU, 0);
		SHOW(tcsetattr(fd, TCSANOW, &mode));
	});
	BEHIND("tcflush", SHOW(tcflush(fd, TCIFLUSH)));
	BEHIND("tcflow", SHOW(tcflow(fd, TCOON)));
	BEHIND("tcsendbreak", SHOW(tcsendbreak(fd, 0)));
	BEHIND("tcsetpgrp", {
		number = getpgrp();
		SHOW(ioctl(fd, TIOCSPGRP, &number));
	});
	BEHIND("tcsetpgrp, blocked", {
		block(SIGTTOU, SIGTTOU, SIGTTOU, SIGTTOU);
		number = getpgrp();
		SHOW(ioctl(fd, TIOCSPGRP, &number));
		show_numbers("in front now", fd);
		number = getppid();
		SHOW(ioctl(fd, TIOCSPGRP, &number));
	});
	BEHIND("size", {
		struct winsize size = { .ws_row = 9 };

		SHOW(ioctl(fd, TIOCSWINSZ, &size));
	});
}

static void test_background(void)
{
	struct pty p = pty_open();

	printf("-- the background\n");
	IN_TERMINAL("reading", &p, fd, read_behind(&p, fd));
	IN_TERMINAL("orphans", &p, fd, orphan_reads(fd));
	IN_TERMINAL("changing", &p, fd, change_behind(fd));
	IN_TERMINAL("by the master", &p, fd, {
		struct termios mode;

		(void)fd;
		tcgetattr(p.master, &mode);
		BEHIND("tcsetattr of the master", SHOW(tcsetattr(p.master, TCSANOW, &mode)));
		BEHIND("tcflush of the master", SHOW(tcflush(p.master, TCIFLUSH)));
		BEHIND("write to the master", SHOW(write(p.master, "m", 1)));
	});
	close(p.master);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static void hang_up(struct pty *p, int fd, const int go[2])
{
	int ready[2], done[2];
	pid_t pid;

	make_pipe(ready);
	make_pipe(done);
	block(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
	pid = fork_flushed();
	if (!pid) {
		close(p->master);
		setpgid(0, 0);
		tell(ready);
		hear(done);
		show_pending("front, while the leader lives");
		show_dev_tty("front");
		fflush(stdout);
		tell(ready);
		hear(go);
		await(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
		await(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
		child_exit(0);
	}
	setpgid(pid, pid);
	hear(ready);
	SHOW(tcsetpgrp(fd, pid));
	close(p->master);
	show_pending("leader");
	show_dev_tty("leader");
	show_numbers("leader", fd);
	show_stat("leader", fd);
	show_read("leader", fd);
	SHOW(write(fd, "w", 1));
	fflush(stdout);
	tell(done);
	hear(ready);
}

/* @go lets who outlives the leader go on; nobody has @done open when that has ended. */
static void test_hangup(void)
{
	struct pty p = pty_open();
	int go[2], done[2];
	pid_t pid;
	char c;

	printf("-- the master is closed\n");
	make_pipe(go);
	make_pipe(done);
	pid = fork_flushed();
	if (!pid) {
		setsid();
		hang_up(&p, open(p.name, O_RDWR), go);
		child_exit(0);
	}
	/* A duplicate is as good as the other, until that is closed, too. */
	close(p.master);
	close(done[1]);
	show_child("leader", pid);
	tell(go);
	SHOW(read(done[0], &c, 1));
	close(done[0]);
	close(go[0]);
	close(go[1]);
}

static void test_leader_ends(void)
{
	struct pty p = pty_open();
	int ready[2], go[2], done[2];
	pid_t leader;
	char c;

	printf("-- the leader ends\n");
	make_pipe(ready);
	make_pipe(go);
	make_pipe(done);
	leader = fork_flushed();
	if (!leader) {
		int fd = (setsid(), open(p.name, O_RDWR));
		pid_t pid = fork_flushed();

		if (!pid) {
			setpgid(0, 0);
			block(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
			tell(ready);
			hear(go);
			await(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
			show_pending("front");
			show_dev_tty("front");
			show_numbers("front", fd);
			show_numbers("front, master", p.master);
			show_stat("front", fd);
			child_exit(0);
		}
		setpgid(pid, pid);
		hear(ready);
		tcsetpgrp(fd, pid);
		child_exit(5);
	}
	close(done[1]);
	show_child("leader", leader);
	tell(go);
	SHOW(read(done[0], &c, 1));
	IN_TERMINAL("free again", &p, fd, show_numbers("next", fd));
	close(done[0]);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
	close(p.master);
}

/* Stopped jobs whose shell ends are hung up and continued. */
static void test_orphans(void)
{
	int go[2], done[2];
	pid_t leader;
	char c;

	printf("-- stopped jobs without a shell\n");
	make_pipe(go);
	make_pipe(done);
	leader = fork_flushed();
	if (!leader) {
		pid_t pid;

		setsid();
		pid = fork_flushed();
		if (!pid) {
			setpgid(0, 0);
			block(SIGHUP, SIGHUP, SIGHUP, SIGHUP);
			raise(SIGSTOP);
			hear(go);
			await(SIGHUP, SIGHUP, SIGHUP, SIGHUP);
			child_exit(0);
		}
		waitpid(pid, NULL, WUNTRACED);
		child_exit(6);
	}
	close(done[1]);
	show_child("leader", leader);
	tell(go);
	SHOW(read(done[0], &c, 1));
	close(done[0]);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	test_background();
	test_hangup();
	test_leader_ends();
	test_orphans();
	return 0;
}
