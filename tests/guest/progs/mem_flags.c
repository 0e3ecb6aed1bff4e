/* SPDX-License-Identifier: MIT */
/*
 * Every flag of every memory call, one at a time, on every kind of area: which errno, and
 * which flags the area has then (VmFlags of smaps). What Linux got after 6.12 is left out.
 */
#include <sys/uio.h>

#include "progs.h"

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)
/* Newer than some headers. */
#define SYS_process_madvise_ 440

/* ---- kinds of areas ------------------------------------------------------------------------ */

#define AREA_PAGES 4u

enum kind {
	PRIVATE,
	UNTOUCHED,
	SHARED,
	FILE_PRIVATE,
	FILE_SHARED,
	FILE_READ_ONLY,
	MEMFD,
	NOBODYS,
	READ_ONLY,
	LOCKED,
	GROWS,
	HALF,
	NOTHING,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"private",  "untouched", "shared", "private file", "shared file", "read-only file", "memfd",
	"nobody's", "read-only", "locked", "growing",      "half",        "nothing",
};

static int file, read_only, memfd;

static char *area_at(char *at, enum kind kind)
{
	static const struct {
		int prot, flags;
		int *fd;
	} how[KINDS] = {
		[PRIVATE] = { RW, ANON, NULL },
		[UNTOUCHED] = { RW, ANON, NULL },
		[SHARED] = { RW, MAP_SHARED | MAP_ANONYMOUS, NULL },
		[FILE_PRIVATE] = { RW, MAP_PRIVATE, &file },
		[FILE_SHARED] = { RW, MAP_SHARED, &file },
		[FILE_READ_ONLY] = { PROT_READ, MAP_SHARED, &read_only },
		[MEMFD] = { RW, MAP_SHARED, &memfd },
		[NOBODYS] = { PROT_NONE, ANON, NULL },
		[READ_ONLY] = { PROT_READ, ANON, NULL },
		[LOCKED] = { RW, ANON | MAP_LOCKED, NULL },
		[GROWS] = { RW, ANON | MAP_GROWSDOWN, NULL },
		[HALF] = { RW, ANON, NULL },
	};
	char *p;

	if (kind == NOTHING)
		return at;
	p = mmap(at, AREA_PAGES * PAGE, how[kind].prot, how[kind].flags | MAP_FIXED,
		 how[kind].fd ? *how[kind].fd : -1, 0);
	if (p != at) {
		printf("%s: %s\n", kind_names[kind], strerrorname_np(errno));
		exit(2);
	}
	if (kind == HALF)
		munmap(p + 2 * PAGE, 2 * PAGE);
	if (kind == PRIVATE || kind == SHARED || kind == FILE_PRIVATE || kind == FILE_SHARED)
		p[PAGE] = 1;
	return p;
}

/* What Linux tells of the area that holds @p, but for what depends on how it was built. */
static void vm_flags(const char *p, char *text, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool inside = false;
	char line[512], *at, *word;
	static char room[1 << 16];

	/* All of it at once. */
	if (smaps)
		setvbuf(smaps, room, _IOFBF, sizeof(room));
	snprintf(text, size, "none");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-') < line + 17)
			inside = start <= (unsigned long)p && (unsigned long)p < end;
		if (!inside || strncmp(line, "VmFlags:", 8))
			continue;
		*text = '\0';
		for (word = strtok_r(line + 8, " \n", &at); word; word = strtok_r(NULL, " \n", &at))
			if (strcmp(word, "sd"))
				snprintf(text + strlen(text), size - strlen(text), " %s", word);
		break;
	}
	if (smaps)
		fclose(smaps);
}

static const char *error_name(long result)
{
	return result == -1 ? strerrorname_np(errno) : "ok";
}

/* ---- mmap ---------------------------------------------------------------------------------- */

