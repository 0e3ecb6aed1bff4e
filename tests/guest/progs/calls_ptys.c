/* SPDX-License-Identifier: MIT */
/*
 * Terminals that a program opens itself: whose they are, who is in front, what is typed, sizes, and
 * small questions. What each gives, and each errno that a program can provoke.
 */
#include "ptys.h"

#define NOBODY 4190000 /* a number that no process has */

/* Volatile, so that no compiler looks at what is passed. */
static char *volatile nowhere = (char *)16;
#define BAD ((void *)nowhere)

/* ---- whose it is ------------------------------------------------------------------------------ */

static void test_nobodys(void)
{
	struct pty p = pty_open();
	int fd = slave_open(&p), number = 0, pipes[2];

	printf("-- a terminal of nobody\n");
	make_pipe(pipes);
	show_numbers("slave", fd);
	show_numbers("master", p.master);
	show_numbers("pipe", pipes[0]);
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	SHOW(ioctl(p.master, TIOCSPGRP, &number));
	SHOW(ioctl(pipes[0], TIOCSPGRP, &number));
	SHOW(ioctl(pipes[0], TIOCSCTTY, 0));
	SHOW(ioctl(pipes[0], TIOCNOTTY));
	SHOW(ioctl(p.master, TIOCNOTTY));
	IN_SESSION("a session without", {
		show_dev_tty("without");
		show_stat("without", fd);
		show_numbers("slave", fd);
		SHOW(ioctl(fd, TIOCNOTTY));
		SHOW(ioctl(fd, TIOCSPGRP, &number));
	});
	close(fd);
	close(p.master);
}

static void take_otherwise(const struct pty *p)
{
	int fd = open(p->name, O_RDWR | O_NOCTTY);

	show_dev_tty("O_NOCTTY");
	close(open(p->name, O_WRONLY));
	show_dev_tty("O_WRONLY");
	SHOW(ioctl(fd, TIOCSCTTY, 0));
	show_dev_tty("TIOCSCTTY");
	show_stat("TIOCSCTTY", fd);
	SHOW(ioctl(fd, TIOCSCTTY, 0));
	SHOW(ioctl(fd, TIOCSCTTY, 1));
	SHOW(ioctl(p->master, TIOCSCTTY, 0));
}

static void inherit(int fd)
{
	pid_t pid = fork_flushed();

	if (!pid) {
		show_numbers("child", fd);
		show_stat("child", fd);
		setpgid(0, 0);
		show_numbers("child, group of its own", fd);
		show_stat("child, group of its own", fd);
		SHOW(ioctl(fd, TIOCSCTTY, 0));
		SHOW(ioctl(fd, TIOCNOTTY));
		show_dev_tty("child without");
		show_numbers("child without", fd);
		SHOW(ioctl(fd, TIOCSCTTY, 0));
		child_exit(0);
	}
	show_child("child", pid);
	show_dev_tty("parent of who left");
	pid = fork_flushed();
	if (!pid) {
		setsid();
		show_dev_tty("child, session of its own");
		show_numbers("child, session of its own", fd);
		SHOW(ioctl(fd, TIOCSCTTY, 0));
		child_exit(0);
	}
	show_child("child, session of its own", pid);
}

static void test_taking(void)
{
	struct pty p = pty_open(), q = pty_open();
	int other = slave_open(&q);

	printf("-- taking and leaving\n");
	IN_TERMINAL("opened", &p, fd, {
		show_numbers("slave", fd);
		show_numbers("master", p.master);
		show_stat("opened", fd);
		show_dev_tty("opened");
		SHOW(ioctl(other, TIOCSCTTY, 0));
		show_numbers("another terminal", other);
		SHOW(ioctl(other, TIOCNOTTY));
		SHOW(ioctl(p.master, TIOCNOTTY));
	});
	show_numbers("master, afterwards", p.master);
	IN_SESSION("other ways", take_otherwise(&p));
	IN_SESSION("by the master", {
		SHOW(ioctl(p.master, TIOCSCTTY, 0));
		show_dev_tty("by the master");
	});
	IN_SESSION("by TIOCGPTPEER", {
		int fd = ioctl(p.master, TIOCGPTPEER, O_RDWR);

		SHOW(fd >= 0);
		SHOW(ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0);
		SHOW(ioctl(fd, TIOCGPTPEER, O_RDWR));
		show_dev_tty("by TIOCGPTPEER");
	});
	IN_TERMINAL("inherited", &p, fd, inherit(fd));
	IN_TERMINAL("left", &p, fd, {
		block(SIGHUP, SIGCONT, SIGHUP, SIGHUP);
		SHOW(ioctl(fd, TIOCNOTTY));
		show_pending("left");
		show_dev_tty("left");
		show_numbers("slave", fd);
		show_numbers("master", p.master);
		SHOW(ioctl(fd, TIOCSCTTY, 0));
	});
	close(other);
	close(q.master);
	close(p.master);
}

