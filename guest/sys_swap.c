/* SPDX-License-Identifier: MIT */
/*
 * swapon() and swapoff(): a program's own files become swap of the guest.
 *
 * The file is opened as the program itself would open it, and its header judged, both in
 * the thread that asks; the VMM gets the open file (guest/swap_ops.h). What the program
 * does to the file afterwards (truncate it, write to it) can spoil what its guest has
 * swapped out, as root can natively; an error of a transfer is a SIGBUS for who wants the
 * page. Only slots behind the header are written, so the file can be given again.
 */
#include <linux/capability.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest/file_change.h"
#include "guest/file_rw.h"
#include "guest/path.h"
#include "guest/swap_ops.h"
#include "guest/syscalls.h"
#include "guest/task.h"

/* Discarding has nothing to gain here: accepted, and not done. */
#define FLAG_DISCARD_ONCE  0x20000
#define FLAG_DISCARD_PAGES 0x40000
#define FLAGS_KNOWN                                                                       \
	(SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK | SWAP_FLAG_DISCARD | FLAG_DISCARD_ONCE | \
	 FLAG_DISCARD_PAGES)

/* mkswap(8) writes these at the start and the end of the first page. */
#define HEADER_INFO  1024
#define HEADER_MAGIC "SWAPSPACE2"
#define MAGIC_LENGTH 10

struct header_info {
	uint32_t version, last_page, nr_badpages;
};

/* ---- is it a swap file? -------------------------------------------------------- */

/* Linux does not swap to files that live in memory. */
static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
	       fs.f_type == HUGETLBFS_MAGIC;
}

static int header_read(const struct gfile *g, struct header_info *out)
{
	char page[UMM_PAGE_SIZE];
	ssize_t n;

	/* It may have been written through a mapping. */
	if (file_cache_before_read(g, 0, sizeof(page)))
		return -EIO;
	n = pread(g->host_fd, page, sizeof(page), 0);
	if (n < 0)
		return -errno;
	if (n != sizeof(page) ||
	    memcmp(page + sizeof(page) - MAGIC_LENGTH, HEADER_MAGIC, MAGIC_LENGTH))
		return -EINVAL;
	memcpy(out, page + HEADER_INFO, sizeof(*out));
	return 0;
}

/* The file can keep as many pages as its header says, with blocks for all of them. */
static int size_check(int fd, uint64_t nr_pages)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((uint64_t)st.st_size >> UMM_PAGE_SHIFT < nr_pages ||
	    (uint64_t)st.st_blocks < nr_pages << (UMM_PAGE_SHIFT - 9))
		return -EINVAL;
	return 0;
}

/* How many slots it has. */
static int file_judge(const struct gfile *g, uint64_t *nr_slots)
{
	struct header_info info;
	int r;

	if (g->kind != GFILE_HOST || !S_ISREG(g->type) || is_in_memory(g->host_fd))
		return -EINVAL;
	r = header_read(g, &info);
	if (r)
		return r;
	if (info.version != 1 || !info.last_page || info.nr_badpages)
		return -EINVAL;
	*nr_slots = info.last_page;
	return size_check(g->host_fd, *nr_slots + 1);
}

/* ---- the calls --------------------------------------------------------------------- */

static bool has_work(void *arg)
{
	return task_has_work(arg);
}

static int file_open(struct task *t, uint64_t user_path, struct gfile **out)
{
	struct gpath p;
	int r = path_resolve_user(t, AT_FDCWD, user_path, 0, &p);

	if (r)
		return r;
	r = path_open(t, &p, O_RDWR | O_CLOEXEC, 0, NULL, out);
	path_release(&p);
	return r;
}

/* What mappings of the file still have to write must not come later, over swapped pages. */
static int mappings_settle(const struct gfile *g, uint64_t nr_slots)
{
	uint64_t bytes = (nr_slots + 1) << UMM_PAGE_SHIFT;
	struct file_change change;
	int r = file_change_begin(g, 0, bytes, &change);

	if (!r)
		file_change_end(&change, 0, bytes);
	return r;
}

/* -EINTR only if a handler ran; Linux goes on by itself, too. */
static int64_t answer(int r)
{
	return r == -EINTR ? -ERESTARTNOHAND_ : r;
}

static int area_add(struct task *t, const struct gfile *g, uint64_t nr_slots, int flags)
{
	const struct guest_config *cfg = &t->g->cfg;
	const struct guest_swap_wait wait = { has_work, t };
	struct guest_swap_file file = {
		.fd = g->host_fd,
		.nr_slots = nr_slots,
		.priority = SWAP_PRIORITY_DEFAULT,
		.dev = g->dev,
		.ino = g->ino,
		.name = gfile_path(g),
	};

	if (flags & SWAP_FLAG_PREFER)
		file.priority = (flags & SWAP_FLAG_PRIO_MASK) >> SWAP_FLAG_PRIO_SHIFT;
	/* Nobody else knows this open file, so its flags are ours. */
	file.direct = !fcntl(g->host_fd, F_SETFL, fcntl(g->host_fd, F_GETFL) | O_DIRECT);
	return cfg->swap->add(cfg->swap_ctx, &file, &wait);
}

int64_t sys_swapon(struct task *t, const uint64_t a[6])
{
	int flags = (int)a[1], r;
	uint64_t nr_slots;
	struct gfile *g;

	if (flags & ~FLAGS_KNOWN)
		return -EINVAL;
	if (!creds_capable(CAP_SYS_ADMIN))
		return -EPERM;
	r = file_open(t, a[0], &g);
	if (r)
		return r;
	r = file_judge(g, &nr_slots);
	if (!r)
		r = mappings_settle(g, nr_slots);
	if (!r)
		r = area_add(t, g, nr_slots, flags);
	gfile_put(g);
	return answer(r);
}

int64_t sys_swapoff(struct task *t, const uint64_t a[6])
{
	const struct guest_config *cfg = &t->g->cfg;
	const struct guest_swap_wait wait = { has_work, t };
	struct gfile *g;
	int r;

	if (!creds_capable(CAP_SYS_ADMIN))
		return -EPERM;
	r = file_open(t, a[0], &g);
	if (r)
		return r;
	r = g->kind == GFILE_HOST ? cfg->swap->remove(cfg->swap_ctx, g->dev, g->ino, &wait)
				  : -EINVAL;
	gfile_put(g);
	return answer(r);
}
