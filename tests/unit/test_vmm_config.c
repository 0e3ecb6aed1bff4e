/* SPDX-License-Identifier: MIT */
/* Configuration files: every key, and file and line in every error. */
#include "tests/unit/util.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config.h"

static char file[] = "/tmp/umm-test-config-XXXXXX";

static void write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static int load(const char *text, struct run_options *o, struct errmsg *e)
{
	write_file(text);
	memset(e, 0, sizeof(*e));
	run_options_default(o);
	return config_load(file, o, e);
}

static void test_all_keys(void)
{
	struct run_options o;
	struct errmsg e;

	CU_ASSERT_EQUAL(
		load("# a comment\n"
		     "name = \"db\";\n"
		     "mem = \"512M\"; nodes = 2;\n"
		     "cpus = 3; thp = \"never,64K:always,1M-2M:madvise\"; fault_around = 16;\n"
		     "swap = \"/tmp/s:1G\";\n"
		     "strace = true; verbose = true; no_hugepages = true;\n",
		     &o, &e),
		0);
	CU_ASSERT_STRING_EQUAL(e.text, "");
	CU_ASSERT_STRING_EQUAL(o.name, "db");
	CU_ASSERT_EQUAL(o.mem, 512ull << 20);
	CU_ASSERT_EQUAL(o.nodes, 2);
	CU_ASSERT_EQUAL(o.cpus, 3);
	CU_ASSERT_EQUAL(o.thp.mode[2], THP_NEVER);
	CU_ASSERT_EQUAL(o.thp.mode[4], THP_ALWAYS);
	CU_ASSERT_EQUAL(o.thp.mode[7], THP_NEVER);
	CU_ASSERT_EQUAL(o.thp.mode[8], THP_MADVISE);
	CU_ASSERT_EQUAL(o.thp.mode[9], THP_MADVISE);
	CU_ASSERT_EQUAL(o.fault_around, 16);
	CU_ASSERT_STRING_EQUAL(o.swap.v[0].path, "/tmp/s");
	CU_ASSERT_TRUE(o.strace && o.verbose && o.no_hugepages);
}

/* What is not mentioned stays; an empty file is a configuration. */
static void test_defaults_stay(void)
{
	struct run_options o, before;
	struct errmsg e;

	run_options_default(&before);
	CU_ASSERT_EQUAL(load("", &o, &e), 0);
	CU_ASSERT_EQUAL(o.nodes, before.nodes);
	CU_ASSERT_EQUAL(o.fault_around, 512);
	CU_ASSERT_EQUAL(o.swap.nr, 0);
	CU_ASSERT_EQUAL(load("strace = false; mem = 67108864L; nodes = 1L;", &o, &e), 0);
	CU_ASSERT_FALSE(o.strace);
	CU_ASSERT_EQUAL(o.mem, 64ull << 20);
}

struct bad_config {
	const char *text;
	unsigned int line;
	const char *word; /* something that the reason must hold */
};

static void test_errors(void)
{
	static const struct bad_config bad[] = {
		{ "mem = \"512M\";\nmen = 3;\n", 2, "mem" },
		{ "\n\n\nzzzzzzzz = 3;\n", 4, "zzzzzzzz" },
		{ "mem = \"lots\";\n", 1, "lots" },
		{ "mem = \"1K\";\n", 1, "mem" },
		{ "mem = 4362076160;\n", 1, "quotes" },
		{ "mem = 1.5;\n", 1, "mem" },
		{ "mem = true;\n", 1, "mem" },
		{ "nodes = 0;\n", 1, "nodes" },
		{ "nodes = 65;\n", 1, "nodes" },
		{ "nodes = -1;\n", 1, "nodes" },
		{ "# one\nnodes = \"two\";\n", 2, "two" },
		{ "nodes = [1, 2];\n", 1, "nodes" },
		{ "nodes = { a = 1; };\n", 1, "nodes" },
		{ "strace = 1;\n", 1, "strace" },
		{ "strace = \"yes\";\n", 1, "strace" },
		{ "name = \"../x\";\n", 1, "name" },
		{ "name = 7;\n", 1, "name" },
		{ "\nswap = \":1G\";\n", 2, "swap" },
		{ "swap = [ \"1G\",\n\"4K\" ];\n", 2, "no use" },
		{ "swap = 1024;\n", 1, "string" },
		{ "thp = \"sometimes\";\n", 1, "sometimes" },
		{ "thp = \"4M:always\";\n", 1, "4M" },
		{ "\nthp = \"1M-64K:never\";\n", 2, "smaller" },
		{ "fault_around = 513;\n", 1, "fault_around" },
		{ "mem = \"1G\"\nnodes = = 2;\n", 2, "syntax" },
		{ "mem = \"1G\";\nmem = \"2G\";\n", 2, "duplicate" },
		{ "\n\nmem = \"1G\n", 4, "" },
	};
	char where[128];
	struct run_options o;
	struct errmsg e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		CU_ASSERT_EQUAL(load(bad[i].text, &o, &e), -EINVAL);
		snprintf(where, sizeof(where), "%s:%u: ", file, bad[i].line);
		if (strncmp(e.text, where, strlen(where)) || !strstr(e.text, bad[i].word))
			printf("\n    config '%s' says: %s", bad[i].text, e.text);
		CU_ASSERT_EQUAL(strncmp(e.text, where, strlen(where)), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.text, bad[i].word));
	}
}

