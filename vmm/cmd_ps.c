/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cmd.h"
#include "vmm/ctl_client.h"
#include "vmm/names.h"
#include "vmm/size.h"
#include "vmm/table.h"

/* A guest that is stopped must not stop the list. */
#define ANSWER_MS 2000

/* What guest @name says of itself; NULL: it is gone. One that is silent gets an "error". */
static json_t *ask_guest(int dirfd, const char *name)
{
	struct ctl_client client;
	json_t *info = NULL;
	struct errmsg e;
	int rc;

	if (ctl_client_open_at(&client, dirfd, name, &e))
		return NULL;
	client.timeout_ms = ANSWER_MS;
	rc = ctl_client_call(&client, json_pack("{s:s}", "op", "info"), &info, &e);
	ctl_client_close(&client);
	if (rc == -EPIPE)
		return NULL;
	if (rc)
		info = json_pack("{s:s, s:s}", "name", name, "error", e.text);
	return info;
}

static int list_guests(json_t *list, struct errmsg *e)
{
	int dirfd = runtime_dir_open(false, e), rc;
	unsigned int nr, i;
	char **names;
	json_t *info;

	if (dirfd == -ENOENT)
		return 0;
	if (dirfd < 0)
		return dirfd;
	rc = runtime_dir_list(dirfd, &names, &nr);
	if (rc) {
		errmsg_set(e, rc, "cannot list the control sockets: %s", strerror(-rc));
		goto out;
	}
	for (i = 0; i < nr; i++) {
		info = ask_guest(dirfd, names[i]);
		if (info)
			json_array_append_new(list, info);
	}
	runtime_names_free(names, nr);
out:
	close(dirfd);
	return rc;
}

static void add_uptime(struct text_table *t, uint64_t ns)
{
	uint64_t s = ns / 1000000000;

	if (s < 3600)
		table_add(t, "%lu:%02lu", s / 60, s % 60);
	else
		table_add(t, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

static void add_command(struct text_table *t, const json_t *argv)
{
	char text[256] = "";
	json_t *arg;
	size_t i, len;

	json_array_foreach(argv, i, arg)
	{
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
			 json_string_value(arg));
	}
	/* A control character would spoil the table, or the terminal. */
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	table_add(t, "%s", text);
}

static void add_guest(struct text_table *t, const json_t *g)
{
	char mem[SIZE_TEXT_MAX], rss[SIZE_TEXT_MAX];
	int i;

	table_add(t, "%s", answer_text(g, "name"));
	if (json_object_get(g, "error")) {
		for (i = 0; i < 6; i++)
			table_add(t, "-");
		table_add(t, "(%s)", answer_text(g, "error"));
		return;
	}
	table_add(t, "%lu", answer_count(g, "pid"));
	table_add(t, "%lu", answer_count(g, "processes"));
	table_add(t, "%s", size_format(answer_count(g, "mem_bytes"), mem));
	table_add(t, "%s", size_format(answer_count(g, "rss_bytes"), rss));
	table_add(t, "%lu", answer_count(g, "nodes"));
	add_uptime(t, answer_count(g, "uptime_ns"));
	add_command(t, json_object_get(g, "command"));
}

static int print_list(const json_t *list)
{
	static const char *const headings[] = { "NAME",   ">PID", ">PROCS",  ">MEM", ">RSS",
						">NODES", ">UP",  "COMMAND", NULL };
	struct text_table t;
	json_t *g;
	size_t i;
	int rc;

	if (!json_array_size(list) && isatty(STDOUT_FILENO)) {
		puts("no guest is running");
		return CMD_OK;
	}
	table_init(&t, headings);
	json_array_foreach(list, i, g) add_guest(&t, g);
	rc = table_finish(&t, stdout, 0);
	return rc || fflush(stdout) ? CMD_FAILED : CMD_OK;
}

int cmd_ps(char **argv)
{
	bool json = false;
	const struct arg_option options[] = {
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "ps",
		.synopsis = "[--json]",
		.summary =
			"List your running guests: name, pid of its `umm run`, processes inside,\n"
			"memory it may have, host memory it has, nodes, age and program.\n",
		.options = options,
	};
	json_t *list = json_array(), *all;
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	struct errmsg e;
	int status;

	if (r != ARGS_OK) {
		json_decref(list);
		return cmd_args_status(r);
	}
	if (list_guests(list, &e)) {
		json_decref(list);
		return cmd_failed("ps", json, &e);
	}
	all = json_pack("{s:o}", "guests", list);
	status = json ? cmd_print_json(all) : print_list(list);
	json_decref(all);
	return status;
}
