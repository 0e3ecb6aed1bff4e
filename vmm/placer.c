/* SPDX-License-Identifier: MIT */
#include "vmm/placer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the thread ---------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t placer_tick(void *arg)
{
	struct placer *p = arg;

	return mm_placement_tick(p->sys, now_ns());
}

void placer_init(struct placer *p, struct mm_sys *sys)
{
	memset(p, 0, sizeof(*p));
	p->sys = sys;
	pthread_mutex_init(&p->lock, NULL);
}

void placer_destroy(struct placer *p)
{
	if (!p->sys)
		return;
	ticker_stop(&p->ticker);
	pthread_mutex_destroy(&p->lock);
}

static int start_thread(struct placer *p, struct errmsg *e)
{
	struct ticker_work work = { .tick = placer_tick, .arg = p };
	int rc = 0;

	pthread_mutex_lock(&p->lock);
	if (!p->ticker.running)
		rc = ticker_start(&p->ticker, &work);
	pthread_mutex_unlock(&p->lock);
	return rc ? errmsg_set(e, rc, "no thread to place memory: %s", strerror(-rc)) : 0;
}

/* ---- switching ----------------------------------------------------------- */

static const char *first_policy(enum placement_kind kind)
{
	const struct placement_policy *p;

	for (unsigned int i = 0; (p = placement_policy_get(i)); i++)
		if (p->kind == kind)
			return p->name;
	return "";
}

int placer_check(enum placement_kind kind, const char *name, struct errmsg *e)
{
	const struct placement_policy *p;
	char names[256] = "";
	size_t len;

	if (!strcmp(name, "on") || !strcmp(name, "off") || placement_policy_find(kind, name))
		return 0;
	for (unsigned int i = 0; (p = placement_policy_get(i)); i++) {
		len = strlen(names);
		if (p->kind == kind)
			snprintf(names + len, sizeof(names) - len, ", %s", p->name);
	}
	return errmsg_set(e, -EINVAL, "there is no policy '%.40s'; there are on, off%s", name,
			  names);
}

static int explain(enum placement_kind kind, int rc, const struct mm_sys *sys, struct errmsg *e)
{
	if (rc == -ENODEV && mm_sys_nr_nodes(sys) < 2)
		return errmsg_set(e, rc, "the guest has one node only; give it more with --nodes");
	if (rc == -ENODEV)
		return errmsg_set(e, rc, "no node is known to be slow: name one with %s",
				  "--slow (umm tier) or --slow-nodes (umm run)");
	return errmsg_set(e, rc, "cannot switch %s: %s", placement_kind_name(kind), strerror(-rc));
}

int placer_set(struct placer *p, enum placement_kind kind, const char *name, struct errmsg *e)
{
	bool off = !strcmp(name, "off");
	int rc;

	if (!off) {
		rc = start_thread(p, e);
		if (rc)
			return rc;
	}
	if (!strcmp(name, "on"))
		name = first_policy(kind);
	rc = mm_placement_set(p->sys, kind, off ? NULL : name);
	return rc ? explain(kind, rc, p->sys, e) : 0;
}

int placer_set_slow(struct placer *p, uint64_t nodes, struct errmsg *e)
{
	int rc = mm_placement_set_slow_nodes(p->sys, nodes);

	if (rc == -EBUSY)
		return errmsg_set(e, rc, "tiering is on; switch it off to change the slow nodes");
	if (rc)
		return errmsg_set(
			e, rc,
			"slow nodes: the guest has %u, from 0 on; name some of them, not all",
			mm_sys_nr_nodes(p->sys));
	return 0;
}

/* ---- lists of nodes --------------------------------------------------------- */

static bool parse_node(const char **text, unsigned long *node)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*node = strtoul(*text, &end, 10);
	*text = end;
	return !errno && *node < UMM_MAX_NODES;
}

int node_list_parse(const char *text, uint64_t *nodes, struct errmsg *e)
{
	const char *at = text;
	unsigned long first, last;

	*nodes = 0;
	do {
		if (!parse_node(&at, &first))
			goto bad;
		last = first;
		if (*at == '-' && (at++, !parse_node(&at, &last) || last < first))
			goto bad;
		for (; first <= last; first++)
			*nodes |= 1ull << first;
	} while (*at == ',' && at++);
	if (!*at)
		return 0;
bad:
	return errmsg_set(e, -EINVAL, "'%.60s' is no list of nodes; write 1 or 1,3 or 2-3", text);
}
