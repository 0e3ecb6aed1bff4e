/* SPDX-License-Identifier: MIT */
/* Options, tables, samples: the parts of the command line that need no guest. */
#include "tests/unit/util.h"

#include <fcntl.h>
#include <unistd.h>

#include "vmm/args.h"
#include "vmm/bench_report.h"
#include "vmm/program.h"
#include "vmm/table.h"

/* ---- options ------------------------------------------------------------ */

static bool flag;
static const char *text;
static uint64_t size, number;

static int refuse(void *to, const char *name, const char *value, struct errmsg *e)
{
	(void)to;
	return errmsg_set(e, -EINVAL, "%s does not like '%s'", name, value);
}

static const struct arg_option options[] = {
	{ .name = "flag", .letter = 'f', .kind = ARG_FLAG, .to = &flag, .help = "a flag" },
	{ .name = "text", .letter = 't', .kind = ARG_TEXT, .to = &text, .value = "T", .help = "a" },
	{ .name = "size", .kind = ARG_SIZE, .to = &size, .value = "SIZE", .help = "b\nc" },
	{ .name = "number", .kind = ARG_NUMBER, .to = &number, .value = "N", .help = "d" },
	{ .name = "never", .kind = ARG_CALL, .value = "X", .call = refuse, .help = "e" },
	{ .name = NULL },
};

static struct arg_command command = {
	.name = "test",
	.synopsis = "NAME",
	.summary = "A command.\n",
	.options = options,
	.min_operands = 1,
	.max_operands = 2,
	.missing = "NAME",
};

/* Splits @line at spaces; what is said goes to /dev/null. */
static enum args_result parse(const char *line, struct arg_operands *out)
{
	static char copy[256];
	static char *argv[32];
	int n = 0, saved_out = dup(1), saved_err = dup(2), null;
	enum args_result r;
	char *word;

	flag = false;
	text = NULL;
	size = number = 0;
	snprintf(copy, sizeof(copy), "test %s", line);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[n++] = word;
	argv[n] = NULL;
	fflush(stdout);
	null = open("/dev/null", O_WRONLY);
	dup2(null, 1);
	dup2(null, 2);
	r = args_parse(&command, argv, out);
	fflush(stdout);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(null);
	close(saved_out);
	close(saved_err);
	return r;
}

static void test_options_anywhere(void)
{
	struct arg_operands o;

	CU_ASSERT_EQUAL(parse("one --flag two --size 64K --number=0x10 -t word", &o), ARGS_OK);
	CU_ASSERT_EQUAL(o.nr, 2);
	CU_ASSERT_STRING_EQUAL(o.v[0], "one");
	CU_ASSERT_STRING_EQUAL(o.v[1], "two");
	CU_ASSERT_TRUE(flag);
	CU_ASSERT_EQUAL(size, 65536);
	CU_ASSERT_EQUAL(number, 16);
	CU_ASSERT_STRING_EQUAL(text, "word");
	CU_ASSERT_EQUAL(parse("-tword -f one", &o), ARGS_OK);
	CU_ASSERT_STRING_EQUAL(text, "word");
	CU_ASSERT_TRUE(flag);
	CU_ASSERT_EQUAL(parse("--text=a=b -", &o), ARGS_OK);
	CU_ASSERT_STRING_EQUAL(text, "a=b");
	CU_ASSERT_STRING_EQUAL(o.v[0], "-");
	CU_ASSERT_EQUAL(parse("--flag -- --text", &o), ARGS_OK);
	CU_ASSERT_STRING_EQUAL(o.v[0], "--text");
	CU_ASSERT_PTR_NULL(text);
	CU_ASSERT_EQUAL(parse("--help", &o), ARGS_HELP);
	CU_ASSERT_EQUAL(parse("one -h", &o), ARGS_HELP);
}

static void test_options_refused(void)
{
	static const char *const bad[] = {
		"",
		"one two three",
		"one --unknown",
		"one -x",
		"one --text",
		"one --flag=yes",
		"one --size 1X",
		"one --size",
		"one --number x",
		"one --never a",
		"one --fla",
		"one -fx",
	};
	struct arg_operands o;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		CU_ASSERT_EQUAL(parse(bad[i], &o), ARGS_USAGE);
}

/* The first word that is no option is the program's, and all behind it. */
static void test_program_follows(void)
{
	struct arg_operands o;

	command.program_follows = true;
	CU_ASSERT_EQUAL(parse("--flag prog --text -x", &o), ARGS_OK);
	CU_ASSERT_STRING_EQUAL(o.rest[0], "prog");
	CU_ASSERT_STRING_EQUAL(o.rest[1], "--text");
	CU_ASSERT_STRING_EQUAL(o.rest[2], "-x");
	CU_ASSERT_PTR_NULL(o.rest[3]);
	CU_ASSERT_PTR_NULL(text);
	CU_ASSERT_EQUAL(parse("-- --flag", &o), ARGS_OK);
	CU_ASSERT_STRING_EQUAL(o.rest[0], "--flag");
	CU_ASSERT_FALSE(flag);
	CU_ASSERT_EQUAL(parse("--flag --", &o), ARGS_USAGE);
	CU_ASSERT_EQUAL(parse("--flag", &o), ARGS_USAGE);
	command.program_follows = false;
}

