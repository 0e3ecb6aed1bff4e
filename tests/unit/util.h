/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests of the memory manager share: a system on the fake host,
 * short names for what every test does, and the run of a suite.
 *
 * Helpers assert (CU_ASSERT) what must hold for the test to make sense. They
 * are for the thread that runs the suite: CUnit is not made for others.
 */
#ifndef TESTS_UTIL_H
#define TESTS_UTIL_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <sys/mman.h>
#include "rmap/internal.h"
#include "tests/unit/fake_host.h"

#define ARRAY_LEN(a)     (sizeof(a) / sizeof((a)[0]))
#define PROT_RW          (PROT_READ | PROT_WRITE)
#define MAP_ANON_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define MAP_ANON_SHARED  (MAP_SHARED | MAP_ANONYMOUS)

struct unit_test {
	const char *name;
	void (*run)(void);
};

/*
 * Run @tests as one suite, or only those whose name contains argv[1]. The exit
 * status for main().
 */
int unit_run(const char *suite, const struct unit_test *tests, unsigned int nr, int argc,
	     char **argv);

/* ---- the system under test ------------------------------------------------ */

/* Two nodes of 4096 frames, swap, one page a fault, order 0 only. */
struct fake_config unit_config(void);
/* The same, with anonymous folios of order 4. */
struct fake_config unit_config_large(void);
struct fake_host *unit_open(void);
struct fake_host *unit_open_with(const struct fake_config *config);
/* Everything made in it must be gone: asserts that nothing is left or was wrong. */
void unit_close(struct fake_host *h);
/* The validator, and the fake host's cached translations. */
void unit_check(struct fake_host *h);

/* unit_check(), @mm let go, unit_close(): of a test with one process. */
void unit_end(struct fake_host *h, struct mm *mm);

struct mm *unit_mm(struct fake_host *h);
struct mm *unit_fork(struct mm *parent);

/* ---- mappings ---------------------------------------------------------------- */

gva_t unit_map(struct mm *mm, uint64_t pages, int prot, int flags);
/* Private anonymous memory that unit_fill() stored @key to. */
gva_t unit_map_filled(struct fake_host *h, struct mm *mm, uint64_t pages, uint64_t key);
gva_t unit_map_at(struct mm *mm, uint64_t addr, uint64_t pages, int prot, int flags);
gva_t unit_map_file(struct mm *mm, struct address_space *m, uint64_t first_page, uint64_t pages,
		    int prot, int flags);
void unit_unmap(struct mm *mm, gva_t addr, uint64_t pages);
void unit_protect(struct mm *mm, gva_t addr, uint64_t pages, int prot);
gva_t unit_remap(struct mm *mm, gva_t old, uint64_t old_pages, uint64_t new_pages, int flags,
		 gva_t new_addr);
void unit_advise(struct mm *mm, gva_t addr, uint64_t pages, int advice);
/* The area at @addr; only valid while nobody changes the mm. */
struct vma *unit_vma(struct mm *mm, gva_t addr);
static inline gva_t page_at(gva_t base, uint64_t page)
{
	return gva_add(base, page << UMM_PAGE_SHIFT);
}

/* A file of the fake host with its address_space. */
struct unit_file {
	struct fake_file *file;
	struct address_space *mapping;
};
struct unit_file unit_file(struct fake_host *h, uint64_t size);
/* Drops the mapping (must be the last reference) and the file. */
void unit_file_close(struct unit_file *f);

/* ---- memory ------------------------------------------------------------------ */

/* Store and load by vCPU 0; the access must succeed. */
void unit_put(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t value);
uint64_t unit_get(struct fake_host *h, struct mm *mm, gva_t addr);
/* Store to, or compare, one word of each page: a value made of @key and the page. */
void unit_fill(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t pages, uint64_t key);
/* The number of pages that do not hold what unit_fill() stored. */
uint64_t unit_verify(struct fake_host *h, struct mm *mm, gva_t addr, uint64_t pages, uint64_t key);

/* The raw 4 KiB entry (0: none), the frame and the folio behind it (NULL: none). */
uint64_t unit_pte(struct fake_host *h, struct mm *mm, gva_t addr);
struct folio *unit_frame(struct fake_host *h, struct mm *mm, gva_t addr);
struct folio *unit_folio(struct fake_host *h, struct mm *mm, gva_t addr);
int unit_node(struct fake_host *h, struct mm *mm, gva_t addr);
/* A present entry; a swap entry; a migration entry. */
bool unit_mapped(struct fake_host *h, struct mm *mm, gva_t addr);
bool unit_swapped(struct fake_host *h, struct mm *mm, gva_t addr);
bool unit_migrating(struct fake_host *h, struct mm *mm, gva_t addr);

/*
 * A private anonymous area of @pages pages (a multiple of 2^order), aligned to
 * its folios, backed by folios of @order and filled with @key. The system must
 * have been opened with max_anon_order = @order.
 */
gva_t unit_map_large(struct fake_host *h, struct mm *mm, uint64_t pages, unsigned int order,
		     uint64_t key);

/* ---- reclaim and migration ------------------------------------------------------ */

struct reclaim_result unit_reclaim(struct fake_host *h, struct mm *mm, gva_t start, uint64_t pages);
struct migrate_result unit_migrate(struct fake_host *h, struct mm *mm, int to);

/* A number below @below; the same row of them for the same first *state. */
uint64_t unit_random(uint64_t *state, uint64_t below);

/* ---- threads -------------------------------------------------------------------- */

/* Run @fn in another thread and wait for it. */
void unit_in_thread(void *(*fn)(void *), void *arg);
/* Give others @ms milliseconds. */
void unit_sleep_ms(unsigned int ms);
/* Until thread @tid of this process sleeps in a call; fails the test after a minute. */
void unit_await_sleep(pid_t tid);

#endif
