/* SPDX-License-Identifier: MIT */
/*
 * Memory policies: on which nodes new pages go, as Linux's mbind() and
 * set_mempolicy() have it. A policy belongs to an area, to a range of a shared
 * object, or to a thread; where none of them has one, a page goes next to the
 * processor that touches it.
 *
 * A policy never changes once it is made, so it can be shared by reference.
 * Sets of nodes are bits of a 64-bit word.
 */
#ifndef UMM_MEMPOLICY_H
#define UMM_MEMPOLICY_H

#include <umm/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mm;
struct mm_sys;

/* The numbers are those of Linux's MPOL_*. */
enum policy_mode {
	POLICY_DEFAULT,
	POLICY_PREFERRED,
	POLICY_BIND,
	POLICY_INTERLEAVE,
	POLICY_LOCAL,
	POLICY_PREFERRED_MANY,
	POLICY_WEIGHTED_INTERLEAVE,
	POLICY_NR
};

#define POLICY_F_NUMA_BALANCING (1u << 13)
#define POLICY_F_RELATIVE_NODES (1u << 14)
#define POLICY_F_STATIC_NODES   (1u << 15)
#define POLICY_FLAGS            (POLICY_F_NUMA_BALANCING | POLICY_F_RELATIVE_NODES | POLICY_F_STATIC_NODES)

#define POLICY_NO_HOME (-1)

/*
 * Nodes as a program names them. Linux's sets have room for more than there can
 * be here; those that name only such nodes are not empty.
 */
struct node_set {
	uint64_t nodes;
	bool beyond; /* others, too, from node 64 on */
};

struct mempolicy {
	struct mm_sys *sys;
	int32_t refs;  /* a */
	uint16_t mode; /* enum policy_mode, never POLICY_DEFAULT: that is no policy */
	uint16_t flags;
	uint64_t nodes; /* that exist; empty for POLICY_LOCAL only */
	uint64_t asked; /* as the program gave them, for the flags of node sets */
	int home;       /* where to look first; POLICY_NO_HOME */
};

/*
 * A new policy with one reference; *out is NULL for POLICY_DEFAULT. -EINVAL: the
 * mode, its flags and the nodes do not fit, or none of the nodes exists; -ENOMEM.
 */
int mempolicy_create(struct mm_sys *sys, unsigned int mode, unsigned int flags,
		     const struct node_set *set, struct mempolicy **out) UMM_MUST_CHECK;
/* Both take NULL. */
struct mempolicy *mempolicy_get(struct mempolicy *p);
void mempolicy_put(struct mempolicy *p);
bool mempolicy_equal(const struct mempolicy *a, const struct mempolicy *b);

/*
 * What the manager knows about a thread of the guest: its policy, where its interleaving
 * stands, what it may do, and whether it is to end. The host's ops->current_thread() names
 * the calling one.
 */
struct mm_thread {
	struct umm_mutex lock;    /* LOCK_LEAF: guards policy where others look */
	struct mempolicy *policy; /* one reference; written by the thread itself */
	unsigned int last_node;   /* the thread's own: interleaving went there last ... */
	unsigned int pages_due;   /* ... and that many more go there (weighted) */
	unsigned int stalls;      /* the thread's own: waits for memory, one within another */
	bool may_lock_all; /* the thread's own: RLIMIT_MEMLOCK is not for it (CAP_IPC_LOCK) */
	bool ending;       /* a  it was killed: long work for it stops with -EINTR */
};

void mm_thread_init(struct mm_thread *t);
/* A new thread takes over what the calling one, @from, has. */
void mm_thread_inherit(struct mm_thread *t, struct mm_thread *from);
void mm_thread_destroy(struct mm_thread *t);
/* Takes over the reference on @p. The thread's own call. */
void mm_thread_set_policy(struct mm_thread *t, struct mempolicy *p);
/* With a reference; NULL: none. */
struct mempolicy *mm_thread_policy(struct mm_thread *t);
/* The node of the next page that interleaves without an area. The thread's own call. */
int mm_thread_next_node(const struct mm_thread *t);

/* The nodes that there are. */
uint64_t mm_sys_nodes(const struct mm_sys *sys);
/* Pages in a row that weighted interleaving gives a node; 1 if never set. */
unsigned int mm_sys_interleave_weight(const struct mm_sys *sys, int node);
void mm_sys_set_interleave_weight(struct mm_sys *sys, int node, unsigned int weight);

/* ---- areas --------------------------------------------------------------------- */

#define MBIND_STRICT   (1u << 0)
#define MBIND_MOVE     (1u << 1)
#define MBIND_MOVE_ALL (1u << 2)

/*
 * The areas of [start, end), page-aligned, get @policy (NULL: none) and a
 * reference each; areas are split and joined as needed. MBIND_MOVE moves what is
 * there already and shared with nobody, MBIND_MOVE_ALL the rest too. Errors of
 * Linux's mbind(): -EFAULT where areas are missing, -EIO for MBIND_STRICT,
 * -ENOMEM.
 */
int mm_mbind(struct mm *mm, gva_t start, gva_t end, struct mempolicy *policy,
	     unsigned int flags) UMM_MUST_CHECK;
/* The areas' policies look at @node first: -ENOENT, -EOPNOTSUPP, -ENOMEM. */
int mm_set_home_node(struct mm *mm, gva_t start, gva_t end, int node) UMM_MUST_CHECK;
/* The policy of the area or object at @addr, with a reference or NULL. -EFAULT: no area. */
int mm_policy_at(struct mm *mm, gva_t addr, struct mempolicy **out) UMM_MUST_CHECK;

/* ---- pages ---------------------------------------------------------------------- */

/* The node of the page at @addr; -EFAULT: no area, -ENOENT: no page. */
int mm_page_node(struct mm *mm, gva_t addr);

/* Pages gathered to be moved to one node; begin with PAGE_QUEUE_INIT. */
struct page_queue {
	struct folio **folios; /* isolated, each with a reference */
	uint64_t nr, room;
};
#define PAGE_QUEUE_INIT ((struct page_queue){ .nr = 0 })

/*
 * 1: the page at @addr is in the queue; 0: it is on node @to. -EFAULT: no area,
 * -ENOENT: no page, -EACCES: others map it and @shared_too is false, -EBUSY: it
 * is in other hands, or in the queue already; -ENOMEM.
 */
int page_queue_add(struct page_queue *q, struct mm *mm, gva_t addr, int to,
		   bool shared_too) UMM_MUST_CHECK;
/* Move them to node @to and empty the queue. Returns how many folios stayed, or -ENOMEM. */
int64_t page_queue_move(struct page_queue *q, struct mm_sys *sys, int to) UMM_MUST_CHECK;

/*
 * migrate_pages(): what @mm has on the nodes of @from goes to those of @to, node
 * by node as they are ordered. Returns the frames that stayed, or -errno.
 */
int64_t mm_migrate_nodes(struct mm *mm, uint64_t from, uint64_t to, bool shared_too) UMM_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
