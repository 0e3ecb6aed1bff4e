/* SPDX-License-Identifier: MIT */
/* The other end of a guest's control socket. */
#ifndef VMM_CTL_CLIENT_H
#define VMM_CTL_CLIENT_H

#include <sys/types.h>

#include "vmm/ctl_io.h"
#include "vmm/errmsg.h"

#define CTL_SILENCE_SECONDS 5

struct ctl_client {
	int fd;
	struct ctl_reader reader;
	/* Called with each progress message; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* Called once in a call, if nothing came for CTL_SILENCE_SECONDS; may be NULL. */
	void (*silent)(void *arg, pid_t guest);
	void *arg;
	int timeout_ms; /* longest silence; -1: any, what long work needs */
};

/*
 * Connect to guest @name. -ENOENT: there is none, and @e names those that are
 * running, the nearest name first.
 */
int ctl_client_open(struct ctl_client *c, const char *name, struct errmsg *e) UMM_MUST_CHECK;
/* The same through a runtime directory that is open already, and without suggestions. */
int ctl_client_open_at(struct ctl_client *c, int dirfd, const char *name,
		       struct errmsg *e) UMM_MUST_CHECK;
void ctl_client_close(struct ctl_client *c);
/*
 * Ask the guest to stop what it does for ctl_client_call(), which then returns
 * with what was done. The client can ask nothing more. Safe in a signal handler.
 */
void ctl_client_stop(const struct ctl_client *c);

/*
 * Send @request (the reference is stolen) and wait for its reply. 0 with a new
 * reference in *result, or the guest's -errno and sentence.
 */
int ctl_client_call(struct ctl_client *c, json_t *request, json_t **result,
		    struct errmsg *e) UMM_MUST_CHECK;

#endif
