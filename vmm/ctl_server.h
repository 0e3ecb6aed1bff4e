/* SPDX-License-Identifier: MIT */
/*
 * The server of a guest's control socket: one thread waits for connections,
 * one more serves each. It knows nothing of guests: requests go to a handler.
 */
#ifndef VMM_CTL_SERVER_H
#define VMM_CTL_SERVER_H

#include <jansson.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

struct ctl_server;
struct ctl_conn;

/*
 * Do one request. 0 with *result (a reference for the server), or -errno with
 * a sentence in @e. Called by several threads at a time. @request is an object
 * with a string "op".
 */
typedef int (*ctl_handler)(void *ctx, struct ctl_conn *conn, const char *op, const json_t *request,
			   json_t **result, struct errmsg *e);

/*
 * Tell the client how far long work is, now and then whatever the rate of
 * calls. True: stop the work, the client has gone or the server is stopping.
 */
bool ctl_conn_progress(struct ctl_conn *conn, uint64_t done, uint64_t total);

/* Serve @listen_fd, which the server owns from here on, also on failure. */
int ctl_server_start(int listen_fd, ctl_handler handler, void *ctx, struct ctl_server **out,
		     struct errmsg *e) UMM_MUST_CHECK;

/* Ends all connections, waits for their threads. NULL is allowed. */
void ctl_server_stop(struct ctl_server *s);

#endif
