/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences, rseq(2): a program's short piece of code that works on data of
 * "its" processor, and that begins anew elsewhere if the thread was not alone there.
 *
 * What makes them safe is in guest/seats.c: a registered task is in guest code in its seat
 * only, and its seat's number is the cpu_id that it reads. So only a task that has lost its
 * seat, or goes to a signal handler, can have been caught amid a sequence. Then its rip
 * moves to the sequence's abort address, as on Linux, before guest code runs on. The
 * barrier for sequences (guest/membarrier.c) does the same to all of a process.
 *
 * The fields and their checks are those of Linux 6.12 (include/uapi/linux/rseq.h,
 * kernel/rseq.c tells what is refused). A registered rseq_cs is cleared at once, as of 6.14.
 */
#include <string.h>

#include "guest/syscalls.h"
#include "guest/task.h"

#define RSEQ_SIZE_FIRST      32u /* of the first version, which programs with old headers pass */
#define RSEQ_UNREGISTER      1u
#define RSEQ_CPU_ID_UNKNOWN  (~0u)
#define RSEQ_CS_VERSION_LAST 0u

/* What the program and the kernel share. */
struct rseq_area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t cs;
	uint32_t flags, node_id, mm_cid, end;
};
_Static_assert(offsetof(struct rseq_area, end) == RSEQ_FEATURE_SIZE, "as in the auxiliary vector");

/* One sequence. */
struct rseq_cs {
	uint32_t version, flags;
	uint64_t start, length, abort;
};

static uint64_t field(const struct task *t, size_t offset)
{
	return t->rseq.at + offset;
}

/* ---- telling ------------------------------------------------------------------ */

static int tell(struct task *t, uint32_t start, uint32_t cpu, uint32_t node, uint32_t cid)
{
	const uint32_t cpus[2] = { start, cpu }, more[2] = { node, cid };

	if (copy_to_user(t, field(t, offsetof(struct rseq_area, cpu_id_start)), cpus,
			 sizeof(cpus)) ||
	    copy_to_user(t, field(t, offsetof(struct rseq_area, node_id)), more, sizeof(more)))
		return -EFAULT;
	return 0;
}

static int tell_seat(struct task *t)
{
	uint32_t cpu = (uint32_t)t->seat.number;

	return tell(t, cpu, cpu, (uint32_t)guest_cpu_node(t->g, cpu), t->seat.cid);
}

/* ---- aborting ----------------------------------------------------------------- */

static int clear_cs(struct task *t)
{
	const uint64_t none = 0;

	return copy_to_user(t, field(t, offsetof(struct rseq_area, cs)), &none, sizeof(none));
}

static int check_cs(struct task *t, const struct rseq_cs *cs)
{
	uint32_t signature;

	if (cs->start >= UMM_TASK_SIZE || cs->start + cs->length >= UMM_TASK_SIZE ||
	    cs->abort >= UMM_TASK_SIZE || cs->version > RSEQ_CS_VERSION_LAST)
		return -EINVAL;
	/* It wraps around, or the abort address is within it. */
	if (cs->start + cs->length < cs->start || cs->abort - cs->start < cs->length)
		return -EINVAL;
	if (copy_from_user(t, &signature, cs->abort - sizeof(signature), sizeof(signature)))
		return -EFAULT;
	return signature == t->rseq.signature ? 0 : -EINVAL;
}

/* Of the sequence and of the area: all of them are of the past, and refused. */
static int check_flags(struct task *t, const struct rseq_cs *cs)
{
	uint32_t flags;

	if (copy_from_user(t, &flags, field(t, offsetof(struct rseq_area, flags)), sizeof(flags)))
		return -EFAULT;
	return flags || cs->flags ? -EINVAL : 0;
}

/* The task was not alone, or is about to be elsewhere: is its rip in a sequence? */
static int abort_sequence(struct task *t)
{
	struct guest_regs *regs = task_regs(t);
	struct rseq_cs cs;
	uint64_t at;
	int err;

	if (copy_from_user(t, &at, field(t, offsetof(struct rseq_area, cs)), sizeof(at)))
		return -EFAULT;
	if (!at)
		return 0;
	if (at >= UMM_TASK_SIZE)
		return -EINVAL;
	if (copy_from_user(t, &cs, at, sizeof(cs)))
		return -EFAULT;
	err = check_cs(t, &cs);
	if (err)
		return err;
	if (regs->rip - cs.start >= cs.length)
		return clear_cs(t);
	err = check_flags(t, &cs);
	if (!err)
		err = clear_cs(t);
	if (err)
		return err;
	regs->rip = cs.abort;
	t->ops->regs_changed(t->vcpu);
	return 0;
}

/* ---- around guest code ------------------------------------------------------------ */

bool rseq_enter(struct task *t)
{
	const siginfo_t nonsense = { .si_signo = SIGSEGV, .si_code = SI_KERNEL };
	uint64_t fences;

	if (!t->rseq.at)
		return true;
	if (!seat_enter(t))
		return false;
	fences = seat_fences(t);
	if (!t->seat.changed && t->rseq.fences == fences)
		return true;
	if (!abort_sequence(t) && (!t->seat.changed || !tell_seat(t))) {
		t->seat.changed = false;
		t->rseq.fences = fences;
		return true;
	}
	seat_leave(t);
	task_force_signal(t, &nonsense);
	return false;
}

void rseq_leave(struct task *t)
{
	if (t->rseq.at)
		seat_leave(t);
}

int rseq_signal(struct task *t)
{
	return t->rseq.at ? abort_sequence(t) : 0;
}

void rseq_inherit(struct task *child, const struct task *parent)
{
	child->rseq = parent->rseq;
}

void rseq_forget(struct task *t)
{
	t->rseq = (struct task_rseq){ .at = 0 };
	seat_release(t);
}

/* ---- the call ------------------------------------------------------------------------ */

static int64_t unregister(struct task *t, uint64_t at, uint32_t len, uint32_t signature)
{
	if (!t->rseq.at || t->rseq.at != at || t->rseq.len != len)
		return -EINVAL;
	if (t->rseq.signature != signature)
		return -EPERM;
	if (tell(t, 0, RSEQ_CPU_ID_UNKNOWN, 0, 0))
		return -EFAULT;
	rseq_forget(t);
	return 0;
}

/* Areas of the first version's size lie on that, later ones are larger. */
static bool is_area(uint64_t at, uint32_t len)
{
	return len >= RSEQ_SIZE_FIRST && !(at % RSEQ_ALIGN);
}

int64_t sys_rseq(struct task *t, const uint64_t a[6])
{
	struct task_rseq new = { .at = a[0], .len = (uint32_t)a[1], .signature = (uint32_t)a[3] };
	uint32_t flags = (uint32_t)a[2];

	if (flags & RSEQ_UNREGISTER)
		return flags == RSEQ_UNREGISTER ? unregister(t, new.at, new.len, new.signature)
						: -EINVAL;
	if (flags)
		return -EINVAL;
	if (t->rseq.at) {
		if (t->rseq.at != new.at || t->rseq.len != new.len)
			return -EINVAL;
		return t->rseq.signature != new.signature ? -EPERM : -EBUSY;
	}
	if (!is_area(new.at, new.len))
		return -EINVAL;
	if (new.at >= UMM_TASK_SIZE || new.len > UMM_TASK_SIZE - new.at)
		return -EFAULT;
	t->rseq = new;
	if (clear_cs(t)) {
		t->rseq = (struct task_rseq){ .at = 0 };
		return -EFAULT;
	}
	return 0;
}
