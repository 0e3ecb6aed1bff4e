/* SPDX-License-Identifier: MIT */
#include "vmm/config_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/size.h"

/* As the kernel's tables have it: 10 is local, 255 means unreachable. */
#define DISTANCE_LOCAL 10
#define DISTANCE_MAX   254
#define WEIGHT_MAX     255
/* The smallest guest node (vmm/memory.c). */
#define NODE_MEM_MIN (4ull << 20)

bool config_node_name(const char *name, unsigned int *node)
{
	unsigned long v;
	char *end;

	if (strncmp(name, "node", 4) || name[4] < '0' || name[4] > '9')
		return false;
	v = strtoul(name + 4, &end, 10);
	if (*end || v >= UMM_MAX_NODES || (name[4] == '0' && name[5]))
		return false;
	*node = (unsigned int)v;
	return true;
}

/* A whole number from @min to @max. */
static int number_of(const config_setting_t *s, long min, long max, long *out, struct errmsg *why)
{
	const char *name = config_setting_name(s);

	if (config_setting_type(s) != CONFIG_TYPE_INT)
		return errmsg_set(why, -EINVAL, "%s: write a whole number from %ld to %ld",
				  name ? name : "distance", min, max);
	*out = config_setting_get_int(s);
	if (*out < min || *out > max)
		return errmsg_set(why, -EINVAL, "%s: %ld is not from %ld to %ld",
				  name ? name : "distance", *out, min, max);
	return 0;
}

static int apply_mem(struct node_wish *w, const config_setting_t *s, struct errmsg *why)
{
	const char *text = config_setting_get_string(s);

	if (!text)
		return errmsg_set(why, -EINVAL, "mem: write a size in quotes, as in \"512M\"");
	if (size_parse(text, &w->bytes))
		return errmsg_set(why, -EINVAL, "mem: '%s' is no size; write 64M, 512M, 1G", text);
	if (w->bytes < NODE_MEM_MIN)
		return errmsg_set(why, -EINVAL, "mem: a node needs at least 4M");
	return 0;
}

static int apply_distance(struct node_wish *w, unsigned int node, const config_setting_t *s,
			  const config_setting_t **where, struct errmsg *why)
{
	int nr = config_setting_length(s), rc = 0;
	bool list = config_setting_is_aggregate(s) && !config_setting_is_group(s);
	long d;

	if (!list || nr < 1 || nr > UMM_MAX_NODES)
		return errmsg_set(why, -EINVAL,
				  "distance: write one number a node, as in [ 10, 20 ]");
	for (int i = 0; i < nr; i++) {
		bool self = (unsigned int)i == node;

		*where = config_setting_get_elem(s, (unsigned int)i);
		rc = number_of(*where, DISTANCE_LOCAL, DISTANCE_MAX, &d, why);
		if (rc)
			return rc;
		if (self != (d == DISTANCE_LOCAL))
			return errmsg_set(why, -EINVAL,
					  "distance: node%u is at distance 10 of itself, and of no "
					  "other node",
					  node);
		w->distance[i] = (uint8_t)d;
	}
	w->nr_distances = (unsigned int)nr;
	return 0;
}

static int apply_one(struct node_wish *w, unsigned int node, const config_setting_t *s,
		     const config_setting_t **where, struct errmsg *why)
{
	const char *name = config_setting_name(s);
	long n = 0;
	int rc;

	if (!strcmp(name, "mem"))
		return apply_mem(w, s, why);
	if (!strcmp(name, "distance"))
		return apply_distance(w, node, s, where, why);
	if (!strcmp(name, "cpus")) {
		rc = number_of(s, 0, 1024, &n, why);
		w->cpus = (int)n;
	} else if (!strcmp(name, "host")) {
		rc = number_of(s, 0, 1023, &n, why);
		w->host = (int)n;
	} else if (!strcmp(name, "weight")) {
		rc = number_of(s, 1, WEIGHT_MAX, &n, why);
		w->weight = (unsigned int)n;
	} else {
		rc = errmsg_set(why, -EINVAL,
				"unknown key '%.64s'; a node has mem, cpus, distance, host, weight",
				name);
	}
	return rc;
}

int config_node_apply(struct run_options *o, unsigned int node, const config_setting_t *group,
		      const config_setting_t **where, struct errmsg *why)
{
	int rc = 0;

	*where = group;
	if (!config_setting_is_group(group))
		return errmsg_set(why, -EINVAL, "node%u: write a group, as in { mem = \"1G\"; }",
				  node);
	for (int i = 0; !rc && i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);

		*where = s;
		rc = apply_one(&o->node[node], node, s, where, why);
	}
	return rc;
}
