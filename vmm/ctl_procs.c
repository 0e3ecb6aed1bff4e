/* SPDX-License-Identifier: MIT */
/* Processes of the guest, as the answers of the control socket show them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/ctl_io.h"
#include "vmm/ctl_ops.h"

struct note_list {
	struct proc_note *v;
	unsigned int nr;
};

static int note_add(const struct proc_info *p, void *arg)
{
	struct note_list *list = arg;
	struct proc_note *grown = realloc(list->v, (list->nr + 1) * sizeof(*grown)), *n;

	if (!grown)
		return -ENOMEM;
	list->v = grown;
	n = &grown[list->nr++];
	memset(n, 0, sizeof(*n));
	n->pid = p->pid;
	n->ppid = p->ppid;
	n->state = p->state;
	n->nr_tasks = p->nr_tasks;
	memcpy(n->comm, p->comm, sizeof(n->comm));
	n->comm[sizeof(n->comm) - 1] = 0;
	n->mm = p->mm ? mm_get(p->mm) : NULL;
	return 0;
}

int proc_notes_take(struct vm *vm, struct proc_note **out, unsigned int *nr)
{
	struct note_list list = { .nr = 0 };
	int rc = guest_for_each_proc(vm->guest, note_add, &list);

	if (rc) {
		proc_notes_free(list.v, list.nr);
		return rc;
	}
	*out = list.v;
	*nr = list.nr;
	return 0;
}

void proc_notes_free(struct proc_note *notes, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (notes[i].mm)
			mm_put(notes[i].mm);
	free(notes);
}

static uint64_t counter_read(const struct mm *mm, enum mm_counter c)
{
	int64_t v = __atomic_load_n(&mm->counters[c], __ATOMIC_RELAXED);

	return v > 0 ? (uint64_t)v : 0;
}

uint64_t mm_resident_pages(const struct mm *mm)
{
	return counter_read(mm, MM_ANONPAGES) + counter_read(mm, MM_FILEPAGES) +
	       counter_read(mm, MM_SHMEMPAGES);
}

uint64_t mm_swapped_pages(const struct mm *mm)
{
	return counter_read(mm, MM_SWAPENTS);
}

/* The process's arguments, from its memory, as text. */
static json_t *command_json(const struct proc_note *n)
{
	uint64_t len = n->mm ? n->mm->arg_end.v - n->mm->arg_start.v : 0;
	char text[1024];
	size_t done = 0, i;

	if (!len || len > (1u << 21))
		return json_text(n->comm, strlen(n->comm));
	if (len > sizeof(text))
		len = sizeof(text);
	if (mm_copy_from_guest(n->mm, text, n->mm->arg_start, len, &done) && !done)
		return json_text(n->comm, strlen(n->comm));
	while (done && !text[done - 1])
		done--;
	for (i = 0; i < done; i++)
		if (!text[i])
			text[i] = ' ';
		else if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	return json_text(text, done);
}

json_t *proc_note_json(const struct proc_note *n)
{
	char state[2] = { n->state, 0 };
	uint64_t rss = n->mm ? mm_resident_pages(n->mm) : 0;
	uint64_t swap = n->mm ? mm_swapped_pages(n->mm) : 0;

	return json_pack("{s:i, s:i, s:s, s:i, s:o, s:o, s:I, s:I}", "pid", n->pid, "ppid", n->ppid,
			 "state", state, "threads", (int)n->nr_tasks, "name",
			 json_text(n->comm, strlen(n->comm)), "command", command_json(n),
			 "resident", (json_int_t)rss, "swapped", (json_int_t)swap);
}

void vma_flags_text(uint64_t flags, char text[5])
{
	text[0] = flags & VM_READ ? 'r' : '-';
	text[1] = flags & VM_WRITE ? 'w' : '-';
	text[2] = flags & VM_EXEC ? 'x' : '-';
	text[3] = flags & VM_SHARED ? 's' : 'p';
	text[4] = 0;
}

const char *folio_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		[PG_locked] = "locked",
		[PG_waiters] = "waiters",
		[PG_uptodate] = "uptodate",
		[PG_dirty] = "dirty",
		[PG_referenced] = "referenced",
		[PG_young] = "young",
		[PG_idle] = "idle",
		[PG_active] = "active",
		[PG_lru] = "lru",
		[PG_swapbacked] = "swapbacked",
		[PG_swapcache] = "swapcache",
		[PG_writeback] = "writeback",
		[PG_mlocked] = "mlocked",
		[PG_hwpoison] = "hwpoison",
		[PG_head] = "head",
		[PG_tail] = "tail",
		[PG_buddy] = "buddy",
		[PG_zeroed] = "zeroed",
		[PG_discarded] = "discarded",
		[PG_anon_exclusive] = "anon_exclusive",
		[PG_holed] = "holed",
	};

	return bit < sizeof(names) / sizeof(names[0]) ? names[bit] : NULL;
}
