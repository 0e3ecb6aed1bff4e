/* SPDX-License-Identifier: MIT */
#include "vmm/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config_node.h"
#include "vmm/suggest.h"

/* Nothing of use is longer, and libconfig reads a file of any length. */
#define CONFIG_MAX_BYTES (1 << 20)

/* "FILE:LINE: REASON" */
static int setting_error(const char *path, const config_setting_t *s, const char *reason,
			 struct errmsg *e)
{
	const char *file = config_setting_source_file(s);

	return errmsg_set(e, -EINVAL, "%s:%d: %s", file ? file : path,
			  (int)config_setting_source_line(s), reason);
}

static int unknown_key(const char *path, const config_setting_t *s, struct errmsg *e)
{
	const char *name = config_setting_name(s);
	const struct run_key *k;
	char reason[256];

	for (k = run_keys; k->name; k++)
		if (word_is_near(name, k->name))
			break;
	if (k->name)
		snprintf(reason, sizeof(reason), "unknown key '%.64s'; did you mean '%s'?", name,
			 k->name);
	else
		snprintf(reason, sizeof(reason), "unknown key '%.64s'; umm(1) lists them", name);
	return setting_error(path, s, reason, e);
}

static int apply_number(struct run_options *o, const struct run_key *key, const config_setting_t *s,
			struct errmsg *why)
{
	bool plain = config_setting_type(s) == CONFIG_TYPE_INT;
	long long n = plain ? config_setting_get_int(s) : config_setting_get_int64(s);

	/* libconfig 1.5 cuts a plain number to 32 bits without a word. */
	if (plain && key->kind == RUN_SIZE)
		return errmsg_set(why, -EINVAL, "%s: write a size in quotes, as in \"512M\"",
				  key->name);
	if (n < 0)
		return errmsg_set(why, -EINVAL, "%s: %lld is out of range", key->name, n);
	return run_option_set_number(o, key, (uint64_t)n, why);
}

/* One area, or a list of them. Whether it can be opened shows later: keep the line. */
static int apply_swap(const char *path, struct run_options *o, const struct run_key *key,
		      const config_setting_t *s, struct errmsg *e)
{
	bool list = config_setting_is_array(s) || config_setting_is_list(s);
	int nr = list ? config_setting_length(s) : 1;
	const config_setting_t *one = s;
	struct errmsg why, origin;
	const char *text;

	for (int i = 0; i < nr; i++) {
		if (list)
			one = config_setting_get_elem(s, (unsigned int)i);
		text = config_setting_get_string(one);
		if (!text)
			return setting_error(path, one,
					     "swap: write a string, or a list of strings", e);
		if (run_option_set(o, key, text, &why))
			return setting_error(path, one, why.text, e);
		setting_error(path, one, "", &origin);
		snprintf(o->swap.v[o->swap.nr - 1].origin, sizeof(o->swap.v[0].origin), "%.200s",
			 origin.text);
	}
	return 0;
}

static int apply_setting(struct run_options *o, const struct run_key *key,
			 const config_setting_t *s, struct errmsg *why)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		return run_option_set(o, key, config_setting_get_string(s), why);
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return apply_number(o, key, s, why);
	case CONFIG_TYPE_BOOL:
		if (key->kind != RUN_FLAG)
			return errmsg_set(why, -EINVAL, "%s: true or false will not do here",
					  key->name);
		run_option_set_flag(o, key, config_setting_get_bool(s));
		return 0;
	default:
		return errmsg_set(why, -EINVAL,
				  "%s: one number, string or truth value, no list, "
				  "group or fraction",
				  key->name);
	}
}

static int apply_all(const char *path, const config_t *cfg, struct run_options *o, struct errmsg *e)
{
	const config_setting_t *root = config_root_setting(cfg), *s, *where;
	const struct run_key *key;
	struct errmsg why;
	int i, rc, n = config_setting_length(root);
	unsigned int node;

	for (i = 0; i < n; i++) {
		s = config_setting_get_elem(root, (unsigned int)i);
		key = run_key_find(config_setting_name(s));
		if (!key && config_node_name(config_setting_name(s), &node)) {
			if (config_node_apply(o, node, s, &where, &why))
				return setting_error(path, where, why.text, e);
			continue;
		}
		if (!key)
			return unknown_key(path, s, e);
		if (key->kind == RUN_SWAP) {
			rc = apply_swap(path, o, key, s, e);
			if (rc)
				return rc;
			continue;
		}
		if (apply_setting(o, key, s, &why))
			return setting_error(path, s, why.text, e);
	}
	return 0;
}

/* libconfig tells a file that cannot be read only by "file I/O error". */
static int config_open(const char *path, FILE **out, struct errmsg *e)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		rc = -errno;
		errmsg_set(e, rc, "cannot read the configuration %s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = errmsg_set(e, -EINVAL, "%s: not a regular file", path);
	} else if (st.st_size > CONFIG_MAX_BYTES) {
		rc = errmsg_set(e, -EFBIG, "%s: too large for a configuration", path);
	} else {
		*out = fdopen(fd, "r");
		if (*out)
			return 0;
		rc = errmsg_set(e, -ENOMEM, "%s: out of memory", path);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int config_load(const char *path, struct run_options *o, struct errmsg *e)
{
	char dir[PATH_MAX];
	const char *file;
	config_t cfg;
	FILE *f;
	int rc;

	rc = config_open(path, &f, e);
	if (rc)
		return rc;
	snprintf(dir, sizeof(dir), "%s", path);
	config_init(&cfg);
	config_set_include_dir(&cfg, dirname(dir));
	if (config_read(&cfg, f) == CONFIG_TRUE) {
		rc = apply_all(path, &cfg, o, e);
	} else {
		file = config_error_file(&cfg);
		rc = errmsg_set(e, -EINVAL, "%s:%d: %s", file ? file : path,
				config_error_line(&cfg), config_error_text(&cfg));
	}
	config_destroy(&cfg);
	fclose(f);
	return rc;
}
