/* SPDX-License-Identifier: MIT */
/* Lists of pages from a file: one number a line, '#' begins a comment. */
#ifndef VMM_PAGE_LIST_H
#define VMM_PAGE_LIST_H

#include <jansson.h>
#include <umm/types.h>

#include "vmm/errmsg.h"

/* As many fit into one request. */
#define PAGE_LIST_MAX 262144u

/*
 * Read @path ("-": stdin) into a new array for a request: addresses, hexadecimal
 * with or without 0x, or frame numbers (decimal or 0x). -errno with FILE:LINE and
 * what is wrong there in @e.
 */
int page_list_read(const char *path, bool addresses, json_t **out, struct errmsg *e) UMM_MUST_CHECK;

#endif
