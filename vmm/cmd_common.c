/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/ctl_client.h"
#include "vmm/progress.h"

int cmd_args_status(enum args_result r)
{
	return r == ARGS_USAGE ? CMD_USAGE : CMD_OK;
}

int cmd_print_json(const json_t *o)
{
	if (json_dumpf(o, stdout, JSON_INDENT(2)) || putchar('\n') == EOF || fflush(stdout))
		return CMD_FAILED;
	return CMD_OK;
}

int cmd_failed(const char *command, bool json, const struct errmsg *e)
{
	json_t *o;

	fprintf(stderr, "umm %s: %s\n", command, e->text);
	if (json) {
		o = json_pack("{s:o}", "error", json_text(e->text, strlen(e->text)));
		cmd_print_json(o);
		json_decref(o);
	}
	return CMD_FAILED;
}

/* Who gets the SIGINT; NULL: nobody, it ends umm. */
static const struct ctl_client *volatile stoppable;

static void on_stop(int sig)
{
	(void)sig;
	if (stoppable)
		ctl_client_stop(stoppable);
}

/* The first Ctrl-C asks the guest to stop and report, the second ends umm. */
static void let_stop(const struct ctl_client *client)
{
	const struct sigaction act = { .sa_handler = on_stop, .sa_flags = SA_RESETHAND };
	struct sigaction old;

	stoppable = client;
	if (!sigaction(SIGINT, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &act, NULL);
}

void cmd_tell_silence(void *arg, pid_t guest)
{
	const struct progress *p = arg;

	fprintf(stderr,
		"umm %s: no answer for %d s from the guest's umm (process %d): is it stopped? "
		"Still waiting\n",
		p->what, CTL_SILENCE_SECONDS, (int)guest);
}

static int ask(const char *command, const char *name, json_t *request, bool json, bool can_stop,
	       json_t **result)
{
	struct progress progress = { .what = command, .on_terminal = isatty(STDERR_FILENO) };
	struct ctl_client client;
	struct errmsg e;
	int rc;

	rc = ctl_client_open(&client, name, &e);
	if (rc) {
		json_decref(request);
		return cmd_failed(command, json, &e);
	}
	if (can_stop)
		let_stop(&client);
	client.progress = progress_show;
	client.silent = cmd_tell_silence;
	client.arg = &progress;
	rc = ctl_client_call(&client, request, result, &e);
	stoppable = NULL;
	progress_end(&progress);
	ctl_client_close(&client);
	return rc ? cmd_failed(command, json, &e) : CMD_OK;
}

static int show(const char *op, const char *name, json_t *request, bool json, bool can_stop,
		int (*print)(const json_t *result), int (*verdict)(const json_t *result))
{
	json_t *result;
	int status, judged;

	json_object_set_new(request, "op", json_string(op));
	status = ask(op, name, request, json, can_stop, &result);
	if (status)
		return status;
	status = json ? cmd_print_json(result) : print(result);
	if (!json && fflush(stdout))
		status = CMD_FAILED;
	judged = verdict ? verdict(result) : CMD_OK;
	json_decref(result);
	return status ? status : judged;
}

int cmd_show(const char *op, const char *name, json_t *request, bool json,
	     int (*print)(const json_t *result), int (*verdict)(const json_t *result))
{
	return show(op, name, request, json, false, print, verdict);
}

int cmd_show_long(const char *op, const char *name, json_t *request, bool json,
		  int (*print)(const json_t *result), int (*verdict)(const json_t *result))
{
	return show(op, name, request, json, true, print, verdict);
}

uint64_t answer_count(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

const char *answer_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

void answer_print_counts(const json_t *o, const struct count_text *texts)
{
	for (; texts->name; texts++) {
		uint64_t n = answer_count(o, texts->name);

		if (n)
			printf("  %10lu  %s\n", n, texts->text);
	}
}

const char *pages_text(uint64_t pages, char text[SIZE_TEXT_MAX])
{
	return pages ? size_format(pages * UMM_PAGE_SIZE, text) : "0";
}

/* Hexadecimal with or without 0x, as /proc/PID/maps prints addresses. */
static int parse_hex(const char *text, char **end, uint64_t *out)
{
	errno = 0;
	*out = strtoull(text, end, 16);
	return errno || *end == text || *text == '-' || *text == '+' ? -EINVAL : 0;
}

int cmd_parse_range(void *to, const char *name, const char *value, struct errmsg *e)
{
	struct cmd_range *r = to;
	char *end;

	(void)name;
	if (parse_hex(value, &end, &r->start) || *end != '-' || parse_hex(end + 1, &end, &r->end) ||
	    *end)
		return errmsg_set(e, -EINVAL,
				  "'%s' is no range; write START-END as `umm maps` prints them",
				  value);
	if (r->start >= r->end)
		return errmsg_set(e, -EINVAL, "'%s' ends before it starts", value);
	r->set = true;
	return 0;
}

int cmd_parse_number(void *to, const char *name, const char *value, struct errmsg *e)
{
	struct cmd_number *n = to;
	uint64_t v;
	int rc = number_parse(value, INT64_MAX, &v);

	(void)name;
	if (rc)
		return errmsg_set(e, rc, "'%s' is %s", value,
				  rc == -ERANGE ? "too large" : "no number");
	n->v = (int64_t)v;
	n->set = true;
	return 0;
}

void request_add_number(json_t *request, const char *name, const struct cmd_number *n)
{
	if (n->set)
		json_object_set_new(request, name, json_integer(n->v));
}

void request_add_range(json_t *request, const struct cmd_range *r)
{
	if (!r->set)
		return;
	json_object_set_new(request, "start", json_hex(r->start));
	json_object_set_new(request, "end", json_hex(r->end));
}

int cmd_parse_address(void *to, const char *name, const char *value, struct errmsg *e)
{
	struct cmd_number *n = to;
	char *end;

	(void)name;
	n->v = (int64_t)strtoull(value, &end, 16);
	n->set = true;
	if (end == value || *end || n->v < 0)
		return errmsg_set(e, -1, "'%s' is no address; write it in hexadecimal", value);
	return 0;
}
