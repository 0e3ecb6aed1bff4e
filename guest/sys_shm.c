/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory. A segment is a piece of shared anonymous memory, an
 * address_space, on which the segment holds one reference. Each area that maps it
 * is one attachment, as on Linux, so nobody keeps books about fork, exec and exit:
 * the number is counted where it is asked for. A segment that was removed goes when
 * the last area has gone; it is looked for when a task ends and at the next call
 * here.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>
#include <umm/sysctl.h>

#include "guest/ipc.h"
#include "guest/syscalls.h"

#define SEGMENT_MAX (UINT64_MAX - (1ul << 24)) /* Linux's SHMMAX */
#define PAGES_MAX   (UINT64_MAX - (1ul << 24)) /* and SHMALL */
#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

struct shm_segment {
	struct ipc_object obj;
	struct address_space *mapping;
	uint64_t size;
	int32_t cpid, lpid;
	time_t atime, dtime, ctime;
	bool removed;
};

static struct shm_segment *segment_of(struct ipc_object *o)
{
	return container_of(o, struct shm_segment, obj);
}

void shm_free(struct ipc_object *o)
{
	struct shm_segment *s = segment_of(o);

	mapping_put(s->mapping);
	free(s);
}

static uint64_t segment_pages(const struct shm_segment *s)
{
	return page_align_up(s->size) >> UMM_PAGE_SHIFT;
}

/* Areas that map it; those of the whole object begin at page 0. */
static uint64_t segment_attached(const struct shm_segment *s)
{
	struct itree_node *n;
	uint64_t nr = 0;

	umm_read_lock(&s->mapping->i_mmap_lock);
	itree_for_each(n, &s->mapping->i_mmap, 0, UINT64_MAX) nr++;
	umm_read_unlock(&s->mapping->i_mmap_lock);
	return nr;
}

/* Lock held: the segment if it can go. */
static struct ipc_object *take_unused(struct ipc *ipc)
{
	unsigned int i;

	for (i = 0; i < ipc->shm.size; i++) {
		struct ipc_object *o = ipc->shm.slot[i];

		if (!o || !segment_of(o)->removed || segment_attached(segment_of(o)))
			continue;
		ipc_remove(&ipc->shm, o);
		__atomic_fetch_sub(&ipc->nr_removed_shm, 1, __ATOMIC_RELAXED);
		return o;
	}
	return NULL;
}

void shm_sweep(struct ipc *ipc)
{
	struct ipc_object *o;

	do {
		pthread_mutex_lock(&ipc->lock);
		o = take_unused(ipc);
		pthread_mutex_unlock(&ipc->lock);
		if (o)
			shm_free(o);
	} while (o);
}

/* ---- shmget --------------------------------------------------------------- */

static int segment_make(struct task *t, key_t key, uint64_t size, int flags)
{
	struct shm_segment *s;
	int id;

	if (!size || size > SEGMENT_MAX)
		return -EINVAL;
	/* As where no huge pages are set aside. */
	if (flags & SHM_HUGETLB)
		return -ENOMEM;
	if (size > UMM_TASK_SIZE)
		return -ENOMEM;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	id = mapping_create_shmem(t->mm, page_align_up(size), !(flags & SHM_NORESERVE),
				  &s->mapping);
	if (id) {
		free(s);
		return id;
	}
	s->size = size;
	s->cpid = t->proc->pid;
	s->ctime = time(NULL);
	id = ipc_insert(&t->g->ipc->shm, &s->obj, key, flags);
	if (id < 0)
		shm_free(&s->obj);
	return id;
}

int64_t sys_shmget(struct task *t, const uint64_t a[6])
{
	struct ipc *ipc = t->g->ipc;
	int flags = (int)a[2], ret;
	struct ipc_object *o;

	pthread_mutex_lock(&ipc->lock);
	ret = ipc_find_key(&ipc->shm, (key_t)a[0], flags, &o);
	if (!ret && !o)
		ret = segment_make(t, (key_t)a[0], a[1], flags);
	else if (!ret && segment_of(o)->size < a[1])
		ret = -EINVAL;
	else if (!ret)
		ret = ipc_may(o, flags & 0777) ? -EACCES : o->id;
	pthread_mutex_unlock(&ipc->lock);
	return ret;
}

/* ---- shmat, shmdt --------------------------------------------------------- */

/* Where and how; the segment comes later. */
static int attach_request(const uint64_t a[6], struct mm_map_request *req)
{
	uint64_t addr = a[1];
	int flags = (int)a[2];

	req->flags = MAP_SHARED;
	if (addr % UMM_PAGE_SIZE) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr &= UMM_PAGE_MASK;
		if (!addr && (flags & SHM_REMAP))
			return -EINVAL;
	}
	if (a[1])
		req->flags |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	else if (flags & SHM_REMAP)
		return -EINVAL;
	req->addr = gva_make(addr);
	req->prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
		    (flags & SHM_EXEC ? PROT_EXEC : 0);
	/* What it was attached for bounds what mprotect() may give later. */
	req->may = VM_MAYREAD | VM_MAYEXEC | (flags & SHM_RDONLY ? 0 : VM_MAYWRITE);
	return 0;
}

