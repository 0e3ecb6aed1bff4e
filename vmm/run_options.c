/* SPDX-License-Identifier: MIT */
#include "vmm/run_options.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "vmm/size.h"

/* A node with less could not hold the tables and the first pages of a program. */
#define MEM_MIN         (4ull << 20)
#define MEM_MAX         (16ull << 40)
#define MEM_DEFAULT_MAX (4ull << 30)

#define CPUS_MAX 1024

#define KEY(member) .name = #member, .offset = offsetof(struct run_options, member)

const struct run_key run_keys[] = {
	{ KEY(name), .kind = RUN_NAME },
	{ KEY(mem), .kind = RUN_SIZE, .min = MEM_MIN, .max = MEM_MAX },
	{ KEY(max_mem), .kind = RUN_SIZE, .min = MEM_MIN, .max = MEM_MAX },
	{ KEY(nodes), .kind = RUN_COUNT, .min = 1, .max = UMM_MAX_NODES },
	{ KEY(cpus), .kind = RUN_COUNT, .min = 1, .max = CPUS_MAX },
	{ KEY(thp), .kind = RUN_THP },
	{ KEY(fault_around), .kind = RUN_COUNT, .min = 1, .max = UMM_PTRS_PER_TABLE },
	{ KEY(watermark_scale), .kind = RUN_COUNT, .min = 1, .max = WATERMARK_SCALE_MAX },
	{ KEY(swap), .kind = RUN_SWAP },
	{ KEY(holes), .kind = RUN_HOLES },
	{ KEY(resident), .kind = RUN_SIZE, .min = MEM_MIN, .max = MEM_MAX },
	{ KEY(balance), .kind = RUN_POLICY, .min = PLACEMENT_BALANCE },
	{ KEY(tier), .kind = RUN_POLICY, .min = PLACEMENT_TIER },
	{ KEY(policy), .kind = RUN_RECLAIM_POLICY },
	{ KEY(slow_nodes), .kind = RUN_NODES },
	{ KEY(stat), .kind = RUN_PATH },
	{ KEY(root), .kind = RUN_PATH },
	{ KEY(ro), .kind = RUN_FLAG },
	{ KEY(tmp), .kind = RUN_FLAG },
	{ KEY(no_net), .kind = RUN_FLAG },
	{ KEY(seccomp), .kind = RUN_SECCOMP },
	{ KEY(strace), .kind = RUN_FLAG },
	{ KEY(verbose), .kind = RUN_FLAG },
	{ KEY(no_hugepages), .kind = RUN_FLAG },
	{ .name = NULL },
};

const struct run_key *run_key_find(const char *name)
{
	const struct run_key *k;

	for (k = run_keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

/* What programs may still have, the page cache included, which gives way. */
static uint64_t host_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (uint64_t)kib << 10;
}

static uint64_t default_mem(void)
{
	uint64_t mem = host_available() / 2 & ~(UMM_PMD_SIZE - 1);

	if (mem > MEM_DEFAULT_MAX)
		mem = MEM_DEFAULT_MAX;
	return mem < MEM_MIN ? MEM_MIN : mem;
}

void run_options_default(struct run_options *o)
{
	cpu_set_t set;

	memset(o, 0, sizeof(*o));
	o->mem = default_mem();
	for (int i = 0; i < UMM_MAX_NODES; i++)
		o->node[i] = NODE_WISH_NONE;
	o->cpus = 1;
	if (!sched_getaffinity(0, sizeof(set), &set))
		o->cpus = (uint64_t)CPU_COUNT(&set);
	thp_spec_default(&o->thp);
	o->fault_around = UMM_PTRS_PER_TABLE;
	o->watermark_scale = WATERMARK_SCALE_DEFAULT;
}

static void *option_field(struct run_options *o, const struct run_key *key)
{
	return (char *)o + key->offset;
}

int run_option_set_number(struct run_options *o, const struct run_key *key, uint64_t value,
			  struct errmsg *e)
{
	char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX];

	if (key->kind != RUN_SIZE && key->kind != RUN_COUNT)
		return errmsg_set(e, -EINVAL, "%s: a number will not do here; write %s", key->name,
				  key->kind == RUN_FLAG ? "true or false" : "a string");
	if (value >= key->min && value <= key->max) {
		*(uint64_t *)option_field(o, key) = value;
		return 0;
	}
	if (key->kind == RUN_SIZE)
		return errmsg_set(e, -EINVAL, "%s: from %s to %s", key->name,
				  size_format(key->min, low), size_format(key->max, high));
	return errmsg_set(e, -EINVAL, "%s: from %lu to %lu", key->name, key->min, key->max);
}

