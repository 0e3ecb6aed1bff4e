/* SPDX-License-Identifier: MIT */
/* umm poison: memory failure on request. */
#include <stdio.h>

#include "vmm/args.h"
#include "vmm/cmd.h"
#include "vmm/ctl_io.h"
#include "vmm/table.h"

static int print_report(const json_t *r)
{
	static const char *const headings[] = { ">PID", ">ADDRESS", "SIGNAL", NULL };
	json_t *mappers = json_object_get(r, "mappers"), *m;
	struct text_table t;
	size_t i;

	printf("frame %lu failed (%s): its content is %s\n", answer_count(r, "pfn"),
	       answer_text(r, "kind"), answer_text(r, "content"));
	if (!json_array_size(mappers)) {
		printf("no entry mapped it\n");
		return CMD_OK;
	}
	table_init(&t, headings);
	json_array_foreach(mappers, i, m)
	{
		table_add(&t, "%lu", answer_count(m, "pid"));
		table_add(&t, "%s", answer_text(m, "address"));
		table_add(&t, "%s", answer_text(m, "signal"));
	}
	return table_finish(&t, stdout, 0) ? CMD_FAILED : CMD_OK;
}

int cmd_poison(char **argv)
{
	static const char summary[] =
		"Let one frame of the running guest NAME fail, as broken memory does, and tell\n"
		"who mapped it. A clean page of a file, or one that swap has too, is read again;\n"
		"else its content is lost, and every process that touches it gets SIGBUS with\n"
		"BUS_MCEERR_AR (at once, with BUS_MCEERR_AO, if it asked prctl(PR_MCE_KILL) for\n"
		"that). The frame is never used again. There is no way back.\n";

	return cmd_show_frame("poison", summary, argv, print_report);
}
