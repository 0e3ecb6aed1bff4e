/* SPDX-License-Identifier: MIT */
/*
 * Holes without a guest: some memory on a userfaultfd, which threads of this process
 * touch as vCPUs would. Stores and zaps at every moment of a frame's way out, transfers
 * that fail, frames that are free while their slot is read.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/util.h"
#include "vmm/frames.h"
#include "vmm/holes.h"
#include "vmm/uffd.h"

#define FRAMES 1024u
#define BASE   512u
#define WORDS  (UMM_PAGE_SIZE / sizeof(uint64_t))

struct lab {
	struct memory memory;
	int uffd;
	struct holes *holes;
	/* fail(): transfers to come before one fails, and for how long they do then. */
	int fail_after, fail_count, fail_error;
	bool fail_reads; /* else writes */
	void (*_Atomic on_read)(void);
};

static struct lab lab;
static const char *why_not; /* no userfaultfd here */

static pfn_t frame(unsigned int i)
{
	return pfn_make(BASE + i);
}

static volatile uint64_t *page(unsigned int i)
{
	return (volatile uint64_t *)(lab.memory.ram + ((uint64_t)i << UMM_PAGE_SHIFT));
}

static int fail(void *arg, const struct swap_io *io)
{
	void (*on_read)(void);

	(void)arg;
	on_read = lab.on_read;
	if (!io->write && on_read)
		on_read();
	if (io->write == lab.fail_reads || !lab.fail_count)
		return 0;
	if (lab.fail_after) {
		lab.fail_after--;
		return 0;
	}
	lab.fail_count--;
	return lab.fail_error;
}

static void begin(const char *area)
{
	struct swap_spec spec;
	struct holes_config cfg = { .memory = &lab.memory, .uffd = -1, .spec = &spec, .fail = fail };
	struct errmsg e = { "" };
	uint64_t features;

	memset(&lab, 0, sizeof(lab));
	lab.fail_error = -EIO;
	lab.memory.nr_nodes = 1;
	lab.memory.nodes[0].base = pfn_make(BASE);
	lab.memory.nodes[0].nr = FRAMES;
	lab.memory.ram_bytes = FRAMES * UMM_PAGE_SIZE;
	lab.memory.ram = mmap(NULL, lab.memory.ram_bytes, PROT_RW, MAP_ANON_PRIVATE, -1, 0);
	CU_ASSERT_FATAL(lab.memory.ram != MAP_FAILED);
	madvise(lab.memory.ram, lab.memory.ram_bytes, MADV_NOHUGEPAGE);
	CU_ASSERT_EQUAL_FATAL(uffd_open(&lab.uffd, &features, &e), 0);
	CU_ASSERT_EQUAL_FATAL(
		uffd_register(lab.uffd, lab.memory.ram, lab.memory.ram_bytes, true, &e), 0);
	CU_ASSERT_EQUAL_FATAL(swap_spec_parse(area, &spec, &e), 0);
	cfg.uffd = lab.uffd;
	CU_ASSERT_EQUAL_FATAL(holes_create(&cfg, &lab.holes, &e), 0);
	CU_ASSERT_EQUAL_FATAL(holes_populate(lab.holes, frame(0), FRAMES), 0);
}

static void end(void)
{
	holes_destroy(lab.holes);
	close(lab.uffd);
	munmap(lab.memory.ram, lab.memory.ram_bytes);
}

static struct holes_counts counts(void)
{
	struct holes_counts c;

	holes_counts_read(lab.holes, &c);
	return c;
}

static uint64_t word(unsigned int i, unsigned int w)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull ^ w;
}

static void fill_page(unsigned int i)
{
	for (unsigned int w = 0; w < WORDS; w++)
		page(i)[w] = word(i, w);
}

static bool page_is_right(unsigned int i)
{
	for (unsigned int w = 0; w < WORDS; w++)
		if (page(i)[w] != word(i, w))
			return false;
	return true;
}

static bool page_is_zero(unsigned int i)
{
	for (unsigned int w = 0; w < WORDS; w++)
		if (page(i)[w])
			return false;
	return true;
}

static bool resident(unsigned int i)
{
	unsigned char vec = 0;

	CU_ASSERT_EQUAL(mincore((void *)(uintptr_t)page(i), UMM_PAGE_SIZE, &vec), 0);
	return vec & 1;
}

static struct frame_hole protect(unsigned int first, unsigned int nr)
{
	struct frame_hole v = { .pfn = frame(first), .nr = nr };

