/* SPDX-License-Identifier: MIT */
#include "vmm/launch.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/confine.h"
#include "vmm/program.h"
#include "vmm/seccomp.h"

struct launch {
	struct vm *vm;
	char *const *argv;
	int status;
	struct errmsg *e;
};

static int start(struct vm *vm, char *const argv[], struct errmsg *e)
{
	char path[PATH_MAX], why[256] = "";
	int rc = program_find(argv[0], path, e);

	if (rc)
		return program_exit_status(rc);
	if (seccomp_start(vm->options.seccomp, e))
		return CMD_NOT_STARTED;
	rc = guest_spawn(vm->guest, path, argv, environ, why, sizeof(why));
	if (!rc)
		return CMD_OK;
	if (why[0])
		errmsg_set(e, rc, "%s", why);
	else
		errmsg_set(e, rc, "%s: %s", argv[0], strerror(-rc));
	return program_exit_status(rc);
}

/* The program's first thread is made by this one, and inherits its confinement. */
static void *start_confined(void *arg)
{
	struct launch *l = arg;

	l->status = confine_enter(&l->vm->options, l->e) ? CMD_NOT_STARTED
							 : start(l->vm, l->argv, l->e);
	return NULL;
}

int launch(struct vm *vm, char *const argv[], struct errmsg *e)
{
	struct launch l = { .vm = vm, .argv = argv, .e = e };
	pthread_t thread;
	int rc;

	if (!confine_wanted(&vm->options))
		return start(vm, argv, e);
	rc = -pthread_create(&thread, NULL, start_confined, &l);
	if (rc) {
		errmsg_set(e, rc, "no thread for the guest: %s", strerror(-rc));
		return CMD_NOT_STARTED;
	}
	pthread_join(thread, NULL);
	return l.status;
}
