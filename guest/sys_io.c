/* SPDX-License-Identifier: MIT */
/* read, write and their relatives. */
#include <errno.h>
#include <unistd.h>

#include "guest/file_rw.h"
#include "guest/mqueue.h"
#include "guest/proc_io.h"
#include "guest/syscalls.h"

/* What all of these do, once the buffers are known. Frees @iov. */
static int64_t transfer(struct task *t, uint64_t fd, bool write, struct guest_iov *iov, int64_t pos,
			int rwf)
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, fd, &g);

	if (r)
		goto out;
	if (g->pid)
		r = -EINVAL; /* what is read and written behind it tells of the end */
	else if (pos >= 0 && (g->type == S_IFIFO || g->type == S_IFSOCK))
		r = -ESPIPE;
	else
		r = write ? file_write(t, g, iov, pos, rwf) : file_read(t, g, iov, pos, rwf);
	gfile_put(g);
out:
	guest_iov_free(iov);
	return r;
}

/* EBADF comes before EFAULT, as on Linux. */
static int check_fd(struct task *t, uint64_t fd)
{
	struct gfile *g;
	int r = task_gfile_io(t, fd, &g);

	if (!r)
		gfile_put(g);
	return r;
}

static int64_t transfer_one(struct task *t, const uint64_t a[6], bool write, int64_t pos)
{
	struct guest_iov iov;
	int r = check_fd(t, a[0]);

	if (r)
		return r;
	r = guest_iov_single(&iov, a[1], a[2]);
	return r ? r : transfer(t, a[0], write, &iov, pos, 0);
}

static int64_t transfer_vec(struct task *t, const uint64_t a[6], bool write, int64_t pos, int rwf)
{
	struct guest_iov iov;
	int r = check_fd(t, a[0]);

	if (!r)
		r = guest_iov_copy(t, &iov, a[1], a[2]);
	return r ? r : transfer(t, a[0], write, &iov, pos, rwf);
}

int64_t sys_read(struct task *t, const uint64_t a[6])
{
	return transfer_one(t, a, false, -1);
}

int64_t sys_write(struct task *t, const uint64_t a[6])
{
	return transfer_one(t, a, true, -1);
}

int64_t sys_pread64(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < 0 ? -EINVAL : transfer_one(t, a, false, (int64_t)a[3]);
}

int64_t sys_pwrite64(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < 0 ? -EINVAL : transfer_one(t, a, true, (int64_t)a[3]);
}

int64_t sys_readv(struct task *t, const uint64_t a[6])
{
	return transfer_vec(t, a, false, -1, 0);
}

int64_t sys_writev(struct task *t, const uint64_t a[6])
{
	return transfer_vec(t, a, true, -1, 0);
}

int64_t sys_preadv(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < 0 ? -EINVAL : transfer_vec(t, a, false, (int64_t)a[3], 0);
}

int64_t sys_pwritev(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < 0 ? -EINVAL : transfer_vec(t, a, true, (int64_t)a[3], 0);
}

int64_t sys_preadv2(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < -1 ? -EINVAL : transfer_vec(t, a, false, (int64_t)a[3], (int)a[5]);
}

int64_t sys_pwritev2(struct task *t, const uint64_t a[6])
{
	return (int64_t)a[3] < -1 ? -EINVAL : transfer_vec(t, a, true, (int64_t)a[3], (int)a[5]);
}

int64_t sys_lseek(struct task *t, const uint64_t a[6])
{
	struct gfile *g;
	int64_t r = task_gfile_io(t, a[0], &g);

	if (r)
		return r;
	if (g->kind == GFILE_PROC_DIR) {
		if ((int64_t)a[1] < 0 || (int)a[2] != SEEK_SET) {
			r = -EINVAL;
		} else {
			__atomic_store_n(&g->dir_pos, a[1], __ATOMIC_RELAXED);
			r = (int64_t)a[1];
		}
	} else if (g->pid) {
		r = -ESPIPE;
	} else if (g->mq) {
		r = mqueue_seek(g, (int64_t)a[1], (int)a[2]);
	} else if (g->io) {
		r = proc_io_seek(g, (int64_t)a[1], (int)a[2]);
	} else {
		r = lseek(g->host_fd, (off_t)a[1], (int)a[2]);
		r = r < 0 ? -errno : r;
	}
	gfile_put(g);
	return r;
}
