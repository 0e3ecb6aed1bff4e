/* SPDX-License-Identifier: MIT */
/* Settings of /proc/sys/vm, and overcommit: what is promised, and refused. */
#include "tests/unit/util.h"

struct setup {
	struct fake_host *h;
	struct mm_sys *sys;
	struct mm *mm;
	uint64_t frames, swap;
};

static struct setup open_setup(void)
{
	struct fake_config config = unit_config();
	struct setup s = { .h = unit_open() };

	s.sys = s.h->sys;
	s.mm = unit_mm(s.h);
	s.frames = config.nr_nodes * config.frames_per_node;
	s.swap = config.swap_slots;
	return s;
}

static int try_map(struct mm *mm, uint64_t pages, int prot, int flags, gva_t *out)
{
	struct mm_map_request req = { .len = pages << UMM_PAGE_SHIFT,
				      .prot = prot,
				      .flags = flags };

	return mm_mmap(mm, &req, out);
}

static void set(struct setup *s, enum vm_setting setting, uint64_t value)
{
	CU_ASSERT_EQUAL(mm_sysctl_set(s->sys, setting, value), 0);
	CU_ASSERT_EQUAL(mm_sysctl_get(s->sys, setting), value);
}

static void test_accounting(void)
{
	struct setup s = open_setup();
	uint64_t start = mm_committed(s.sys);
	struct mm *child;
	gva_t a, shared;

	CU_ASSERT_EQUAL(start, 0);
	a = unit_map(s.mm, 100, PROT_RW, MAP_ANON_PRIVATE);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 100);
	unit_map(s.mm, 50, PROT_READ, MAP_ANON_PRIVATE);
	unit_map(s.mm, 50, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 100);
	shared = unit_map(s.mm, 30, PROT_READ, MAP_ANON_SHARED);
	unit_map(s.mm, 30, PROT_RW, MAP_ANON_SHARED | MAP_NORESERVE);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 130);
	/* Shared memory is one promise for all; private memory is one more. */
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 230);
	unit_unmap(s.mm, shared, 30);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 230);
	mm_put(child);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 100);
	unit_unmap(s.mm, page_at(a, 10), 20);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 80);
	/* Never stored to: read-only it promises nothing. And then something again. */
	unit_protect(s.mm, page_at(a, 50), 50, PROT_READ);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 30);
	unit_protect(s.mm, page_at(a, 50), 10, PROT_RW);
	CU_ASSERT_EQUAL(mm_committed(s.sys), 40);
	unit_remap(s.mm, page_at(a, 50), 10, 25, MREMAP_MAYMOVE, gva_make(0));
	CU_ASSERT_EQUAL(mm_committed(s.sys), 55);
	unit_end(s.h, s.mm);
}

static void test_mode_0(void)
{
	struct setup s = open_setup();
	uint64_t all = s.frames + s.swap;
	gva_t a;

	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_OVERCOMMIT_MEMORY), 0);
	CU_ASSERT_EQUAL(try_map(s.mm, all + 1, PROT_RW, MAP_ANON_PRIVATE, &a), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, all + 1, PROT_RW, MAP_ANON_SHARED, &a), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, all + 1, PROT_READ, MAP_ANON_PRIVATE, &a), 0);
	CU_ASSERT_EQUAL(try_map(s.mm, all + 1, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE, &a), 0);
	/* Each by itself could be. */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(try_map(s.mm, all, PROT_RW, MAP_ANON_PRIVATE, &a), 0);
	CU_ASSERT_TRUE(mm_committed(s.sys) > mm_commit_limit(s.sys));
	unit_end(s.h, s.mm);
}

static void test_mode_1(void)
{
	struct setup s = open_setup();
	gva_t a;

	set(&s, SYSCTL_OVERCOMMIT_MEMORY, 1);
	CU_ASSERT_EQUAL(try_map(s.mm, (s.frames + s.swap) * 100, PROT_RW, MAP_ANON_PRIVATE, &a), 0);
	CU_ASSERT_EQUAL(try_map(s.mm, (s.frames + s.swap) * 100, PROT_RW, MAP_ANON_SHARED, &a), 0);
	unit_end(s.h, s.mm);
}

