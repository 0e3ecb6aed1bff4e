/* SPDX-License-Identifier: MIT */
#include "vmm/bench_kswap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#define ZRAM_ADD    "/sys/class/zram-control/hot_add"
#define ZRAM_REMOVE "/sys/class/zram-control/hot_remove"
/* In front of all others, so that what we page out goes there. */
#define PRIORITY 32000

/* The first page of a swap area, as mkswap writes it (format 1; linux/swap.h, union swap_header). */
struct swap_header {
	char boot[1024];
	uint32_t version, last_page, nr_badpages;
	uint8_t rest[UMM_PAGE_SIZE - 1024 - 12 - 10];
	char magic[10];
} __attribute__((packed));
_Static_assert(sizeof(struct swap_header) == UMM_PAGE_SIZE, "one page");

static int format(int fd, uint64_t bytes)
{
	struct swap_header h = { .version = 1 };

	h.last_page = (uint32_t)(bytes / UMM_PAGE_SIZE - 1);
	memcpy(h.magic, "SWAPSPACE2", sizeof(h.magic));
	if (pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || fsync(fd))
		return errno ? -errno : -EIO;
	return 0;
}

static int turn_on(struct kernel_swap *s, struct errmsg *e)
{
	if (swapon(s->path, SWAP_FLAG_PREFER | PRIORITY))
		return errmsg_set(e, -errno, "swapon %.300s: %s", s->path, strerror(errno));
	s->on = true;
	return 0;
}

int kernel_swap_file(struct kernel_swap *s, const char *dir, uint64_t bytes, struct errmsg *e)
{
	int fd, rc;

	*s = (struct kernel_swap){ .bytes = bytes, .zram = -1 };
	snprintf(s->path, sizeof(s->path), "%.3000s/kernel-%d.swap", dir, (int)getpid());
	fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return errmsg_set(e, -errno, "%.300s: %s", s->path, strerror(errno));
	rc = fallocate(fd, 0, 0, (off_t)bytes) ? -errno : format(fd, bytes);
	close(fd);
	rc = rc ? errmsg_set(e, rc, "%.300s: %s", s->path, strerror(-rc)) : turn_on(s, e);
	if (rc)
		unlink(s->path);
	return rc;
}

/* ---- zram ----------------------------------------------------------------- */

static int read_number(const char *path, long *out)
{
	FILE *f = fopen(path, "re");
	int got;

	if (!f)
		return -errno;
	got = fscanf(f, "%ld", out);
	fclose(f);
	return got == 1 ? 0 : -EIO;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int zram_set(const struct kernel_swap *s, const char *what, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", s->zram, what);
	return write_text(path, value);
}

static void zram_remove(struct kernel_swap *s)
{
	char number[16];

	(void)zram_set(s, "reset", "1");
	snprintf(number, sizeof(number), "%d", s->zram);
	(void)write_text(ZRAM_REMOVE, number);
}

static int zram_format(const struct kernel_swap *s, uint64_t bytes)
{
	int fd = open(s->path, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = format(fd, bytes);
	close(fd);
	return rc;
}

int kernel_swap_zram(struct kernel_swap *s, const char *algorithm, uint64_t bytes, struct errmsg *e)
{
	char size[32];
	long number;
	int rc;

	*s = (struct kernel_swap){ .bytes = bytes, .zram = -1 };
	/* Reading it makes a device and tells its number. */
	rc = read_number(ZRAM_ADD, &number);
	if (rc)
		return errmsg_set(e, rc, "no zram device to be had here: " ZRAM_ADD ": %s",
				  strerror(-rc));
	s->zram = (int)number;
	snprintf(s->path, sizeof(s->path), "/dev/zram%d", s->zram);
	snprintf(size, sizeof(size), "%" PRIu64, bytes);
	rc = zram_set(s, "comp_algorithm", algorithm);
	if (!rc)
		rc = zram_set(s, "disksize", size);
	if (!rc)
		rc = zram_format(s, bytes);
	rc = rc ? errmsg_set(e, rc, "%.100s with %s: %s", s->path, algorithm, strerror(-rc))
		: turn_on(s, e);
	if (rc)
		zram_remove(s);
	return rc;
}

void kernel_swap_off(struct kernel_swap *s)
{
	if (!s->on)
		return;
	swapoff(s->path);
	if (s->zram < 0)
		unlink(s->path);
	else
		zram_remove(s);
	s->on = false;
}

int kernel_swap_compressed(const struct kernel_swap *s, uint64_t *stored, uint64_t *taken)
{
	char path[128];
	FILE *f;
	int got;

	snprintf(path, sizeof(path), "/sys/block/zram%d/mm_stat", s->zram);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	/* orig_data_size compr_data_size mem_used_total ... */
	got = fscanf(f, "%" SCNu64 " %*u %" SCNu64, stored, taken);
	fclose(f);
	return got == 2 ? 0 : -EIO;
}