static void try_mmap(const char *what, int prot, int flags, int fd)
{
	char *p = mmap(NULL, 2 * PAGE, prot, flags, fd, 0), text[128];

	if (p == MAP_FAILED) {
		printf("mmap %s prot %#x flags %#x: %s\n", what, (unsigned int)prot,
		       (unsigned int)flags, strerrorname_np(errno));
		return;
	}
	vm_flags(p, text, sizeof(text));
	printf("mmap %s prot %#x flags %#x:%s\n", what, (unsigned int)prot, (unsigned int)flags,
	       text);
	munmap(p, 2 * PAGE);
}

static void try_flags(const char *what, int base, int fd)
{
	for (int bit = 4; bit < 32; bit++) {
		/* At a place that is not given FIXED is another's test. */
		if (1 << bit == MAP_FIXED || bit == 20)
			continue;
		try_mmap(what, RW, base | (int)(1u << bit), fd);
	}
	for (int size = 1; size < 64; size++)
		try_mmap(what, RW, base | MAP_HUGETLB | (int)((unsigned int)size << 26), fd);
}

static void test_mmap(void)
{
	int folder = open("/", O_RDONLY), path = open("/", O_PATH), wrong = 0x7777, pipes[2];
	int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR);

	try_flags("private", ANON, -1);
	try_flags("shared", MAP_SHARED | MAP_ANONYMOUS, -1);
	try_flags("private file", MAP_PRIVATE, file);
	try_flags("shared file", MAP_SHARED, file);
	try_flags("validated file", MAP_SHARED_VALIDATE, file);
	try_flags("validated memfd", MAP_SHARED_VALIDATE, memfd);
	for (int type = 0; type < 16; type++) {
		/* MAP_DROPPABLE is younger than most kernels. */
		if (type == 8)
			continue;
		try_mmap("nothing", RW, type | MAP_ANONYMOUS, -1);
		try_mmap("file", RW, type, file);
	}
	for (int bit = 0; bit < 32; bit++) {
		try_mmap("private", (int)(1u << bit), ANON, -1);
		try_mmap("shared file", (int)(1u << bit), MAP_SHARED, file);
		try_mmap("read-only file", (int)(1u << bit), MAP_SHARED, read_only);
	}
	if (pipe(pipes))
		exit(2);
	for (int type = MAP_SHARED; type <= MAP_SHARED_VALIDATE; type++) {
		try_mmap("folder", PROT_READ, type, folder);
		try_mmap("path", PROT_READ, type, path);
		try_mmap("no file", PROT_READ, type, wrong);
		try_mmap("pipe", PROT_READ, type, pipes[0]);
		try_mmap("zero", RW, type, zero);
		try_mmap("null", RW, type, null);
	}
}

/* ---- mprotect, msync, mlock2, madvise -------------------------------------------------------- */

static void on_all(const char *call, int value, long (*make)(char *p, int value))
{
	char *base = arena(16), *p, text[128];
	const char *error;
	long r;

	for (enum kind k = 0; k < KINDS; k++) {
		p = area_at(base + 8 * PAGE, k);
		errno = 0;
		r = make(p, value);
		error = error_name(r);
		printf("%s %#x of %s: %s", call, (unsigned int)value, kind_names[k], error);
		/* What was refused at once has changed nothing, and smaps takes its time. */
		if (strcmp(error, "EINVAL"))
			vm_flags(p, text, sizeof(text));
		else
			text[0] = '\0';
		printf(" %s\n", text);
		munmap(base, 16 * PAGE);
	}
}

static long make_mprotect(char *p, int prot)
{
	return mprotect(p, AREA_PAGES * PAGE, prot);
}

static long make_msync(char *p, int flags)
{
	return msync(p, AREA_PAGES * PAGE, flags);
}

static long make_mlock2(char *p, int flags)
{
	return syscall(SYS_mlock2, p, AREA_PAGES * PAGE, flags);
}

static long make_madvise(char *p, int advice)
{
	return madvise(p, AREA_PAGES * PAGE, advice);
}

static long make_madvise_wrong(char *p, int advice)
{
	long a = madvise(p + 1, PAGE, advice), b = madvise(p, 0, advice);
	int error = errno;

	printf("(%s %s %s) ", error_name(a), error_name(b),
	       error_name(madvise(p, SIZE_MAX - PAGE, advice)));
	errno = error;
	return b;
}

