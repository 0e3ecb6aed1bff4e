/* SPDX-License-Identifier: MIT */
/*
 * The model test: random memory calls of several processes, and beside the
 * manager an oracle that knows nothing of frames, trees or swap.
 *
 * The oracle is one array of cells a process: what each page of a small window
 * of addresses is, and which two words it must hold. After each step the
 * validator looks at everything, and now and then every page of every process
 * is read and compared. Frames and slots are few, so that pages go out and come
 * back, and memory runs out.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "tests/unit/util.h"

#define MODEL_MMS     6
#define MODEL_WINDOW  96u /* pages that mmap and its kin work on */
#define MODEL_BRK     24u /* pages of the heap, behind the window in cells[] */
#define MODEL_CELLS   (MODEL_WINDOW + MODEL_BRK)
#define MODEL_FILES   2
#define MODEL_OBJECTS 24
#define MODEL_OBJ_MAX 48u /* pages of one object */
#define MODEL_PINS    4
#define MODEL_LOG     30

#define WINDOW_BASE 0x40000000ul
#define BRK_BASE    0x60000000ul

enum cell_kind { CELL_NONE, CELL_ANON, CELL_PRIVATE, CELL_SHARED };

/*
 * A cell is one page; or, so that 2 MiB leaves come and go, 64 pages of which the
 * one at `cell_seen` bytes is looked at.
 */
extern unsigned int cell_shift;
extern uint64_t cell_seen;
/* The page of a file, in 4 KiB, that is looked at for page @p of the oracle. */
static inline uint64_t cell_file_page(uint64_t p)
{
	return ((p << cell_shift) + cell_seen) >> UMM_PAGE_SHIFT;
}

/* One cell, here called page, of a process. */
struct cell {
	enum cell_kind kind;
	int prot;
	int obj; /* private and shared: which object, which page of it */
	uint32_t obj_page;
	bool own;      /* private: has a copy of its own */
	bool early;    /* private: may have been copied beside a neighbour's store */
	bool lazy;     /* after MADV_FREE: holds w[], or zero */
	uint64_t w[2]; /* anonymous, own: the first and the last word */
	uint64_t gen;  /* changes when the page becomes another one */
};

/* A file, or a piece of shared anonymous memory. */
struct object {
	bool used;
	uint64_t pages;
	uint64_t w[MODEL_OBJ_MAX][2];
	struct unit_file f; /* files only */
};

struct process {
	struct mm *mm; /* NULL: slot free */
	uint64_t brk_pages;
	struct cell cells[MODEL_CELLS];
};

struct pin {
	struct mm_pin_vec vec;
	int who; /* -1: slot free */
	uint32_t page;
	uint64_t gen;  /* of the cell when it was pinned */
	struct mm *mm; /* with a user */
};

struct model {
	struct fake_host *h;
	uint64_t random;
	uint64_t seed, step;
	uint64_t next_value, next_gen;
	struct process p[MODEL_MMS];
	struct object obj[MODEL_OBJECTS];
	struct pin pins[MODEL_PINS];
	struct mm *hog; /* holds locked memory, so that little is left */
	uint64_t ooms;
	uint64_t now; /* what placement takes for the time */
	bool failed;
	char log[MODEL_LOG][120];
	uint64_t nr_log;
};

/* ---- model.c ------------------------------------------------------------- */
uint64_t model_random(struct model *m, uint64_t below);
/* Remember what is being done; shown when something goes wrong. */
void model_log(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Something is wrong: tells it with seed, step and the last operations. */
void model_fail(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- oracle.c ------------------------------------------------------------- */
gva_t cell_address(uint32_t page);
/* What an access must give by the oracle: FAULT_DONE, or the fault. */
enum fault_result cell_expect(const struct model *m, const struct cell *c, bool write);
/* The two words that the page must hold. */
const uint64_t *cell_words(const struct model *m, const struct cell *c);
void cells_clear(struct model *m, int who, uint32_t first, uint32_t nr);
/* Fresh pages: @obj < 0: anonymous. */
void cells_map(struct model *m, int who, uint32_t first, uint32_t nr, const struct cell *like);
/* A new piece of shared memory; -1: all are in use. Forget those no cell names. */
int object_alloc(struct model *m, uint64_t pages);
void objects_collect(struct model *m);
void object_truncate(struct model *m, int obj, uint64_t pages);

/* ---- ops_*.c: one random operation each ------------------------------------ */
int model_pick(struct model *m);      /* a live process */
int model_free_slot(struct model *m); /* -1: none */
bool model_create(struct model *m, int who);
void model_exit(struct model *m, int who);
void model_out_of_memory(struct model *m);
void model_check_page(struct model *m, int who, uint32_t page);
void model_store(struct model *m, int who, uint32_t first, uint32_t nr);
/* The same words in all, of a few: pages that can be merged. */
void model_store_equal(struct model *m, int who, uint32_t first, uint32_t nr);
void model_check_all(struct model *m);

void op_map(struct model *m);
void op_unmap(struct model *m);
void op_protect(struct model *m);
void op_remap(struct model *m);
void op_brk(struct model *m);

void op_store(struct model *m);
void op_load(struct model *m);
void op_fork(struct model *m);
void op_exit(struct model *m);
void op_pin(struct model *m);
void op_unpin(struct model *m);

void op_advise(struct model *m);
void op_lock(struct model *m);
void op_reclaim(struct model *m);
void op_reclaim_policy(struct model *m);
void op_migrate(struct model *m);
void op_place(struct model *m);
void op_merge(struct model *m);
void op_sync(struct model *m);
void op_write_file(struct model *m);
void op_truncate(struct model *m);

#endif
