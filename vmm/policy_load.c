/* SPDX-License-Identifier: MIT */
#include "vmm/policy_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_path(const char *text)
{
	return strchr(text, '/');
}

static int no_such_policy(const char *text, struct errmsg *e)
{
	const struct reclaim_policy *p;
	char names[256] = "";

	for (unsigned int i = 0; (p = reclaim_policy_get(i)); i++) {
		size_t len = strlen(names);

		snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "", p->name);
	}
	return errmsg_set(e, -EINVAL,
			  "there is no policy '%.40s'; there are %s, and ./FILE.so (with a slash)",
			  text, names);
}

static int load_object(const char *path, const struct reclaim_policy **out, struct errmsg *e)
{
	const struct reclaim_policy *p;
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int ret;

	if (!object)
		return errmsg_set(e, -ENOEXEC,
				  "cannot load a policy: %.400s; cc -shared -fPIC makes what can "
				  "be loaded (docs/policies.md)",
				  dlerror());
	p = dlsym(object, RECLAIM_POLICY_SYMBOL);
	if (!p) {
		ret = errmsg_set(e, -ENOEXEC, "%.300s: no policy: it exports no '%s'", path,
				 RECLAIM_POLICY_SYMBOL);
		goto unload;
	}
	ret = reclaim_policy_check(p);
	if (!ret) {
		*out = p;
		return 0;
	}
	if (ret == -ENOEXEC)
		errmsg_set(e, ret,
			   "%.300s: made for policy ABI %u (%u bytes), this is ABI %u (%zu bytes); "
			   "compile it against this version's headers",
			   path, p->abi, p->size, RECLAIM_POLICY_ABI, sizeof(*p));
	else
		errmsg_set(e, ret,
			   "%.300s: its policy lacks a name or a function that must be there",
			   path);
unload:
	dlclose(object);
	return ret;
}

int policy_load(const char *text, const struct reclaim_policy **out, struct errmsg *e)
{
	if (is_path(text))
		return load_object(text, out, e);
	*out = reclaim_policy_find(text);
	return *out ? 0 : no_such_policy(text, e);
}

int policy_text_resolve(const char *text, char out[POLICY_TEXT_MAX + 1], struct errmsg *e)
{
	char path[PATH_MAX];

	if (!is_path(text)) {
		if (!reclaim_policy_find(text))
			return no_such_policy(text, e);
		snprintf(out, POLICY_TEXT_MAX + 1, "%s", text);
		return 0;
	}
	if (!realpath(text, path) || access(path, R_OK))
		return errmsg_set(e, -errno, "policy %.300s: %s", text, strerror(errno));
	if (strlen(path) > POLICY_TEXT_MAX)
		return errmsg_set(e, -ENAMETOOLONG, "policy %.300s: the path is too long", text);
	snprintf(out, POLICY_TEXT_MAX + 1, "%.*s", POLICY_TEXT_MAX, path);
	return 0;
}