static long make_remap(char *p, int flags)
{
	return remap_file_pages(p, PAGE, 0, 1, flags);
}

static long make_mincore(char *p, int offset)
{
	unsigned char in[8];

	return mincore(p + offset, AREA_PAGES * PAGE, in);
}

/* Advice that Linux got after 6.12 (guard pages), and what changes the machine. */
static bool advice_is_left_out(int advice)
{
	return advice == 100 || advice == 101 || advice == 102 || advice == 103;
}

static void test_areas(void)
{
	for (int bit = 0; bit < 32; bit++)
		on_all("mprotect", (int)(1u << bit), make_mprotect);
	for (int flags = 0; flags < 16; flags++)
		on_all("msync", flags, make_msync);
	for (int bit = 0; bit < 32; bit += bit < 4 ? 1 : 9)
		on_all("mlock2", (int)(1u << bit), make_mlock2);
	on_all("mlock2", 0, make_mlock2);
	for (int advice = -1; advice < 110; advice++) {
		if (advice_is_left_out(advice))
			continue;
		if (advice < 30 || advice > 95)
			on_all("madvise", advice, make_madvise);
		if (advice < 30)
			on_all("wrong madvise", advice, make_madvise_wrong);
	}
	on_all("remap_file_pages", 0, make_remap);
	on_all("remap_file_pages", MAP_NONBLOCK, make_remap);
	on_all("remap_file_pages", MAP_FIXED, make_remap);
	on_all("mincore", 0, make_mincore);
	on_all("mincore", 1, make_mincore);
}

/* ---- mremap ---------------------------------------------------------------------------------- */

static void try_mremap(char *base, enum kind k, size_t old, size_t new, int flags)
{
	char *p = area_at(base + 8 * PAGE, k), *to = base + 24 * PAGE, *at, text[128];

	at = mremap(p, old * PAGE, new *PAGE, flags, to);
	printf("mremap %s %zu to %zu flags %#x: ", kind_names[k], old, new, (unsigned int)flags);
	if (at == MAP_FAILED) {
		printf("%s\n", strerrorname_np(errno));
	} else {
		vm_flags(at, text, sizeof(text));
		printf("%s%s", at == p ? "stays" : at == to ? "there" : "elsewhere", text);
		vm_flags(p, text, sizeof(text));
		printf(", left%s\n", text);
		munmap(at, new *PAGE);
	}
	munmap(base, 64 * PAGE);
}

static void test_mremap(void)
{
	static const size_t sizes[] = { 0, 2, AREA_PAGES, AREA_PAGES + 2 };
	char *base = arena(64);

	for (enum kind k = 0; k < KINDS; k++) {
		for (int flags = 0; flags < 16; flags++)
			for (int i = 0; i < 16; i++) {
				/* Since 6.17 one move may take several areas, and what is between. */
				if (sizes[i / 4] == sizes[i % 4] &&
				    (k == HALF || k == NOTHING || sizes[i / 4] > AREA_PAGES))
					continue;
				try_mremap(base, k, sizes[i / 4], sizes[i % 4], flags);
			}
		try_mremap(base, k, 2, 2, (int)0x80000001);
	}
}

/* ---- calls on no area ------------------------------------------------------------------------ */

/* In a child, as what is locked stays locked. */
static void test_mlockall(void)
{
	char text[128];
	pid_t pid;

	for (int flags = 0; flags < 16; flags++) {
		pid = fork_flushed();
		if (!pid) {
			long r = mlockall(flags);
			char *p;

			printf("mlockall %#x: %s", (unsigned int)flags, error_name(r));
			p = mmap(NULL, PAGE, RW, ANON, -1, 0);
			vm_flags(p, text, sizeof(text));
			printf("%s\n", text);
			child_exit(0);
		}
		show_child("child", pid);
	}
}