static void test_did_you_mean(void)
{
	struct run_options o;
	struct errmsg e;

	CU_ASSERT_EQUAL(load("fault_arround = 3;", &o, &e), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "did you mean 'fault_around'?"));
}

/* Files that are none: each a clear error, none a hang. */
static void test_no_file(void)
{
	struct run_options o;
	struct errmsg e;
	char fifo[64];

	run_options_default(&o);
	CU_ASSERT_EQUAL(config_load("/nonexistent/umm.conf", &o, &e), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "/nonexistent/umm.conf"));
	CU_ASSERT_EQUAL(config_load("/tmp", &o, &e), -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s.fifo", file);
	CU_ASSERT_EQUAL(mkfifo(fifo, 0600), 0);
	CU_ASSERT_EQUAL(config_load(fifo, &o, &e), -EINVAL);
	unlink(fifo);
}

static void test_nodes(void)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "node0 = 3;", ":1: node0: write a group" },
		{ "node0 = {\n mem = 5;\n};", ":2: mem: write a size in quotes" },
		{ "node0 = {\n mem = \"5Q\"; };", ":2: mem: '5Q' is no size" },
		{ "node0 = { mem = \"1M\"; };", "at least 4M" },
		{ "node0 = { cpus = 2000; };", "cpus: 2000 is not from 0 to 1024" },
		{ "node0 = { cpus = \"2\"; };", "cpus: write a whole number" },
		{ "node0 = { weight = 0; };", "weight: 0 is not from 1 to 255" },
		{ "node0 = {\n\n size = 3; };", ":3: unknown key 'size'" },
		{ "node0 = { distance = [ 11, 20 ]; };", "distance 10 of itself" },
		{ "node1 = { distance = [ 10, 10 ]; };", "of no other node" },
		{ "node0 = { distance = [ 10, 300 ]; };", "300 is not from 10 to 254" },
		{ "node0 = { distance = 10; };", "one number a node" },
		{ "node64 = { mem = \"1G\"; };", "unknown key 'node64'" },
	};
	struct run_options o;
	struct errmsg e;

	CU_ASSERT_EQUAL(load("mem = \"1G\"; cpus = 4;\n"
			     "node0 = { mem = \"256M\"; cpus = 1; };\n"
			     "node2 = { distance = [ 40, 30, 10 ]; host = 1; weight = 7; };\n",
			     &o, &e),
			0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), 0);
	CU_ASSERT_EQUAL(o.nodes, 3);
	CU_ASSERT_EQUAL(o.node[0].bytes, 256ull << 20);
	CU_ASSERT_EQUAL(o.node[0].cpus, 1);
	CU_ASSERT_EQUAL(o.node[1].cpus, -1);
	CU_ASSERT_EQUAL(o.node[2].distance[1], 30);
	CU_ASSERT_EQUAL(o.node[2].host, 1);
	CU_ASSERT_EQUAL(o.node[2].weight, 7);
	/* All sizes and all processors told: their sums hold. */
	CU_ASSERT_EQUAL(load("node0 = { mem = \"64M\"; cpus = 1; };\n"
			     "node1 = { mem = \"32M\"; cpus = 2; };",
			     &o, &e),
			0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), 0);
	CU_ASSERT_EQUAL(o.mem, 96ull << 20);
	CU_ASSERT_EQUAL(o.cpus, 3);
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		CU_ASSERT_EQUAL(load(bad[i].text, &o, &e), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.text, bad[i].error));
	}
	CU_ASSERT_EQUAL(load("nodes = 1; node1 = { cpus = 0; };", &o, &e), 0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), -EINVAL);
	CU_ASSERT_EQUAL(load("nodes = 3; node0 = { distance = [ 10, 20 ]; };", &o, &e), 0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), -EINVAL);
	CU_ASSERT_EQUAL(load("node0 = { cpus = 0; };", &o, &e), 0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), -EINVAL);
	CU_ASSERT_EQUAL(load("mem = \"64M\"; nodes = 2; node0 = { mem = \"64M\"; };", &o, &e), 0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), -EINVAL);
}

static void test_between_keys(void)
{
	struct run_options o;
	struct errmsg e;

	CU_ASSERT_EQUAL(load("mem = \"64M\"; nodes = 64;", &o, &e), 0);
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), -EINVAL);
	o.mem = 1ull << 30;
	CU_ASSERT_EQUAL(run_options_complete(&o, &e), 0);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "every key", test_all_keys },
		{ "defaults", test_defaults_stay },
		{ "errors name file and line", test_errors },
		{ "did you mean", test_did_you_mean },
		{ "files that are none", test_no_file },
		{ "groups of nodes", test_nodes },
		{ "conditions between keys", test_between_keys },
	};
	int fd = mkstemp(file), rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = unit_run("config", tests, ARRAY_LEN(tests), argc, argv);
	unlink(file);
	return rc;
}