void run_option_set_flag(struct run_options *o, const struct run_key *key, bool value)
{
	*(bool *)option_field(o, key) = value;
}

static int option_set_name(struct run_options *o, const char *value, struct errmsg *e)
{
	struct errmsg why;

	if (guest_name_check(value, &why))
		return errmsg_set(e, -EINVAL, "name: %.200s", why.text);
	snprintf(o->name, sizeof(o->name), "%s", value);
	return 0;
}

static int option_set_policy(struct run_options *o, const struct run_key *key, const char *value,
			     struct errmsg *e)
{
	struct errmsg why;

	if (placer_check((enum placement_kind)key->min, value, &why))
		return errmsg_set(e, -EINVAL, "%s: %.200s", key->name, why.text);
	snprintf(option_field(o, key), POLICY_NAME_MAX + 1, "%s", value);
	return 0;
}

static int option_set_reclaim_policy(struct run_options *o, const char *value, struct errmsg *e)
{
	struct errmsg why;
	int rc = policy_text_resolve(value, o->policy, &why);

	return rc ? errmsg_set(e, -EINVAL, "policy: %.400s", why.text) : 0;
}

static int option_set_nodes(struct run_options *o, const struct run_key *key, const char *value,
			    struct errmsg *e)
{
	struct errmsg why;

	if (node_list_parse(value, option_field(o, key), &why))
		return errmsg_set(e, -EINVAL, "%s: %.200s", key->name, why.text);
	return 0;
}

static int option_set_path(struct run_options *o, const struct run_key *key, const char *value,
			   struct errmsg *e)
{
	if (!*value || strlen(value) >= PATH_MAX)
		return errmsg_set(e, -EINVAL, "%s: the file's name is %s", key->name,
				  *value ? "too long" : "missing");
	snprintf(option_field(o, key), PATH_MAX, "%s", value);
	return 0;
}

int run_option_set(struct run_options *o, const struct run_key *key, const char *value,
		   struct errmsg *e)
{
	uint64_t number;
	int rc;

	switch (key->kind) {
	case RUN_NAME:
		return option_set_name(o, value, e);
	case RUN_SWAP:
		return swap_specs_add(&o->swap, value, e);
	case RUN_HOLES:
		o->holes.nr = 0;
		return swap_specs_add(&o->holes, value, e);
	case RUN_POLICY:
		return option_set_policy(o, key, value, e);
	case RUN_RECLAIM_POLICY:
		return option_set_reclaim_policy(o, value, e);
	case RUN_NODES:
		return option_set_nodes(o, key, value, e);
	case RUN_SECCOMP:
		if (!seccomp_mode_parse(value, &o->seccomp))
			return 0;
		return errmsg_set(e, -EINVAL, "%s: on, off or log, not '%.100s'", key->name, value);
	case RUN_PATH:
		return option_set_path(o, key, value, e);
	case RUN_THP:
		return thp_spec_parse(value, &o->thp, e);
	case RUN_SIZE:
		rc = size_parse(value, &number);
		if (rc == -EINVAL)
			return errmsg_set(e, rc, "%s: '%s' is no size; write 64K, 512M, 1G",
					  key->name, value);
		return run_option_set_number(o, key, rc ? UINT64_MAX : number, e);
	case RUN_COUNT:
		rc = number_parse(value, UINT64_MAX, &number);
		if (rc == -EINVAL)
			return errmsg_set(e, rc, "%s: '%s' is no number", key->name, value);
		return run_option_set_number(o, key, rc ? UINT64_MAX : number, e);
	case RUN_FLAG:
		break;
	}
	return errmsg_set(e, -EINVAL, "%s: true or false, not '%s'", key->name, value);
}