static int attach_find(struct task *t, int id, int flags, struct mm_map_request *req)
{
	struct ipc *ipc = t->g->ipc;
	struct ipc_object *o;
	int err;

	pthread_mutex_lock(&ipc->lock);
	err = ipc_find_id(&ipc->shm, id, &o);
	if (!err)
		err = ipc_may(o, 0444 | (flags & SHM_RDONLY ? 0 : 0222) |
					 (flags & SHM_EXEC ? 0111 : 0));
	if (!err) {
		req->len = page_align_up(segment_of(o)->size);
		req->mapping = mapping_get(segment_of(o)->mapping);
	}
	pthread_mutex_unlock(&ipc->lock);
	return err;
}

/* It was attached, or detached. */
static void segment_note(struct task *t, const struct address_space *m, bool attached)
{
	struct ipc *ipc = t->g->ipc;
	unsigned int i;

	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->shm.size; i++) {
		struct shm_segment *s = ipc->shm.slot[i] ? segment_of(ipc->shm.slot[i]) : NULL;

		if (!s || s->mapping != m)
			continue;
		*(attached ? &s->atime : &s->dtime) = time(NULL);
		s->lpid = t->proc->pid;
		break;
	}
	pthread_mutex_unlock(&ipc->lock);
}

int64_t sys_shmat(struct task *t, const uint64_t a[6])
{
	struct mm_map_request req = { 0 };
	gva_t at;
	int err;

	if ((int)a[0] < 0)
		return -EINVAL;
	err = attach_request(a, &req);
	if (!err)
		err = attach_find(t, (int)a[0], (int)a[2], &req);
	if (err)
		return err;
	if ((req.flags & MAP_FIXED_NOREPLACE) && req.addr.v + req.len < req.addr.v)
		err = -EINVAL;
	else
		err = mm_mmap(t->mm, &req, &at);
	if (!err)
		segment_note(t, req.mapping, true);
	mapping_put(req.mapping);
	return err == -EEXIST ? -EINVAL : err ? err : (int64_t)at.v;
}

bool shm_identify(struct guest *g, const struct address_space *m, key_t *key, int *id)
{
	struct ipc *ipc = g->ipc;
	bool found = false;
	unsigned int i;

	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->shm.size && !found; i++) {
		struct ipc_object *o = ipc->shm.slot[i];

		if (!o || segment_of(o)->mapping != m)
			continue;
		*key = o->perm.__key;
		*id = o->id;
		found = true;
	}
	pthread_mutex_unlock(&ipc->lock);
	return found;
}

/* A piece of a segment in an address space. */
struct attachment {
	struct address_space *mapping; /* with a reference */
	gva_t start;
	uint64_t len, size; /* of the piece; of the whole segment */
};

/* The next area of shared memory at @from or above, that lies as one attached at @base does. */
static bool attachment_next(struct mm *mm, uint64_t from, uint64_t base, struct attachment *out)
{
	struct vma *v;
	bool found = false;

	umm_read_lock(&mm->mmap_lock);
	for (v = vma_find(mm, gva_make(from)); v && !found; v = vma_next(v)) {
		if (!v->mapping || v->mapping->ops || v->start.v < base ||
		    (v->start.v - base) >> UMM_PAGE_SHIFT != v->pgoff.v)
			continue;
		out->mapping = mapping_get(v->mapping);
		out->start = v->start;
		out->len = v->end.v - v->start.v;
		out->size = v->mapping->shmem_size;
		found = true;
	}
	umm_read_unlock(&mm->mmap_lock);
	return found;
}

int64_t sys_shmdt(struct task *t, const uint64_t a[6])
{
	struct address_space *segment = NULL;
	uint64_t from = a[0], end = UMM_TASK_SIZE;
	struct attachment at;
	int err = -EINVAL, id;
	key_t key;

	if (a[0] % UMM_PAGE_SIZE)
		return -EINVAL;
	while (from < end && attachment_next(t->mm, from, a[0], &at)) {
		from = at.start.v + at.len;
		if (from <= end &&
		    (segment ? at.mapping == segment : shm_identify(t->g, at.mapping, &key, &id))) {
			if (!segment) {
				segment = mapping_get(at.mapping);
				end = a[0] + at.size;
			}
			err = mm_munmap(t->mm, at.start, at.len);
		}
		mapping_put(at.mapping);
	}
	if (segment) {
		segment_note(t, segment, false);
		mapping_put(segment);
	}
	ipc_task_ended(t->g);
	return err;
}

/* ---- shmctl --------------------------------------------------------------- */

static void segment_stat(const struct shm_segment *s, struct shmid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ds->shm_perm = s->obj.perm;
	ds->shm_segsz = s->size;
	ds->shm_atime = s->atime;
	ds->shm_dtime = s->dtime;
	ds->shm_ctime = s->ctime;
	ds->shm_cpid = s->cpid;
	ds->shm_lpid = s->lpid;
	ds->shm_nattch = segment_attached(s);
}

