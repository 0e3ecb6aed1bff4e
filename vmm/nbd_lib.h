/* SPDX-License-Identifier: MIT */
/*
 * libnbd, loaded when the first NBD area is opened: it brings twenty other libraries
 * along, and every start of umm would wait 7 ms for them.
 */
#ifndef VMM_NBD_LIB_H
#define VMM_NBD_LIB_H

#include <libnbd.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

/* What is called, without the nbd_ of the names. */
#define NBD_FUNCTIONS(X)     \
	X(aio_connect_uri)   \
	X(aio_get_direction) \
	X(aio_get_fd)        \
	X(aio_is_closed)     \
	X(aio_is_connecting) \
	X(aio_is_dead)       \
	X(aio_is_ready)      \
	X(aio_notify_read)   \
	X(aio_notify_write)  \
	X(aio_pread)         \
	X(aio_pwrite)        \
	X(aio_trim)          \
	X(can_multi_conn)    \
	X(can_trim)          \
	X(close)             \
	X(create)            \
	X(get_errno)         \
	X(get_error)         \
	X(get_size)          \
	X(is_read_only)      \
	X(set_pread_initialize)

struct nbd_functions {
#define X(name) __typeof__(nbd_##name) *name;
	NBD_FUNCTIONS(X)
#undef X
};

/* Valid after nbd_lib_load(). */
extern struct nbd_functions nbd_lib;

/* 0, also if it is loaded already; -ENOENT with the reason. Any thread. */
int nbd_lib_load(struct errmsg *e) UMM_MUST_CHECK;

#endif
