/* SPDX-License-Identifier: MIT */
/*
 * Files that are changed by calls and by stores through mappings at once: each of the two keeps what it
 * wrote, whatever is written back meanwhile. First one after the other, then threads against threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "progs.h"

#define PAGES  10
#define BYTES  (PAGES * PAGE)
#define ROUNDS 1500

static char *map;
static int file;

static void open_filled(void)
{
	file = open("changed", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || ftruncate(file, BYTES)) {
		perror("changed");
		exit(2);
	}
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	for (int i = 0; i < PAGES; i++)
		memset(map + (size_t)i * PAGE, 'a' + i, PAGE);
}

static void close_filled(void)
{
	munmap(map, BYTES);
	close(file);
}

/* The first byte of each page, through the mapping and by a call; a dot is a zero. */
static void show_pages(const char *title)
{
	struct stat st;

	fstat(file, &st);
	printf("%s: %ld bytes, ", title, (long)st.st_size);
	for (off_t at = 0; at < st.st_size && at < (off_t)BYTES; at += PAGE) {
		char by_call = 0;

		pread(file, &by_call, 1, at);
		putchar(map[at] ? map[at] : '.');
		if (map[at] != by_call)
			printf("(%c)", by_call ? by_call : '.');
	}
	putchar('\n');
}

/* ---- one after the other ----------------------------------------------------------------- */

/* Nothing is written back before: what is stored is in the cache only. */
static void allocate(const char *title, int mode, off_t at, off_t len)
{
	open_filled();
	errno = 0;
	if (fallocate(file, mode, at, len))
		printf("%s: %s\n", title,
		       errno == EOPNOTSUPP ? "EOPNOTSUPP" : strerrorname_np(errno));
	show_pages(title);
	map[5 * PAGE] = '!';
	fallocate(file, 0, 0, PAGE);
	show_pages("after a store");
	close_filled();
}

static void test_fallocate(void)
{
	allocate("allocate", 0, 0, PAGE);
	allocate("allocate behind the end", 0, BYTES - PAGE, 3 * PAGE);
	allocate("keep size", FALLOC_FL_KEEP_SIZE, BYTES, PAGE);
	allocate("hole", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE);
	allocate("hole in pages", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE / 2, PAGE);
	allocate("zeroes", FALLOC_FL_ZERO_RANGE, 3 * PAGE, 2 * PAGE);
	allocate("collapse", FALLOC_FL_COLLAPSE_RANGE, 2 * PAGE, 2 * PAGE);
	allocate("insert", FALLOC_FL_INSERT_RANGE, 2 * PAGE, PAGE);
	allocate("nothing", FALLOC_FL_PUNCH_HOLE, 0, PAGE);
	allocate("no length", 0, 0, 0);
	allocate("far", 0, INT64_MAX - 10, 100);
}

static void test_calls(void)
{
	int again;

	open_filled();
	again = open("changed", O_RDWR);
	SHOW(pwrite(again, "WW", 2, 3 * PAGE - 1));
	map[4 * PAGE] = 'M';
	SHOW(copy_file_range(again, &(off_t){ 0 }, again, &(off_t){ 6 * PAGE }, PAGE, 0));
	show_pages("written");
	SHOW(ftruncate(again, 5 * PAGE + 10));
	SHOW(ftruncate(again, 7 * PAGE));
	show_pages("cut and grown");
	map[0] = 'N';
	close(open("changed", O_WRONLY | O_TRUNC));
	SHOW(ftruncate(again, 2 * PAGE));
	show_pages("opened with O_TRUNC");
	close(again);
	close_filled();
}

/* ---- at once ------------------------------------------------------------------------------- */

static atomic_int over;
static atomic_long wrong;

static void *sync_always(void *arg)
{
	(void)arg;
	while (!over)
		msync(map, BYTES, MS_SYNC);
	return NULL;
}

static uint64_t load(const char *at)
{
	return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_SEQ_CST);
}

/* The word at @at of the file is @value, for everybody. */
static void check_word(off_t at, uint64_t value)
{
	uint64_t by_call = 0;

	wrong += load(map + at) != value;
	wrong += pread(file, &by_call, sizeof(by_call), at) != sizeof(by_call) || by_call != value;
	wrong += load(map + at) != value;
}

