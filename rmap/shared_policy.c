/* SPDX-License-Identifier: MIT */
/*
 * Policies of shared memory belong to the object, range by range: whoever maps
 * it, and whoever touches a page first, it goes where the last mbind() said.
 *
 * The ranges do not overlap; they stand in a list, as there are few. Locks:
 * tree_lock.
 */
#include "rmap/internal.h"

struct shared_policy {
	struct list_head link; /* in mapping->policies */
	uint64_t first, last;  /* pages */
	struct mempolicy *policy;
};

struct mempolicy *shared_policy_find(struct address_space *m, pgoff_t index)
{
	struct mempolicy *p = NULL;
	struct shared_policy *s;

	umm_mutex_lock(&m->tree_lock);
	list_for_each_entry(s, &m->policies, link)
	{
		if (index.v >= s->first && index.v <= s->last) {
			p = mempolicy_get(s->policy);
			break;
		}
	}
	umm_mutex_unlock(&m->tree_lock);
	return p;
}

static void range_add(struct address_space *m, struct shared_policy *s, uint64_t first,
		      uint64_t last, struct mempolicy *p)
{
	s->first = first;
	s->last = last;
	s->policy = mempolicy_get(p);
	list_add(&s->link, &m->policies);
}

static void range_drop(struct address_space *m, struct shared_policy *s)
{
	list_del(&s->link);
	mempolicy_put(s->policy);
	sys_free(m->sys, s, sizeof(*s));
}

/* Leave of @s what [first, last] does not cover; *spare becomes the part behind it. */
static void range_cut(struct address_space *m, struct shared_policy *s, uint64_t first,
		      uint64_t last, struct shared_policy **spare)
{
	if (s->last < first || s->first > last)
		return;
	if (s->first < first && s->last > last) {
		range_add(m, *spare, last + 1, s->last, s->policy);
		*spare = NULL;
		s->last = first - 1;
	} else if (s->first < first) {
		s->last = first - 1;
	} else if (s->last > last) {
		s->first = last + 1;
	} else {
		range_drop(m, s);
	}
}

int shared_policy_set(struct address_space *m, pgoff_t first, pgoff_t last, struct mempolicy *p)
{
	struct shared_policy *new = sys_alloc(m->sys, sizeof(*new));
	struct shared_policy *spare = sys_alloc(m->sys, sizeof(*spare)), *s, *tmp;
	int ret = 0;

	if (!new || !spare) {
		ret = -ENOMEM;
		goto out;
	}
	umm_mutex_lock(&m->tree_lock);
	list_for_each_entry_safe(s, tmp, &m->policies, link)
		range_cut(m, s, first.v, last.v, &spare);
	if (p) {
		range_add(m, new, first.v, last.v, p);
		new = NULL;
	}
	umm_mutex_unlock(&m->tree_lock);
out:
	sys_free(m->sys, new, sizeof(*new));
	sys_free(m->sys, spare, sizeof(*spare));
	return ret;
}

void shared_policies_drop(struct address_space *m)
{
	struct shared_policy *s, *tmp;

	list_for_each_entry_safe(s, tmp, &m->policies, link) range_drop(m, s);
}
