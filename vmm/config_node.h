/* SPDX-License-Identifier: MIT */
/* The groups `node0 = { mem = "1G"; cpus = 2; ... };' of a configuration file. */
#ifndef VMM_CONFIG_NODE_H
#define VMM_CONFIG_NODE_H

#include <libconfig.h>

#include "vmm/errmsg.h"
#include "vmm/run_options.h"

/* Is this key the name of such a group? *node is its number. */
bool config_node_name(const char *name, unsigned int *node);

/*
 * Put the group's settings into o->node[node]. 0, or -EINVAL: @why has the reason,
 * *where the setting that it is about.
 */
int config_node_apply(struct run_options *o, unsigned int node, const config_setting_t *group,
		      const config_setting_t **where, struct errmsg *why) UMM_MUST_CHECK;

#endif
