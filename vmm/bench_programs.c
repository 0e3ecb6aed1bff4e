/* SPDX-License-Identifier: MIT */
#include "vmm/bench_programs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PATTERN(what)                                                       \
	{                                                                   \
		"pattern", "--pattern", what, "--size", "%s", "--ops", "%o" \
	}

/* ---- files for programs ---------------------------------------------------------------- */

static int close_file(FILE *f)
{
	int bad = ferror(f);

	return fclose(f) || bad ? -EIO : 0;
}

/* A table in memory of about @bytes, changed and asked at random places. */
static int write_sql(const char *path, uint64_t bytes)
{
	FILE *f = fopen(path, "we");
	uint64_t rows = bytes / 600;

	if (!f)
		return -errno;
	fprintf(f,
		"CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);\n"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%" PRIu64
		") INSERT INTO t SELECT i, (i*7919)%%1000003, hex(zeroblob(200))||i FROM n;\n"
		"CREATE INDEX tk ON t(k);\n",
		rows);
	for (uint64_t i = 0; i < 2000; i++)
		fprintf(f,
			"UPDATE t SET v=v||'x' WHERE id=%" PRIu64 ";\n"
			"SELECT sum(length(v)) FROM t WHERE k BETWEEN %" PRIu64 " AND %" PRIu64
			";\n",
			i * 1000003 % rows + 1, i * 7919 % 1000003, i * 7919 % 1000003 + 300);
	fprintf(f, "SELECT count(*), sum(length(v)) FROM t;\nPRAGMA integrity_check;\n");
	return close_file(f);
}

/* Functions enough to keep a compiler's memory busy. */
static int write_c(const char *path, uint64_t bytes)
{
	FILE *f = fopen(path, "we");
	uint64_t functions = bytes >> 17;

	if (!f)
		return -errno;
	for (uint64_t i = 0; i < functions; i++)
		fprintf(f,
			"int f%" PRIu64 "(int *a, int n)\n{\n\tint s = %" PRIu64 ";\n"
			"\tfor (int i = 0; i < n; i++)\n\t\ts += a[i] * (i ^ %" PRIu64 ");\n"
			"\tfor (int i = n; i > 0; i--)\n\t\ta[i - 1] = s >> (i & 7);\n"
			"\tswitch (s & 7) {\n\tcase 1:\n\t\treturn s * 3;\n\tcase 2:\n"
			"\t\treturn s / (n + 1);\n\tcase 5:\n\t\treturn a[n & 1];\n\t}\n"
			"\treturn s;\n}\n",
			i, i * 31, i * 17);
	return close_file(f);
}

/* ---- the programs ------------------------------------------------------------------------ */

