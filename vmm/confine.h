/* SPDX-License-Identifier: MIT */
/*
 * Confinement of a guest: umm run --root, --ro, --tmp, --no-net.
 *
 * Linux gives each *thread* its own tree of mounts, network and capabilities. The
 * threads that answer a guest's system calls, and only these, live in namespaces of
 * their own; threads that serve the control socket, swap files and so on stay where
 * umm was started. So whatever name a program gives, and whatever is renamed or linked
 * meanwhile, is looked up by the host's kernel in a tree that has nothing else in it.
 *
 *	--root DIR   DIR with all that is mounted below it, made the root by pivot_root();
 *	             the old root is detached, so nothing leads back
 *	--ro         every mount of it read-only, and without devices
 *	either       file systems of the kernel (/proc; all of them unless read-only) are
 *	             covered by empty folders; where there is a folder /dev, it is replaced by
 *	             null, zero, full, random, urandom, tty, ptys and an empty shm
 *	--tmp        an empty /tmp of the guest's own
 *	--no-net     a network with nothing but a loopback of its own, which abstract Unix
 *	             sockets belong to as well; guest/sys_socket.c does the rest
 *
 * /proc is made by guest/procfs.c, and descriptors to the host's are kept from programs
 * (guest/host_dir.h). Capabilities that could undo any of it are dropped.
 */
#ifndef VMM_CONFINE_H
#define VMM_CONFINE_H

#include "vmm/run_options.h"

/* Does the guest see another tree of files than umm? */
bool confine_files(const struct run_options *o);
/* Anything of it at all. */
bool confine_wanted(const struct run_options *o);

/*
 * To be called before umm has a second thread: opens what confined threads need, and
 * enters a user namespace if umm's user may not make the others. 0, or -errno with the
 * reason.
 */
int confine_prepare(const struct run_options *o, struct errmsg *e) UMM_MUST_CHECK;

/*
 * Confine the calling thread, and thereby all that it makes from now on. There is no way
 * back. 0, or -errno with the reason: the thread is then good for nothing.
 */
int confine_enter(const struct run_options *o, struct errmsg *e) UMM_MUST_CHECK;

/* vmm/confine_mounts.c: the files' part of confine_enter(), in a mount namespace already. */
int confine_mounts(const struct run_options *o, struct errmsg *e) UMM_MUST_CHECK;

#endif
