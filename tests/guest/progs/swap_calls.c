/* SPDX-License-Identifier: MIT */
/*
 * swapon() and swapoff() where they fail. Each file here is no swap file, for one reason, on
 * every Linux: nothing may ever be swapped to by a run of this outside of a guest.
 */
#include <grp.h>
#include <sys/swap.h>

#include "progs.h"

#define OTHER     4243
#define FILE_NAME "area"

struct header {
	const char *why, *magic;
	uint32_t version, last_page, nr_badpages;
	unsigned int pages; /* that the file has */
};

static const struct header headers[] = {
	{ "no magic word", "", 1, 63, 0, 64 },
	{ "an old one", "SWAP-SPACE", 1, 63, 0, 64 },
	{ "version 0", "SWAPSPACE2", 0, 63, 0, 64 },
	{ "version 2", "SWAPSPACE2", 2, 63, 0, 64 },
	{ "no page", "SWAPSPACE2", 1, 0, 0, 64 },
	{ "shorter than it says", "SWAPSPACE2", 1, 64, 0, 64 },
	{ "far shorter", "SWAPSPACE2", 1, UINT32_MAX, 0, 64 },
	{ "bad pages in a file", "SWAPSPACE2", 1, 63, 1, 64 },
	{ "too many bad pages", "SWAPSPACE2", 1, 63, UINT32_MAX, 64 },
	{ "the header alone", "SWAPSPACE2", 1, 1, 0, 1 },
	{ "nothing", "", 0, 0, 0, 0 },
};

static void header_make(const struct header *h)
{
	static char pages[64 * PAGE];
	const uint32_t info[] = { h->version, h->last_page, h->nr_badpages };
	int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(pages, 0, sizeof(pages));
	memcpy(pages + 1024, info, sizeof(info));
	memcpy(pages + PAGE - 10, h->magic, strlen(h->magic));
	if (fd < 0 || write(fd, pages, h->pages * PAGE) != (ssize_t)(h->pages * PAGE))
		exit(2);
	close(fd);
}

/* Should one succeed all the same, it is not left. */
static int swap_on(const char *path, int flags)
{
	int r = swapon(path, flags);

	if (!r) {
		swapoff(path);
		printf("%s was taken\n", path);
		exit(3);
	}
	return r;
}

static void try_headers(void)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		printf("-- %s\n", headers[i].why);
		header_make(&headers[i]);
		SHOW(swap_on(FILE_NAME, 0));
		SHOW(swap_on(FILE_NAME, SWAP_FLAG_PREFER | 7));
		SHOW(swapoff(FILE_NAME));
	}
}

static void try_names(void)
{
	static char name[2 * 4096];

	printf("-- names\n");
	memset(name, 'x', sizeof(name) - 1);
	SHOW(swap_on("missing", 0));
	SHOW(swapoff("missing"));
	SHOW(swap_on("", 0));
	SHOW(swapoff(""));
	SHOW(swap_on((const char *)8, 0));
	SHOW(swapoff((const char *)8));
	SHOW(swap_on(name, 0));
	SHOW(swapoff(name));
	SHOW(swap_on(".", 0));
	SHOW(swapoff("."));
	SHOW(swap_on("/dev/null", 0));
	SHOW(swapoff("/dev/null"));
	SHOW(swap_on(FILE_NAME "/x", 0));
	SHOW(symlink("loop", "loop"));
	SHOW(swap_on("loop", 0));
	SHOW(swapoff("loop"));
	SHOW(mkfifo("fifo", 0600));
	SHOW(swap_on("fifo", 0));
	SHOW(swapoff("fifo"));
	SHOW(unlink("fifo"));
}

static void try_flags(void)
{
	printf("-- flags\n");
	header_make(&headers[0]);
	SHOW(swap_on(FILE_NAME, 0x80000));
	SHOW(swap_on("missing", 0x80000));
	SHOW(swap_on("missing", -1));
	SHOW(swap_on("missing", SWAP_FLAG_DISCARD | 0x60000));
	SHOW(swap_on("missing", SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK));
	SHOW(swap_on("missing", SWAP_FLAG_PRIO_MASK));
}

static void try_as_other(void)
{
	if (!getuid() && (setgroups(0, NULL) || setgid(OTHER) || setuid(OTHER)))
		exit(2);
	SHOW(swap_on(FILE_NAME, 0));
	SHOW(swap_on(FILE_NAME, 0x80000));
	SHOW(swap_on("missing", 0));
	SHOW(swap_on((const char *)8, 0));
	SHOW(swapoff(FILE_NAME));
	SHOW(swapoff("missing"));
	SHOW(swapoff((const char *)8));
}

int main(void)
{
	pid_t pid;

	try_headers();
	try_names();
	try_flags();
	printf("-- somebody else\n");
	pid = fork_flushed();
	if (!pid) {
		try_as_other();
		child_exit(0);
	}
	show_child("somebody else", pid);
	return 0;
}
