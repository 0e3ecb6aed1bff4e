/* SPDX-License-Identifier: MIT */
/*
 * Faults that wait for a device or for another's lock of a folio hold no lock of the mm
 * meanwhile, and get along with whatever is done to the mm in that time.
 *
 * The fake host calls a hook when it is asked for a transfer. There another thread, as
 * the ladder of locks is each thread's own, looks whether mmap_lock could be had for
 * writing, and then acts.
 */
#include <pthread.h>

#include "tests/unit/util.h"

#define PAGES 16

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr;
	struct unit_file file;
	enum fake_op op;                       /* at which operation */
	void (*act)(struct setup *s);          /* what is done there, once; or NULL */
	unsigned int transfers, locked, acted; /* how often; with mmap_lock held */
	int ret;                               /* what the act answered */
	gva_t moved;
	struct mm *child;
	pthread_t self, other;
	enum fault_result other_result;
	uint64_t other_value;
};

static void *look_and_act(void *arg)
{
	struct setup *s = arg;

	if (!umm_write_trylock(&s->mm->mmap_lock)) {
		s->locked++;
		return NULL;
	}
	umm_write_unlock(&s->mm->mmap_lock);
	if (s->act && !s->acted) {
		s->acted = 1;
		s->act(s);
	}
	return NULL;
}

static void at_transfer(struct fake_host *h, enum fake_op op, void *arg)
{
	struct setup *s = arg;

	(void)h;
	/* Transfers of the act and of threads that it starts are their own business. */
	if (op != s->op || !pthread_equal(pthread_self(), s->self))
		return;
	s->transfers++;
	unit_in_thread(look_and_act, s);
}

static struct setup open_plain(void)
{
	struct setup s = { .h = unit_open(), .op = FAKE_SWAP_CALL, .self = pthread_self() };

	s.mm = unit_mm(s.h);
	return s;
}

static struct setup open_swapped(int kind)
{
	struct setup s = open_plain();

	s.addr = unit_map(s.mm, PAGES, PROT_RW, kind);
	unit_fill(s.h, s.mm, s.addr, PAGES, 1);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	return s;
}

static struct setup open_file(int kind)
{
	struct setup s = open_plain();

	s.op = FAKE_FILE_READ;
	s.file = unit_file(s.h, PAGES * UMM_PAGE_SIZE);
	s.addr = unit_map_file(s.mm, s.file.mapping, 0, PAGES, PROT_RW, kind);
	return s;
}

static enum fault_result load(struct setup *s, uint64_t page, uint64_t *value)
{
	enum fault_result r;

	s->h->hook_arg = s;
	s->h->hook = at_transfer;
	r = fake_load(s->h, s->mm, 0, page_at(s->addr, page), value);
	s->h->hook = NULL;
	return r;
}

static void close_setup(struct setup *s)
{
	CU_ASSERT_TRUE(s->transfers > 0);
	CU_ASSERT_EQUAL(s->locked, 0);
	CU_ASSERT_EQUAL(s->acted, s->act ? 1 : 0);
	unit_check(s->h);
	if (s->child)
		mm_put(s->child);
	mm_put(s->mm);
	if (s->file.file)
		unit_file_close(&s->file);
	unit_close(s->h);
}

/* ---- nothing is held ------------------------------------------------------------ */

static void test_swap(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_DONE);
	CU_ASSERT_EQUAL(s.transfers, 1);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	/* One fault, and it came once. */
	CU_ASSERT_TRUE(mm_sys_event(s.h->sys, EV_FAULT_SWAP) < PAGES);
	close_setup(&s);
}

static void test_shared_memory(void)
{
	struct setup s = open_swapped(MAP_ANON_SHARED);
	uint64_t value;

	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_DONE);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

static void test_file(void)
{
	struct setup s = open_file(MAP_PRIVATE);
	uint64_t value;

	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_DONE);
	CU_ASSERT_EQUAL(value, fake_file_word(3, 0));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT_FILE), 1);
	close_setup(&s);
}

