/* SPDX-License-Identifier: MIT */
/* The host's access to guest memory: copies, strings, atomic words, pins. */
#include "tests/unit/walks.h"

#define PAGES 4

struct setup {
	struct fake_host *h;
	struct mm *mm;
	gva_t addr; /* PAGES pages, then a hole */
};

static struct setup open_area(void)
{
	struct setup s = { .h = unit_open() };

	s.mm = unit_mm(s.h);
	s.addr = unit_map_at(s.mm, 0x40000000, PAGES, PROT_RW, MAP_ANON_PRIVATE);
	return s;
}

static void fill_pattern(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
}

static void test_copy_both_ways(void)
{
	struct setup s = open_area();
	static uint8_t out[PAGES * UMM_PAGE_SIZE], in[PAGES * UMM_PAGE_SIZE];
	size_t done = 0;

	fill_pattern(out, sizeof(out));
	CU_ASSERT_EQUAL(
		mm_copy_to_guest(s.mm, gva_add(s.addr, 5), out, 3 * UMM_PAGE_SIZE + 17, &done), 0);
	CU_ASSERT_EQUAL(done, 3 * UMM_PAGE_SIZE + 17);
	CU_ASSERT_EQUAL(
		mm_copy_from_guest(s.mm, in, gva_add(s.addr, 5), 3 * UMM_PAGE_SIZE + 17, &done), 0);
	CU_ASSERT_EQUAL(done, 3 * UMM_PAGE_SIZE + 17);
	CU_ASSERT_EQUAL(memcmp(out, in, 3 * UMM_PAGE_SIZE + 17), 0);
	/* The guest sees the same bytes, and nothing around them. */
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr) & 0xffffffffff, 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr) >> 40, 1ul | 8ul << 8 | 15ul << 16);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, in, s.addr, 0, &done), 0);
	unit_end(s.h, s.mm);
}

/* The copy stops at the hole and tells how far it came. */
static void test_copy_partial(void)
{
	struct setup s = open_area();
	static uint8_t buf[PAGES * UMM_PAGE_SIZE];
	size_t done = 99;

	fill_pattern(buf, sizeof(buf));
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, page_at(s.addr, 2), buf, sizeof(buf), &done),
			-EFAULT);
	CU_ASSERT_EQUAL(done, 2 * UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, buf, gva_add(s.addr, 100), sizeof(buf), &done),
			-EFAULT);
	CU_ASSERT_EQUAL(done, PAGES * UMM_PAGE_SIZE - 100);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, buf, page_at(s.addr, PAGES), 8, &done), -EFAULT);
	CU_ASSERT_EQUAL(done, 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, buf, page_at(s.addr, PAGES), 8, NULL), -EFAULT);
	unit_end(s.h, s.mm);
}

/* Addresses that no program may use: never a crash, never host memory. */
static void test_hostile_addresses(void)
{
	static const uint64_t bad[] = {
		0,    1,           0x7ffffffff000, 0x800000000000, 0xffff800000000000,
		~0ul, ~0ul - 4095, UMM_TASK_SIZE
	};
	struct setup s = open_area();
	struct mm_pin_vec vec[1];
	unsigned int nr;
	uint32_t word;
	size_t done;
	char buf[16];

	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		gva_t at = gva_make(bad[i]);

		CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, buf, at, sizeof(buf), &done), -EFAULT);
		CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, at, buf, sizeof(buf), &done), -EFAULT);
		CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, at, sizeof(buf)), -EFAULT);
		CU_ASSERT_EQUAL(mm_pin(s.mm, at, 16, false, vec, 1, &nr, &done), -EFAULT);
		CU_ASSERT_EQUAL(mm_read_u32(s.mm, gva_make(bad[i] & ~3ul), &word), -EFAULT);
		CU_ASSERT_EQUAL(mm_poke_guest(s.mm, at, buf, sizeof(buf), NULL), -EFAULT);
	}
	/* A length that wraps around. */
	CU_ASSERT_EQUAL(mm_pin(s.mm, s.addr, ~0ul - 4096, false, vec, 1, &nr, &done), 0);
	CU_ASSERT_TRUE(done <= PAGES * UMM_PAGE_SIZE);
	mm_unpin(s.mm, vec, nr, false);
	unit_end(s.h, s.mm);
}

