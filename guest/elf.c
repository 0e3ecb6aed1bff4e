/* SPDX-License-Identifier: MIT */
/*
 * The ELF loader. The headers come from a file that may be anything, so they
 * are checked as a whole before the first byte is mapped; sums are arranged so
 * that they cannot overflow.
 *
 * Segments are ordinary private mappings of the file, shared page by page with
 * everybody who maps it. A segment's memory beyond its file part (BSS) is the
 * zeroed rest of its last file page, and anonymous pages behind that.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/elf.h"

#define PHDRS_MAX_BYTES 65536

int elf_check_header(const Elf64_Ehdr *eh)
{
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
		return -ENOEXEC;
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return -ENOEXEC;
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum ||
	    eh->e_phnum > PHDRS_MAX_BYTES / sizeof(Elf64_Phdr))
		return -ENOEXEC;
	return 0;
}

static bool segment_valid(const Elf64_Phdr *ph)
{
	return ph->p_filesz <= ph->p_memsz && ph->p_vaddr < UMM_TASK_SIZE &&
	       ph->p_memsz <= UMM_TASK_SIZE - ph->p_vaddr &&
	       ph->p_offset <= INT64_MAX - UMM_TASK_SIZE &&
	       (ph->p_offset - ph->p_vaddr) % UMM_PAGE_SIZE == 0;
}

static void layout_add(struct elf_layout *out, const Elf64_Ehdr *eh, const Elf64_Phdr *ph)
{
	uint64_t start = page_align_down(ph->p_vaddr);
	uint64_t end = page_align_up(ph->p_vaddr + ph->p_memsz);

	if (start < out->min)
		out->min = start;
	if (end > out->max)
		out->max = end;
	if (ph->p_align > out->align && !(ph->p_align & (ph->p_align - 1)) &&
	    ph->p_align <= (1ull << 30))
		out->align = ph->p_align;
	if (eh->e_phoff >= ph->p_offset && eh->e_phoff - ph->p_offset < ph->p_filesz)
		out->phdr_vaddr = eh->e_phoff - ph->p_offset + ph->p_vaddr;
}

int elf_check_segments(const Elf64_Ehdr *eh, const Elf64_Phdr *ph, struct elf_layout *out)
{
	int i;

	memset(out, 0, sizeof(*out));
	out->min = UINT64_MAX;
	out->align = UMM_PAGE_SIZE;
	for (i = 0; i < eh->e_phnum; i++) {
		switch (ph[i].p_type) {
		case PT_LOAD:
			if (!segment_valid(&ph[i]))
				return -ENOEXEC;
			if (ph[i].p_memsz)
				layout_add(out, eh, &ph[i]);
			break;
		case PT_INTERP:
			if (ph[i].p_filesz < 2 || ph[i].p_filesz > ELF_INTERP_MAX ||
			    ph[i].p_offset > INT64_MAX)
				return -ENOEXEC;
			out->interp_off = ph[i].p_offset;
			out->interp_len = ph[i].p_filesz;
			break;
		case PT_GNU_STACK:
			out->exec_stack = ph[i].p_flags & PF_X;
			break;
		}
	}
	return out->min < out->max ? 0 : -ENOEXEC;
}

/* All of it, or -ENOEXEC when the file ends before. */
static int read_exact(const struct gfile *file, void *buf, size_t len, uint64_t off)
{
	ssize_t n = pread(gfile_host_fd(file), buf, len, (off_t)off);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOEXEC;
}

int elf_open(struct gfile *file, struct elf_file *out)
{
	size_t size;
	int err;

	memset(out, 0, sizeof(*out));
	err = read_exact(file, &out->eh, sizeof(out->eh), 0);
	if (!err)
		err = elf_check_header(&out->eh);
	if (err)
		return err;
	size = out->eh.e_phnum * sizeof(Elf64_Phdr);
	out->ph = malloc(size);
	if (!out->ph)
		return -ENOMEM;
	err = out->eh.e_phoff > INT64_MAX ? -ENOEXEC
					  : read_exact(file, out->ph, size, out->eh.e_phoff);
	if (!err)
		err = elf_check_segments(&out->eh, out->ph, &out->layout);
	if (!err)
		err = gfile_mapping(file, &out->mapping);
	if (err) {
		free(out->ph);
		out->ph = NULL;
		return err;
	}
	out->file = gfile_get(file);
	return 0;
}

void elf_close(struct elf_file *ef)
{
	if (!ef->file)
		return;
	mapping_put(ef->mapping);
	gfile_put(ef->file);
	free(ef->ph);
	memset(ef, 0, sizeof(*ef));
}

int elf_read_interp(const struct elf_file *ef, char name[ELF_INTERP_MAX])
{
	int err = read_exact(ef->file, name, ef->layout.interp_len, ef->layout.interp_off);

	if (!err && name[ef->layout.interp_len - 1])
		err = -ENOEXEC;
	return err;
}