static bool node_wished(const struct node_wish *w)
{
	return w->bytes || w->cpus >= 0 || w->host >= 0 || w->weight || w->nr_distances;
}

/* Nodes that are told of make the number of nodes, or must fit it. */
static int complete_nodes(struct run_options *o, struct errmsg *e)
{
	uint64_t told = 0;

	for (unsigned int i = 0; i < UMM_MAX_NODES; i++)
		if (node_wished(&o->node[i]))
			told = i + 1;
	if (!o->nodes)
		o->nodes = told ? told : 1;
	if (told > o->nodes)
		return errmsg_set(e, -EINVAL, "nodes: there is a node%lu, but only %lu nodes",
				  told - 1, o->nodes);
	for (unsigned int i = 0; i < o->nodes; i++)
		if (o->node[i].nr_distances && o->node[i].nr_distances != o->nodes)
			return errmsg_set(e, -EINVAL, "node%u: distance: %u numbers for %lu nodes",
					  i, o->node[i].nr_distances, o->nodes);
	return 0;
}

/* Processors of the nodes: their sum, if all say how many; else what is left is dealt out. */
static int complete_cpus(struct run_options *o, struct errmsg *e)
{
	uint64_t sum = 0, silent = 0;

	for (unsigned int i = 0; i < o->nodes; i++) {
		silent += o->node[i].cpus < 0;
		sum += o->node[i].cpus < 0 ? 0 : (uint64_t)o->node[i].cpus;
	}
	if (!silent)
		o->cpus = sum;
	if (!o->cpus || o->cpus > CPUS_MAX)
		return errmsg_set(e, -EINVAL, "cpus: the nodes have %lu, from 1 to %d are possible",
				  sum, CPUS_MAX);
	if (sum > o->cpus)
		return errmsg_set(e, -EINVAL, "cpus: the nodes have %lu, the guest has %lu", sum,
				  o->cpus);
	return 0;
}

/* Sizes of nodes: what they leave of `mem' is for the others; if all have one, they make it. */
static int complete_mem(struct run_options *o, struct errmsg *e)
{
	uint64_t sum = 0, silent = 0;
	char text[SIZE_TEXT_MAX];

	for (unsigned int i = 0; i < o->nodes; i++) {
		silent += !o->node[i].bytes;
		sum += o->node[i].bytes;
	}
	if (!silent)
		o->mem = sum;
	if (silent && (o->mem < sum || (o->mem - sum) / silent < MEM_MIN))
		return errmsg_set(e, -EINVAL, "mem: each of %lu nodes needs at least %s", o->nodes,
				  size_format(MEM_MIN, text));
	if (!o->max_mem)
		o->max_mem = o->mem;
	if (o->max_mem < o->mem)
		return errmsg_set(e, -EINVAL, "max_mem: %s is less than mem",
				  size_format(o->max_mem, text));
	if (o->max_mem > o->mem && silent < o->nodes)
		return errmsg_set(e, -EINVAL, "max_mem: give the nodes no sizes of their own then");
	return 0;
}

int run_options_complete(struct run_options *o, struct errmsg *e)
{
	int rc = complete_nodes(o, e);

	if (!rc && o->resident && !o->holes.nr)
		return errmsg_set(e, -EINVAL, "resident: needs holes as well (--holes AREA)");
	if (!rc)
		rc = complete_cpus(o, e);
	return rc ? rc : complete_mem(o, e);
}
