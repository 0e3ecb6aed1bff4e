/* SPDX-License-Identifier: MIT */
/*
 * The memory calls: arguments are checked against descriptors here, everything
 * else is the memory manager's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/files.h"
#include "guest/syscalls.h"
#include "guest/task.h"

#define DEV_ZERO       makedev(1, 5)
#define MEMFD_NAME_MAX 249
/* memfd_create(), since Linux 6.3. */
#define GUEST_MFD_NOEXEC_SEAL 0x8u
#define GUEST_MFD_EXEC        0x10u
#define PKEY_ACCESS_MASK      (PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE)

/* ---- mmap -------------------------------------------------------------- */

static bool is_shared(int flags)
{
	return (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
}

/* Of a memfd: no new mapping may store to it. Since 6.7 it can still be mapped to be read. */
static bool is_write_sealed(const struct gfile *g)
{
	int seals = g->kind == GFILE_HOST ? fcntl(g->host_fd, F_GET_SEALS) : -1;

	return seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

/* MAP_SYNC needs a file in persistent memory: the host's file system says whether this is one. */
static int check_sync(const struct gfile *g)
{
	void *p = mmap(NULL, UMM_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_SYNC, g->host_fd, 0);

	if (p == MAP_FAILED)
		return errno == EOPNOTSUPP ? -EOPNOTSUPP : 0;
	munmap(p, UMM_PAGE_SIZE);
	return 0;
}

/* What the descriptor allows, into @req; its page cache too. */
static int request_file(struct gfile *g, struct mm_map_request *req)
{
	int err;

	if (!gfile_readable(g))
		return -EACCES;
	if (g->io)
		return -ENODEV;
	if (is_shared(req->flags)) {
		if ((req->prot & PROT_WRITE) && !gfile_writable(g))
			return -EACCES;
		if ((req->prot & PROT_WRITE) && is_write_sealed(g))
			return -EPERM;
		req->may = VM_MAYREAD | VM_MAYEXEC;
		if (gfile_writable(g) && !is_write_sealed(g))
			req->may |= VM_MAYWRITE;
	}
	if (g->rdev == DEV_ZERO && S_ISCHR(g->type)) {
		if ((req->flags & MAP_TYPE) == MAP_SHARED_VALIDATE)
			req->flags ^= MAP_SHARED_VALIDATE ^ MAP_SHARED;
		req->flags |= MAP_ANONYMOUS;
		req->offset = 0;
		return 0;
	}
	err = req->flags & MAP_SYNC ? check_sync(g) : 0;
	return err ? err : gfile_mapping(g, &req->mapping);
}

int64_t sys_mmap(struct task *t, const uint64_t a[6])
{
	struct mm_map_request req = {
		.addr = gva_make(a[0]),
		.len = a[1],
		.prot = (int)a[2],
		.flags = (int)a[3],
		.offset = a[5],
	};
	struct gfile *g;
	gva_t at;
	int err = 0;

	if (a[5] % UMM_PAGE_SIZE || !a[1])
		return -EINVAL;
	if (page_align_up(a[1]) < a[1])
		return -ENOMEM;
	if (req.flags & MAP_ANONYMOUS) {
		req.offset = 0;
	} else {
		err = task_gfile_io(t, a[4], &g);
		if (err)
			return err;
		if (a[5] + page_align_up(a[1]) < a[5])
			err = -EOVERFLOW;
		else
			err = request_file(g, &req);
		gfile_put(g);
	}
	if (!err)
		err = mm_mmap(t->mm, &req, &at);
	if (req.mapping)
		mapping_put(req.mapping);
	return err ? err : (int64_t)at.v;
}

/* ---- the rest of the family -------------------------------------------- */

int64_t sys_munmap(struct task *t, const uint64_t a[6])
{
	return mm_munmap(t->mm, gva_make(a[0]), a[1]);
}

int64_t sys_mprotect(struct task *t, const uint64_t a[6])
{
	return mm_mprotect(t->mm, gva_make(a[0]), a[1], (int)a[2]);
}

/*
 * Protection keys, as on a processor that has none: only the -1 of "no key" is one
 * that may be asked for, and none is there to be had.
 */
int64_t sys_pkey_mprotect(struct task *t, const uint64_t a[6])
{
	if ((int)a[3] == -1)
		return sys_mprotect(t, a);
	if (a[0] % UMM_PAGE_SIZE)
		return -EINVAL;
	if (!a[1])
		return 0;
	return a[0] + page_align_up(a[1]) <= a[0] ? -ENOMEM : -EINVAL;
}

int64_t sys_pkey_alloc(struct task *t, const uint64_t a[6])
{
	(void)t;
	return a[0] || (a[1] & ~(uint64_t)PKEY_ACCESS_MASK) ? -EINVAL : -ENOSPC;
}

int64_t sys_pkey_free(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	return -EINVAL;
}

int64_t sys_mseal(struct task *t, const uint64_t a[6])
{
	return mm_mseal(t->mm, gva_make(a[0]), a[1], a[2]);
}

int64_t sys_mremap(struct task *t, const uint64_t a[6])
{
	gva_t at;
	int err = mm_mremap(t->mm, gva_make(a[0]), a[1], a[2], (int)a[3], gva_make(a[4]), &at);

	return err ? err : (int64_t)at.v;
}

int64_t sys_brk(struct task *t, const uint64_t a[6])
{
	return (int64_t)mm_brk(t->mm, gva_make(a[0])).v;
}

int64_t sys_madvise(struct task *t, const uint64_t a[6])
{
	return mm_madvise(t->mm, gva_make(a[0]), a[1], (int)a[2]);
}

int64_t sys_mlock(struct task *t, const uint64_t a[6])
{
	return mm_mlock(t->mm, gva_make(a[0]), a[1], 0);
}

int64_t sys_mlock2(struct task *t, const uint64_t a[6])
{
	return mm_mlock(t->mm, gva_make(a[0]), a[1], (int)a[2]);
}

int64_t sys_munlock(struct task *t, const uint64_t a[6])
{
	return mm_munlock(t->mm, gva_make(a[0]), a[1]);
}

int64_t sys_mlockall(struct task *t, const uint64_t a[6])
{
	return mm_mlockall(t->mm, (int)a[0]);
}

int64_t sys_munlockall(struct task *t, const uint64_t a[6])
{
	(void)a;
	return mm_munlockall(t->mm);
}

int64_t sys_msync(struct task *t, const uint64_t a[6])
{
	return mm_msync(t->mm, gva_make(a[0]), a[1], (int)a[2]);
}

int64_t sys_mincore(struct task *t, const uint64_t a[6])
{
	uint8_t vec[UMM_PAGE_SIZE];
	uint64_t addr = a[0], pages, out = a[2], n;
	int err;

	if (addr % UMM_PAGE_SIZE)
		return -EINVAL;
	if (addr > UMM_TASK_SIZE || a[1] > UMM_TASK_SIZE - addr)
		return -ENOMEM;
	for (pages = page_align_up(a[1]) >> UMM_PAGE_SHIFT; pages; pages -= n) {
		n = pages < sizeof(vec) ? pages : sizeof(vec);
		err = mm_mincore(t->mm, gva_make(addr), n << UMM_PAGE_SHIFT, vec);
		if (!err)
			err = copy_to_user(t, out, vec, n);
		if (err)
			return err;
		addr += n << UMM_PAGE_SHIFT;
		out += n;
	}
	return 0;
}

/* What /proc/sys/vm/memfd_noexec makes of a call; or -EACCES. */
static int memfd_flags(struct task *t, unsigned int *flags)
{
	int64_t noexec = sysctl_kept(&t->g->sysctls, KEPT_MEMFD_NOEXEC);

	if (noexec && !(*flags & (GUEST_MFD_EXEC | GUEST_MFD_NOEXEC_SEAL)))
		*flags |= GUEST_MFD_NOEXEC_SEAL;
	return noexec == 2 && !(*flags & GUEST_MFD_NOEXEC_SEAL) ? -EACCES : 0;
}

int64_t sys_memfd_create(struct task *t, const uint64_t a[6])
{
	unsigned int flags = (unsigned int)a[1];
	char name[MEMFD_NAME_MAX + 1];
	int fd, err;
	ssize_t n;

	n = mm_strncpy_from_guest(t->mm, name, gva_make(a[0]), sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	err = memfd_flags(t, &flags);
	if (err)
		return err;
	fd = memfd_create(name, flags | MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	return files_install_host(t, fd, a[1] & MFD_CLOEXEC);
}
