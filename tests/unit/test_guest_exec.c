/* SPDX-License-Identifier: MIT */
/* What exec believes of a file: ELF headers, script lines, argument vectors. */
#include <string.h>

#include "guest/exec.h"
#include "tests/unit/util.h"

#define PAGE UMM_PAGE_SIZE

static Elf64_Ehdr good_header(void)
{
	Elf64_Ehdr eh = {
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_entry = 0x1000,
	};

	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	return eh;
}

static Elf64_Phdr load(uint64_t offset, uint64_t vaddr, uint64_t filesz, uint64_t memsz)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R,
		.p_offset = offset,
		.p_vaddr = vaddr,
		.p_filesz = filesz,
		.p_memsz = memsz,
		.p_align = PAGE,
	};
}

static void test_header(void)
{
	Elf64_Ehdr eh = good_header();

	CU_ASSERT_EQUAL(elf_check_header(&eh), 0);
	eh.e_ident[EI_MAG1] = 'X';
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_ident[EI_CLASS] = ELFCLASS32;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_ident[EI_DATA] = ELFDATA2MSB;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_machine = EM_AARCH64;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_type = ET_CORE;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_phentsize = 32;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh = good_header();
	eh.e_phnum = 0;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
	eh.e_phnum = 0xffff;
	CU_ASSERT_EQUAL(elf_check_header(&eh), -ENOEXEC);
}

static void test_layout(void)
{
	Elf64_Ehdr eh = good_header();
	Elf64_Phdr ph[4] = {
		load(0, 0, 0x800, 0x800),
		load(0x1800, 0x3800, 0x100, 0x2000),
		{ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W | PF_X },
		{ .p_type = PT_INTERP, .p_offset = 0x200, .p_filesz = 28 },
	};
	struct elf_layout lay;

	eh.e_phnum = 4;
	CU_ASSERT_EQUAL(elf_check_segments(&eh, ph, &lay), 0);
	CU_ASSERT_EQUAL(lay.min, 0);
	CU_ASSERT_EQUAL(lay.max, 0x6000);
	CU_ASSERT_EQUAL(lay.align, PAGE);
	CU_ASSERT_EQUAL(lay.phdr_vaddr, sizeof(Elf64_Ehdr));
	CU_ASSERT_EQUAL(lay.interp_off, 0x200);
	CU_ASSERT_EQUAL(lay.interp_len, 28);
	CU_ASSERT_TRUE(lay.exec_stack);
	ph[1].p_align = 1 << 21;
	CU_ASSERT_EQUAL(elf_check_segments(&eh, ph, &lay), 0);
	CU_ASSERT_EQUAL(lay.align, 1 << 21);
	/* An alignment that is none is not believed. */
	ph[1].p_align = (1ull << 63) + 1;
	CU_ASSERT_EQUAL(elf_check_segments(&eh, ph, &lay), 0);
	CU_ASSERT_EQUAL(lay.align, PAGE);
}

static int check_one(Elf64_Phdr ph)
{
	Elf64_Ehdr eh = good_header();
	struct elf_layout lay;

	return elf_check_segments(&eh, &ph, &lay);
}