static void test_stealing(void)
{
	struct pty p = pty_open();
	int ready[2], go[2];
	pid_t owner;

	printf("-- another session's\n");
	make_pipe(ready);
	make_pipe(go);
	owner = fork_flushed();
	if (!owner) {
		int fd = (setsid(), open(p.name, O_RDWR));

		tell(ready);
		hear(go);
		show_dev_tty("owner");
		show_numbers("owner", fd);
		child_exit(0);
	}
	hear(ready);
	IN_SESSION("thief", {
		int fd = open(p.name, O_RDWR);

		show_dev_tty("opened");
		SHOW(ioctl(fd, TIOCSCTTY, 0));
		SHOW(ioctl(fd, TIOCSCTTY, 1));
		show_dev_tty("stolen");
		show_numbers("master", p.master);
	});
	tell(go);
	show_child("owner", owner);
	close(p.master);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
}

/* ---- who is in front ---------------------------------------------------------------------------- */

static void front(const struct pty *p, int fd, pid_t stranger)
{
	int number = -1, hold[2];
	pid_t pid;

	SHOW(ioctl(fd, TIOCSPGRP, &number));
	number = 0;
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	number = NOBODY;
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	number = stranger;
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	SHOW(ioctl(fd, TIOCSPGRP, BAD));
	SHOW(ioctl(fd, TIOCGPGRP, BAD));
	SHOW(ioctl(fd, TIOCGSID, BAD));
	make_pipe(hold);
	pid = fork_flushed();
	if (!pid) {
		hear(hold);
		child_exit(0);
	}
	setpgid(pid, pid);
	number = pid;
	SHOW(ioctl(p->master, TIOCSPGRP, &number));
	SHOW(tcgetpgrp(fd) == pid);
	show_stat("behind", fd);
	signal(SIGTTOU, SIG_IGN);
	number = getpgrp();
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	show_numbers("again", fd);
	number = pid;
	SHOW(ioctl(fd, TIOCSPGRP, &number));
	tell(hold);
	waitpid(pid, NULL, 0);
	/* The number of a group that is gone. */
	SHOW(tcgetpgrp(fd) == pid);
	SHOW(ioctl(fd, TIOCSPGRP, &number));
}

static void test_front(void)
{
	struct pty p = pty_open();
	pid_t stranger = fork_flushed();

	while (!stranger)
		pause();
	setpgid(stranger, stranger);
	printf("-- the group in front\n");
	IN_TERMINAL("front", &p, fd, front(&p, fd, stranger));
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
	close(p.master);
}

/* ---- what is typed -------------------------------------------------------------------------------- */

#define TYPED SIGINT, SIGQUIT, SIGTSTP, SIGWINCH

/* In this process for once both sides: the signals are blocked, and waited for. */
static void typing(const struct pty *p, int fd)
{
	struct termios mode;

	block(TYPED);
	set_mode(fd, ECHO, 0);
	SHOW(write(p->master, "\003", 1));
	await(TYPED);
	SHOW(write(p->master, "\034", 1));
	await(TYPED);
	SHOW(write(p->master, "\032", 1));
	await(TYPED);
	SHOW(write(p->master, "lost\003kept\n", 10));
	await(TYPED);
	show_read("after ^C", fd);
	SHOW(write(p->master, "a\026\003b\n", 5));
	show_pending("quoted");
	show_read("quoted", fd);
	/* Quoted across two writes. */
	SHOW(write(p->master, "c\026", 2));
	SHOW(write(p->master, "\003d\n", 3));
	show_pending("quoted");
	show_read("quoted", fd);
	SHOW(write(p->master, "one\003two\034three\n", 15));
	await(TYPED);
	await(TYPED);
	show_read("after both", fd);
	set_mode(fd, ISIG, 0);
	SHOW(write(p->master, "x\003y\n", 4));
	show_pending("without ISIG");
	show_read("without ISIG", fd);
	set_mode(fd, 0, ISIG | NOFLSH);
	SHOW(write(p->master, "early\nx\003y\n", 10));
	await(TYPED);
	show_read("NOFLSH", fd);
	show_read("NOFLSH", fd);
	set_mode(fd, NOFLSH, 0);
	tcgetattr(fd, &mode);
	mode.c_cc[VINTR] = 'i';
	mode.c_cc[VQUIT] = 0;
	tcsetattr(fd, TCSANOW, &mode);
	SHOW(write(p->master, "^\003\034i.\n", 6));
	await(TYPED);
	show_pending("other characters");
	show_read("other characters", fd);
}

