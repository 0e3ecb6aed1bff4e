/* SPDX-License-Identifier: MIT */
#include "vmm/nbd_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#define LIBRARY "libnbd.so.0"

struct nbd_functions nbd_lib;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct errmsg failure; /* of the first try; empty: there */

static void load(void)
{
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *missing = NULL;

	if (!lib) {
		errmsg_set(&failure, 0, "%s; install the package libnbd0", dlerror());
		return;
	}
#define X(name)                                             \
	*(void **)&nbd_lib.name = dlsym(lib, "nbd_" #name); \
	if (!nbd_lib.name)                                  \
		missing = "nbd_" #name;
	NBD_FUNCTIONS(X)
#undef X
	if (missing)
		errmsg_set(&failure, 0, "%s has no %s: it is too old", LIBRARY, missing);
}

int nbd_lib_load(struct errmsg *e)
{
	pthread_once(&once, load);
	return failure.text[0] ? errmsg_set(e, -ENOENT, "swap: %s", failure.text) : 0;
}
