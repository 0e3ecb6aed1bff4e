/* SPDX-License-Identifier: MIT */
/*
 * The commands of umm: each takes its arguments, argv[0] being its own name,
 * and returns the exit status. What several of them need is in cmd_common.c.
 */
#ifndef VMM_CMD_H
#define VMM_CMD_H

#include <jansson.h>

#include "vmm/args.h"
#include "vmm/size.h"

#define UMM_VERSION "0.1.0"

enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_PARTIAL = 3,       /* migrate, node, limit: some of it was done */
	CMD_NOT_STARTED = 125, /* run: umm itself failed, before the program ran */
	CMD_NOT_EXECUTABLE = 126,
	CMD_NOT_FOUND = 127,
	CMD_STOPPED = 130, /* by Ctrl-C, with a report of what was done */
};

int cmd_run(char **argv);
int cmd_ps(char **argv);
int cmd_maps(char **argv);
int cmd_stat(char **argv);
int cmd_migrate(char **argv);
int cmd_node(char **argv);
int cmd_balance(char **argv);
int cmd_tier(char **argv);
int cmd_reclaim(char **argv);
int cmd_policy(char **argv);
int cmd_sim(char **argv);
int cmd_limit(char **argv);
int cmd_swap(char **argv);
int cmd_rmap(char **argv);
int cmd_poison(char **argv);
int cmd_check(char **argv);
int cmd_kill(char **argv);
int cmd_bench(char **argv);
int bench_launch(char **argv);
int bench_migrate(char **argv);
int bench_abi(char **argv);
int bench_reclaim(char **argv);

/* Exit status for what args_parse() said instead of ARGS_OK. */
int cmd_args_status(enum args_result r);

/*
 * Say that @command failed: "umm COMMAND: MESSAGE" on stderr, and with @json
 * {"error": MESSAGE} on stdout. Returns CMD_FAILED.
 */
int cmd_failed(const char *command, bool json, const struct errmsg *e);

/* A ctl_client's silent(); @arg is a struct progress. Says so on stderr. */
void cmd_tell_silence(void *arg, pid_t guest);

/*
 * The whole of a command that asks guest @name for @op and shows the answer: as
 * JSON, or by @print. Both return CMD_*, and so does @verdict, which may be NULL
 * and judges what is well formed but not well. Progress is shown if stderr is a
 * terminal; failures are told as by cmd_failed(). Steals @request, the parameters.
 */
int cmd_show(const char *op, const char *name, json_t *request, bool json,
	     int (*print)(const json_t *result), int (*verdict)(const json_t *result));

/* The same for work that takes long and can be stopped: Ctrl-C leads to the report. */
int cmd_show_long(const char *op, const char *name, json_t *request, bool json,
		  int (*print)(const json_t *result), int (*verdict)(const json_t *result));

/* The whole of a command about one frame, named by its number or as what a process has somewhere. */
int cmd_show_frame(const char *op, const char *summary, char **argv,
		   int (*print)(const json_t *result));

/* Print with newline, for --json. CMD_OK, or CMD_FAILED if stdout takes no more. */
int cmd_print_json(const json_t *o);

/* Members of an answer; 0 and "" where they are missing. */
uint64_t answer_count(const json_t *o, const char *name);
const char *answer_text(const json_t *o, const char *name);

/* "      12  all zero, not written" for each count that is not 0; @texts end with NULL. */
struct count_text {
	const char *name, *text;
};
void answer_print_counts(const json_t *o, const struct count_text *texts);
/* "1.5G", for a column of a table; "0" for none. Returns @text. */
const char *pages_text(uint64_t pages, char text[SIZE_TEXT_MAX]);

/* An ARG_CALL for "A-B" or one address, hexadecimal; @to is struct cmd_range. */
struct cmd_range {
	uint64_t start, end;
	bool set;
};
int cmd_parse_range(void *to, const char *name, const char *value, struct errmsg *e);

/* The number, or -1 while it was not given, of an option with a smallest value of 0. */
struct cmd_number {
	int64_t v;
	bool set;
};
int cmd_parse_number(void *to, const char *name, const char *value, struct errmsg *e);
/* The same for an address, hexadecimal. */
int cmd_parse_address(void *to, const char *name, const char *value, struct errmsg *e);

/* Add "name": n to a request if the option was given. */
void request_add_number(json_t *request, const char *name, const struct cmd_number *n);
void request_add_range(json_t *request, const struct cmd_range *r);

/* Options that several commands share. */
#define CMD_OPTION_JSON(var)                                   \
	{                                                      \
		.name = "json", .kind = ARG_FLAG, .to = (var), \
		.help = "answer in JSON, for programs"         \
	}
#define CMD_OPTION_FLAG(option, var, text)                                      \
	{                                                                       \
		.name = (option), .kind = ARG_FLAG, .to = (var), .help = (text) \
	}
#define CMD_OPTION_CALL(option, var, fn, what, text)                                            \
	{                                                                                       \
		.name = (option), .kind = ARG_CALL, .to = (var), .value = (what), .call = (fn), \
		.help = (text)                                                                  \
	}
#define CMD_OPTION_NUMBER(option, var, what, text) \
	CMD_OPTION_CALL(option, var, cmd_parse_number, what, text)
#define CMD_OPTION_PID(var, text)                                                            \
	{                                                                                    \
		.name = "pid", .letter = 'p', .kind = ARG_CALL, .to = (var), .value = "PID", \
		.call = cmd_parse_number, .help = (text)                                     \
	}
#define CMD_OPTION_RANGE(var)                                 \
	CMD_OPTION_CALL("range", var, cmd_parse_range, "A-B", \
			"with --pid: only this range of addresses, hexadecimal")

/* The operand of most commands. */
#define CMD_ONE_GUEST .min_operands = 1, .max_operands = 1, .missing = "NAME of a guest"

#endif