static void test_typing(void)
{
	struct pty p = pty_open();

	printf("-- what is typed\n");
	IN_TERMINAL("typing", &p, fd, typing(&p, fd));
	IN_TERMINAL("TIOCSIG", &p, fd, {
		block(TYPED);
		SHOW(ioctl(p.master, TIOCSIG, SIGINT));
		await(TYPED);
		SHOW(ioctl(p.master, TIOCSIG, SIGTSTP));
		await(TYPED);
		SHOW(ioctl(p.master, TIOCSIG, SIGHUP));
		SHOW(ioctl(p.master, TIOCSIG, 0));
		SHOW(ioctl(fd, TIOCSIG, SIGINT));
	});
	/* Nobody is there. */
	SHOW(write(p.master, "\003", 1));
	SHOW(ioctl(p.master, TIOCSIG, SIGINT));
	close(p.master);
}

static int answer_fd;

static void on_interrupt(int number)
{
	(void)number;
	if (write(answer_fd, "answer\n", 7) != 7)
		_exit(4);
}

#define ROUNDS 50

/* What the signalled program writes at once must arrive: it is no part of what ^C throws away. */
static void test_answers(void)
{
	struct pty p = pty_open();
	int ready[2], i, whole = 0;
	pid_t pid;

	printf("-- answers to ^C\n");
	make_pipe(ready);
	pid = fork_flushed();
	if (!pid) {
		setsid();
		answer_fd = open(p.name, O_RDWR);
		signal(SIGINT, on_interrupt);
		tell(ready);
		for (;;)
			pause();
	}
	hear(ready);
	for (i = 0; i < ROUNDS; i++) {
		char text[256];
		ssize_t have = 0, n;

		text[0] = 0;
		if (write(p.master, i % 2 ? "typed\n\003" : "\003", i % 2 ? 7 : 1) < 1)
			break;
		while (!strstr(text, "answer\r\n")) {
			n = read(p.master, text + have, sizeof(text) - 1 - (size_t)have);
			if (n <= 0)
				break;
			have += n;
			text[have] = 0;
		}
		whole += strstr(text, "^Canswer\r\n") != NULL;
	}
	printf("%d of %d\n", whole, ROUNDS);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	close(p.master);
}

/* ---- sizes ---------------------------------------------------------------------------------------- */

static void set_size(int fd, unsigned short rows)
{
	struct winsize size = { .ws_row = rows, .ws_col = 80 };

	SHOW(ioctl(fd, TIOCSWINSZ, &size));
}

static void test_sizes(void)
{
	struct pty p = pty_open();

	printf("-- sizes\n");
	IN_TERMINAL("sizes", &p, fd, {
		block(TYPED);
		set_size(p.master, 30);
		await(TYPED);
		set_size(p.master, 30);
		show_pending("the same");
		set_size(fd, 40);
		await(TYPED);
		SHOW(ioctl(fd, TIOCSWINSZ, BAD));
	});
	close(p.master);
}

/* ---- small questions ------------------------------------------------------------------------------------ */

static void show_value(const char *what, int fd, unsigned long request)
{
	int value = -7;

	if (ioctl(fd, request, &value))
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %d\n", what, value);
}

static void test_questions(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), on = 1, off = 0, fd;
	char text[16];

	printf("-- questions\n");
	show_value("TIOCGPTLCK", master, TIOCGPTLCK);
	SHOW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	SHOW(ioctl(master, TIOCSPTLCK, &off));
	show_value("TIOCGPTLCK", master, TIOCGPTLCK);
	fd = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	show_value("TIOCGPTLCK of the slave", fd, TIOCGPTLCK);
	show_value("TIOCGPKT", master, TIOCGPKT);
	SHOW(ioctl(master, TIOCPKT, &on));
	SHOW(ioctl(fd, TIOCPKT, &on));
	show_value("TIOCGPKT", master, TIOCGPKT);
	SHOW(write(fd, "text", 4));
	show_read("packet", master);
	SHOW(tcflush(fd, TCIFLUSH));
	show_read("packet", master);
	SHOW(ioctl(master, TIOCPKT, &off));
	show_value("TIOCGETD", fd, TIOCGETD);
	show_value("TIOCGEXCL", fd, TIOCGEXCL);
	SHOW(ioctl(fd, TIOCEXCL));
	show_value("TIOCGEXCL", fd, TIOCGEXCL);
	SHOW(ioctl(fd, TIOCNXCL));
	SHOW(ioctl(fd, TCSBRKP, 1));
	SHOW(ioctl(fd, TIOCPKT, BAD));
	SHOW(ioctl(master, TIOCPKT, BAD));
	SHOW(write(fd, "end\n", 4));
	show_until("plain", master, "end\r\n");
	close(fd);
	SHOW(read(master, text, sizeof(text)));
	close(master);
}

int main(void)
{
	test_nobodys();
	test_taking();
	test_stealing();
	test_front();
	test_typing();
	test_answers();
	test_sizes();
	test_questions();
	return 0;
}
