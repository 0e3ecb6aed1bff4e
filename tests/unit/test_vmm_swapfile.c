/* SPDX-License-Identifier: MIT */
/*
 * Swap areas: what was written comes back, from several threads at once; what
 * cannot be written is told for the transfer it happened to and for no other.
 */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/kvm_guest.h"

#define AREA_BYTES (16ull << 20)
#define NR_IOS     300u /* more than a ring is deep */

static struct kvm_guest guest;
static char dir[64];

static uint64_t *words(pfn_t pfn)
{
	return host_frame_hva(guest.host, pfn);
}

static pfn_t frame(uint64_t i)
{
	return pfn_add(host_node_get(guest.host, 0)->base, i);
}

static void frames_fill(uint64_t first, uint64_t nr, uint64_t key)
{
	for (uint64_t i = first; i < first + nr; i++)
		for (unsigned int j = 0; j < 512; j++)
			words(frame(i))[j] = key + i * 512 + j;
}

static uint64_t frames_wrong(uint64_t first, uint64_t nr, uint64_t key)
{
	uint64_t wrong = 0;

	for (uint64_t i = first; i < first + nr; i++)
		for (unsigned int j = 0; j < 512; j++)
			wrong += words(frame(i))[j] != key + i * 512 + j;
	return wrong;
}

static int run_one(void *area, uint64_t slot, pfn_t pfn, uint32_t nr, bool write)
{
	struct swap_io io = { .area = area, .slot = slot, .pfn = pfn, .nr = nr, .write = write };
	int rc = guest.mm->swap_io(guest.host, &io, 1);

	CU_ASSERT_EQUAL(rc, io.error);
	return rc;
}

static int open_spec(const char *path, uint64_t bytes, void **area, uint64_t *slots,
		     struct errmsg *e)
{
	struct swap_spec spec = { .kind = SWAP_FILE, .bytes = bytes };

	snprintf(spec.path, sizeof(spec.path), "%s", path ? path : "");
	return host_swap_open(guest.host, &spec, area, slots, e);
}

static void *open_area(const char *path, uint64_t bytes, uint64_t *slots)
{
	struct errmsg e = { "" };
	void *area = NULL;
	int rc = open_spec(path, bytes, &area, slots, &e);

	if (rc)
		printf("  %s\n", e.text);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return area;
}

/* Slots in another order than frames, sizes from 1 to 16 pages. */
static void test_round_trip(void)
{
	static struct swap_io ios[NR_IOS];
	uint64_t slots = 0, at = 0;
	void *area = open_area(NULL, AREA_BYTES, &slots);

	CU_ASSERT_EQUAL(slots, AREA_BYTES >> UMM_PAGE_SHIFT);
	frames_fill(0, 4096, 1000);
	for (unsigned int i = 0; i < NR_IOS; i++) {
		uint32_t nr = i % 16 + 1;

		ios[i] = (struct swap_io){ .area = area,
					   .pfn = frame(at),
					   .nr = nr,
					   .write = true,
					   .slot = slots - at - nr };
		at += nr;
	}
	CU_ASSERT_EQUAL(guest.mm->swap_io(guest.host, ios, NR_IOS), 0);
	CU_ASSERT_EQUAL(guest.mm->discard_frames(guest.host, frame(0), 4096), 0);
	CU_ASSERT_EQUAL(words(frame(7))[7], 0);
	for (unsigned int i = 0; i < NR_IOS; i++) {
		CU_ASSERT_EQUAL(ios[i].error, 0);
		ios[i].write = false;
	}
	CU_ASSERT_EQUAL(guest.mm->swap_io(guest.host, ios, NR_IOS), 0);
	CU_ASSERT_EQUAL(frames_wrong(0, at, 1000), 0);
	host_swap_close(guest.host, area);
}

struct worker {
	void *area;
	unsigned int id;
	uint64_t wrong;
	int rc;
	pthread_t thread;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t first = 4096 + w->id * 64;

	for (uint64_t round = 0; round < 20 && !w->rc; round++) {
		struct swap_io io = { .area = w->area,
				      .slot = w->id * 64,
				      .pfn = frame(first),
				      .nr = 64,
				      .write = true };

		frames_fill(first, 64, round << 40);
		w->rc = guest.mm->swap_io(guest.host, &io, 1);
		frames_fill(first, 64, 0);
		io.write = false;
		w->rc = w->rc ? w->rc : guest.mm->swap_io(guest.host, &io, 1);
		w->wrong += frames_wrong(first, 64, round << 40);
	}
	return NULL;
}