static void *store_always(void *arg)
{
	(void)arg;
	for (uint64_t i = 1; !over; i++) {
		__atomic_store_n((uint64_t *)(void *)(map + 2048), i, __ATOMIC_SEQ_CST);
		check_word(2048, i);
	}
	return NULL;
}

static void *write_much(void *arg)
{
	(void)arg;
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		pwrite(file, &i, sizeof(i), 0);
		check_word(0, i);
	}
	over = 1;
	return NULL;
}

/* Lines of two threads at the end of the file, which is mapped. */
static void *append_much(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		wrong += write(*(int *)arg, "line line line\n", 15) != 15;
	return NULL;
}

static void run_with(void *(*main_part)(void *), void *(*beside)(void *))
{
	pthread_t threads[3];
	int nr = 0;

	over = 0;
	wrong = 0;
	pthread_create(&threads[nr++], NULL, sync_always, NULL);
	if (beside)
		pthread_create(&threads[nr++], NULL, beside, NULL);
	main_part(NULL);
	over = 1;
	while (nr)
		pthread_join(threads[--nr], NULL);
}

static void test_write_beside_stores(void)
{
	open_filled();
	run_with(write_much, store_always);
	printf("write() beside stores: %ld wrong\n", (long)wrong);
	close_filled();
}

/* Stores, then a cut: what is on its way to the file must not make it longer again. */
static void *cut_much(void *arg)
{
	struct stat st;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		memset(map, 'x', 3 * PAGE);
		if (i % 3 == 0)
			close(open("changed", O_WRONLY | O_TRUNC));
		else
			ftruncate(file, i % 3 == 1 ? 100 : PAGE);
		fstat(file, &st);
		wrong += st.st_size != (i % 3 ? i % 3 == 1 ? 100 : (off_t)PAGE : 0);
		ftruncate(file, BYTES);
		for (size_t at = PAGE; at < 3 * PAGE; at += PAGE)
			check_word((off_t)at, 0);
		check_word(104, i % 3 == 2 ? 0x7878787878787878 : 0);
	}
	return NULL;
}

static void *punch_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		memset(map + PAGE, 'y', 2 * PAGE);
		if (i % 2)
			madvise(map + PAGE, 2 * PAGE, MADV_REMOVE);
		else
			fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE);
		for (size_t at = PAGE; at < 3 * PAGE; at += PAGE / 2)
			check_word((off_t)at, 0);
	}
	return NULL;
}

/* Next to the hole: it writes its pages back, with others' bytes in them. */
static void *store_next_to_hole(void *arg)
{
	(void)arg;
	for (uint64_t i = 1; !over; i++) {
		__atomic_store_n((uint64_t *)(void *)(map + PAGE - 8), i, __ATOMIC_SEQ_CST);
		check_word((off_t)PAGE - 8, i);
	}
	return NULL;
}

static void test_cuts(void)
{
	open_filled();
	run_with(cut_much, NULL);
	printf("cut beside msync: %ld wrong\n", (long)wrong);
	run_with(punch_much, store_next_to_hole);
	printf("holes beside stores: %ld wrong\n", (long)wrong);
	close_filled();
}

static void test_appends(void)
{
	const size_t room = 64 * PAGE;
	char *whole, *by_call = malloc(room);
	pthread_t threads[2];
	struct stat st;
	int end;

	open_filled();
	close(open("changed", O_WRONLY | O_TRUNC));
	end = open("changed", O_WRONLY | O_APPEND);
	write(end, "first line\n", 11);
	whole = mmap(NULL, room, PROT_READ, MAP_SHARED, file, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, append_much, &end);
	/* Whoever reads through the mapping has the page at the end cached, again and again. */
	for (int i = 0; i < ROUNDS; i++)
		wrong += fstat(file, &st) ||
			 whole[(st.st_size - 1) / (off_t)PAGE * (off_t)PAGE] == 0;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fstat(file, &st);
	pread(file, by_call, (size_t)st.st_size, 0);
	printf("appended: %ld bytes, %ld wrong, %s\n", (long)st.st_size, (long)wrong,
	       memcmp(whole, by_call, (size_t)st.st_size) ? "the mapping differs"
							  : "the same mapped");
	munmap(whole, room);
	free(by_call);
	close(end);
	close_filled();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_fallocate();
	test_calls();
	test_write_beside_stores();
	test_cuts();
	wrong = 0;
	test_appends();
	unlink("changed");
	return 0;
}
