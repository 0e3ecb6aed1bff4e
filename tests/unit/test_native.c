/* SPDX-License-Identifier: MIT */
/*
 * The same calls to the memory manager and to the kernel that runs this test: the
 * errno and the areas afterwards must be the same. Linux itself is the oracle for
 * splitting, joining and refusing. SEED=n in the environment repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "rmap/vma.h"
#include "tests/unit/util.h"

/* Below whatever the kernel, a sanitizer or a position-independent program is put at. */
#define BASE      0x10000000ul
#define WINDOW    40u
#define MAX_AREAS (2 * WINDOW)

struct area {
	uint64_t start, end, offset;
	char perms[5];
};

struct areas {
	struct area a[MAX_AREAS];
	unsigned int nr;
};

struct pair {
	struct fake_host *h;
	struct mm *mm;
	struct unit_file file;
	int fd;
	unsigned int step;
	char what[200];
};

static uint64_t below(uint64_t n)
{
	return (uint64_t)rand() % n;
}

static gva_t at(uint64_t page)
{
	return page_at(gva_make(BASE), page);
}

/* ---- the areas of both ------------------------------------------------------- */

static void areas_add(struct areas *out, const struct area *a)
{
	CU_ASSERT_TRUE_FATAL(out->nr < MAX_AREAS);
	out->a[out->nr++] = *a;
}

static void areas_of_mm(struct mm *mm, struct areas *out)
{
	out->nr = 0;
	for (struct vma *v = vma_first(mm); v; v = vma_next(v)) {
		struct area a = { .start = v->start.v, .end = v->end.v };

		a.offset = v->mapping ? v->pgoff.v << UMM_PAGE_SHIFT : 0;
		a.perms[0] = v->flags & VM_READ ? 'r' : '-';
		a.perms[1] = v->flags & VM_WRITE ? 'w' : '-';
		a.perms[2] = v->flags & VM_EXEC ? 'x' : '-';
		a.perms[3] = v->flags & VM_MAYSHARE ? 's' : 'p';
		areas_add(out, &a);
	}
}

static void areas_of_kernel(struct areas *out)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	out->nr = 0;
	while (fgets(line, sizeof(line), f)) {
		struct area a = { 0 };

		if (sscanf(line, "%lx-%lx %4s %lx", &a.start, &a.end, a.perms, &a.offset) != 4)
			continue;
		if (a.end <= BASE || a.start >= at(WINDOW).v)
			continue;
		areas_add(out, &a);
	}
	fclose(f);
}

static void areas_print(const char *who, const struct areas *l)
{
	fprintf(stderr, "%s:", who);
	for (unsigned int i = 0; i < l->nr; i++)
		fprintf(stderr, " [%lu-%lu %s %lx]", (l->a[i].start - BASE) >> 12,
			(l->a[i].end - BASE) >> 12, l->a[i].perms, l->a[i].offset);
	fputc('\n', stderr);
}

static bool areas_equal(const struct areas *a, const struct areas *b)
{
	if (a->nr != b->nr)
		return false;
	for (unsigned int i = 0; i < a->nr; i++)
		if (a->a[i].start != b->a[i].start || a->a[i].end != b->a[i].end ||
		    a->a[i].offset != b->a[i].offset || strcmp(a->a[i].perms, b->a[i].perms))
			return false;
	return true;
}

/* ---- one call to both; true if they agree --------------------------------------- */

static int native(long ret)
{
	return ret == -1 ? -errno : 0;
}

static bool agree(struct pair *p, int ours, int theirs)
{
	if (ours == theirs)
		return true;
	fprintf(stderr, "step %u %s: manager %d, kernel %d\n", p->step, p->what, ours, theirs);
	return false;
}

static bool both_map(struct pair *p, gva_t addr, uint64_t len, int prot, int flags, uint64_t offset)
{
	bool file = !(flags & MAP_ANONYMOUS);
	struct mm_map_request req = {
		.addr = addr,
		.len = len,
		.prot = prot,
		.flags = flags,
		.offset = offset,
		.mapping = file ? p->file.mapping : NULL,
	};
	gva_t out;
	long got;

	snprintf(p->what, sizeof(p->what), "mmap(%lx, %lx, %x, %x, off %lx)", addr.v, len, prot,
		 flags, offset);
	got = syscall(SYS_mmap, addr.v, len, prot, flags, file ? p->fd : -1, offset);
	return agree(p, mm_mmap(p->mm, &req, &out), native(got));
}