static void test_threads(void)
{
	struct worker workers[6];
	uint64_t slots;
	void *area = open_area(NULL, AREA_BYTES, &slots);

	for (unsigned int i = 0; i < 6; i++) {
		workers[i] = (struct worker){ .area = area, .id = i };
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < 6; i++) {
		pthread_join(workers[i].thread, NULL);
		CU_ASSERT_EQUAL(workers[i].rc, 0);
		CU_ASSERT_EQUAL(workers[i].wrong, 0);
	}
	host_swap_close(guest.host, area);
}

/* Behind the end, not RAM, nothing: refused one by one, the good one is done. */
static void test_bad_transfers(void)
{
	uint64_t slots;
	void *area = open_area(NULL, AREA_BYTES, &slots);
	struct swap_io ios[4] = {
		{ .area = area, .slot = slots - 1, .pfn = frame(0), .nr = 2, .write = true },
		{ .area = area, .slot = 0, .pfn = pfn_make(5), .nr = 1, .write = true },
		{ .area = area, .slot = 0, .pfn = frame(0), .nr = 0, .write = true },
		{ .area = area, .slot = 9, .pfn = frame(1), .nr = 1, .write = true },
	};

	frames_fill(1, 1, 77);
	CU_ASSERT_EQUAL(guest.mm->swap_io(guest.host, ios, 4), -EINVAL);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(ios[i].error, -EINVAL);
	CU_ASSERT_EQUAL(ios[3].error, 0);
	memset(words(frame(1)), 0, UMM_PAGE_SIZE);
	CU_ASSERT_EQUAL(run_one(area, 9, frame(1), 1, false), 0);
	CU_ASSERT_EQUAL(frames_wrong(1, 1, 77), 0);
	host_swap_close(guest.host, area);
}

/* A sparse file on a file system of 1 MiB: some writes fit, later ones do not. */
static void test_no_space(void)
{
	char mnt[96], path[128];
	struct swap_io ios[32];
	unsigned int good = 0, full = 0;
	uint64_t slots;
	void *area;
	int fd;

	snprintf(mnt, sizeof(mnt), "%s/small", dir);
	snprintf(path, sizeof(path), "%s/swap", mnt);
	CU_ASSERT_EQUAL_FATAL(mkdir(mnt, 0700), 0);
	if (mount("none", mnt, "tmpfs", 0, "size=1m")) {
		printf("  (skipped: no right to mount: %s) ", strerror(errno));
		rmdir(mnt);
		return;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 4 << 20), 0);
	close(fd);
	area = open_area(path, 0, &slots);
	CU_ASSERT_EQUAL(slots, 1024);
	frames_fill(0, 32 * 16, 5);
	for (unsigned int i = 0; i < 32; i++)
		ios[i] = (struct swap_io){
			.area = area, .slot = i * 16, .pfn = frame(i * 16), .nr = 16, .write = true
		};
	CU_ASSERT_EQUAL(guest.mm->swap_io(guest.host, ios, 32), -ENOSPC);
	for (unsigned int i = 0; i < 32; i++) {
		good += ios[i].error == 0;
		full += ios[i].error == -ENOSPC;
	}
	CU_ASSERT_EQUAL(good + full, 32);
	CU_ASSERT_TRUE(good > 0 && full > 0);
	/* What was said to be written is there. */
	CU_ASSERT_EQUAL(guest.mm->discard_frames(guest.host, frame(0), 32 * 16), 0);
	for (unsigned int i = 0; i < 32; i++)
		if (!ios[i].error) {
			CU_ASSERT_EQUAL(run_one(area, i * 16, frame(i * 16), 16, false), 0);
			CU_ASSERT_EQUAL(frames_wrong(i * 16, 16, 5), 0);
		}
	host_swap_close(guest.host, area);
	umount(mnt);
	rmdir(mnt);
}

/* A file that was cut short behind our back: an error, no endless retry. */
static void test_truncated(void)
{
	char path[128];
	uint64_t slots;
	void *area;

	snprintf(path, sizeof(path), "%s/cut", dir);
	area = open_area(path, 1 << 20, &slots);
	CU_ASSERT_EQUAL(truncate(path, 6144), 0);
	CU_ASSERT_EQUAL(run_one(area, 100, frame(0), 1, false), -EIO);
	CU_ASSERT_EQUAL(run_one(area, 0, frame(0), 16, false), -EIO);
	host_swap_close(guest.host, area);
	unlink(path);
}

