/* SPDX-License-Identifier: MIT */
#include "vmm/signals.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Ends the thread; nobody else sends it, so one from outside is just passed on as well. */
#define STOP_SIGNAL SIGRTMIN

static const int passed_on[] = { SIGINT,   SIGTERM, SIGHUP,  SIGQUIT,
				 SIGWINCH, SIGCONT, SIGUSR2, SIGTSTP };

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return !sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

void signal_relay_prepare(struct signal_relay *r)
{
	unsigned int i;

	memset(r, 0, sizeof(*r));
	sigemptyset(&r->set);
	for (i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		if (!is_ignored(passed_on[i]))
			sigaddset(&r->set, passed_on[i]);
	sigaddset(&r->set, STOP_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &r->set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static void *relay_thread(void *arg)
{
	struct signal_relay *r = arg;
	int sig;

	for (;;) {
		if (sigwait(&r->set, &sig))
			continue;
		if (sig == STOP_SIGNAL)
			return NULL;
		if (sig == SIGTSTP && guest_stops_by_default(r->guest))
			guest_stop_vmm();
		else
			guest_signal(r->guest, sig);
	}
}

int signal_relay_start(struct signal_relay *r, struct guest *guest)
{
	r->guest = guest;
	if (pthread_create(&r->thread, NULL, relay_thread, r))
		return -EAGAIN;
	r->running = true;
	return 0;
}

void signal_relay_stop(struct signal_relay *r)
{
	if (!r->running)
		return;
	pthread_kill(r->thread, STOP_SIGNAL);
	pthread_join(r->thread, NULL);
	r->running = false;
}
