/* SPDX-License-Identifier: MIT */
/*
 * Random acts of KSM: advice, equal pages to merge, the scanner, taking all apart. None
 * of them changes what a page holds, so the oracle knows nothing of them.
 */
#include <umm/ksm.h>

#include "tests/model/model.h"

/* Only memory can be short. */
static void expect(struct model *m, const char *what, int err)
{
	if (err && err != -ENOMEM && err != -EAGAIN)
		model_fail(m, "%s: %d", what, err);
}

static void advise_some(struct model *m)
{
	uint32_t page = (uint32_t)model_random(m, MODEL_CELLS), nr;
	int advice = model_random(m, 4) ? MADV_MERGEABLE : MADV_UNMERGEABLE;
	int who = model_pick(m);
	struct vma *vma = unit_vma(m->p[who].mm, cell_address(page));

	if (!vma)
		return;
	nr = 1 + (uint32_t)model_random(m, (vma->end.v - cell_address(page).v) >> cell_shift);
	model_log(m, "%d: madvise page %u + %u, advice %d", who, page, nr, advice);
	expect(m, "madvise",
	       mm_madvise(m->p[who].mm, cell_address(page), (uint64_t)nr << cell_shift, advice));
	if (advice == MADV_MERGEABLE && !m->failed)
		model_store_equal(m, who, page, nr);
}

static void merge_any(struct model *m)
{
	int who = model_pick(m);
	bool on = model_random(m, 4);

	model_log(m, "%d: merge any: %d", who, on);
	expect(m, "merge any", mm_set_merge_any(m->p[who].mm, on));
}

static void change_knob(struct model *m)
{
	enum ksm_knob knob = model_random(m, 2) ? KSM_MAX_PAGE_SHARING : KSM_MERGE_ACROSS_NODES;
	uint64_t value = knob == KSM_MAX_PAGE_SHARING ? 2 + model_random(m, 20)
						      : model_random(m, 2);
	int err;

	model_log(m, "ksm: all apart; knob %d = %lu", knob, value);
	expect(m, "unmerge", ksm_set(m->h->sys, KSM_RUN, KSM_UNMERGE));
	err = ksm_set(m->h->sys, knob, value);
	if (err && err != -EBUSY)
		model_fail(m, "ksm knob: %d", err);
}

void op_merge(struct model *m)
{
	uint64_t nr = model_random(m, 2) ? UINT64_MAX : model_random(m, 100);

	switch (model_random(m, 12)) {
	case 0:
		change_knob(m);
		return;
	case 1:
		merge_any(m);
		return;
	case 2:
	case 3:
	case 4:
		advise_some(m);
		return;
	default:
		model_log(m, "ksm: scan %lu pages", nr);
		/* Equal pages meet in the second round. */
		for (unsigned int i = 0; i < (nr == UINT64_MAX ? 3 : 1); i++)
			ksm_scan(m->h->sys, nr);
	}
}