static void test_protection(void)
{
	struct setup s = open_area();
	uint64_t value = 5;

	unit_put(s.h, s.mm, s.addr, 1);
	unit_protect(s.mm, s.addr, 1, PROT_READ);
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, s.addr, &value, 8, NULL), -EFAULT);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &value, s.addr, 8, NULL), 0);
	CU_ASSERT_EQUAL(value, 1);
	value = 7;
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, s.addr, &value, 8, NULL), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 7);
	unit_protect(s.mm, s.addr, 1, PROT_NONE);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &value, s.addr, 8, NULL), -EFAULT);
	value = 0;
	CU_ASSERT_EQUAL(mm_peek_guest(s.mm, &value, s.addr, 8, NULL), 0);
	CU_ASSERT_EQUAL(value, 7);
	unit_end(s.h, s.mm);
}

/* As a debugger: up to where the memory ends, and no further than the area's rights allow. */
static void test_forced(void)
{
	struct setup s = open_area();
	char out[64], in[64];
	size_t done = 9;
	gva_t last = gva_add(s.addr, PAGES * UMM_PAGE_SIZE - 16), shared;

	memset(in, 3, sizeof(in));
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, last, in, sizeof(in), &done), -EFAULT);
	CU_ASSERT_EQUAL(done, 16);
	CU_ASSERT_EQUAL(mm_peek_guest(s.mm, out, last, sizeof(out), &done), -EFAULT);
	CU_ASSERT_EQUAL(done, 16);
	CU_ASSERT_EQUAL(memcmp(in, out, 16), 0);
	CU_ASSERT_EQUAL(mm_peek_guest(s.mm, out, gva_make(UMM_TASK_SIZE), 8, &done), -EFAULT);
	CU_ASSERT_EQUAL(done, 0);
	/* Shared memory that is read-only stays so. */
	shared = unit_map(s.mm, 1, PROT_READ, MAP_ANON_SHARED);
	CU_ASSERT_EQUAL(mm_peek_guest(s.mm, out, shared, 8, NULL), 0);
	CU_ASSERT_EQUAL(mm_poke_guest(s.mm, shared, in, 8, NULL), -EFAULT);
	unit_end(s.h, s.mm);
}

/* Through swap, copy-on-write and file pages: as the guest would. */
static void test_copy_faults_in(void)
{
	struct setup s = open_area();
	struct unit_file file = unit_file(s.h, 2 * UMM_PAGE_SIZE);
	gva_t f = unit_map_file(s.mm, file.mapping, 0, 4, PROT_RW, MAP_SHARED);
	struct mm *child;
	uint64_t value = 0;

	unit_put(s.h, s.mm, s.addr, 11);
	child = unit_fork(s.mm);
	unit_reclaim(s.h, s.mm, gva_make(0), 0);
	CU_ASSERT_EQUAL(mm_copy_from_guest(child, &value, s.addr, 8, NULL), 0);
	CU_ASSERT_EQUAL(value, 11);
	value = 12;
	CU_ASSERT_EQUAL(mm_copy_to_guest(child, s.addr, &value, 8, NULL), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 11);
	CU_ASSERT_EQUAL(unit_get(s.h, child, s.addr), 12);
	/* A store by the host makes the file page dirty. */
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, page_at(f, 1), &value, 8, NULL), 0);
	CU_ASSERT_EQUAL(mm_msync(s.mm, f, 2 * UMM_PAGE_SIZE, MS_SYNC), 0);
	CU_ASSERT_EQUAL(fake_file_read(file.file, 1, 0), 12);
	CU_ASSERT_EQUAL(mm_copy_from_guest(s.mm, &value, page_at(f, 2), 8, NULL), -EFAULT);
	mm_put(child);
	unit_unmap(s.mm, f, 4);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