static bool both_unmap(struct pair *p, gva_t addr, uint64_t len)
{
	snprintf(p->what, sizeof(p->what), "munmap(%lx, %lx)", addr.v, len);
	return agree(p, mm_munmap(p->mm, addr, len), native(syscall(SYS_munmap, addr.v, len)));
}

static bool both_protect(struct pair *p, gva_t addr, uint64_t len, int prot)
{
	snprintf(p->what, sizeof(p->what), "mprotect(%lx, %lx, %x)", addr.v, len, prot);
	return agree(p, mm_mprotect(p->mm, addr, len, prot),
		     native(syscall(SYS_mprotect, addr.v, len, prot)));
}

/* Kernels differ in what a range of several areas gets (6.17 moves them all). */
static bool one_area(struct pair *p, gva_t addr, uint64_t len)
{
	struct vma *v = vma_find_exact(p->mm, addr);

	return v && v->end.v >= addr.v + len;
}

static bool both_remap(struct pair *p, gva_t old, uint64_t old_len, uint64_t new_len, int flags,
		       gva_t new)
{
	gva_t out;

	if (!one_area(p, old, old_len))
		return true;
	snprintf(p->what, sizeof(p->what), "mremap(%lx, %lx, %lx, %x, %lx)", old.v, old_len,
		 new_len, flags, new.v);
	return agree(p, mm_mremap(p->mm, old, old_len, new_len, flags, new, &out),
		     native(syscall(SYS_mremap, old.v, old_len, new_len, flags, new.v)));
}

static bool both_advise(struct pair *p, gva_t addr, uint64_t len, int advice)
{
	snprintf(p->what, sizeof(p->what), "madvise(%lx, %lx, %d)", addr.v, len, advice);
	return agree(p, mm_madvise(p->mm, addr, len, advice),
		     native(syscall(SYS_madvise, addr.v, len, advice)));
}

static bool both_lock(struct pair *p, gva_t addr, uint64_t len, int flags)
{
	snprintf(p->what, sizeof(p->what), "mlock2(%lx, %lx, %d)", addr.v, len, flags);
	return agree(p, mm_mlock(p->mm, addr, len, flags),
		     native(syscall(SYS_mlock2, addr.v, len, flags)));
}

static bool both_unlock(struct pair *p, gva_t addr, uint64_t len)
{
	snprintf(p->what, sizeof(p->what), "munlock(%lx, %lx)", addr.v, len);
	return agree(p, mm_munlock(p->mm, addr, len), native(syscall(SYS_munlock, addr.v, len)));
}

static bool both_sync(struct pair *p, gva_t addr, uint64_t len, int flags)
{
	snprintf(p->what, sizeof(p->what), "msync(%lx, %lx, %d)", addr.v, len, flags);
	return agree(p, mm_msync(p->mm, addr, len, flags),
		     native(syscall(SYS_msync, addr.v, len, flags)));
}

static bool both_core(struct pair *p, gva_t addr, uint64_t len)
{
	uint8_t vec[2][WINDOW + 2];

	snprintf(p->what, sizeof(p->what), "mincore(%lx, %lx)", addr.v, len);
	return agree(p, mm_mincore(p->mm, addr, len, vec[0]),
		     native(syscall(SYS_mincore, addr.v, len, vec[1])));
}

/* Touch a page in both, where the area allows it. */
static bool both_touch(struct pair *p, gva_t addr, bool write)
{
	struct vma *v = vma_find_exact(p->mm, addr);
	uint64_t value;

	if (!v || !(v->flags & (write ? VM_WRITE : VM_READ)))
		return true;
	/* The kernel maps its zero page, the manager a page of the area's own. */
	if (!write && !v->mapping)
		return true;
	snprintf(p->what, sizeof(p->what), "%s(%lx)", write ? "store" : "load", addr.v);
	if (write)
		*(volatile uint64_t *)addr.v = p->step;
	else
		(void)*(volatile uint64_t *)addr.v;
	return agree(p,
		     write ? fake_store(p->h, p->mm, 0, addr, p->step)
			   : fake_load(p->h, p->mm, 0, addr, &value),
		     FAULT_DONE);
}

