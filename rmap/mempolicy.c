/* SPDX-License-Identifier: MIT */
/* Memory policies: on which node a new page of an area or an object goes. */
#include "rmap/internal.h"

struct place place_on_node(int node)
{
	return (struct place){ .nodes = ~0ul, .node = node };
}

struct place place_for(const struct vma *vma, gva_t addr, unsigned int order)
{
	(void)addr;
	(void)order;
	return place_on_node(__atomic_load_n(&vma->mm->preferred_node, __ATOMIC_RELAXED));
}

struct place place_for_page(struct address_space *m, pgoff_t index)
{
	(void)m;
	(void)index;
	return place_on_node(0);
}