static void test_bad_segments(void)
{
	Elf64_Phdr interp = { .p_type = PT_INTERP, .p_filesz = 1 };

	CU_ASSERT_EQUAL(check_one(load(0, 0x1000, 0x2000, 0x1000)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(0, UMM_TASK_SIZE, 0, PAGE)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(0, UMM_TASK_SIZE - PAGE, 0, 2 * PAGE)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(0, 0x1000, 0, UINT64_MAX)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(0, -PAGE, 0, 2 * PAGE)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(UINT64_MAX - PAGE + 1, 0x1000, PAGE, PAGE)), -ENOEXEC);
	/* File and memory must be at the same place within a page. */
	CU_ASSERT_EQUAL(check_one(load(0x10, 0x1000, PAGE, PAGE)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(load(0x1010, 0x7010, PAGE, PAGE)), 0);
	/* Nothing to load. */
	CU_ASSERT_EQUAL(check_one(load(0, 0x1000, 0, 0)), -ENOEXEC);
	CU_ASSERT_EQUAL(check_one(interp), -ENOEXEC);
	interp.p_filesz = ELF_INTERP_MAX + 1;
	CU_ASSERT_EQUAL(check_one(interp), -ENOEXEC);
}

static int parse(const char *line, char head[SCRIPT_HEAD_SIZE + 1], char **interp, char **arg)
{
	memset(head, 0, SCRIPT_HEAD_SIZE + 1);
	memcpy(head, line, strnlen(line, SCRIPT_HEAD_SIZE));
	return script_parse(head, interp, arg);
}

static void test_script(void)
{
	char head[SCRIPT_HEAD_SIZE + 1], longer[400], *interp, *arg;

	CU_ASSERT_EQUAL(parse("\177ELF", head, &interp, &arg), 0);
	CU_ASSERT_EQUAL(parse("", head, &interp, &arg), 0);
	CU_ASSERT_EQUAL(parse("#!/bin/sh\necho\n", head, &interp, &arg), 1);
	CU_ASSERT_STRING_EQUAL(interp, "/bin/sh");
	CU_ASSERT_PTR_NULL(arg);
	CU_ASSERT_EQUAL(parse("#! \t/usr/bin/env  python3 -u \t\nx", head, &interp, &arg), 1);
	CU_ASSERT_STRING_EQUAL(interp, "/usr/bin/env");
	CU_ASSERT_STRING_EQUAL(arg, "python3 -u");
	CU_ASSERT_EQUAL(parse("#!/bin/sh", head, &interp, &arg), 1);
	CU_ASSERT_STRING_EQUAL(interp, "/bin/sh");
	CU_ASSERT_EQUAL(parse("#!\n/bin/sh\n", head, &interp, &arg), -ENOEXEC);
	CU_ASSERT_EQUAL(parse("#!  \t \n", head, &interp, &arg), -ENOEXEC);
	CU_ASSERT_EQUAL(parse("#!", head, &interp, &arg), -ENOEXEC);
	/* A name that goes on behind what is read is not a name; an argument is cut. */
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	memcpy(longer, "#!/", 3);
	CU_ASSERT_EQUAL(parse(longer, head, &interp, &arg), -ENOEXEC);
	longer[100] = ' ';
	CU_ASSERT_EQUAL(parse(longer, head, &interp, &arg), 1);
	CU_ASSERT_EQUAL(strlen(interp), 98);
	CU_ASSERT_EQUAL(strlen(arg), SCRIPT_HEAD_SIZE - 101);
}

static void test_args(void)
{
	char *const argv[] = { "prog", "one", NULL }, *const envp[] = { "A=1", NULL };
	const char *const front[] = { "/bin/sh", "-e", "./prog" };
	struct exec_args x;

	exec_args_init(&x, 8 << 20);
	CU_ASSERT_EQUAL(exec_args_from_host(&x, argv, envp), 0);
	CU_ASSERT_EQUAL(x.argc, 2);
	CU_ASSERT_EQUAL(x.envc, 1);
	CU_ASSERT_EQUAL(x.args_len, 9);
	CU_ASSERT_EQUAL(memcmp(x.data, "prog\0one\0A=1", 13), 0);
	CU_ASSERT_EQUAL(exec_args_prepend(&x, front, 3), 0);
	CU_ASSERT_EQUAL(x.argc, 4);
	CU_ASSERT_EQUAL(x.args_len, 8 + 3 + 7 + 4);
	CU_ASSERT_EQUAL(memcmp(x.data, "/bin/sh\0-e\0./prog\0one\0A=1", 26), 0);
	exec_args_free(&x);
}

static void test_args_limits(void)
{
	static char big[32 * PAGE + 1];
	char *const none[] = { NULL };
	struct exec_args x;
	int i, err = 0;

	exec_args_init(&x, 0);
	CU_ASSERT_EQUAL(exec_args_from_host(&x, none, none), 0);
	CU_ASSERT_EQUAL(x.argc, 1);
	CU_ASSERT_EQUAL(x.args_len, 1);
	memset(big, 'x', sizeof(big) - 1);
	CU_ASSERT_EQUAL(exec_args_append(&x, big), -E2BIG);
	/* Many small ones come to an end, too. */
	big[1000] = '\0';
	for (i = 0; !err && i < 1000; i++)
		err = exec_args_append(&x, big);
	CU_ASSERT_EQUAL(err, -E2BIG);
	CU_ASSERT_TRUE(i > 100);
	exec_args_free(&x);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "ELF headers", test_header },
		{ "layout of segments", test_layout },
		{ "segments that are none", test_bad_segments },
		{ "script lines", test_script },
		{ "arguments", test_args },
		{ "limits of arguments", test_args_limits },
	};

	return unit_run("exec", tests, ARRAY_LEN(tests), argc, argv);
}