static void test_mode_2(void)
{
	struct setup s = open_setup();
	uint64_t limit = s.frames / 2 + s.swap;
	struct mm *child;
	gva_t a, b;

	set(&s, SYSCTL_OVERCOMMIT_MEMORY, 2);
	set(&s, SYSCTL_USER_RESERVE_KBYTES, 0);
	CU_ASSERT_EQUAL(mm_commit_limit(s.sys), limit);
	CU_ASSERT_EQUAL(try_map(s.mm, limit, PROT_RW, MAP_ANON_PRIVATE, &a), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, limit - 101, PROT_RW, MAP_ANON_PRIVATE, &a), 0);
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_RW, MAP_ANON_PRIVATE, &b), -ENOMEM);
	/* It is no way around it, as it is in the other modes. */
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE, &b), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_RW, MAP_ANON_SHARED | MAP_NORESERVE, &b), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_RW, MAP_ANON_SHARED, &b), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_READ, MAP_ANON_PRIVATE, &b), 0);
	CU_ASSERT_EQUAL(mm_mprotect(s.mm, b, 200 << UMM_PAGE_SHIFT, PROT_RW), -ENOMEM);
	CU_ASSERT_EQUAL(mm_mremap(s.mm, a, (limit - 101) << UMM_PAGE_SHIFT, limit << UMM_PAGE_SHIFT,
				  MREMAP_MAYMOVE, gva_make(0), &b),
			-ENOMEM);
	CU_ASSERT_EQUAL(mm_fork(s.mm, &child), -ENOMEM);
	CU_ASSERT_EQUAL(mm_committed(s.sys), limit - 101);
	/* The last page is never given; what is given back can be had again. */
	CU_ASSERT_EQUAL(try_map(s.mm, 101, PROT_RW, MAP_ANON_PRIVATE, &b), -ENOMEM);
	CU_ASSERT_EQUAL(try_map(s.mm, 100, PROT_RW, MAP_ANON_PRIVATE, &b), 0);
	unit_unmap(s.mm, a, limit - 101);
	CU_ASSERT_EQUAL(try_map(s.mm, 200, PROT_RW, MAP_ANON_SHARED, &b), 0);
	unit_end(s.h, s.mm);
}

static void test_limit(void)
{
	struct setup s = open_setup();

	set(&s, SYSCTL_OVERCOMMIT_RATIO, 80);
	CU_ASSERT_EQUAL(mm_commit_limit(s.sys), s.frames * 80 / 100 + s.swap);
	set(&s, SYSCTL_OVERCOMMIT_KBYTES, 4000);
	CU_ASSERT_EQUAL(mm_commit_limit(s.sys), 1000 + s.swap);
	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_OVERCOMMIT_RATIO), 0);
	set(&s, SYSCTL_OVERCOMMIT_RATIO, 10);
	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_OVERCOMMIT_KBYTES), 0);
	CU_ASSERT_EQUAL(mm_commit_limit(s.sys), s.frames / 10 + s.swap);
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_OVERCOMMIT_MEMORY, 3), -EINVAL);
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_OVERCOMMIT_RATIO, 1ul << 31), -EINVAL);
	unit_end(s.h, s.mm);
}

static void test_map_count(void)
{
	struct setup s = open_setup();
	gva_t a = unit_map(s.mm, 64, PROT_RW, MAP_ANON_PRIVATE), b;
	unsigned int nr = 0;

	set(&s, SYSCTL_MAX_MAP_COUNT, 20);
	while (nr < 30 && !mm_mprotect(s.mm, page_at(a, 2 * nr + 1), UMM_PAGE_SIZE, PROT_READ))
		nr++;
	CU_ASSERT_EQUAL(s.mm->nr_vmas, 20);
	CU_ASSERT_EQUAL(mm_munmap(s.mm, page_at(a, 61), UMM_PAGE_SIZE), -ENOMEM);
	set(&s, SYSCTL_MAX_MAP_COUNT, 19);
	CU_ASSERT_EQUAL(try_map(s.mm, 1, PROT_NONE, MAP_ANON_SHARED, &b), -ENOMEM);
	set(&s, SYSCTL_MAX_MAP_COUNT, 65530);
	CU_ASSERT_EQUAL(try_map(s.mm, 1, PROT_NONE, MAP_ANON_SHARED, &b), 0);
	unit_end(s.h, s.mm);
}

