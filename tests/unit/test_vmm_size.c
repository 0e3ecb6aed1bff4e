/* SPDX-License-Identifier: MIT */
/* Sizes, numbers, swap specifications, names: what people write. */
#include "tests/unit/util.h"

#include "vmm/names.h"
#include "vmm/size.h"
#include "vmm/suggest.h"
#include "vmm/swap_spec.h"

struct size_case {
	const char *text;
	int rc;
	uint64_t bytes;
};

static void test_size_parse(void)
{
	static const struct size_case cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "64K", 0, 65536 },
		{ "64k", 0, 65536 },
		{ "512M", 0, 512ull << 20 },
		{ "512MiB", 0, 512ull << 20 },
		{ "512MB", 0, 512ull << 20 },
		{ "1G", 0, 1ull << 30 },
		{ "1.5G", 0, 3ull << 29 },
		{ "0.25M", 0, 1ull << 18 },
		{ "2T", 0, 2ull << 40 },
		{ "17B", 0, 17 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "16777215T", 0, 16777215ull << 40 },
	};
	uint64_t got;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		got = ~cases[i].bytes;
		CU_ASSERT_EQUAL(size_parse(cases[i].text, &got), 0);
		CU_ASSERT_EQUAL(got, cases[i].bytes);
	}
}

static void test_size_refuse(void)
{
	static const struct size_case cases[] = {
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1 G", -EINVAL, 0 },
		{ "1X", -EINVAL, 0 },
		{ "1Gi", -EINVAL, 0 },
		{ "1GG", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ ".5G", -EINVAL, 0 },
		{ "1.5", -EINVAL, 0 },
		{ "1.5.5G", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "all", -EINVAL, 0 },
		{ "1\n", -EINVAL, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 },
		{ "99999999999999999999999999G", -ERANGE, 0 },
	};
	uint64_t got;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		CU_ASSERT_EQUAL(size_parse(cases[i].text, &got), cases[i].rc);
}

static void test_size_format(void)
{
	char text[SIZE_TEXT_MAX];

	CU_ASSERT_STRING_EQUAL(size_format(0, text), "0");
	CU_ASSERT_STRING_EQUAL(size_format(1023, text), "1023");
	CU_ASSERT_STRING_EQUAL(size_format(1024, text), "1K");
	CU_ASSERT_STRING_EQUAL(size_format(1536, text), "1.5K");
	CU_ASSERT_STRING_EQUAL(size_format(512ull << 20, text), "512M");
	CU_ASSERT_STRING_EQUAL(size_format((1ull << 30) - 1, text), "1.0G");
	CU_ASSERT_STRING_EQUAL(size_format(UINT64_MAX, text), "16E");
}

/* What is printed can be read back, and is near. */
static void test_size_round_trip(void)
{
	char text[SIZE_TEXT_MAX];
	uint64_t bytes, back;

	for (bytes = 1; bytes < 1ull << 49; bytes = bytes * 3 + 1) {
		CU_ASSERT_EQUAL(size_parse(size_format(bytes, text), &back), 0);
		CU_ASSERT_TRUE(back <= bytes + bytes / 16 + 1 && back + bytes / 16 + 1 >= bytes);
	}
}

static void test_number(void)
{
	uint64_t n;

	CU_ASSERT_EQUAL(number_parse("12", 100, &n), 0);
	CU_ASSERT_EQUAL(n, 12);
	CU_ASSERT_EQUAL(number_parse("0x1F", 100, &n), 0);
	CU_ASSERT_EQUAL(n, 31);
	CU_ASSERT_EQUAL(number_parse("010", 100, &n), 0);
	CU_ASSERT_EQUAL(n, 10);
	CU_ASSERT_EQUAL(number_parse("101", 100, &n), -ERANGE);
	CU_ASSERT_EQUAL(number_parse("18446744073709551616", UINT64_MAX, &n), -ERANGE);
	CU_ASSERT_EQUAL(number_parse("", 100, &n), -EINVAL);
	CU_ASSERT_EQUAL(number_parse("0x", 100, &n), -EINVAL);
	CU_ASSERT_EQUAL(number_parse("-1", 100, &n), -EINVAL);
	CU_ASSERT_EQUAL(number_parse(" 1", 100, &n), -EINVAL);
	CU_ASSERT_EQUAL(number_parse("1a", 100, &n), -EINVAL);
}

