/* SPDX-License-Identifier: MIT */
/*
 * What a lost swap server does to whom. The parent, whose memory is locked, starts a
 * child that fills MIB of memory, makes the file FULL, and verifies it over and over;
 * when a signal ends the child it says which. Then it waits for the file GO and does
 * all that again, the child verifying once only.
 *
 * The child gives up its restartable sequences: their area is another page that may be
 * lost, written to by the system, and who cannot be told there dies of SIGSEGV, as on Linux.
 *
 *	swaploss MIB FULL GO
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t word_at(uint64_t i)
{
	return i * 0x9e3779b97f4a7c15ull ^ i >> 7;
}

#define RSEQ_BYTES 32 /* as the C library registers */

static int sequences_end(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	return __rseq_size && syscall(SYS_rseq, area, RSEQ_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

static int child_main(uint64_t words, const char *full, int forever)
{
	volatile uint64_t *w =
		mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED || sequences_end())
		return 2;
	for (uint64_t i = 0; i < words; i++)
		w[i] = word_at(i);
	close(open(full, O_WRONLY | O_CREAT, 0600));
	do {
		for (uint64_t i = 0; i < words; i++)
			if (w[i] != word_at(i))
				return 3;
	} while (forever);
	return 0;
}

static void report(const char *name, pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s: signal %d\n", name, WTERMSIG(status));
	else
		printf("%s: exit %d\n", name, WEXITSTATUS(status));
	fflush(stdout);
}

static pid_t start(uint64_t words, const char *full, int forever)
{
	pid_t pid = fork();

	if (!pid)
		_exit(child_main(words, full, forever));
	return pid;
}

int main(int argc, char **argv)
{
	uint64_t words;

	if (argc != 4 || mlockall(MCL_CURRENT | MCL_FUTURE)) {
		perror("swaploss");
		return 2;
	}
	words = strtoull(argv[1], NULL, 10) << 17;
	report("first", start(words, argv[2], 1));
	while (access(argv[3], F_OK))
		usleep(50000);
	report("second", start(words, argv[2], 0));
	return 0;
}