static void test_file_copy(void)
{
	struct setup s = open_file(MAP_PRIVATE);

	s.h->hook_arg = &s;
	s.h->hook = at_transfer;
	CU_ASSERT_EQUAL(fake_store(s.h, s.mm, 0, page_at(s.addr, 3), 77), FAULT_DONE);
	s.h->hook = NULL;
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 3)), 77);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 3, 0), fake_file_word(3, 0));
	CU_ASSERT_EQUAL(mm_sys_event(s.h->sys, EV_FAULT_COW), 1);
	close_setup(&s);
}

/* ---- a second thread that wants the same -------------------------------------------- */

static void *other_load(void *arg)
{
	struct setup *s = arg;

	s->other_result = fake_load(s->h, s->mm, 1, page_at(s->addr, 3), &s->other_value);
	return NULL;
}

static void *other_store(void *arg)
{
	struct setup *s = arg;

	s->other_result = fake_store(s->h, s->mm, 1, page_at(s->addr, 3), 78);
	return NULL;
}

/* Passing by is allowed, on a busy machine for a while. True with the lock held. */
static bool lock_comes(struct setup *s)
{
	for (int i = 0; i < 5000; i++) {
		if (umm_write_trylock(&s->mm->mmap_lock))
			return true;
		unit_sleep_ms(1);
	}
	return false;
}

/* It has had time to come to where it waits; whether it holds the lock there is seen. */
static void beside(struct setup *s, void *(*fn)(void *))
{
	s->other_result = FAULT_OOM;
	pthread_create(&s->other, NULL, fn, s);
	for (int i = 0; i < 20; i++) {
		unit_sleep_ms(5);
		if (!lock_comes(s)) {
			s->locked++;
			break;
		}
		umm_write_unlock(&s->mm->mmap_lock);
	}
}

static void load_beside(struct setup *s)
{
	beside(s, other_load);
}

static void store_beside(struct setup *s)
{
	beside(s, other_store);
}

static void test_others_read(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	s.act = load_beside;
	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_DONE);
	pthread_join(s.other, NULL);
	CU_ASSERT_EQUAL(s.other_result, FAULT_DONE);
	CU_ASSERT_EQUAL(s.other_value, value);
	/* Out, and in once. */
	CU_ASSERT_EQUAL(fake_calls(s.h, FAKE_SWAP_CALL), 2);
	close_setup(&s);
}

static void test_others_file_read(void)
{
	struct setup s = open_file(MAP_SHARED);
	uint64_t value;

	s.act = load_beside;
	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_DONE);
	pthread_join(s.other, NULL);
	CU_ASSERT_EQUAL(s.other_result, FAULT_DONE);
	CU_ASSERT_EQUAL(s.other_value, value);
	CU_ASSERT_EQUAL(s.file.file->reads, 1);
	close_setup(&s);
}

/* A store to a page of a file that is on its way to the file. */
static void test_write_back(void)
{
	struct setup s = open_file(MAP_SHARED);

	s.op = FAKE_FILE_WRITE;
	unit_put(s.h, s.mm, page_at(s.addr, 3), 77);
	s.act = store_beside;
	s.h->hook_arg = &s;
	s.h->hook = at_transfer;
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, MS_SYNC), 0);
	s.h->hook = NULL;
	pthread_join(s.other, NULL);
	CU_ASSERT_EQUAL(s.other_result, FAULT_DONE);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 3, 0), 77);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, page_at(s.addr, 3)), 78);
	CU_ASSERT_EQUAL(mm_msync(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(s.file.file, 3, 0), 78);
	close_setup(&s);
}

/* ---- the world has changed when the transfer is over ----------------------------------- */

static void unmap_all_of_it(struct setup *s)
{
	s->ret = mm_munmap(s->mm, s->addr, PAGES * UMM_PAGE_SIZE);
}

static void forbid(struct setup *s)
{
	s->ret = mm_mprotect(s->mm, s->addr, PAGES * UMM_PAGE_SIZE, PROT_NONE);
}

static void drop(struct setup *s)
{
	s->ret = mm_madvise(s->mm, s->addr, PAGES * UMM_PAGE_SIZE, MADV_DONTNEED);
}

static void fork_it(struct setup *s)
{
	s->ret = mm_fork(s->mm, &s->child);
}

static void move_it(struct setup *s)
{
	s->ret = mm_mremap(s->mm, s->addr, PAGES * UMM_PAGE_SIZE, PAGES * UMM_PAGE_SIZE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, gva_make(0x40000000), &s->moved);
}

