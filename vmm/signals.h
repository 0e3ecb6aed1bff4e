/* SPDX-License-Identifier: MIT */
/* Signals that `umm run` gets are the guest's. */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <pthread.h>
#include <signal.h>

#include "guest/guest.h"

struct signal_relay {
	struct guest *guest;
	sigset_t set;
	pthread_t thread;
	bool running;
};

/*
 * Block what is to be passed on, in this thread and those it will make: SIGINT,
 * SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGUSR2, as far as they are not
 * ignored (nohup). Ignore SIGPIPE and SIGXFSZ: a guest that writes to a
 * closed pipe, or past the limit of a file, must not end us. Call it before any
 * thread exists.
 */
void signal_relay_prepare(struct signal_relay *r);
/* Pass on from now on. 0 or -errno. */
int signal_relay_start(struct signal_relay *r, struct guest *guest) UMM_MUST_CHECK;
void signal_relay_stop(struct signal_relay *r);

#endif
