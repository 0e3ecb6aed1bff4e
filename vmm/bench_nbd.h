/* SPDX-License-Identifier: MIT */
/* An NBD server of our own: nbdkit with a memory disk, on a socket of the file system. */
#ifndef VMM_BENCH_NBD_H
#define VMM_BENCH_NBD_H

#include <umm/types.h>

#include "vmm/errmsg.h"

struct bench_nbd {
	pid_t pid; /* 0: none */
	char socket[100];
};

/* -ENOENT: there is no nbdkit. The socket is DIR/nbd.sock. */
int bench_nbd_start(struct bench_nbd *n, const char *dir, uint64_t bytes,
		    struct errmsg *e) UMM_MUST_CHECK;
/* No-op if it was not started. */
void bench_nbd_stop(struct bench_nbd *n);

#endif
