/* SPDX-License-Identifier: MIT */
/*
 * vCPUs from inside vmm/: what guest/vcpu.h keeps opaque.
 *
 * A vCPU is made when the pool is empty and lives as long as the VM, since KVM
 * cannot destroy one. From get to put it belongs to one thread.
 *
 * Registers travel through the shared struct kvm_run (KVM_CAP_SYNC_REGS); a
 * run costs the KVM_RUN ioctl and nothing else.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <pthread.h>
#include <sys/types.h>

#include "guest/vcpu.h"
#include "vmm/kvm.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

/* Where the processor stands while the host looks at the program's registers. */
enum vcpu_place {
	VCPU_IN_USER,   /* level 3 */
	VCPU_AT_SYSRET, /* level 0, before the stub's SYSRETQ */
	VCPU_IN_KERNEL, /* level 0, anywhere else: in a stub */
};

/* Written by the owner only, read by anyone (relaxed). */
struct vcpu_counters {
	_Atomic uint64_t exits, syscalls, faults, others;
};

/* What all vCPUs of a VM share. */
struct vcpu_pool {
	const struct kvm *kvm;
	const struct memory *memory;
	int syscall_cpl;  /* level at which SYSCALL arrives; probed */
	bool tsc_is_host; /* the counter's offset could be set to 0 */
	uint64_t xcr0;    /* what programs may use; 0: no XSAVE */
	unsigned int xsave_size;
	pthread_mutex_t lock; /* guards what follows */
	struct vcpu *free;
	unsigned int nr;
	struct vcpu *all[LAYOUT_MAX_VCPUS];

	_Atomic unsigned int paused; /* how many keep vCPUs out; see pause.c */
	pthread_mutex_t pause_lock;
	pthread_cond_t pause_over;
};

struct vcpu {
	struct guest_regs regs; /* the program's; the processor's when !regs_dirty and */
				/* place is VCPU_IN_USER */
	struct kvm_run *run;
	int fd;
	unsigned int id;
	enum vcpu_place place;
	bool regs_dirty;
	bool segs_dirty;
	bool root_dirty;
	bool used;             /* has run a program before */
	bool broken;           /* TRAP_ERROR: its state is anything, never to be used again */
	_Atomic bool in_guest; /* in KVM_RUN, or about to: see pause.c */
	gpa_t root;
	uint64_t cr3_bits; /* see vcpu_reset() */
	uint8_t *page;     /* TSS and stacks, as the host sees them */
	struct vcpu_pool *pool;
	struct vcpu *next_free;
	struct vcpu *outer; /* the owner's vCPU before this one */
	uint64_t exits_at_get;
	struct vcpu_counters counters;
	char message[160]; /* of TRAP_ERROR */

	pthread_mutex_t owner_lock; /* guards owner against vcpu_kick() */
	pid_t owner;                /* thread id, 0: in the pool */
};

int vcpu_pool_init(struct vcpu_pool *pool, const struct kvm *kvm,
		   const struct memory *memory) UMM_MUST_CHECK;
void vcpu_pool_destroy(struct vcpu_pool *pool);

/* get and put of struct vcpu_ops; *out starts with clean registers. */
int vcpu_pool_get(struct vcpu_pool *pool, struct vcpu **out) UMM_MUST_CHECK;
void vcpu_pool_put(struct vcpu_pool *pool, struct vcpu *v);

/* vcpu_state.c: what a vCPU is before its first run. */
void vcpu_user_segments(struct kvm_sregs *sregs); /* CS and SS */
void vcpu_data_segments(struct kvm_sregs *sregs); /* the others */
int vcpu_state_limits(struct vcpu_pool *pool);
int vcpu_state_init(struct vcpu *v) UMM_MUST_CHECK;
/* Let SYSCALL arrive where the probe found that it must. */
int vcpu_state_set_entry(struct vcpu *v) UMM_MUST_CHECK;
/* What KVM has queued for the program that ran here is not for what runs next. */
void vcpu_events_drop(struct vcpu *v);
/* vcpu_xsave.c: struct vcpu_ops tells the contracts. */
int vcpu_xsave_get(struct vcpu *v, void *image);
int vcpu_xsave_set(struct vcpu *v, const void *image, size_t size);
void vcpu_xsave_reset(struct vcpu *v);

/* run.c */
void vcpu_run(struct vcpu *v, struct trap *out);

/* trap.c: turn the last exit into *out; false: nothing to tell, run on. */
bool trap_decode(struct vcpu *v, struct trap *out);
/* The same for a KVM_RUN that a signal ended: false when it came in between. */
bool trap_decode_interrupted(struct vcpu *v, struct trap *out);
/* Report that the vCPU is beyond help. */
void trap_error(struct vcpu *v, struct trap *out, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* kick.c */
int kick_init(struct errmsg *e) UMM_MUST_CHECK;
/* This thread owns @v from now on; ownership nests, for probes amid other work. */
void kick_enter(struct vcpu *v);
void kick_leave(struct vcpu *v);
void vcpu_kick(struct vcpu *v);

/* pause.c: keep all vCPUs out of KVM_RUN for a while. */
void vcpu_pause_wait(struct vcpu *v);
void vcpu_pool_pause(struct vcpu_pool *pool);
/* The same, but false if not all are out after @ns; vcpu_pool_resume() follows in any case. */
bool vcpu_pool_try_pause(struct vcpu_pool *pool, uint64_t ns);
void vcpu_pool_resume(struct vcpu_pool *pool);

static inline void vcpu_gate_enter(struct vcpu *v)
{
	atomic_store(&v->in_guest, true);
	if (atomic_load(&v->pool->paused))
		vcpu_pause_wait(v);
}

static inline void vcpu_gate_leave(struct vcpu *v)
{
	atomic_store_explicit(&v->in_guest, false, memory_order_release);
}

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