/* ---- tables ------------------------------------------------------------- */

static void test_table(void)
{
	static const char *const headings[] = { "NAME", ">N", "REST", NULL };
	char *printed;
	size_t len;
	FILE *f = open_memstream(&printed, &len);
	struct text_table t;

	table_init(&t, headings);
	table_add(&t, "a");
	table_add(&t, "%d", 1);
	table_add(&t, "first");
	table_add(&t, "longer");
	table_add(&t, "%d", 1000);
	table_add(&t, "second one");
	CU_ASSERT_EQUAL(table_finish(&t, f, 1), 0);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(printed, " NAME       N  REST\n"
					" a          1  first\n"
					" longer  1000  second one\n");
	free(printed);
}

/* ---- figures ------------------------------------------------------------ */

static void test_samples(void)
{
	struct samples s = { .nr = 0 };
	int i;

	CU_ASSERT_EQUAL(samples_median(&s), 0);
	samples_add(&s, 5);
	samples_add(&s, 1);
	samples_add(&s, 100);
	CU_ASSERT_EQUAL(samples_median(&s), 5);
	samples_add(&s, 7);
	CU_ASSERT_EQUAL(samples_median(&s), 6);
	CU_ASSERT_EQUAL(samples_min(&s), 1);
	CU_ASSERT_EQUAL(samples_max(&s), 100);
	for (i = 0; i < 2 * BENCH_MAX_SAMPLES; i++)
		samples_add(&s, 0);
	CU_ASSERT_EQUAL(s.nr, BENCH_MAX_SAMPLES);
}

static void check_mark(enum bench_target target, double limit, double umm, double other,
		       const char *mark)
{
	struct bench_row row = { .target = target, .limit = limit };

	samples_add(&row.umm_samples, umm);
	if (other > 0)
		samples_add(&row.other_samples, other);
	CU_ASSERT_STRING_EQUAL(row_mark(&row), mark);
}

static void test_marks(void)
{
	struct bench_row row = { .target = TARGET_VALUE_MAX, .limit = 1 };

	check_mark(TARGET_RATIO_MAX, 1.3, 13, 10, "met");
	check_mark(TARGET_RATIO_MAX, 1.3, 13.1, 10, "fell short");
	check_mark(TARGET_RATIO_MIN, 0.95, 0.96, 1, "met");
	check_mark(TARGET_RATIO_MIN, 0.95, 0.94, 1, "fell short");
	check_mark(TARGET_VALUE_MAX, 25, 25, 1, "met");
	check_mark(TARGET_VALUE_MAX, 25, 26, 1, "fell short");
	check_mark(TARGET_NONE, 0, 1, 1, "");
	/* Nothing to compare with is no success. */
	check_mark(TARGET_RATIO_MAX, 1.3, 1, 0, "fell short");
	CU_ASSERT_STRING_EQUAL(row_mark(&row), "failed");
}

/* ---- programs ----------------------------------------------------------- */

static void test_program_find(void)
{
	char path[PATH_MAX];
	struct errmsg e;

	setenv("PATH", "/nonexistent:/bin", 1);
	CU_ASSERT_EQUAL(program_find("sh", path, &e), 0);
	CU_ASSERT_STRING_EQUAL(path, "/bin/sh");
	CU_ASSERT_EQUAL(program_find("/bin/sh", path, &e), 0);
	CU_ASSERT_EQUAL(program_find("no-such-program", path, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(e.text, "no-such-program: command not found");
	CU_ASSERT_EQUAL(program_find("", path, &e), -ENOENT);
	CU_ASSERT_EQUAL(program_find("/", path, &e), -EISDIR);
	CU_ASSERT_EQUAL(program_find("/dev/null", path, &e), -EACCES);
	CU_ASSERT_EQUAL(program_find("/bin/sh/x", path, &e), -ENOTDIR);
	CU_ASSERT_EQUAL(program_exit_status(-ENOENT), 127);
	CU_ASSERT_EQUAL(program_exit_status(-ENOTDIR), 127);
	CU_ASSERT_EQUAL(program_exit_status(-EACCES), 126);
	CU_ASSERT_EQUAL(program_exit_status(-ENOEXEC), 126);
	CU_ASSERT_EQUAL(program_wait_status(7 << 8), 7);
	CU_ASSERT_EQUAL(program_wait_status(9), 137);
	/* With a core dump. */
	CU_ASSERT_EQUAL(program_wait_status(11 | 0x80), 139);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "options anywhere", test_options_anywhere },
		{ "options refused", test_options_refused },
		{ "the program's own options", test_program_follows },
		{ "tables", test_table },
		{ "samples", test_samples },
		{ "targets", test_marks },
		{ "finding programs", test_program_find },
	};

	return unit_run("cli", tests, ARRAY_LEN(tests), argc, argv);
}
