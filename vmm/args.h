/* SPDX-License-Identifier: MIT */
/*
 * Command-line options: one table a command gives parsing, --help and the
 * errors. Options may stand before, between and behind the operands; "--" ends
 * them. --help is known to every command.
 */
#ifndef VMM_ARGS_H
#define VMM_ARGS_H

#include <umm/types.h>

#include "vmm/errmsg.h"

enum arg_kind {
	ARG_FLAG,   /* bool */
	ARG_TEXT,   /* const char * */
	ARG_SIZE,   /* uint64_t, as size_parse() takes it */
	ARG_NUMBER, /* uint64_t, decimal or 0x */
	ARG_CALL,   /* function arg_fn: more than a value */
};

/* @to is the option's; fills @e and returns -EINVAL when @value is no good. */
typedef int (*arg_fn)(void *to, const char *name, const char *value, struct errmsg *e);

struct arg_option {
	const char *name; /* "mem", without dashes; NULL ends the list */
	char letter;      /* 'm', or 0 */
	enum arg_kind kind;
	void *to;
	const char *value; /* what --help calls the value: "SIZE" */
	const char *help;  /* one line, or several separated by '\n' */
	arg_fn call;       /* ARG_CALL, */
	bool is_flag;      /* ... and whether it takes no value */
};

struct arg_command {
	const char *name;     /* "run", or "bench launch" */
	const char *synopsis; /* what follows `umm NAME` in the usage line */
	const char *summary;  /* a paragraph for --help, ended by '\n' */
	const struct arg_option *options;
	unsigned int min_operands, max_operands;
	const char *missing;  /* what to say without the first operand, "NAME" */
	bool program_follows; /* the first operand ends the options: run */
};

#define ARGS_MAX_OPERANDS 8

struct arg_operands {
	unsigned int nr;
	char *v[ARGS_MAX_OPERANDS];
	char **rest; /* program_follows: the program and its arguments */
};

enum args_result {
	ARGS_OK,
	ARGS_HELP,  /* the help was printed: exit with 0 */
	ARGS_USAGE, /* a message was printed: exit with 2 */
};

/*
 * @argv[0] is the command's name. A null pointer ends argv.
 */
enum args_result args_parse(const struct arg_command *cmd, char **argv, struct arg_operands *out);

/* "umm NAME: MESSAGE", and where to find help; returns ARGS_USAGE. */
__attribute__((format(printf, 2, 3))) enum args_result args_usage_error(
	const struct arg_command *cmd, const char *fmt, ...);

#endif