static void test_strings(void)
{
	struct setup s = open_area();
	gva_t end = page_at(s.addr, PAGES);
	char buf[32];

	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, gva_make(end.v - 6), "hello", 6, NULL), 0);
	CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, gva_make(end.v - 6), sizeof(buf)), 5);
	CU_ASSERT_STRING_EQUAL(buf, "hello");
	CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, gva_make(end.v - 6), 6), 5);
	CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, gva_make(end.v - 6), 5), -ENAMETOOLONG);
	/* No NUL before the hole. */
	CU_ASSERT_EQUAL(mm_copy_to_guest(s.mm, gva_make(end.v - 6), "hello!", 6, NULL), 0);
	CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, gva_make(end.v - 6), sizeof(buf)),
			-EFAULT);
	/* Across a page border. */
	CU_ASSERT_EQUAL(
		mm_copy_to_guest(s.mm, gva_make(page_at(s.addr, 1).v - 3), "across", 7, NULL), 0);
	CU_ASSERT_EQUAL(mm_strncpy_from_guest(s.mm, buf, gva_make(page_at(s.addr, 1).v - 3),
					      sizeof(buf)),
			6);
	CU_ASSERT_STRING_EQUAL(buf, "across");
	unit_end(s.h, s.mm);
}

static void test_words(void)
{
	struct setup s = open_area();
	uint32_t word = 1;

	CU_ASSERT_EQUAL(mm_read_u32(s.mm, gva_add(s.addr, 4), &word), 0);
	CU_ASSERT_EQUAL(word, 0);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(s.mm, gva_add(s.addr, 4), 0, 77, &word), 0);
	CU_ASSERT_EQUAL(word, 0);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(s.mm, gva_add(s.addr, 4), 0, 78, &word), 0);
	CU_ASSERT_EQUAL(word, 77);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 77ul << 32);
	CU_ASSERT_EQUAL(mm_read_u32(s.mm, gva_add(s.addr, 2), &word), -EINVAL);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(s.mm, gva_add(s.addr, 1), 0, 1, &word), -EINVAL);
	unit_protect(s.mm, s.addr, 1, PROT_READ);
	CU_ASSERT_EQUAL(mm_read_u32(s.mm, gva_add(s.addr, 4), &word), 0);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(s.mm, gva_add(s.addr, 4), 77, 1, &word), -EFAULT);
	unit_end(s.h, s.mm);
}

/* cmpxchg on a page shared by fork changes the caller's copy only. */
static void test_words_cow(void)
{
	struct setup s = open_area();
	struct mm *child;
	uint32_t word;

	unit_put(s.h, s.mm, s.addr, 5);
	child = unit_fork(s.mm);
	CU_ASSERT_EQUAL(mm_cmpxchg_u32(child, s.addr, 5, 6, &word), 0);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, s.addr), 5);
	CU_ASSERT_EQUAL(unit_get(s.h, child, s.addr), 6);
	mm_put(child);
	unit_end(s.h, s.mm);
}

static void test_pins(void)
{
	struct setup s = open_area();
	struct mm_pin_vec vec[PAGES + 1];
	unsigned int nr = 0;
	size_t bytes = 0, sum = 0;

	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, gva_add(s.addr, 100), 2 * UMM_PAGE_SIZE, true, vec,
				     ARRAY_LEN(vec), &nr, &bytes),
			      0);
	CU_ASSERT_EQUAL(bytes, 2 * UMM_PAGE_SIZE);
	for (unsigned int i = 0; i < nr; i++) {
		sum += vec[i].len;
		CU_ASSERT_TRUE(folio_pincount(vec[i].folio) > 0);
	}
	CU_ASSERT_EQUAL(sum, bytes);
	memset(vec[0].hva, 0x11, 8);
	CU_ASSERT_EQUAL(unit_get(s.h, s.mm, gva_add(s.addr, 104)) & 0xffffffff, 0x11111111);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(folio_pincount(unit_folio(s.h, s.mm, s.addr)), 0);
	/* Too few places, and a hole behind: as far as it goes. */
	CU_ASSERT_EQUAL(mm_pin(s.mm, s.addr, PAGES * UMM_PAGE_SIZE, false, vec, 1, &nr, &bytes), 0);
	CU_ASSERT_EQUAL(nr, 1);
	CU_ASSERT_EQUAL(bytes, vec[0].len);
	mm_unpin(s.mm, vec, nr, false);
	CU_ASSERT_EQUAL(mm_pin(s.mm, page_at(s.addr, PAGES - 1), 2 * UMM_PAGE_SIZE, false, vec,
			       ARRAY_LEN(vec), &nr, &bytes),
			0);
	CU_ASSERT_EQUAL(bytes, UMM_PAGE_SIZE);
	mm_unpin(s.mm, vec, nr, false);
	unit_end(s.h, s.mm);
}

