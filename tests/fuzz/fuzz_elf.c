/* SPDX-License-Identifier: MIT */
/*
 * The ELF loader on any bytes, whole: a file is opened, checked and mapped into a
 * new address space of the fake host, as exec does it. What is refused must be
 * refused with an errno; what is accepted must lie where its layout says; and
 * whatever happened, the validator finds the manager in order and all of it is
 * given back.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/elf.h"
#include "guest/files.h"
#include "guest/filemap.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_host.h"

static struct fake_host *host;
static struct filemaps *maps;

static void set_up(void)
{
	const struct fake_config config = {
		.nr_nodes = 1, .frames_per_node = 4096, .nr_tables = 512, .fault_around = 16
	};

	host = fake_boot(&config);
	fuzz_check(host, "no fake host");
	fuzz_check(!filemaps_create(host->sys, &maps), "no file maps");
}

static void map_both_ways(const struct elf_file *ef)
{
	for (int interp = 0; interp < 2; interp++) {
		struct mm_validate_report report;
		struct elf_place place;
		struct mm *mm;
		int err;

		fuzz_check(!mm_create(host->sys, &mm), "no address space");
		err = elf_map(mm, ef, interp, &place);
		fuzz_check(err <= 0, "elf_map() is an errno");
		if (!err) {
			fuzz_check(place.end <= UMM_TASK_SIZE, "ends within the address space");
			fuzz_check(place.start_code < place.end, "begins before its end");
		}
		fuzz_check(!mm_validate(host->sys, &report), report.first);
		mm_put(mm);
	}
}

static void check_layout(const struct elf_file *ef)
{
	const struct elf_layout *lay = &ef->layout;
	char name[ELF_INTERP_MAX];

	fuzz_check(lay->min < lay->max && lay->max <= UMM_TASK_SIZE, "the span is one");
	fuzz_check(!((lay->min | lay->max) % UMM_PAGE_SIZE), "of whole pages");
	fuzz_check(lay->align >= UMM_PAGE_SIZE && !(lay->align & (lay->align - 1)),
		   "the alignment is one");
	fuzz_check(lay->interp_len <= ELF_INTERP_MAX, "an interpreter's name fits");
	if (lay->interp_len && !elf_read_interp(ef, name))
		fuzz_check(strlen(name) < lay->interp_len, "and ends");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file ef;
	struct gfile *file;
	int fd;

	if (!host)
		set_up();
	fd = fuzz_file(data, size);
	fuzz_check(!gfile_create(maps, fd, O_RDONLY, &file), "no file");
	if (!elf_open(file, &ef)) {
		check_layout(&ef);
		map_both_ways(&ef);
		elf_close(&ef);
	}
	gfile_put(file);
	fuzz_check(!host->violations, host->first_violation);
	return 0;
}