static bool pair_same(struct pair *p)
{
	struct areas ours, theirs;

	areas_of_mm(p->mm, &ours);
	areas_of_kernel(&theirs);
	if (areas_equal(&ours, &theirs))
		return true;
	fprintf(stderr, "step %u after %s:\n", p->step, p->what);
	areas_print("manager", &ours);
	areas_print("kernel ", &theirs);
	return false;
}

/* Both may lock as much: root without limit. */
static void same_lock_limit(struct mm *mm)
{
	struct rlimit limit;

	if (geteuid() && !getrlimit(RLIMIT_MEMLOCK, &limit))
		mm->rlim_memlock = limit.rlim_cur;
}

static void pair_open(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->h = unit_open();
	p->mm = unit_mm(p->h);
	same_lock_limit(p->mm);
	p->file = unit_file(p->h, 2 * WINDOW * UMM_PAGE_SIZE);
	p->fd = memfd_create("native", 0);
	CU_ASSERT_TRUE_FATAL(p->fd >= 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(p->fd, 2 * WINDOW * UMM_PAGE_SIZE), 0);
}

static void pair_close(struct pair *p)
{
	munmap((void *)BASE, WINDOW * UMM_PAGE_SIZE);
	close(p->fd);
	mm_put(p->mm);
	unit_file_close(&p->file);
	unit_close(p->h);
}

/* ---- random calls ----------------------------------------------------------------- */

static int random_prot(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_RW, PROT_RW, PROT_RW };

	return prots[below(ARRAY_LEN(prots))];
}

static int random_map_flags(void)
{
	static const int more[] = { 0, 0, 0, MAP_NORESERVE, MAP_FIXED_NOREPLACE, MAP_STACK };

	return MAP_FIXED | MAP_ANON_PRIVATE | more[below(ARRAY_LEN(more))];
}

static int random_advice(void)
{
	static const int advices[] = {
		MADV_NORMAL,     MADV_RANDOM,     MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		MADV_DONTFORK,   MADV_DOFORK,     MADV_DONTDUMP,   MADV_DODUMP,   MADV_COLD,
		MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_FREE,
	};

	return advices[below(ARRAY_LEN(advices))];
}

static bool pair_step(struct pair *p)
{
	uint64_t first = below(WINDOW), room = WINDOW - first;
	uint64_t nr = 1 + below(room < 10 ? room : 10), len = nr << UMM_PAGE_SHIFT;
	uint64_t to = below(WINDOW - nr + 1);
	uint64_t to_len = (1 + below(WINDOW - to < 10 ? WINDOW - to : 10)) << UMM_PAGE_SHIFT;
	gva_t a = at(first);

	switch (below(12)) {
	case 0:
		return both_map(p, a, len, random_prot(), random_map_flags(), 0);
	case 1:
		return both_map(p, a, len, random_prot(),
				MAP_FIXED | (below(2) ? MAP_SHARED : MAP_PRIVATE),
				(below(2) ? first : below(WINDOW)) << UMM_PAGE_SHIFT);
	case 2:
		return both_unmap(p, a, len);
	case 3:
	case 4:
		return both_protect(p, a, len, random_prot());
	case 5:
		return both_remap(p, a, below(12) ? len : 0, below(2) ? len : to_len,
				  MREMAP_MAYMOVE | MREMAP_FIXED, at(to));
	case 6:
		return both_remap(p, a, len, (1 + below(room)) << UMM_PAGE_SHIFT, 0, a);
	case 7:
		return both_advise(p, a, len, random_advice());
	case 8:
		return below(2) ? both_lock(p, a, len, MLOCK_ONFAULT) : both_unlock(p, a, len);
	case 9:
		return below(2) ? both_core(p, a, len) : both_sync(p, a, len, MS_ASYNC << below(3));
	default:
		return both_touch(p, a, below(4));
	}
}