/* Other memory at the same place. */
static void replace(struct setup *s)
{
	gva_t at = unit_map_at(s->mm, s->addr.v, PAGES, PROT_RW, MAP_ANON_PRIVATE);

	s->ret = at.v == s->addr.v ? 0 : -EINVAL;
}

static enum fault_result load_while(struct setup *s, void (*act)(struct setup *s), uint64_t *value)
{
	enum fault_result r;

	s->act = act;
	r = load(s, 3, value);
	CU_ASSERT_EQUAL(s->ret, 0);
	return r;
}

static void test_unmapped(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	struct swap_info info;
	uint64_t value;

	CU_ASSERT_EQUAL(load_while(&s, unmap_all_of_it, &value), FAULT_MAPERR);
	swap_get_info(s.h->sys, &info);
	CU_ASSERT_EQUAL(info.used, 0);
	close_setup(&s);
	s = open_file(MAP_SHARED);
	CU_ASSERT_EQUAL(load_while(&s, unmap_all_of_it, &value), FAULT_MAPERR);
	close_setup(&s);
}

static void test_forbidden(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	CU_ASSERT_EQUAL(load_while(&s, forbid, &value), FAULT_ACCERR);
	unit_protect(s.mm, s.addr, PAGES, PROT_RW);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

static void test_dropped(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value = 1;

	CU_ASSERT_EQUAL(load_while(&s, drop, &value), FAULT_DONE);
	CU_ASSERT_EQUAL(value, 0);
	close_setup(&s);
	s = open_swapped(MAP_ANON_PRIVATE);
	value = 1;
	CU_ASSERT_EQUAL(load_while(&s, replace, &value), FAULT_DONE);
	CU_ASSERT_EQUAL(value, 0);
	close_setup(&s);
}

static void test_forked(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	CU_ASSERT_EQUAL(load_while(&s, fork_it, &value), FAULT_DONE);
	unit_put(s.h, s.mm, gva_add(page_at(s.addr, 3), 8), 55);
	CU_ASSERT_EQUAL(unit_get(s.h, s.child, gva_add(page_at(s.addr, 3), 8)), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.child, s.addr, PAGES, 1), 0);
	close_setup(&s);
}

static void test_moved(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	CU_ASSERT_EQUAL(load_while(&s, move_it, &value), FAULT_MAPERR);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.moved, PAGES, 1), 0);
	close_setup(&s);
}

/* An error is the fault's only as long as there is something to fault on. */
static void test_errors(void)
{
	struct setup s = open_swapped(MAP_ANON_PRIVATE);
	uint64_t value;

	fake_fail_from(s.h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_BUS);
	fake_fail_nth(s.h, FAKE_SWAP_IO, 0);
	CU_ASSERT_EQUAL(unit_verify(s.h, s.mm, s.addr, PAGES, 1), 0);
	close_setup(&s);
	s = open_swapped(MAP_ANON_PRIVATE);
	fake_fail_from(s.h, FAKE_SWAP_IO, 1);
	CU_ASSERT_EQUAL(load_while(&s, unmap_all_of_it, &value), FAULT_MAPERR);
	fake_fail_nth(s.h, FAKE_SWAP_IO, 0);
	close_setup(&s);
	s = open_file(MAP_SHARED);
	fake_fail_nth(s.h, FAKE_FILE_READ, 1);
	CU_ASSERT_EQUAL(load(&s, 3, &value), FAULT_BUS);
	close_setup(&s);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "swap-in waits without mmap_lock", test_swap },
		{ "shared memory comes back without mmap_lock", test_shared_memory },
		{ "files are read without mmap_lock", test_file },
		{ "a file's page that is copied, too", test_file_copy },
		{ "another's swap-in is waited for without mmap_lock", test_others_read },
		{ "another's file read, too", test_others_file_read },
		{ "a store waits for write-back without mmap_lock", test_write_back },
		{ "unmapped meanwhile", test_unmapped },
		{ "protected meanwhile", test_forbidden },
		{ "dropped, and replaced, meanwhile", test_dropped },
		{ "forked meanwhile", test_forked },
		{ "moved meanwhile", test_moved },
		{ "errors of the transfer", test_errors },
	};

	return unit_run("fault wait", tests, ARRAY_LEN(tests), argc, argv);
}
