/* SPDX-License-Identifier: MIT */
/*
 * Address types that cannot be mixed up.
 *
 * gva_t   byte address in a guest process
 * gpa_t   byte address in guest physical memory
 * pfn_t   guest frame number: gpa >> 12
 * pgoff_t page index inside a mapping object (a file, shared memory, or the
 *         linear index that an anonymous VMA hands out)
 *
 * Each is a struct of one word, so that passing one for another does not
 * compile; the generated code is that of the bare word. A host virtual address
 * is a plain pointer (`void *`, named hva).
 */
#ifndef UMM_TYPES_H
#define UMM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UMM_PAGE_SHIFT     12
#define UMM_PAGE_SIZE      (1ul << UMM_PAGE_SHIFT)
#define UMM_PAGE_MASK      (~(UMM_PAGE_SIZE - 1))
#define UMM_PMD_SHIFT      21
#define UMM_PMD_SIZE       (1ul << UMM_PMD_SHIFT)
#define UMM_PMD_MASK       (~(UMM_PMD_SIZE - 1))
#define UMM_PTRS_PER_TABLE 512
/* The order of a folio that a 2 MiB leaf maps; also the largest order. */
#define UMM_PMD_ORDER 9
#define UMM_MAX_ORDER UMM_PMD_ORDER
/* One past the highest user address, as on Linux with 4-level tables. */
#define UMM_TASK_SIZE ((1ul << 47) - UMM_PAGE_SIZE)
#define UMM_MAX_NODES 64

typedef struct {
	uint64_t v;
} gva_t;
typedef struct {
	uint64_t v;
} gpa_t;
typedef struct {
	uint64_t v;
} pfn_t;
typedef struct {
	uint64_t v;
} pgoff_t;

#define UMM_MUST_CHECK __attribute__((warn_unused_result))

static inline gva_t gva_make(uint64_t v)
{
	return (gva_t){ v };
}

static inline gva_t gva_add(gva_t a, uint64_t bytes)
{
	return (gva_t){ a.v + bytes };
}

static inline gva_t gva_page(gva_t a)
{
	return (gva_t){ a.v & UMM_PAGE_MASK };
}

static inline gpa_t gpa_make(uint64_t v)
{
	return (gpa_t){ v };
}

static inline pfn_t pfn_make(uint64_t v)
{
	return (pfn_t){ v };
}

static inline pfn_t pfn_add(pfn_t p, uint64_t nr)
{
	return (pfn_t){ p.v + nr };
}

static inline gpa_t pfn_to_gpa(pfn_t p)
{
	return (gpa_t){ p.v << UMM_PAGE_SHIFT };
}

static inline pfn_t gpa_to_pfn(gpa_t a)
{
	return (pfn_t){ a.v >> UMM_PAGE_SHIFT };
}

static inline pgoff_t pgoff_make(uint64_t v)
{
	return (pgoff_t){ v };
}

static inline uint64_t page_align_down(uint64_t bytes)
{
	return bytes & UMM_PAGE_MASK;
}

static inline uint64_t page_align_up(uint64_t bytes)
{
	return (bytes + UMM_PAGE_SIZE - 1) & UMM_PAGE_MASK;
}

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