/* Lock held. A key no longer leads to it; who is attached keeps it. */
static void segment_remove(struct ipc *ipc, struct shm_segment *s)
{
	if (s->removed)
		return;
	s->removed = true;
	s->obj.perm.__key = IPC_PRIVATE;
	s->obj.perm.mode |= SHM_DEST;
	__atomic_fetch_add(&ipc->nr_removed_shm, 1, __ATOMIC_RELAXED);
}

static int64_t shm_info(struct task *t, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct shm_info info = { 0 };
	struct shminfo limits = { .shmmax = SEGMENT_MAX,
				  .shmmin = 1,
				  .shmmni = ipc->shm.max,
				  .shmseg = ipc->shm.max,
				  .shmall = PAGES_MAX };
	unsigned int i;
	int last;

	pthread_mutex_lock(&ipc->lock);
	last = ipc_last_index(&ipc->shm);
	info.used_ids = (int)ipc->shm.used;
	for (i = 0; i < ipc->shm.size; i++) {
		if (!ipc->shm.slot[i])
			continue;
		info.shm_tot += segment_pages(segment_of(ipc->shm.slot[i]));
		info.shm_rss += mapping_nr_cached(segment_of(ipc->shm.slot[i])->mapping);
	}
	pthread_mutex_unlock(&ipc->lock);
	if (cmd == SHM_INFO ? copy_to_user(t, user, &info, sizeof(info))
			    : copy_to_user(t, user, &limits, sizeof(limits)))
		return -EFAULT;
	return last;
}

static int64_t shm_stat(struct task *t, int id, int cmd, uint64_t user)
{
	struct ipc *ipc = t->g->ipc;
	struct shmid_ds ds;
	struct ipc_object *o;
	int64_t ret;

	pthread_mutex_lock(&ipc->lock);
	ret = cmd == IPC_STAT ? ipc_find_id(&ipc->shm, id, &o) : ipc_find_index(&ipc->shm, id, &o);
	if (!ret && cmd != SHM_STAT_ANY)
		ret = ipc_may(o, 0444);
	if (!ret) {
		segment_stat(segment_of(o), &ds);
		ret = cmd == IPC_STAT ? 0 : o->id;
	}
	pthread_mutex_unlock(&ipc->lock);
	if (ret >= 0 && copy_to_user(t, user, &ds, sizeof(ds)))
		return -EFAULT;
	return ret;
}

int64_t sys_shmctl(struct task *t, const uint64_t a[6])
{
	struct ipc *ipc = t->g->ipc;
	int cmd = (int)a[1];
	struct ipc_object *o;
	struct shmid_ds ds;
	int err;

	if ((int)a[0] < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SHM_INFO:
		return shm_info(t, cmd, a[2]);
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		return shm_stat(t, (int)a[0], cmd, a[2]);
	case IPC_SET:
		if (copy_from_user(t, &ds, a[2], sizeof(ds)))
			return -EFAULT;
		break;
	case IPC_RMID:
	case SHM_LOCK:
	case SHM_UNLOCK:
		break;
	default:
		return -EINVAL;
	}
	pthread_mutex_lock(&ipc->lock);
	err = ipc_find_id(&ipc->shm, (int)a[0], &o);
	if (!err)
		err = ipc_may_control(o);
	if (!err && cmd == IPC_RMID)
		segment_remove(ipc, segment_of(o));
	else if (!err && cmd == IPC_SET)
		err = ipc_set_perm(o, &ds.shm_perm);
	/* Told, but it keeps no page in memory. */
	else if (!err && cmd == SHM_LOCK)
		o->perm.mode |= SHM_LOCKED;
	else if (!err)
		o->perm.mode &= ~(unsigned int)SHM_LOCKED;
	if (!err && cmd == IPC_SET)
		segment_of(o)->ctime = time(NULL);
	pthread_mutex_unlock(&ipc->lock);
	ipc_task_ended(t->g);
	return err;
}

/* ---- /proc/sysvipc/shm ---------------------------------------------------- */

void shm_list(struct ipc *ipc, FILE *out)
{
	unsigned int i;

	fputs("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      "
	      "atime      dtime      ctime                   rss                  swap\n",
	      out);
	pthread_mutex_lock(&ipc->lock);
	for (i = 0; i < ipc->shm.size; i++) {
		const struct ipc_object *o = ipc->shm.slot[i];
		const struct shm_segment *s = o ? segment_of(ipc->shm.slot[i]) : NULL;

		if (!s)
			continue;
		fprintf(out,
			"%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10ld %10ld %10ld %21lu %21lu\n",
			o->perm.__key, o->id, o->perm.mode, s->size, (unsigned int)s->cpid,
			(unsigned int)s->lpid, segment_attached(s), o->perm.uid, o->perm.gid,
			o->perm.cuid, o->perm.cgid, s->atime, s->dtime, s->ctime,
			mapping_nr_cached(s->mapping) << UMM_PAGE_SHIFT, 0ul);
	}
	pthread_mutex_unlock(&ipc->lock);
}
