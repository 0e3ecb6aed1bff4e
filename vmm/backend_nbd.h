/* SPDX-License-Identifier: MIT */
/*
 * Swap on a server that speaks NBD; shared by backend_nbd.c (the area), nbd_conn.c
 * (connections) and nbd_trim.c (telling the server what is free).
 *
 * Transfers are cut into requests of up to 128 KiB and queued. Each connection is a
 * thread that takes from the queue as much as it may have under way, and asks the
 * server for all of it at once; who asked for the transfers waits.
 *
 * A server that is lost costs time, then errors, never data: requests that were under
 * way go back into the queue, where any connection may take them (doing one twice does
 * no harm). When no connection is left, they wait for `wait' seconds, and then each is an
 * error for who asked. Connections are made again for ever, with growing pauses.
 *
 * What a server hands out after that may not be what it was given: it may have started
 * anew with nothing. So each slot has a checksum here, and a page that does not match
 * is an error too. And a page that the guest still has in memory beside it must not be
 * dropped as clean any more: slots that were written before the last connection was
 * lost are doubtful until they are written again.
 *
 * Locks: `lock' guards all but checksums and ages, which belong to who owns the slot.
 */
#ifndef VMM_BACKEND_NBD_H
#define VMM_BACKEND_NBD_H

#include <pthread.h>
#include <stdatomic.h>
#include <umm/list.h>

#include "vmm/nbd_lib.h"
#include "vmm/swap_backend.h"

#define NBD_PIECE     (128u << 10) /* bytes a request; so that one transfer uses all connections */
#define NBD_DEPTH     16u          /* requests under way a connection */
#define NBD_CONNS_MAX 16u

/* What one call of run() waits for. */
struct nbd_call {
	pthread_cond_t done;
	unsigned int left; /* requests */
};

struct nbd_request {
	struct list_head link; /* of the queue, or of a connection */
	struct nbd_call *call; /* NULL: a trim, which nobody waits for */
	struct swap_io *io;
	uint8_t *buf;
	uint64_t offset, len;
	bool write, queued, answered;
	int error;
	uint64_t deadline;  /* while no server is there */
	uint64_t issued_at; /* CLOCK_MONOTONIC ns, as all times */
};

struct nbd_conn {
	struct backend_nbd *n;
	struct nbd_handle *h; /* its thread's */
	pthread_t thread;
	bool started, alive;
	int wake_fd;
	struct list_head busy; /* requests under way; its thread's */
	unsigned int nr_busy;
};

struct backend_nbd {
	struct swap_backend base;
	char uri[PATH_MAX];
	uint64_t wait_ns, hang_ns;
	uint32_t *sum; /* by slot; 0: nothing there */
	uint32_t *age; /* by slot: `losses' when it was written */
	bool can_trim;

	pthread_mutex_t lock;
	pthread_condattr_t clock; /* CLOCK_MONOTONIC */
	struct list_head queue;
	unsigned int nr_conns, nr_alive;
	bool stop;
	pthread_cond_t retry; /* connections that are not alive wait here, to stop early */
	struct nbd_conn conns[NBD_CONNS_MAX];

	/* nbd_trim.c */
	_Atomic uint64_t *freed; /* bit a slot */
	_Atomic uint64_t nr_freed;
	uint64_t trim_next;           /* word to look at first */
	uint64_t trim_first, trim_nr; /* slots of the trim that is under way */
	struct nbd_request trim_request;
	pthread_cond_t trimmed;

	_Atomic uint64_t losses, retries, mismatches, trimmed_pages;
};

uint64_t nbd_now(void);

/* A connected handle. 0, or -errno with the reason. */
int nbd_connect(const struct backend_nbd *n, struct nbd_handle **out,
		struct errmsg *e) UMM_MUST_CHECK;
/* Start the thread of a connection. It owns @h, which may be NULL: it connects by itself. */
int nbd_conn_start(struct backend_nbd *n, struct nbd_conn *c, struct nbd_handle *h) UMM_MUST_CHECK;
/* lock held: somebody takes what was queued. */
void nbd_conns_wake(struct backend_nbd *n, unsigned int nr);
/* lock held: into the queue, or out of it. */
void nbd_request_queue(struct backend_nbd *n, struct nbd_request *r, bool first);
void nbd_request_dequeue(struct nbd_request *r);
/* lock held: @r is over, by @error. */
void nbd_request_end(struct nbd_request *r, int error);

/* A trim if one is worth its while now: NULL if not. lock held. */
struct nbd_request *nbd_trim_take(struct backend_nbd *n, bool idle);
/* It is over. lock held. */
void nbd_trim_end(struct backend_nbd *n, int error);
/* The slots are about to be written: no trim may hit them. No lock held. */
void nbd_trim_forget(struct backend_nbd *n, uint64_t slot, uint32_t nr);
void nbd_trim_freed(struct backend_nbd *n, uint64_t slot, uint32_t nr);

#endif
