/* SPDX-License-Identifier: MIT */
/* ELF programs: what is accepted, and how it is mapped into a new address space. */
#ifndef GUEST_ELF_H
#define GUEST_ELF_H

#include <elf.h>

#include "guest/guest.h"

/* Where a program without a place of its own (PIE) goes, as Linux without ASLR. */
#define ELF_PIE_BASE 0x555555554000ull
/* An interpreter's name is a path. */
#define ELF_INTERP_MAX 4096

/* What the headers of a program say; from elf_check_segments(), pure. */
struct elf_layout {
	uint64_t min, max;               /* pages that the PT_LOADs span, before any bias */
	uint64_t align;                  /* largest p_align, at least a page */
	uint64_t interp_off, interp_len; /* len 0: none */
	uint64_t phdr_vaddr;             /* of the program headers in memory, 0: nowhere */
	bool exec_stack;
};

/* A program file, opened and checked. */
struct elf_file {
	struct gfile *file;
	struct address_space *mapping;
	Elf64_Ehdr eh;
	Elf64_Phdr *ph; /* eh.e_phnum of them, malloc'ed */
	struct elf_layout layout;
};

/* Where it went. All zero before the first segment. */
struct elf_place {
	uint64_t bias;
	uint64_t entry;
	uint64_t phdr;
	uint64_t start_code, end_code, start_data, end_data;
	uint64_t end; /* first byte behind everything, page-aligned */
};

/* 0 or -ENOEXEC. Pure: nothing but the bytes given is looked at. */
int elf_check_header(const Elf64_Ehdr *eh) UMM_MUST_CHECK;
int elf_check_segments(const Elf64_Ehdr *eh, const Elf64_Phdr *ph,
		       struct elf_layout *out) UMM_MUST_CHECK;

/* Takes a reference on @file. -ENOEXEC, -EIO, -ENOMEM, or why it cannot be mapped. */
int elf_open(struct gfile *file, struct elf_file *out) UMM_MUST_CHECK;
void elf_close(struct elf_file *ef);
/* The name in PT_INTERP. -ENOEXEC when it is no name. */
int elf_read_interp(const struct elf_file *ef, char name[ELF_INTERP_MAX]) UMM_MUST_CHECK;
/*
 * Map the segments into @mm, which nobody else uses. @interp: into a hole below
 * mmap_base instead of ELF_PIE_BASE.
 */
int elf_map(struct mm *mm, const struct elf_file *ef, bool interp,
	    struct elf_place *out) UMM_MUST_CHECK;

#endif
