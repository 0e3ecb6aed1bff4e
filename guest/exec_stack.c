/* SPDX-License-Identifier: MIT */
/*
 * The first stack of a program, as the x86-64 ABI and Linux lay it out:
 *
 *	UMM_TASK_SIZE
 *	  8 zero bytes
 *	  the file's name (AT_EXECFN)
 *	  environment strings
 *	  argument strings
 *	  "x86_64" (AT_PLATFORM), 16 random bytes (AT_RANDOM)
 *	  auxiliary vector, environment pointers, argument pointers
 *	sp -> argc		a multiple of 16
 *
 * It is put together here and copied once. Below it the stack grows by faults.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "guest/exec.h"

#define STACK_TOP  UMM_TASK_SIZE
#define STACK_ROOM (128ul << 10) /* mapped at once below what is used */
#define AUXV_MAX   24
#define PLATFORM   "x86_64"
/* Newer than some headers. */
#define AT_RSEQ_FEATURE_SIZE_ 27
#define AT_RSEQ_ALIGN_        28
#define HWCAP2_FSGSBASE       2ul /* says that the guest may run WRFSBASE: not promised */

struct builder {
	uint64_t *table; /* argc, pointers, auxv: grows up */
	size_t n;
};

static void push(struct builder *b, uint64_t v)
{
	b->table[b->n++] = v;
}

static void push_aux(struct builder *b, uint64_t key, uint64_t value)
{
	push(b, key);
	push(b, value);
}

static void push_strings(struct builder *b, const char *data, uint32_t count, uint64_t at)
{
	uint32_t i;
	size_t off = 0;

	for (i = 0; i < count; i++) {
		push(b, at + off);
		off += strlen(data + off) + 1;
	}
	push(b, 0);
}

static void push_auxv(struct builder *b, const struct exec_stack_info *info, uint64_t platform,
		      uint64_t random, uint64_t execfn)
{
	if (info->vdso)
		push_aux(b, AT_SYSINFO_EHDR, info->vdso);
	push_aux(b, AT_MINSIGSTKSZ, getauxval(AT_MINSIGSTKSZ));
	push_aux(b, AT_HWCAP, getauxval(AT_HWCAP));
	push_aux(b, AT_PAGESZ, UMM_PAGE_SIZE);
	push_aux(b, AT_CLKTCK, 100);
	push_aux(b, AT_PHDR, info->place->phdr);
	push_aux(b, AT_PHENT, sizeof(Elf64_Phdr));
	push_aux(b, AT_PHNUM, info->ef->eh.e_phnum);
	push_aux(b, AT_BASE, info->interp_base);
	push_aux(b, AT_FLAGS, 0);
	push_aux(b, AT_ENTRY, info->place->entry);
	push_aux(b, AT_UID, getuid());
	push_aux(b, AT_EUID, geteuid());
	push_aux(b, AT_GID, getgid());
	push_aux(b, AT_EGID, getegid());
	push_aux(b, AT_SECURE, 0);
	push_aux(b, AT_RANDOM, random);
	push_aux(b, AT_HWCAP2, getauxval(AT_HWCAP2) & ~HWCAP2_FSGSBASE);
	push_aux(b, AT_EXECFN, execfn);
	push_aux(b, AT_PLATFORM, platform);
	push_aux(b, AT_RSEQ_FEATURE_SIZE_, RSEQ_FEATURE_SIZE);
	push_aux(b, AT_RSEQ_ALIGN_, RSEQ_ALIGN);
	push_aux(b, AT_NULL, 0);
}

static int map_stack(struct mm *mm, uint64_t start, bool executable)
{
	struct mm_map_request req = {
		.addr = gva_make(start),
		.len = STACK_TOP - start,
		.prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0),
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
	};
	gva_t at;

	return mm_mmap(mm, &req, &at);
}

static void note_places(struct mm *mm, uint64_t args, const struct exec_args *x, uint64_t sp)
{
	mm->arg_start = gva_make(args);
	mm->arg_end = mm->env_start = gva_make(args + x->args_len);
	mm->env_end = gva_make(args + x->len);
	mm->start_stack = gva_make(sp);
}

int exec_stack_setup(struct mm *mm, const struct exec_args *x, const struct exec_stack_info *info,
		     uint64_t *out)
{
	size_t name_len = strlen(info->execfn) + 1;
	uint64_t name = STACK_TOP - 8 - name_len;
	uint64_t args = name - x->len;
	uint64_t random = ((args - sizeof(PLATFORM)) & ~15ull) - 16;
	uint64_t platform = random + 16;
	size_t words = 1 + x->argc + 1 + x->envc + 1 + 2 * AUXV_MAX;
	uint64_t sp = (random - words * sizeof(uint64_t)) & ~15ull;
	struct builder b = { .n = 0 };
	char *image;
	int err;

	err = map_stack(mm, page_align_down(sp) - STACK_ROOM, info->executable);
	if (err)
		return err;
	image = calloc(1, STACK_TOP - sp);
	if (!image)
		return -ENOMEM;
	b.table = (uint64_t *)(void *)image;
	push(&b, x->argc);
	push_strings(&b, x->data, x->argc, args);
	push_strings(&b, x->data + x->args_len, x->envc, args + x->args_len);
	push_auxv(&b, info, platform, random, name);
	memcpy(image + (platform - sp), PLATFORM, sizeof(PLATFORM));
	memcpy(image + (args - sp), x->data, x->len);
	memcpy(image + (name - sp), info->execfn, name_len);
	err = getrandom(image + (random - sp), 16, 0) == 16 ? 0 : -EIO;
	if (!err && mm_copy_to_guest(mm, gva_make(sp), image, STACK_TOP - sp, NULL))
		err = -ENOMEM;
	free(image);
	note_places(mm, args, x, sp);
	*out = sp;
	return err;
}