/* By a program of a guest: slots begin behind the header, which nobody writes to. */
static void test_given(void)
{
	struct guest_swap_file given = { .nr_slots = 255, .name = "given" };
	struct swap_spec spec = { .kind = SWAP_FILE, .given = &given };
	char path[128], page[UMM_PAGE_SIZE];
	uint64_t slots;
	void *area, *second;
	struct errmsg e;

	snprintf(path, sizeof(path), "%s/given", dir);
	given.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(page, 'h', sizeof(page));
	CU_ASSERT_EQUAL(pwrite(given.fd, page, sizeof(page), 0), sizeof(page));
	CU_ASSERT_EQUAL(ftruncate(given.fd, 1 << 20), 0);
	CU_ASSERT_EQUAL_FATAL(host_swap_open(guest.host, &spec, &area, &slots, &e), 0);
	/* Its descriptor remains the caller's; the file is in use with or without it. */
	close(given.fd);
	given.fd = open(path, O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(host_swap_open(guest.host, &spec, &second, &slots, &e), -EBUSY);
	CU_ASSERT_EQUAL(slots, 255);
	frames_fill(0, 2, 9);
	CU_ASSERT_EQUAL(run_one(area, 0, frame(0), 1, true), 0);
	CU_ASSERT_EQUAL(run_one(area, 254, frame(1), 1, true), 0);
	CU_ASSERT_EQUAL(run_one(area, 255, frame(1), 1, true), -EINVAL);
	CU_ASSERT_EQUAL(run_one(area, 254, frame(0), 1, false), 0);
	CU_ASSERT_EQUAL(words(frame(0))[0], 9 + 512);
	CU_ASSERT_EQUAL(pread(given.fd, page, sizeof(page), 0), sizeof(page));
	CU_ASSERT_TRUE(page[0] == 'h' && page[sizeof(page) - 1] == 'h');
	CU_ASSERT_EQUAL(pread(given.fd, page, sizeof(page), 4096), sizeof(page));
	CU_ASSERT_EQUAL(*(uint64_t *)page, 9);
	CU_ASSERT_EQUAL(lseek(given.fd, 0, SEEK_END), 1 << 20);
	CU_ASSERT_EQUAL(ftruncate(given.fd, 8192), 0);
	CU_ASSERT_EQUAL(run_one(area, 100, frame(0), 1, false), -EIO);
	host_swap_close(guest.host, area);
	close(given.fd);
	unlink(path);
}

static void open_refused(const char *path, uint64_t bytes, int want, const char *word)
{
	struct errmsg e = { "" };
	uint64_t slots;
	void *area;

	CU_ASSERT_EQUAL(open_spec(path, bytes, &area, &slots, &e), want);
	if (!strstr(e.text, word))
		printf("  no \"%s\" in \"%s\"\n", word, e.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, word));
}

static void test_open_errors(void)
{
	char path[128];
	uint64_t slots;
	void *area;

	snprintf(path, sizeof(path), "%s/none/swap", dir);
	open_refused(path, AREA_BYTES, -ENOENT, path);
	open_refused("/dev/null", 0, -EINVAL, "neither a regular file nor a block device");
	open_refused(dir, 0, -EISDIR, dir);
	snprintf(path, sizeof(path), "%s/new", dir);
	open_refused(path, 0, -ENOENT, path);
	close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	open_refused(path, 0, -EINVAL, "is empty");
	area = open_area(path, 1 << 20, &slots);
	open_refused(path, 1 << 20, -EBUSY, "in use");
	host_swap_close(guest.host, area);
	area = open_area(path, 0, &slots);
	CU_ASSERT_EQUAL(slots, 256);
	host_swap_close(guest.host, area);
	unlink(path);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 1);
	snprintf(dir, sizeof(dir), "/tmp/umm-swap-XXXXXX");
	if (!mkdtemp(dir))
		guest_die("mkdtemp", -errno);
	setenv("TMPDIR", dir, 1);

	CU_initialize_registry();
	suite = CU_add_suite("swapfile", NULL, NULL);
	CU_add_test(suite, "round trip", test_round_trip);
	CU_add_test(suite, "six threads", test_threads);
	CU_add_test(suite, "bad transfers", test_bad_transfers);
	CU_add_test(suite, "no space", test_no_space);
	CU_add_test(suite, "truncated file", test_truncated);
	CU_add_test(suite, "a program's file", test_given);
	CU_add_test(suite, "open errors", test_open_errors);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	host_destroy(guest.host);
	rmdir(dir);
	return failures ? 1 : 0;
}