static void test_min_addr(void)
{
	struct setup s = open_setup();
	gva_t a;

	set(&s, SYSCTL_MMAP_MIN_ADDR, 0x30000);
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_MMAP_MIN_ADDR, 0x2f001), 0);
	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_MMAP_MIN_ADDR), 0x30000);
	for (uint64_t at = 0x20000; at <= 0x30000; at += 0x10000) {
		struct mm_map_request req = {
			.addr = gva_make(at),
			.len = UMM_PAGE_SIZE,
			.prot = PROT_READ,
			.flags = MAP_ANON_PRIVATE | MAP_FIXED,
		};

		CU_ASSERT_EQUAL(mm_mmap(s.mm, &req, &a), at < 0x30000 ? -EPERM : 0);
	}
	/* Beyond every address: no place from the top down, and still no harm. */
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_MMAP_MIN_ADDR, ~0ul), 0);
	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_MMAP_MIN_ADDR), UMM_TASK_SIZE);
	(void)!try_map(s.mm, 1, PROT_READ, MAP_ANON_PRIVATE, &a);
	(void)!try_map(s.mm, 2 * UMM_PTRS_PER_TABLE, PROT_READ, MAP_ANON_PRIVATE, &a);
	unit_end(s.h, s.mm);
}

static void test_min_free(void)
{
	struct setup s = open_setup();
	uint64_t before = mm_sysctl_get(s.sys, SYSCTL_MIN_FREE_KBYTES);
	struct mm_node_info info;

	CU_ASSERT_TRUE(before > 0);
	set(&s, SYSCTL_MIN_FREE_KBYTES, 4096);
	mm_sys_node_info(s.sys, 0, &info);
	CU_ASSERT_EQUAL(info.wmark_min, 512);
	CU_ASSERT_TRUE(info.wmark_min < info.wmark_low && info.wmark_low < info.wmark_high);
	/* Not so much that nothing could be had any more. */
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_MIN_FREE_KBYTES, INT32_MAX), 0);
	mm_sys_node_info(s.sys, 0, &info);
	CU_ASSERT_EQUAL(info.wmark_min, info.nr_frames / 4);
	CU_ASSERT_EQUAL(mm_sysctl_set(s.sys, SYSCTL_MIN_FREE_KBYTES, 0), 0);
	CU_ASSERT_EQUAL(mm_sysctl_get(s.sys, SYSCTL_MIN_FREE_KBYTES), before);
	unit_end(s.h, s.mm);
}

static void test_drop_caches(void)
{
	struct setup s = open_setup();
	struct unit_file file = unit_file(s.h, 16 * UMM_PAGE_SIZE);
	gva_t a = unit_map_file(s.mm, file.mapping, 0, 16, PROT_RW, MAP_SHARED);

	for (unsigned int i = 0; i < 16; i++)
		unit_get(s.h, s.mm, page_at(a, i));
	unit_put(s.h, s.mm, page_at(a, 12), 5);
	/* Mapped pages stay, and so do dirty ones. */
	unit_unmap(s.mm, a, 8);
	CU_ASSERT_EQUAL(mapping_nr_cached(file.mapping), 16);
	CU_ASSERT_EQUAL(mm_drop_caches(s.sys), 8);
	unit_unmap(s.mm, page_at(a, 8), 8);
	CU_ASSERT_EQUAL(mm_drop_caches(s.sys), 7);
	CU_ASSERT_EQUAL(mapping_nr_cached(file.mapping), 1);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "what counts as promised", test_accounting },
		{ "overcommit_memory 0", test_mode_0 },
		{ "overcommit_memory 1", test_mode_1 },
		{ "overcommit_memory 2", test_mode_2 },
		{ "the commit limit", test_limit },
		{ "max_map_count", test_map_count },
		{ "mmap_min_addr", test_min_addr },
		{ "min_free_kbytes", test_min_free },
		{ "drop_caches", test_drop_caches },
	};

	return unit_run("sysctl", tests, ARRAY_LEN(tests), argc, argv);
}
