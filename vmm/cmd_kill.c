/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "vmm/cmd.h"
#include "vmm/ctl_client.h"
#include "vmm/progress.h"
#include "vmm/size.h"

/* How long the end of a guest may take: its memory is given back, files are closed. */
#define END_WAIT_MS 30000
#define LAST_SIGNAL 64

/* "9", "KILL" or "SIGKILL". */
static int signal_parse(void *to, const char *name, const char *value, struct errmsg *e)
{
	struct cmd_number *sig = to;
	const char *plain = strncasecmp(value, "SIG", 3) ? value : value + 3;
	const char *abbrev;
	uint64_t n;
	int i;

	(void)name;
	sig->set = true;
	if (!number_parse(value, LAST_SIGNAL, &n) && n) {
		sig->v = (int64_t)n;
		return 0;
	}
	for (i = 1; i <= LAST_SIGNAL; i++) {
		abbrev = sigabbrev_np(i);
		if (abbrev && !strcasecmp(abbrev, plain)) {
			sig->v = i;
			return 0;
		}
	}
	return errmsg_set(e, -EINVAL, "'%s' is no signal; write TERM, SIGTERM or 15", value);
}

/* The server's connection ends with the guest. */
static int wait_for_end(const struct ctl_client *c, const char *name, struct errmsg *e)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
	int rc;

	do {
		rc = poll(&p, 1, END_WAIT_MS);
	} while (rc < 0 && errno == EINTR);
	if (rc > 0)
		return 0;
	return errmsg_set(e, -ETIMEDOUT, "'%s' was told to end and still runs", name);
}

static int kill_guest(const char *name, const struct cmd_number *sig, json_t **result,
		      struct errmsg *e)
{
	json_t *request = json_pack("{s:s}", "op", "kill");
	struct progress progress = { .what = "kill" };
	struct ctl_client client;
	int rc;

	request_add_number(request, "signal", sig);
	rc = ctl_client_open(&client, name, e);
	if (rc) {
		json_decref(request);
		return rc;
	}
	client.silent = cmd_tell_silence;
	client.arg = &progress;
	rc = ctl_client_call(&client, request, result, e);
	/* The guest may be gone before its answer is out: that is what was wanted. */
	if (rc == -EPIPE && !sig->set) {
		*result = json_pack("{s:i}", "signal", 0);
		rc = 0;
	}
	if (!rc && !sig->set)
		rc = wait_for_end(&client, name, e);
	ctl_client_close(&client);
	return rc;
}

static void print_sent(const char *guest, int sig)
{
	const char *abbrev = sigabbrev_np(sig);

	if (abbrev)
		printf("%s got SIG%s\n", guest, abbrev);
	else
		printf("%s got signal %d\n", guest, sig);
}

int cmd_kill(char **argv)
{
	struct cmd_number sig = { .v = 0 };
	bool json = false;
	const struct arg_option options[] = {
		{ .name = "signal",
		  .letter = 's',
		  .kind = ARG_CALL,
		  .to = &sig,
		  .value = "SIG",
		  .call = signal_parse,
		  .help = "only send this signal, to the first process (INT, QUIT, TSTP\n"
			  "and WINCH: to the terminal's foreground group)" },
		CMD_OPTION_JSON(&json),
		{ .name = NULL },
	};
	const struct arg_command cmd = {
		.name = "kill",
		.synopsis = "NAME [-s SIG] [--json]",
		.summary =
			"End the running guest NAME: all its processes are killed, and its `umm run`\n"
			"returns 137. Waits until it is gone.\n",
		.options = options,
		CMD_ONE_GUEST,
	};
	struct arg_operands args;
	enum args_result r = args_parse(&cmd, argv, &args);
	json_t *result = NULL;
	struct errmsg e;
	int status = CMD_OK;

	if (r != ARGS_OK)
		return cmd_args_status(r);
	if (kill_guest(args.v[0], &sig, &result, &e))
		status = cmd_failed("kill", json, &e);
	else if (json)
		status = cmd_print_json(result);
	else if (sig.set)
		print_sent(args.v[0], (int)sig.v);
	else
		printf("%s ended\n", args.v[0]);
	json_decref(result);
	return status;
}