static const struct bench_program programs[] = {
	{ .name = "gups-fixed",
	  .about = "90 % of the accesses in a fixed quarter",
	  .argv = PATTERN("fixed"),
	  .traced = true,
	  .quick_ops = 60000,
	  .enough_ops = 10 },
	{ .name = "gups-moving",
	  .about = "the same, and the quarter moves",
	  .argv = PATTERN("moving"),
	  .traced = true,
	  .quick_ops = 60000,
	  .enough_ops = 10 },
	{ .name = "gups-zipf",
	  .about = "zipfian popularity of pages, theta 0.99",
	  .argv = PATTERN("zipf"),
	  .traced = true,
	  .quick_ops = 60000,
	  .enough_ops = 10 },
	{ .name = "seq",
	  .about = "all pages in order, round and round",
	  .argv = PATTERN("seq"),
	  .traced = true,
	  .quick_ops = 60000,
	  .enough_ops = 10 },
	{ .name = "random",
	  .about = "any page",
	  .argv = PATTERN("random"),
	  .traced = true,
	  .quick_ops = 20000,
	  .enough_ops = 10 },
	{ .name = "set",
	  .about = "only a quarter of what was stored to once",
	  .argv = PATTERN("set"),
	  .traced = true,
	  .quick_ops = 100000,
	  .enough_ops = 10 },
	{ .name = "scan",
	  .about = "a hot quarter, and scans of the rest",
	  .argv = PATTERN("scan"),
	  .traced = true,
	  .quick_ops = 60000,
	  .enough_ops = 10 },
	{ .name = "chase",
	  .about = "a pointer chase through all lines",
	  .argv = { "chase", "--size", "%s", "--steps", "%o" },
	  .traced = true,
	  .quick_ops = 10000,
	  .enough_ops = 10 },
	{ .name = "fork",
	  .about = "forks, each child rewrites a quarter",
	  .argv = { "forker", "--size", "%s", "--forks", "4", "--together", "2" },
	  .wants_percent = 200 },
	{ .name = "bfs",
	  .about = "breadth-first search of a skewed graph",
	  .argv = { "graph", "--run", "bfs", "--size", "%s" } },
	{ .name = "pr",
	  .about = "three rounds of PageRank",
	  .argv = { "graph", "--run", "pr", "--size", "%s" } },
	{ .name = "sqlite",
	  .about = "a database in memory",
	  .argv = { "/usr/bin/sqlite3", ":memory:" },
	  .prepare = write_sql,
	  .is_input = true,
	  .measured = true,
	  .needs = "/usr/bin/sqlite3",
	  .package = "sqlite3" },
	{ .name = "gcc",
	  .about = "a build",
	  .argv = { "/usr/bin/gcc", "-x", "c", "-O1", "-c", "%f", "-o", "/dev/null" },
	  .prepare = write_c,
	  .measured = true,
	  .needs = "/usr/bin/gcc",
	  .package = "gcc" },
	{ .name = "python",
	  .about = "python's own tests of lists, dictionaries and sorting",
	  .argv = { "/usr/bin/python3", "-m", "test", "-q", "test_list", "test_dict", "test_sort",
		    "test_heapq" },
	  .measured = true,
	  .needs = "/usr/lib/python3.11/test/test_dict.py",
	  .package = "libpython3.11-testsuite" },
	{ .name = "redis-a",
	  .about = "redis under YCSB A: half reads, half updates",
	  .ycsb = 'A',
	  .measured = true,
	  .quick_ops = 5000,
	  .needs = "/usr/bin/redis-server",
	  .package = "redis-server" },
	{ .name = "redis-b",
	  .about = "redis under YCSB B: 95 % reads",
	  .ycsb = 'B',
	  .measured = true,
	  .quick_ops = 5000,
	  .needs = "/usr/bin/redis-server",
	  .package = "redis-server" },
	{ .name = "redis-c",
	  .about = "redis under YCSB C: reads only",
	  .ycsb = 'C',
	  .measured = true,
	  .quick_ops = 5000,
	  .needs = "/usr/bin/redis-server",
	  .package = "redis-server" },
};

#define NR_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

const struct bench_program *bench_program_nth(unsigned int n)
{
	return n < NR_PROGRAMS ? &programs[n] : NULL;
}

const struct bench_program *bench_program_find(const char *name)
{
	for (unsigned int i = 0; i < NR_PROGRAMS; i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	return NULL;
}

void bench_program_args(const struct bench_program *p, uint64_t bytes, uint64_t ops,
			const char *file, struct program_args *out)
{
	unsigned int i;

	for (i = 0; p->argv[i]; i++) {
		const char *from = p->argv[i];

		if (!strcmp(from, "%s"))
			snprintf(out->text[i], sizeof(out->text[i]), "%" PRIu64, bytes);
		else if (!strcmp(from, "%o"))
			snprintf(out->text[i], sizeof(out->text[i]), "%" PRIu64, ops);
		else
			snprintf(out->text[i], sizeof(out->text[i]), "%s",
				 strcmp(from, "%f") ? from : file);
		out->argv[i] = out->text[i];
	}
	out->argv[i] = NULL;
}
