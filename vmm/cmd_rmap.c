/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "vmm/cmd.h"
#include "vmm/ctl_io.h"
#include "vmm/table.h"

static void print_frame(const json_t *f)
{
	const json_t *flags = json_object_get(f, "flags"), *flag;
	size_t i;

	printf("frame %lu on node %lu", answer_count(f, "pfn"), answer_count(f, "node"));
	if (json_integer_value(json_object_get(f, "host_node")) >= 0)
		printf(" (host node %lu)", answer_count(f, "host_node"));
	printf(": %s", answer_text(f, "kind"));
	if (answer_count(f, "order"))
		printf(", part of a folio of %u frames from %lu", 1u << answer_count(f, "order"),
		       answer_count(f, "head"));
	printf("\nreferences %lu, mappings %lu, pins %lu, index %lu\nflags:",
	       answer_count(f, "refcount"), answer_count(f, "mapcount"),
	       answer_count(f, "pincount"), answer_count(f, "index"));
	json_array_foreach(flags, i, flag) printf(" %s", json_string_value(flag));
	putchar('\n');
}

static const char *entry_bits(const json_t *entry, char text[16])
{
	static const char *const names[] = { "write", "accessed", "dirty", "no_exec", "huge" };
	static const char letters[] = "WADXH";
	unsigned int i;

	if (!json_is_true(json_object_get(entry, "present")))
		return "not present";
	for (i = 0; i < 5; i++)
		text[i] = json_is_true(json_object_get(entry, names[i])) ? letters[i] : '-';
	/* The bit says "no execution"; people ask whether it may. */
	text[3] = text[3] == 'X' ? '-' : 'X';
	text[5] = 0;
	return text;
}

static int print_entries(const json_t *entries)
{
	static const char *const headings[] = { ">PID",  "PROGRAM", ">ADDRESS", "AREA",
						"FLAGS", ">ENTRY",  "BITS",     NULL };
	char bits[16];
	struct text_table t;
	json_t *e;
	size_t i;

	table_init(&t, headings);
	json_array_foreach(entries, i, e)
	{
		table_add(&t, "%lu", answer_count(e, "pid"));
		table_add(&t, "%s", answer_text(e, "name"));
		table_add(&t, "%s", answer_text(e, "address"));
		table_add(&t, "%s-%s", answer_text(e, "area_start"), answer_text(e, "area_end"));
		table_add(&t, "%s", answer_text(e, "area_flags"));
		table_add(&t, "%s", answer_text(e, "entry"));
		table_add(&t, "%s", entry_bits(e, bits));
	}
	return table_finish(&t, stdout, 0) ? CMD_FAILED : CMD_OK;
}

static int print_report(const json_t *r)
{
	const json_t *entries = json_object_get(r, "entries");
	int status = CMD_OK;

	if (!json_is_true(json_object_get(r, "present"))) {
		if (!strcmp(answer_text(r, "entry"), "0x0"))
			printf("no frame is there: the page was not touched yet\n");
		else
			printf("no frame is there: the page is in swap, or just moves (entry %s)\n",
			       answer_text(r, "entry"));
		return CMD_OK;
	}
	print_frame(json_object_get(r, "frame"));
	if (json_array_size(entries))
		status = print_entries(entries);
	else
		printf("no entry maps it\n");
	return status;
}

int cmd_rmap(char **argv)
{
	static const char summary[] =
		"Tell everything that maps one frame of the running guest NAME, found by a\n"
		"walk of the reverse mappings: process, area, address and page-table entry.\n"
		"Bits of an entry: W writable, A accessed, D dirty, X executable, H 2 MiB.\n";

	return cmd_show_frame("rmap", summary, argv, print_report);
}