static void run_steps(bool (*step)(struct pair *), unsigned int nr)
{
	const char *given = getenv("SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : 1;
	struct pair p;
	bool same = true;

	srand(seed);
	pair_open(&p);
	for (; same && p.step < nr; p.step++)
		same = step(&p) && pair_same(&p);
	CU_ASSERT_TRUE(same);
	if (!same)
		fprintf(stderr, "SEED=%u\n", seed);
	pair_close(&p);
}

static void test_random(void)
{
	run_steps(pair_step, 5000);
}

/* ---- bad arguments ------------------------------------------------------------------ */

/*
 * Some good, some not; nothing that is accepted reaches out of the window, where
 * the test's own memory is. The second list is for calls that refuse whatever
 * ends past the user's half.
 */
static uint64_t bad_len(void)
{
	static const uint64_t lens[] = {
		0, 1, 4095, 4096, 4097, 8192, 3 * 4096, -1ul, -4095ul, -4096ul, -8192ul,
	};

	return lens[below(ARRAY_LEN(lens))];
}

static uint64_t far_len(void)
{
	static const uint64_t lens[] = { 1ul << 47, 1ul << 63, UMM_TASK_SIZE, UMM_TASK_SIZE + 1 };

	return below(3) ? bad_len() : lens[below(ARRAY_LEN(lens))];
}

static gva_t bad_addr(void)
{
	/* Not the last page: the kernel takes such an address for an errno. */
	static const uint64_t far[] = { -8192ul, 1ul << 47, 1ul << 63, UMM_TASK_SIZE };

	if (!below(3))
		return gva_make(far[below(ARRAY_LEN(far))]);
	return gva_add(at(below(WINDOW - 4)), below(4) ? 0 : 1 + below(4095));
}

static bool bad_map(struct pair *p)
{
	static const int flags[] = {
		MAP_FIXED,
		MAP_FIXED | MAP_PRIVATE,
		MAP_FIXED | MAP_SHARED,
		MAP_FIXED_NOREPLACE,
		MAP_FIXED | MAP_SHARED_VALIDATE,
		MAP_FIXED | MAP_ANONYMOUS,
		MAP_FIXED | MAP_ANONYMOUS | MAP_SHARED_VALIDATE,
		MAP_FIXED | MAP_ANON_PRIVATE,
		MAP_FIXED_NOREPLACE | MAP_ANON_PRIVATE,
		MAP_FIXED | MAP_SHARED | MAP_GROWSDOWN,
		MAP_FIXED | MAP_ANON_SHARED | MAP_GROWSDOWN,
		MAP_FIXED | MAP_SHARED_VALIDATE | 0x8000000,
	};
	static const uint64_t offsets[] = { 0, 0, 0, 4096, 1, -4096ul };
	int f = flags[below(ARRAY_LEN(flags))];

	return both_map(p, bad_addr(), far_len(), random_prot(), f,
			f & MAP_ANONYMOUS ? 0 : offsets[below(ARRAY_LEN(offsets))]);
}

/* A new place is given or none is wanted: one that is chosen differs. */
static bool bad_remap(struct pair *p, gva_t old, uint64_t old_len)
{
	static const int flags[] = { 0, MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, 8, 16 };

	return both_remap(p, old, old_len, bad_len() & 0x3fff, flags[below(ARRAY_LEN(flags))],
			  bad_addr());
}

/* Not MADV_REMOVE: the manager's file does not know it, the kernel's does. */
static int bad_advice(void)
{
	int advice = (int)below(12);

	return advice == MADV_REMOVE ? -1 : advice;
}

static bool bad_step(struct pair *p)
{
	gva_t a = bad_addr();
	uint64_t len = bad_len();

	switch (below(10)) {
	case 0:
		return bad_map(p);
	case 1:
		return both_unmap(p, a, far_len());
	case 2:
		return both_protect(p, a, len, below(2) ? random_prot() : (int)(1u << below(31)));
	case 3:
		return bad_remap(p, a, len);
	case 4:
		return both_advise(p, a, len, below(2) ? random_advice() : bad_advice());
	case 5:
		return both_lock(p, a, len, 1 + (int)below(2));
	case 6:
		return both_unlock(p, a, len);
	case 7:
		return both_core(p, a, len);
	case 8:
		return both_sync(p, a, len, (int)below(9));
	default:
		return pair_step(p);
	}
}

static void test_bad_arguments(void)
{
	run_steps(bad_step, 5000);
}

/* The rules that areas are joined by, and MAP_STACK's flag, changed until then. */
static bool kernel_is_recent(void)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	return !uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 12));
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "random_calls", test_random },
		{ "bad_arguments", test_bad_arguments },
	};

	if (!kernel_is_recent()) {
		printf("# skip native: this kernel is older than 6.12\n");
		return 77;
	}
	return unit_run("native", tests, ARRAY_LEN(tests), argc, argv);
}