/* ---- mapping ----------------------------------------------------------- */

static int prot_of(uint32_t p_flags)
{
	return (p_flags & PF_R ? PROT_READ : 0) | (p_flags & PF_W ? PROT_WRITE : 0) |
	       (p_flags & PF_X ? PROT_EXEC : 0);
}

static int map_fixed(struct mm *mm, uint64_t start, uint64_t end, int prot,
		     struct address_space *mapping, uint64_t offset)
{
	struct mm_map_request req = {
		.addr = gva_make(start),
		.len = end - start,
		.prot = prot,
		.flags = MAP_PRIVATE | MAP_FIXED | (mapping ? 0 : MAP_ANONYMOUS),
		.mapping = mapping,
		.offset = offset,
	};
	gva_t at;

	return start < end ? mm_mmap(mm, &req, &at) : 0;
}

/* Zero what the last file page holds behind the file part. */
static int clear_tail(struct mm *mm, uint64_t start, uint64_t end)
{
	static const uint8_t zeros[UMM_PAGE_SIZE];

	/* A file cut short has no page there: nothing that could run. */
	return mm_poke_guest(mm, gva_make(start), zeros, end - start, NULL) ? -ENOEXEC : 0;
}

static int map_segment(struct mm *mm, const struct elf_file *ef, const Elf64_Phdr *ph,
		       uint64_t bias)
{
	uint64_t start = page_align_down(ph->p_vaddr + bias);
	uint64_t file_end = ph->p_vaddr + bias + ph->p_filesz;
	uint64_t file_pages = ph->p_filesz ? page_align_up(file_end) : start;
	uint64_t mem_pages = page_align_up(ph->p_vaddr + bias + ph->p_memsz);
	int prot = prot_of(ph->p_flags), err;

	err = map_fixed(mm, start, file_pages, prot, ef->mapping, page_align_down(ph->p_offset));
	if (!err && ph->p_filesz && ph->p_memsz > ph->p_filesz && (ph->p_flags & PF_W) &&
	    file_end < file_pages)
		err = clear_tail(mm, file_end, file_pages);
	if (!err)
		err = map_fixed(mm, file_pages, mem_pages, prot, NULL, 0);
	return err;
}

static void place_add(struct elf_place *out, const Elf64_Phdr *ph)
{
	uint64_t start = ph->p_vaddr + out->bias;
	uint64_t file_end = start + ph->p_filesz;

	if ((ph->p_flags & PF_X) && (!out->start_code || start < out->start_code))
		out->start_code = start;
	if (start > out->start_data)
		out->start_data = start;
	if ((ph->p_flags & PF_X) && file_end > out->end_code)
		out->end_code = file_end;
	if (file_end > out->end_data)
		out->end_data = file_end;
	if (page_align_up(start + ph->p_memsz) > out->end)
		out->end = page_align_up(start + ph->p_memsz);
}

/* A hole that the whole program fits in, at the alignment it asks for. */
static int find_hole(struct mm *mm, const struct elf_layout *lay, uint64_t *at)
{
	struct mm_map_request req = {
		.len = lay->max - lay->min + lay->align - UMM_PAGE_SIZE,
		.prot = PROT_NONE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	};
	gva_t hole;
	int err = mm_mmap(mm, &req, &hole);

	if (err)
		return err;
	*at = (hole.v + lay->align - 1) & ~(lay->align - 1);
	return mm_munmap(mm, hole, req.len);
}

static int choose_bias(struct mm *mm, const struct elf_file *ef, bool interp, uint64_t *bias)
{
	const struct elf_layout *lay = &ef->layout;
	uint64_t at = (ELF_PIE_BASE + lay->align - 1) & ~(lay->align - 1);
	int err = 0;

	*bias = 0;
	if (ef->eh.e_type == ET_EXEC)
		return 0;
	if (interp)
		err = find_hole(mm, lay, &at);
	*bias = at - (lay->min & ~(lay->align - 1));
	return err;
}

int elf_map(struct mm *mm, const struct elf_file *ef, bool interp, struct elf_place *out)
{
	int i, err;

	memset(out, 0, sizeof(*out));
	err = choose_bias(mm, ef, interp, &out->bias);
	if (!err && out->bias > UMM_TASK_SIZE - ef->layout.max)
		err = -ENOMEM;
	for (i = 0; !err && i < ef->eh.e_phnum; i++) {
		if (ef->ph[i].p_type != PT_LOAD || !ef->ph[i].p_memsz)
			continue;
		err = map_segment(mm, ef, &ef->ph[i], out->bias);
		place_add(out, &ef->ph[i]);
	}
	out->entry = ef->eh.e_entry + out->bias;
	out->phdr = ef->layout.phdr_vaddr ? ef->layout.phdr_vaddr + out->bias : 0;
	return err;
}