static void test_memfd(void)
{
	char text[300];
	int fd;

	for (int bit = 0; bit < 32; bit++) {
		fd = memfd_create("name", 1u << bit);
		printf("memfd %#x: %s", 1u << bit, error_name(fd));
		if (fd >= 0)
			printf(" seals %#x mode %o", (unsigned int)fcntl(fd, F_GET_SEALS),
			       fcntl(fd, F_GETFD));
		printf("\n");
		close(fd);
	}
	memset(text, 'x', sizeof(text));
	text[249] = '\0';
	printf("name of 249: %s\n", error_name(memfd_create(text, 0)));
	text[249] = 'x';
	text[250] = '\0';
	printf("name of 250: %s\n", error_name(memfd_create(text, 0)));
}

/* Of 6.12, on another process: since 6.13 a process may give itself any advice. */
static void test_process_madvise(void)
{
	char *p = area_at(arena(8), PRIVATE);
	struct iovec iov[2] = { { p, 2 * PAGE }, { p + 3 * PAGE, PAGE } };
	struct iovec odd[2] = { { p + 1, PAGE }, { p, PAGE } };
	struct iovec gone[2] = { { p, PAGE }, { (void *)8, PAGE } };
	struct iovec far[2] = { { p, PAGE }, { (void *)(1ul << 40), PAGE } };
	pid_t pid = fork_flushed();
	int fd;

	if (!pid)
		for (;;)
			pause();
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	for (int advice = 0; advice < 30; advice++)
		printf("process_madvise %d: %s\n", advice,
		       error_name(syscall(SYS_process_madvise_, fd, iov, 2, advice, 0)));
	SHOW(syscall(SYS_process_madvise_, fd, iov, 2, MADV_COLD, 1));
	SHOW(syscall(SYS_process_madvise_, fd, iov, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, iov, 0, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, iov, 1025, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, (void *)8, 1, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, odd, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, gone, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, fd, far, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, file, iov, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise_, 0x7777, iov, 2, MADV_COLD, 0));
	kill(pid, SIGKILL);
	show_child("child", pid);
	SHOW(syscall(SYS_process_madvise_, fd, iov, 2, MADV_COLD, 0));
}

/* Areas until there may be no more; what would make one more, and what would not. */
static void test_map_count(void)
{
	const size_t many = 1ul << 18;
	char *base = arena(many);
	long count = 0, first;
	size_t i;

	for (i = 0; i < many; i++, count++)
		if (mmap(base + i * PAGE, PAGE, i % 2 ? PROT_READ : PROT_NONE, ANON | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			break;
	first = (long)i;
	printf("areas end with %s\n", i < many ? strerrorname_np(errno) : "nothing");
	SHOW(munmap(base, 2 * PAGE));
	SHOW(mprotect(base + 2 * PAGE, PAGE, PROT_READ));
	/* Room for a few again: one area of three pages, and its middle. */
	SHOW(munmap(base + 8 * PAGE, 3 * PAGE));
	show_address("three pages", mmap(base + 8 * PAGE, 3 * PAGE, RW, ANON | MAP_FIXED, -1, 0),
		     base);
	for (i = 0; mmap(base + (size_t)(first + 8 + (long)i) * PAGE, PAGE,
			 i % 2 ? PROT_READ : PROT_NONE, ANON | MAP_FIXED, -1, 0) != MAP_FAILED;
	     i++)
		;
	SHOW(munmap(base + 9 * PAGE, PAGE));
	SHOW(mprotect(base + 9 * PAGE, PAGE, PROT_READ));
	SHOW(madvise(base + 9 * PAGE, PAGE, MADV_DONTFORK));
	SHOW(mlock(base + 9 * PAGE, PAGE));
	show_address("mremap",
		     mremap(base + 9 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    base + (many - 1) * PAGE),
		     base);
	munmap(base, many * PAGE);
}

int main(void)
{
	file = file_make("file", 8);
	read_only = open("file", O_RDONLY);
	memfd = memfd_create("memfd", 0);
	if (ftruncate(memfd, 8 * PAGE))
		return 2;
	test_mmap();
	test_areas();
	test_mremap();
	test_mlockall();
	test_memfd();
	test_process_madvise();
	test_map_count();
	return 0;
}