static void test_swap_spec(void)
{
	struct swap_spec s;
	struct errmsg e;

	CU_ASSERT_EQUAL(swap_spec_parse("512M", &s, &e), 0);
	CU_ASSERT_TRUE(!s.path[0] && s.bytes == 512ull << 20);
	CU_ASSERT_EQUAL(swap_spec_parse("/var/swap", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "/var/swap");
	CU_ASSERT_EQUAL(s.bytes, 0);
	CU_ASSERT_EQUAL(swap_spec_parse("/var/swap:1G", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "/var/swap");
	CU_ASSERT_EQUAL(s.bytes, 1ull << 30);
	CU_ASSERT_EQUAL(swap_spec_parse("a:b:64M", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "a:b");
	CU_ASSERT_EQUAL(swap_spec_parse("a:b", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "a:b");
	CU_ASSERT_EQUAL(swap_spec_parse("./1G", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "./1G");
	CU_ASSERT_EQUAL(s.priority, 200);
	CU_ASSERT_EQUAL(swap_spec_parse("file:1G:64M,priority=7", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "1G");
	CU_ASSERT_EQUAL(s.bytes, 64ull << 20);
	CU_ASSERT_EQUAL(s.priority, 7);
	CU_ASSERT_EQUAL(swap_spec_parse("a,b,size=1M", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "a,b");
	CU_ASSERT_EQUAL(s.bytes, 1 << 20);
	CU_ASSERT_EQUAL(swap_spec_parse("zstd:1G,memory=256M,writeback=/w:2G,level=1", &s, &e), 0);
	CU_ASSERT_EQUAL(s.kind, SWAP_ZSTD);
	CU_ASSERT_TRUE(s.memory == 256 << 20 && s.has_writeback && s.level == 1);
	CU_ASSERT_STRING_EQUAL(s.writeback, "/w");
	CU_ASSERT_EQUAL(s.writeback_bytes, 2ull << 30);
	CU_ASSERT_EQUAL(swap_spec_parse("nbd:nbd://h:1/a,b,connections=2,wait=0", &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.path, "nbd://h:1/a,b");
	CU_ASSERT_TRUE(s.connections == 2 && !s.wait_seconds);
}

static void test_swap_spec_refuse(void)
{
	static const char *const bad[] = { "",
					   "0",
					   "4K",
					   "f:4K",
					   ":1G",
					   "99999999T",
					   "f:99999999T",
					   "file:",
					   "1G,size=4K",
					   "1G,priority=32768",
					   "1G,priority=x",
					   "1G,colour=red",
					   "lz4:",
					   "lz4:x",
					   "lz4:1G,memory=1M",
					   "lz4:1G,level=3",
					   "zstd:1G,level=20",
					   "lz4:1G,writeback=",
					   "ram:4K",
					   "nbd:host",
					   "nbd:nbd://h/,wait=x" };
	struct swap_spec s;
	struct errmsg e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		e.text[0] = 0;
		CU_ASSERT_EQUAL(swap_spec_parse(bad[i], &s, &e), -EINVAL);
		CU_ASSERT_NOT_EQUAL(e.text[0], 0);
	}
}

static void test_guest_name(void)
{
	char name[GUEST_NAME_MAX + 1], longer[GUEST_NAME_MAX + 2];
	struct errmsg e;

	CU_ASSERT_EQUAL(guest_name_check("python3.11", &e), 0);
	CU_ASSERT_EQUAL(guest_name_check("a_b-c+d", &e), 0);
	CU_ASSERT_EQUAL(guest_name_check("", &e), -EINVAL);
	CU_ASSERT_EQUAL(guest_name_check("../x", &e), -EINVAL);
	CU_ASSERT_EQUAL(guest_name_check("a/b", &e), -EINVAL);
	CU_ASSERT_EQUAL(guest_name_check("-v", &e), -EINVAL);
	CU_ASSERT_EQUAL(guest_name_check("a b", &e), -EINVAL);
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	CU_ASSERT_EQUAL(guest_name_check(longer, &e), -EINVAL);
	longer[GUEST_NAME_MAX] = 0;
	CU_ASSERT_EQUAL(guest_name_check(longer, &e), 0);

	guest_name_from_program("/bin/ls", name);
	CU_ASSERT_STRING_EQUAL(name, "ls");
	guest_name_from_program("./.hidden prog", name);
	CU_ASSERT_STRING_EQUAL(name, "_hidden_prog");
	guest_name_from_program("dir/", name);
	CU_ASSERT_STRING_EQUAL(name, "guest");
	guest_name_from_program(longer, name);
	CU_ASSERT_EQUAL(guest_name_check(name, &e), 0);
}

static void test_suggest(void)
{
	CU_ASSERT_EQUAL(word_distance("", ""), 0);
	CU_ASSERT_EQUAL(word_distance("abc", "abc"), 0);
	CU_ASSERT_EQUAL(word_distance("abc", "acb"), 1);
	CU_ASSERT_EQUAL(word_distance("abc", ""), 3);
	CU_ASSERT_EQUAL(word_distance("kitten", "sitting"), 3);
	CU_ASSERT_TRUE(word_is_near("migarte", "migrate"));
	CU_ASSERT_TRUE(word_is_near("mig", "migrate"));
	CU_ASSERT_TRUE(word_is_near("sp", "ps"));
	CU_ASSERT_FALSE(word_is_near("quux", "run"));
	CU_ASSERT_FALSE(word_is_near("", "run"));
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "sizes people write", test_size_parse },
		{ "what is no size", test_size_refuse },
		{ "sizes printed", test_size_format },
		{ "printed and read back", test_size_round_trip },
		{ "numbers", test_number },
		{ "swap: SIZE, FILE, FILE:SIZE", test_swap_spec },
		{ "swap: what will not do", test_swap_spec_refuse },
		{ "names of guests", test_guest_name },
		{ "did you mean", test_suggest },
	};

	return unit_run("size", tests, ARRAY_LEN(tests), argc, argv);
}
