/* SPDX-License-Identifier: MIT */
/* mseal: which calls leave a sealed area alone, and what may still be done with it. */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "tests/guest/progs/progs.h"

#define CALL_MSEAL         462
#define CALL_PKEY_MPROTECT 329

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *base;

static char *page(long i)
{
	return base + i * (long)PAGE;
}

static long seal(void *addr, size_t len, unsigned long flags)
{
	return syscall(CALL_MSEAL, addr, len, flags);
}

static void map(long first, size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(page(first), pages * PAGE, prot, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
}

static const char *named(void *result)
{
	return result == MAP_FAILED ? strerrorname_np(errno) : "done";
}

/* ---- the call itself ------------------------------------------------------------ */

static void arguments(void)
{
	base = arena(8);
	map(0, 2, RW, ANON, -1);
	map(3, 2, RW, ANON, -1);
	SHOW(seal(page(0), PAGE, 1));
	SHOW(seal(page(0), PAGE, 1ul << 63));
	SHOW(seal(page(0) + 1, PAGE, 0));
	SHOW(seal(page(0), ~0ul, 0));
	SHOW(seal(page(0), -2 * PAGE, 0));
	SHOW(seal(page(0), 0, 0));
	SHOW(seal(page(2), 0, 0));
	SHOW(seal(page(2), PAGE, 0));
	SHOW(seal(page(0), 5 * PAGE, 0));
	SHOW(seal(page(-1), 2 * PAGE, 0));
	SHOW(seal((void *)(1ul << 62), PAGE, 0));
	/* Nothing was sealed by these. */
	SHOW(mprotect(page(0), 2 * PAGE, PROT_READ));
	/* A length is rounded up. */
	SHOW(seal(page(0), 1, 0));
	SHOW(mprotect(page(0), PAGE, PROT_READ));
	SHOW(mprotect(page(1), PAGE, RW));
	SHOW(seal(page(0), 2 * PAGE, 0));
	show_vmas("after", page(0), 5);
}

/* ---- what is refused ------------------------------------------------------------- */

/* Pages 1 to 2 of 0 to 3 are sealed. */
static void sealed_middle(int prot, int flags, int fd)
{
	base = arena(12);
	map(0, 4, RW, flags, fd);
	memset(base, 5, 4 * PAGE);
	mprotect(base, 4 * PAGE, prot);
	SHOW(seal(page(1), 2 * PAGE, 0));
}

static void protections(void)
{
	printf("-- mprotect\n");
	sealed_middle(RW, ANON, -1);
	SHOW(mprotect(page(1), PAGE, PROT_READ));
	SHOW(mprotect(page(1), PAGE, RW));
	/* What lies before the seal was changed. */
	SHOW(mprotect(page(0), 4 * PAGE, PROT_READ));
	SHOW(mprotect(page(2), 2 * PAGE, PROT_READ));
	SHOW(mprotect(page(3), PAGE, PROT_READ));
	SHOW(mprotect(page(1), 0, PROT_NONE));
	SHOW(syscall(CALL_PKEY_MPROTECT, page(1), PAGE, PROT_READ, -1));
	show_vmas("after mprotect", base, 4);
	*page(1) = 6;
	printf("still writable: %d\n", *page(1));
}

static void places(void)
{
	printf("-- munmap, mmap, mremap\n");
	sealed_middle(RW, ANON, -1);
	SHOW(munmap(page(1), PAGE));
	SHOW(munmap(page(0), 4 * PAGE));
	SHOW(munmap(page(0), 2 * PAGE));
	SHOW(munmap(page(2), 2 * PAGE));
	printf("mmap over: %s\n", named(mmap(page(2), 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0)));
	printf("mmap noreplace: %s\n",
	       named(mmap(page(2), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0)));
	show_vmas("all is there", base, 4);
	printf("grow: %s\n", named(mremap(page(1), 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE)));
	printf("shrink: %s\n", named(mremap(page(1), 2 * PAGE, PAGE, 0)));
	printf("same: %s\n", named(mremap(page(1), 2 * PAGE, 2 * PAGE, 0)));
	printf("move: %s\n",
	       named(mremap(page(1), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page(8))));
	printf("empty it: %s\n",
	       named(mremap(page(1), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL)));
	printf("onto it: %s\n",
	       named(mremap(page(3), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page(2))));
	printf("shrink across: %s\n", named(mremap(page(0), 4 * PAGE, PAGE, 0)));
	show_vmas("all is there", base, 4);
	SHOW(munmap(page(3), PAGE));
	printf("a neighbour grows up to it: %s\n",
	       named(mmap(page(3), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0)));
	show_vmas("not joined", base, 4);
}

/* Every advice, alone on the sealed pages. */
static void advise(const char *title)
{
	static const struct {
		int advice;
		const char *name;
	} all[] = {
		{ MADV_NORMAL, "NORMAL" },
		{ MADV_RANDOM, "RANDOM" },
		{ MADV_SEQUENTIAL, "SEQUENTIAL" },
		{ MADV_WILLNEED, "WILLNEED" },
		{ MADV_COLD, "COLD" },
		{ MADV_DONTDUMP, "DONTDUMP" },
		{ MADV_DODUMP, "DODUMP" },
		{ MADV_DOFORK, "DOFORK" },
		{ MADV_KEEPONFORK, "KEEPONFORK" },
		{ MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ MADV_DONTFORK, "DONTFORK" },
		{ MADV_WIPEONFORK, "WIPEONFORK" },
		{ MADV_FREE, "FREE" },
		{ MADV_DONTNEED, "DONTNEED" },
		{ MADV_DONTNEED_LOCKED, "DONTNEED_LOCKED" },
		{ MADV_REMOVE, "REMOVE" },
	};

	printf("-- advice on %s\n", title);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		errno = 0;
		printf("%s: %s", all[i].name,
		       madvise(page(1), 2 * PAGE, all[i].advice) ? strerrorname_np(errno) : "done");
		printf(", %d\n", page(1)[0]);
	}
}