/* A pin outlives the mapping: the frame is not given to anybody else. */
static void test_pin_outlives_munmap(void)
{
	struct setup s = open_area();
	struct mm_pin_vec vec[1];
	uint64_t free_before = frames_nr_free(s.h->sys);
	unsigned int nr;
	size_t bytes;

	CU_ASSERT_EQUAL_FATAL(mm_pin(s.mm, s.addr, 8, true, vec, 1, &nr, &bytes), 0);
	unit_unmap(s.mm, s.addr, PAGES);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before - 1);
	memset(vec[0].hva, 0xee, 8);
	mm_unpin(s.mm, vec, nr, true);
	CU_ASSERT_EQUAL(frames_nr_free(s.h->sys), free_before);
	unit_end(s.h, s.mm);
}

static void test_futex_keys(void)
{
	struct setup s = open_area();
	struct unit_file file = unit_file(s.h, 2 * UMM_PAGE_SIZE);
	struct mm *child;
	struct mm_futex_key a, b, c, d;
	gva_t f, g;

	f = unit_map_file(s.mm, file.mapping, 0, 2, PROT_RW, MAP_SHARED);
	child = unit_fork(s.mm);
	g = unit_map_file(child, file.mapping, 1, 1, PROT_RW, MAP_SHARED);
	CU_ASSERT_EQUAL(mm_futex_key_get(s.mm, s.addr, false, &a), 0);
	CU_ASSERT_EQUAL(mm_futex_key_get(child, s.addr, false, &b), 0);
	CU_ASSERT_FALSE(a.object == b.object && a.offset == b.offset);
	CU_ASSERT_EQUAL(mm_futex_key_get(s.mm, gva_add(page_at(f, 1), 16), true, &c), 0);
	CU_ASSERT_EQUAL(mm_futex_key_get(child, gva_add(g, 16), true, &d), 0);
	CU_ASSERT_TRUE(c.object == d.object && c.offset == d.offset && c.shared);
	mm_futex_key_put(&a);
	mm_futex_key_put(&b);
	mm_futex_key_put(&c);
	mm_futex_key_put(&d);
	CU_ASSERT_EQUAL(mm_futex_key_get(s.mm, page_at(s.addr, PAGES), true, &a), -EFAULT);
	mm_put(child);
	unit_unmap(s.mm, f, 2);
	unit_file_close(&file);
	unit_end(s.h, s.mm);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "copies both ways, across pages", test_copy_both_ways },
		{ "a copy stops at a hole and says where", test_copy_partial },
		{ "hostile addresses are -EFAULT", test_hostile_addresses },
		{ "protection holds, poke and peek ignore it", test_protection },
		{ "poke and peek up to the end", test_forced },
		{ "copies fault in: swap, COW, files", test_copy_faults_in },
		{ "strings", test_strings },
		{ "atomic words", test_words },
		{ "atomic words copy on write", test_words_cow },
		{ "pins: pieces, bytes, counts", test_pins },
		{ "a pinned frame outlives its mapping", test_pin_outlives_munmap },
		{ "futex keys: private by mm, shared by object", test_futex_keys },
	};

	return unit_run("uaccess", tests, ARRAY_LEN(tests), argc, argv);
}
