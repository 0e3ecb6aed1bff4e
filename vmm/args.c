/* SPDX-License-Identifier: MIT */
#include "vmm/args.h"

#include <errno.h>
#include <string.h>

#include "vmm/size.h"
#include "vmm/suggest.h"

#define HELP_COLUMN 26

static const struct arg_option help_option = {
	.name = "help",
	.letter = 'h',
	.kind = ARG_FLAG,
	.help = "print this text",
};

static bool option_takes_value(const struct arg_option *o)
{
	return o->kind == ARG_CALL ? !o->is_flag : o->kind != ARG_FLAG;
}

static void print_option(const struct arg_option *o)
{
	char left[128];
	const char *p;
	int len;

	len = snprintf(left, sizeof(left), "%s%c%s--%s%s%s", o->letter ? "-" : " ",
		       o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
		       option_takes_value(o) ? " " : "", option_takes_value(o) ? o->value : "");
	printf("  %-*s  ", HELP_COLUMN, left);
	if (len > HELP_COLUMN)
		printf("\n%*s", HELP_COLUMN + 4, "");
	for (p = o->help; *p; p++) {
		putchar(*p);
		if (*p == '\n')
			printf("%*s", HELP_COLUMN + 4, "");
	}
	putchar('\n');
}

static void print_help(const struct arg_command *cmd)
{
	const struct arg_option *o;

	printf("usage: umm %s %s\n\n%s\noptions:\n", cmd->name, cmd->synopsis, cmd->summary);
	for (o = cmd->options; o && o->name; o++)
		print_option(o);
	print_option(&help_option);
}

enum args_result args_usage_error(const struct arg_command *cmd, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "umm %s: ", cmd->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nusage: umm %s %s; `umm %s --help` tells more\n", cmd->name,
		cmd->synopsis, cmd->name);
	return ARGS_USAGE;
}

/* The option that `name`, @len characters long, means. */
static const struct arg_option *option_find(const struct arg_command *cmd, const char *name,
					    size_t len)
{
	const struct arg_option *o;

	for (o = cmd->options; o && o->name; o++)
		if (strlen(o->name) == len && !strncmp(o->name, name, len))
			return o;
	return len == 4 && !strncmp(name, "help", 4) ? &help_option : NULL;
}

static const struct arg_option *option_find_letter(const struct arg_command *cmd, char letter)
{
	const struct arg_option *o;

	for (o = cmd->options; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return letter == 'h' ? &help_option : NULL;
}

static enum args_result unknown_option(const struct arg_command *cmd, const char *arg)
{
	const struct arg_option *o;
	char name[64] = "";

	if (arg[1] == '-')
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	for (o = cmd->options; name[0] && o && o->name; o++)
		if (!strncmp(name, o->name, strlen(name)))
			return args_usage_error(cmd, "unknown option '%s'; did you mean '--%s'?",
						arg, o->name);
	for (o = cmd->options; o && o->name; o++)
		if (word_is_near(name, o->name))
			return args_usage_error(cmd, "unknown option '%s'; did you mean '--%s'?",
						arg, o->name);
	return args_usage_error(cmd, "unknown option '%s'", arg);
}

static enum args_result set_option(const struct arg_command *cmd, const struct arg_option *o,
				   const char *value)
{
	struct errmsg e;
	int rc = 0;

	switch (o->kind) {
	case ARG_FLAG:
		*(bool *)o->to = true;
		break;
	case ARG_TEXT:
		*(const char **)o->to = value;
		break;
	case ARG_SIZE:
		rc = size_parse(value, o->to);
		errmsg_set(&e, 0, "'%s' is %s", value,
			   rc == -ERANGE ? "too large" : "no size; write 64K, 512M, 1G");
		break;
	case ARG_NUMBER:
		rc = number_parse(value, UINT64_MAX, o->to);
		errmsg_set(&e, 0, "'%s' is %s", value,
			   rc == -ERANGE ? "too large" : "no number; write 12 or 0xc");
		break;
	case ARG_CALL:
		errmsg_set(&e, 0, "'%s' will not do", value);
		rc = o->call(o->to, o->name, value, &e);
		break;
	}
	return rc ? args_usage_error(cmd, "--%s: %s", o->name, e.text) : ARGS_OK;
}

/*
 * The option at **argv, with its value there or in the next argument; leaves
 * *argv at the last argument used.
 */
static enum args_result take_option(const struct arg_command *cmd, char ***argv)
{
	const char *arg = **argv, *value = NULL;
	const struct arg_option *o;
	size_t len;

	if (arg[1] == '-') {
		len = strcspn(arg + 2, "=");
		o = option_find(cmd, arg + 2, len);
		value = arg[2 + len] ? arg + 2 + len + 1 : NULL;
	} else {
		o = option_find_letter(cmd, arg[1]);
		value = arg[2] ? arg + 2 : NULL;
	}
	if (!o)
		return unknown_option(cmd, arg);
	if (o == &help_option) {
		print_help(cmd);
		return ARGS_HELP;
	}
	if (!option_takes_value(o))
		return value ? args_usage_error(cmd, "--%s takes no value, got '%s'", o->name,
						value)
			     : set_option(cmd, o, "");
	if (!value) {
		value = (*argv)[1];
		if (!value)
			return args_usage_error(cmd, "--%s needs a value: --%s %s", o->name,
						o->name, o->value);
		(*argv)++;
	}
	return set_option(cmd, o, value);
}

static enum args_result check_operands(const struct arg_command *cmd,
				       const struct arg_operands *out)
{
	if (cmd->program_follows ? !out->rest[0] : out->nr < cmd->min_operands)
		return args_usage_error(cmd, "%s is missing", cmd->missing);
	return ARGS_OK;
}

enum args_result args_parse(const struct arg_command *cmd, char **argv, struct arg_operands *out)
{
	bool options_ended = false;
	enum args_result r;

	memset(out, 0, sizeof(*out));
	for (argv++; *argv; argv++) {
		if (!options_ended && !strcmp(*argv, "--")) {
			options_ended = true;
			continue;
		}
		if (!options_ended && (*argv)[0] == '-' && (*argv)[1]) {
			r = take_option(cmd, &argv);
			if (r != ARGS_OK)
				return r;
			continue;
		}
		if (cmd->program_follows)
			break;
		if (out->nr == cmd->max_operands)
			return args_usage_error(cmd, "'%s' is one argument too many", *argv);
		out->v[out->nr++] = *argv;
	}
	out->rest = argv;
	return check_operands(cmd, out);
}
