/* SPDX-License-Identifier: MIT */
/* execve in two steps: prepare a new program beside the old, then switch. */
#ifndef GUEST_EXEC_H
#define GUEST_EXEC_H

#include "guest/elf.h"
#include "guest/task.h"

/* Strings one behind the other, each with its NUL: first argv, then envp. */
struct exec_args {
	char *data;
	size_t len, cap;
	size_t args_len; /* bytes of argv */
	uint32_t argc, envc;
	size_t limit; /* bytes, pointers included */
};

/* A program ready to run, in an address space of its own. */
struct exec_image {
	struct mm *mm;
	uint64_t entry, sp;
	struct gfile *exe; /* the program: a place (O_PATH), whoever may search for it */
	char comm[16];
};

/*
 * guest/exec_load.c. A file to execute: a regular one that umm's user may
 * execute, else -EACCES and the like.
 */
int exec_check_file(const struct gfile *file);
int exec_open_file(struct guest *g, struct task *t, const char *path, struct gfile **out);
/*
 * Load the program in @file, whose reference is taken over. @t NULL: for the
 * first process. @name: as the caller named it.
 */
int exec_load(struct guest *g, struct task *t, struct gfile *file, const char *name,
	      struct exec_args *x, const struct rlimit *rlim, struct exec_image **out);

/* guest/exec_args.c */
void exec_args_init(struct exec_args *x, uint64_t stack_limit);
void exec_args_free(struct exec_args *x);
/* -E2BIG, -ENOMEM. */
int exec_args_append(struct exec_args *x, const char *s);
/* argv and envp of the caller's memory. -EFAULT, -E2BIG, -ENOMEM. */
int exec_args_from_user(struct task *t, struct exec_args *x, uint64_t argv, uint64_t envp);
int exec_args_from_host(struct exec_args *x, char *const argv[], char *const envp[]);
/* Put @n strings in front, instead of argv[0]. */
int exec_args_prepend(struct exec_args *x, const char *const strings[], unsigned int n);

/* guest/exec_stack.c: the first stack of a program. */
struct exec_stack_info {
	const struct elf_file *ef;
	const struct elf_place *place;
	uint64_t interp_base; /* 0: static */
	uint64_t vdso;        /* 0: there is none */
	const char *execfn;
	bool executable;
};
/* Map it, fill it, and give the stack pointer. */
int exec_stack_setup(struct mm *mm, const struct exec_args *x, const struct exec_stack_info *info,
		     uint64_t *sp);

/*
 * guest/exec_script.c: does the file's first line name an interpreter?
 * @head: its first bytes, NUL-padded. 1: yes; 0: no; -ENOEXEC: it tries to, in
 * vain. *arg is NULL without an argument; both point into @head. Pure.
 */
#define SCRIPT_HEAD_SIZE 256
int script_parse(char head[SCRIPT_HEAD_SIZE + 1], char **interp, char **arg);

#endif