	CU_ASSERT_EQUAL(holes_protect(lab.holes, &v, 1), 0);
	return v;
}

static struct frame_hole punch(unsigned int first, unsigned int nr)
{
	struct frame_hole v = protect(first, nr);

	holes_write(lab.holes, &v, 1);
	return v;
}

/* Until it holds: what another thread is about to do. */
static bool await(bool (*cond)(void))
{
	for (int i = 0; i < 10000; i++) {
		if (cond())
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

/* ---- the table alone ------------------------------------------------------------------ */

static void test_slots(void)
{
	struct hole_table t;
	uint32_t slot, seen[130];
	bool taken[130] = { false };

	CU_ASSERT_EQUAL_FATAL(hole_table_init(&t, pfn_make(BASE), 8, 130), 0);
	for (int i = 0; i < 130; i++) {
		CU_ASSERT_EQUAL_FATAL(hole_slot_take(&t, &seen[i]), 0);
		CU_ASSERT_FATAL(seen[i] < 130 && !taken[seen[i]]);
		taken[seen[i]] = true;
		CU_ASSERT(!i || seen[i] == seen[i - 1] + 1);
	}
	CU_ASSERT_EQUAL(hole_slot_take(&t, &slot), -ENOSPC);
	hole_slot_put(&t, HOLE_ZERO);
	CU_ASSERT_EQUAL(t.used, 130);
	hole_slot_put(&t, 64);
	hole_slot_put(&t, 3);
	CU_ASSERT_EQUAL(hole_slot_take(&t, &slot), 0);
	CU_ASSERT_EQUAL(slot, 3);
	CU_ASSERT_EQUAL(hole_slot_take(&t, &slot), 0);
	CU_ASSERT_EQUAL(slot, 64);
	CU_ASSERT_EQUAL(hole_slot_take(&t, &slot), -ENOSPC);
	hole_table_destroy(&t);
	CU_ASSERT_EQUAL(hole_table_init(&t, pfn_make(BASE), 8, HOLE_ZERO), -E2BIG);
}

static void test_late_reader(void)
{
	struct hole_ticket old, now;
	struct hole_table t;

	CU_ASSERT_EQUAL_FATAL(hole_table_init(&t, pfn_make(BASE), 8, 8), 0);
	CU_ASSERT_TRUE(hole_leave(&t, 5));
	CU_ASSERT_FALSE(hole_leave(&t, 5));
	hole_gone(&t, 5, 1);
	CU_ASSERT_EQUAL(t.gone, 1);
	CU_ASSERT_TRUE(hole_come(&t, 5, &old));
	CU_ASSERT_FALSE(hole_come(&t, 5, &now));
	/* Free, used anew, a hole again and read again while the first read is under way. */
	CU_ASSERT_EQUAL(hole_drop(&t, 5), HOLE_ZERO);
	CU_ASSERT_EQUAL(t.gone, 0);
	CU_ASSERT_FALSE(hole_is_coming(&t, &old));
	CU_ASSERT_TRUE(hole_leave(&t, 5));
	hole_gone(&t, 5, 2);
	CU_ASSERT_TRUE(hole_come(&t, 5, &now));
	CU_ASSERT_EQUAL(now.slot, 2);
	CU_ASSERT_FALSE(hole_is_coming(&t, &old));
	CU_ASSERT_TRUE(hole_is_coming(&t, &now));
	hole_came_not(&t, &now, true);
	CU_ASSERT_EQUAL(t.lost, 1);
	CU_ASSERT_EQUAL(hole_drop(&t, 5), 2);
	CU_ASSERT_EQUAL(t.lost + t.gone, 0);
	hole_table_destroy(&t);
}

/* ---- out and in ------------------------------------------------------------------------- */

static void out_and_in(const char *area)
{
	struct frame_hole v;
	bool right = true, gone = true;

	begin(area);
	for (unsigned int i = 0; i < FRAMES; i++)
		if (i % 7)
			fill_page(i);
	v = punch(0, FRAMES);
	CU_ASSERT_EQUAL(v.punched, FRAMES);
	CU_ASSERT_EQUAL(v.zero, (FRAMES + 6) / 7);
	CU_ASSERT_EQUAL(v.stayed, 0);
	CU_ASSERT_EQUAL(v.error, 0);
	for (unsigned int i = 0; i < FRAMES; i++)
		gone &= !resident(i);
	CU_ASSERT_TRUE(gone);
	CU_ASSERT_EQUAL(holes_here(lab.holes, frame(0), FRAMES), 0);
	CU_ASSERT_EQUAL(counts().used, FRAMES - (FRAMES + 6) / 7);
	CU_ASSERT_EQUAL(holes_fill(lab.holes, frame(0), 100), 0);
	CU_ASSERT_EQUAL(counts().in_asked, 100);
	for (unsigned int i = 0; i < FRAMES; i++)
		right &= i % 7 ? page_is_right(i) : page_is_zero(i);
	CU_ASSERT_TRUE(right);
	CU_ASSERT_EQUAL(counts().faults, FRAMES - 100);
	CU_ASSERT_EQUAL(counts().frames, 0);
	CU_ASSERT_EQUAL(counts().used, 0);
	end();
}

static void test_out_and_in(void)
{
	out_and_in("ram:8M");
	out_and_in("lz4:8M");
	out_and_in("8M");
}

static void test_full(void)
{
	struct frame_hole v;
	bool right = true;

	begin("ram:1M");
	for (unsigned int i = 0; i < FRAMES; i++)
		fill_page(i);
	v = punch(0, FRAMES);
	CU_ASSERT_EQUAL(v.punched, 256);
	CU_ASSERT_EQUAL(v.stayed, FRAMES - 256);
	CU_ASSERT_EQUAL(v.error, -ENOSPC);
	for (unsigned int i = 0; i < FRAMES; i++)
		right &= page_is_right(i);
	CU_ASSERT_TRUE(right);
	/* What came back has left its slot to others. */
	v = punch(512, 16);
	CU_ASSERT_EQUAL(v.punched, 16);
	end();
}

/* ---- used on the way out ---------------------------------------------------------------- */

static void *store_one(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;

	page(i)[9] = 4711;
	return NULL;
}

static void test_store_on_the_way(void)
{
	struct frame_hole v;
	pthread_t t;

	begin("ram:8M");
	for (unsigned int i = 0; i < 8; i++)
		fill_page(i);
	v = protect(0, 8);
	pthread_create(&t, NULL, store_one, (void *)3);
	pthread_join(t, NULL);
	holes_write(lab.holes, &v, 1);
	CU_ASSERT_EQUAL(v.punched, 7);
	CU_ASSERT_EQUAL(v.stayed, 1);
	CU_ASSERT_TRUE(resident(3));
	CU_ASSERT_EQUAL(page(3)[9], 4711);
	CU_ASSERT_TRUE(page_is_right(2));
	CU_ASSERT_EQUAL(counts().used, 6);
	end();
}

static void test_zap_on_the_way(void)
{
	struct frame_hole v;

	begin("ram:8M");
	fill_page(0);
	fill_page(1);
	v = protect(0, 2);
	/* From here on nobody notices a store to the first. */
	CU_ASSERT_EQUAL(holes_unprotect(lab.holes, frame(0), 1), 0);
	page(0)[1] = 99;
	holes_write(lab.holes, &v, 1);
	CU_ASSERT_EQUAL(v.punched, 1);
	CU_ASSERT_EQUAL(page(0)[1], 99);
	CU_ASSERT_FALSE(resident(1));
	end();
}

static void test_pinned(void)
{
	struct frame_hole v;

	begin("ram:8M");
	fill_page(0);
	v = protect(0, 1);
	v.keep = true;
	holes_write(lab.holes, &v, 1);
	CU_ASSERT_EQUAL(v.punched, 0);
	CU_ASSERT_TRUE(resident(0));
	page(0)[0] = 5; /* nothing waits for an event */
	CU_ASSERT_EQUAL(counts().stayed, 0);
	CU_ASSERT_EQUAL(holes_here(lab.holes, frame(0), 1), 1);
	end();
}

#define WRITERS 2u
#define HOT     64u
#define ENOUGH  10000u /* holes */

static _Atomic bool stop;

struct writer {
	unsigned int id;
	uint64_t rounds;
	pthread_t thread;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	while (!stop) {
		for (unsigned int i = 0; i < HOT; i++)
			page(i)[w->id]++;
		w->rounds++;
		/* Some frames must have the time to go. */
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	return NULL;
}

/* Stores while the same frames are made holes, for ever; some of them zapped meanwhile. */
static void test_no_store_is_lost(void)
{
	struct writer w[WRITERS] = { { .id = 0 }, { .id = 1 } };
	uint64_t wrong = 0;
	struct frame_hole v[HOT];

	begin("ram:8M");
	stop = false;
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_create(&w[i].thread, NULL, writer_main, &w[i]);
	for (unsigned int round = 0; counts().out < ENOUGH && round < 1000000; round++) {
		for (unsigned int i = 0; i < HOT; i++)
			v[i] = (struct frame_hole){ .pfn = frame(i), .nr = 1 };
		CU_ASSERT_EQUAL(holes_protect(lab.holes, v, HOT), 0);
		if (round % 3 == 0)
			CU_ASSERT_EQUAL(holes_unprotect(lab.holes, frame(round % HOT), 1), 0);
		holes_write(lab.holes, v, HOT);
	}
	stop = true;
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	for (unsigned int i = 0; i < HOT; i++)
		for (unsigned int k = 0; k < WRITERS; k++)
			wrong += page(i)[k] != w[k].rounds;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(counts().out >= ENOUGH);
	CU_ASSERT(counts().stayed > 0);
	CU_ASSERT_EQUAL(counts().used, 0);
	end();
}

/* ---- transfers that fail ------------------------------------------------------------------- */

/* The @n-th write fails, for all n: what it had stays, the rest goes, and the next time all. */
static void test_write_fails(void)
{
	for (int n = 0; n < 4; n++) {
		struct frame_hole v[4];
		bool right = true;

		begin("ram:8M");
		for (unsigned int i = 0; i < 256; i++)
			fill_page(i);
		for (unsigned int i = 0; i < 4; i++)
			v[i] = (struct frame_hole){ .pfn = frame(64 * i), .nr = 64 };
		lab.fail_after = n;
		lab.fail_count = 1;
		CU_ASSERT_EQUAL(holes_protect(lab.holes, v, 4), 0);
		holes_write(lab.holes, v, 4);
		for (int i = 0; i < 4; i++) {
			CU_ASSERT_EQUAL(v[i].punched, i == n ? 0 : 64);
			CU_ASSERT_EQUAL(v[i].error, i == n ? -EIO : 0);
			CU_ASSERT_EQUAL(resident(64 * (unsigned int)i), i == n);
		}
		CU_ASSERT_EQUAL(counts().used, 192);
		CU_ASSERT_EQUAL(counts().write_errors, 64);
		for (unsigned int i = 0; i < 256; i++)
			right &= page_is_right(i);
		CU_ASSERT_TRUE(right);
		page(64 * (unsigned int)n)[0]++; /* it can be stored to again */
		CU_ASSERT_EQUAL(punch(64 * (unsigned int)n, 64).punched, 64);
		end();
	}
}

static uint64_t value_read;
static _Atomic bool has_read;

static void *read_one(void *arg)
{
	value_read = __atomic_load_n(&page((unsigned int)(uintptr_t)arg)[7], __ATOMIC_RELAXED);
	has_read = true;
	return NULL;
}

static bool is_lost(void)
{
	return counts().lost == 1;
}

static void test_read_fails_when_asked(void)
{
	begin("ram:8M");
	fill_page(0);
	CU_ASSERT_EQUAL(punch(0, 1).punched, 1);
	lab.fail_reads = true;
	/* A hiccup is passed over. */
	lab.fail_count = 2;
	CU_ASSERT_EQUAL(holes_fill(lab.holes, frame(0), 1), 0);
	CU_ASSERT_EQUAL(punch(0, 1).punched, 1);
	lab.fail_count = 3;
	CU_ASSERT_EQUAL(holes_fill(lab.holes, frame(0), 1), -EIO);
	CU_ASSERT_EQUAL(counts().used, 1);
	CU_ASSERT_EQUAL(counts().lost, 0);
	CU_ASSERT_TRUE(page_is_right(0));
	end();
}

static _Atomic unsigned int losses;

static void count_loss(void *arg)
{
	(void)arg;
	losses++;
}

/* Who touched it waits. Then the device is well again, or the page is given up. */
static void lose(bool mend)
{
	pfn_t pfn = frame(0);
	pthread_t t;

	begin("ram:8M");
	holes_on_loss(lab.holes, count_loss, NULL);
	losses = 0;
	has_read = false;
	fill_page(20);
	CU_ASSERT_EQUAL(punch(20, 1).punched, 1);
	lab.fail_reads = true;
	lab.fail_count = 1000;
	CU_ASSERT_FALSE(holes_find_lost(lab.holes, &pfn));
	pthread_create(&t, NULL, read_one, (void *)20);
	CU_ASSERT_TRUE(await(is_lost));
	CU_ASSERT_TRUE(holes_find_lost(lab.holes, &pfn));
	CU_ASSERT_EQUAL(pfn.v, frame(20).v);
	CU_ASSERT_EQUAL(holes_try_again(lab.holes, pfn), -EIO);
	CU_ASSERT_FALSE(has_read);
	CU_ASSERT_EQUAL(counts().used, 1);
	lab.fail_count = 0;
	if (!mend)
		holes_give_up(lab.holes, pfn);
	CU_ASSERT_EQUAL(holes_try_again(lab.holes, pfn), 0);
	pthread_join(t, NULL);
	holes_on_loss(lab.holes, NULL, NULL);
	CU_ASSERT_EQUAL(losses, 1);
	CU_ASSERT_EQUAL(value_read, mend ? word(20, 7) : 0);
	CU_ASSERT_EQUAL(counts().used + counts().lost + counts().frames, 0);
	CU_ASSERT_EQUAL(counts().given_up, mend ? 0 : 1);
	end();
}

static void test_read_fails_at_a_touch(void)
{
	lose(true);
	lose(false);
}

/* ---- free frames --------------------------------------------------------------------------- */

static void test_drop(void)
{
	begin("ram:8M");
	for (unsigned int i = 0; i < 8; i++)
		fill_page(i);
	CU_ASSERT_EQUAL(punch(0, 8).punched, 8);
	holes_drop(lab.holes, frame(0), 4);
	CU_ASSERT_EQUAL(counts().used, 4);
	CU_ASSERT_EQUAL(counts().dropped, 4);
	/* Used anew: nothing of the old is left. */
	CU_ASSERT_EQUAL(holes_populate(lab.holes, frame(0), 8), 0);
	CU_ASSERT_TRUE(page_is_zero(0));
	end();
}

static _Atomic bool used_again;

static void free_and_use_again(void)
{
	lab.on_read = NULL;
	holes_drop(lab.holes, frame(0), 1);
	CU_ASSERT_EQUAL(holes_populate(lab.holes, frame(0), 1), 0);
	/* As a guest's processor would, beside the one that waits. */
	__atomic_store_n(&page(0)[7], 12345, __ATOMIC_RELAXED);
	used_again = true;
}

/* Its slot is being read when the frame is freed and used by another. */
static void test_drop_while_it_is_read(void)
{
	pthread_t t;

	begin("ram:8M");
	has_read = used_again = false;
	fill_page(0);
	CU_ASSERT_EQUAL(punch(0, 1).punched, 1);
	lab.on_read = free_and_use_again;
	pthread_create(&t, NULL, read_one, NULL);
	pthread_join(t, NULL);
	/* The new page woke the reader up; who read the slot comes to its end after that. */
	for (int i = 0; i < 10000 && !(used_again && !counts().used); i++)
		usleep(1000);
	CU_ASSERT_EQUAL(page(0)[7], 12345);
	CU_ASSERT_EQUAL(page(0)[8], 0);
	CU_ASSERT_EQUAL(counts().used + counts().frames, 0);
	end();
}

/* Neither a hole nor there: what a stale translation may touch. */
static void test_fresh(void)
{
	begin("ram:8M");
	fill_page(5);
	CU_ASSERT_EQUAL(frames_discard(&lab.memory, frame(5), 1), 0);
	CU_ASSERT_EQUAL(page(5)[7], 0);
	CU_ASSERT(counts().fresh >= 1);
	CU_ASSERT_EQUAL(counts().faults, 0);
	end();
}

static bool can_run(void)
{
	static struct errmsg e;
	uint64_t features;
	int fd;

	if (uffd_open(&fd, &features, &e)) {
		why_not = e.text;
		return false;
	}
	close(fd);
	return true;
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "slots", test_slots },
		{ "a reader that is late", test_late_reader },
		{ "out and in", test_out_and_in },
		{ "the area is full", test_full },
		{ "a store on the way out", test_store_on_the_way },
		{ "a zap on the way out", test_zap_on_the_way },
		{ "a pin", test_pinned },
		{ "no store is lost", test_no_store_is_lost },
		{ "a write fails", test_write_fails },
		{ "a read fails, asked for", test_read_fails_when_asked },
		{ "a read fails, at a touch", test_read_fails_at_a_touch },
		{ "freed", test_drop },
		{ "freed while it is read", test_drop_while_it_is_read },
		{ "fresh", test_fresh },
	};

	if (!can_run()) {
		printf("no userfaultfd: %s\n", why_not);
		return 77;
	}
	return unit_run("holes", tests, ARRAY_LEN(tests), argc, argv);
}
