/* SPDX-License-Identifier: MIT */
/* Starting the first program of a guest, from where the guest is confined to. */
#ifndef VMM_LAUNCH_H
#define VMM_LAUNCH_H

#include "vmm/vm.h"

/*
 * Find @argv[0] as a shell does, in the tree of files that the guest will see, put umm
 * under its seccomp filter, and start it. CMD_OK, or the exit status of `umm run` with the reason in @e.
 */
int launch(struct vm *vm, char *const argv[], struct errmsg *e) UMM_MUST_CHECK;

#endif