static void advices(void)
{
	int fd = file_make("sealed", 4);

	sealed_middle(PROT_READ, ANON, -1);
	advise("private memory, read-only");
	/* Page 0 is dropped before the seal is met. */
	SHOW(madvise(base, 4 * PAGE, MADV_DONTNEED));
	printf("all four pages: %d %d %d\n", page(0)[0], page(1)[0], page(3)[0]);
	sealed_middle(RW, ANON, -1);
	advise("private memory, writable");
	sealed_middle(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1);
	advise("shared memory, read-only");
	sealed_middle(PROT_READ, MAP_PRIVATE, fd);
	advise("a private file, read-only");
	close(fd);
	unlink("sealed");
}

/* ---- what goes on ----------------------------------------------------------------- */

static void others(void)
{
	char *end = sbrk(0);
	pid_t pid;
	int id;

	printf("-- other calls\n");
	sealed_middle(RW, ANON, -1);
	SHOW(mlock(page(0), 4 * PAGE));
	SHOW(munlock(page(0), 4 * PAGE));
	SHOW(msync(page(0), 4 * PAGE, MS_SYNC));
	id = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
	printf("shmat onto it: %s\n", named(shmat(id, page(2), SHM_REMAP)));
	shmctl(id, IPC_RMID, NULL);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		SHOW(munmap(page(1), PAGE));
		SHOW(munmap(page(0), PAGE));
		child_exit(0);
	}
	show_child("a child has the seals", pid);
	SHOW(munmap(page(0), PAGE));

	/* The heap does not shrink below a seal. */
	end = (char *)(((unsigned long)end + PAGE - 1) & -PAGE);
	if (brk(end + 2 * PAGE))
		exit(2);
	SHOW(seal(end + PAGE, PAGE, 0));
	printf("heap below it: %s\n", brk(end) ? strerrorname_np(errno) : "done");
	printf("heap is %ld pages longer\n", ((char *)sbrk(0) - end) / (long)PAGE);
	printf("heap above it: %s\n", brk(end + 3 * PAGE) ? strerrorname_np(errno) : "done");
	printf("back again: %s\n", brk(end + 2 * PAGE) ? strerrorname_np(errno) : "done");
}

/* "sl" in VmFlags of the areas around the seal. */
static void flags_told(void)
{
	char line[1024];
	unsigned long start = 0, end;
	FILE *smaps = fopen("/proc/self/smaps", "r");

	printf("-- smaps\n");
	sealed_middle(RW, ANON, -1);
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 || strncmp(line, "VmFlags:", 8))
			continue;
		if (start >= (unsigned long)page(0) && start < (unsigned long)page(4))
			printf("page %ld: %s\n", (long)(start - (unsigned long)base) / (long)PAGE,
			       strstr(line, " sl ") ? "sealed" : "open");
	}
	if (smaps)
		fclose(smaps);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	arguments();
	protections();
	places();
	advices();
	others();
	flags_told();
	return 0;
}
