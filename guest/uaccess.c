/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of the calling task: every pointer of a system call goes through
 * here or through a pin. A copy that fails because there is no memory is tried
 * again after the out-of-memory killer has been at work.
 */
#include <limits.h>

#include "guest/task.h"

/* How often in a row a copy may fail at a page that can be had. */
#define TRIES_MAX 16u

bool user_retry_after_oom(struct task *t, gva_t addr, unsigned int fault_flags, unsigned int *tries)
{
	switch (mm_fault(t->mm, addr, fault_flags)) {
	case FAULT_DONE:
		return ++*tries < TRIES_MAX;
	case FAULT_OOM:
		oom_kill(t);
		return !t->proc->group_exit;
	default:
		return false;
	}
}

int copy_from_user(struct task *t, void *dst, uint64_t src, size_t len)
{
	unsigned int tries = 0;
	size_t done = 0;

	while (len) {
		if (!mm_copy_from_guest(t->mm, dst, gva_make(src), len, &done))
			return 0;
		src += done;
		dst = (char *)dst + done;
		len -= done;
		tries = done ? 0 : tries;
		if (!user_retry_after_oom(t, gva_make(src), 0, &tries))
			return -EFAULT;
	}
	return 0;
}

/*
 * A single value that crosses into a page that is not there must not be written
 * by half: the processor, which writes it for Linux, would not do that.
 */
static bool crosses_into_nothing(struct task *t, uint64_t dst, size_t len)
{
	uint64_t next = page_align_up(dst + 1);
	enum fault_result r;

	if (!len || len > sizeof(uint64_t) || dst + len <= next)
		return false;
	r = mm_fault(t->mm, gva_make(next), FAULT_FLAG_WRITE | FAULT_FLAG_SINGLE);
	return r != FAULT_DONE && r != FAULT_OOM;
}

int copy_to_user(struct task *t, uint64_t dst, const void *src, size_t len)
{
	unsigned int tries = 0;
	size_t done = 0;

	if (crosses_into_nothing(t, dst, len))
		return -EFAULT;
	while (len) {
		if (!mm_copy_to_guest(t->mm, gva_make(dst), src, len, &done))
			return 0;
		dst += done;
		src = (const char *)src + done;
		len -= done;
		tries = done ? 0 : tries;
		if (!user_retry_after_oom(t, gva_make(dst), FAULT_FLAG_WRITE, &tries))
			return -EFAULT;
	}
	return 0;
}

int path_from_user(struct task *t, char path[4096], uint64_t src)
{
	gva_t next = gva_make(page_align_up(src + 1));
	unsigned int tries = 0;
	ssize_t n;

	/* It may go on in the next page, for which there was no memory. */
	while ((n = mm_strncpy_from_guest(t->mm, path, gva_make(src), PATH_MAX)) == -EFAULT &&
	       user_retry_after_oom(t, gva_make(src), 0, &tries))
		if (mm_fault(t->mm, next, 0) == FAULT_OOM)
			oom_kill(t);
	return n < 0 ? (int)n : 0;
}
