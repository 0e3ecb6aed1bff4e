/* SPDX-License-Identifier: MIT */
/* A file of the fake host: bytes in memory behind struct mapping_ops. */
#include "tests/unit/fake_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_PER_PAGE (UMM_PAGE_SIZE / sizeof(uint64_t))

uint64_t fake_file_word(uint64_t page, uint64_t i)
{
	return 0xf11e000000000001ul + (page << 16) + (i << 2);
}

uint64_t fake_file_read(const struct fake_file *f, uint64_t page, uint64_t i)
{
	uint64_t word;

	memcpy(&word, f->bytes + (page << UMM_PAGE_SHIFT) + i * sizeof(word), sizeof(word));
	return word;
}

struct fake_file *fake_file_create(struct fake_host *h, uint64_t size)
{
	struct fake_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->host = h;
	f->size = size;
	f->capacity = page_align_up(size) + 64 * UMM_PAGE_SIZE;
	f->bytes = calloc(1, f->capacity);
	if (!f->bytes) {
		free(f);
		return NULL;
	}
	for (uint64_t off = 0; off + sizeof(uint64_t) <= size; off += sizeof(uint64_t)) {
		uint64_t word =
			fake_file_word(off >> UMM_PAGE_SHIFT, off / sizeof(word) % WORDS_PER_PAGE);

		memcpy(f->bytes + off, &word, sizeof(word));
	}
	return f;
}

void fake_file_destroy(struct fake_file *f)
{
	free(f->bytes);
	free(f);
}

static int file_read(void *file, uint64_t off, void *hva, size_t len)
{
	struct fake_file *f = file;
	uint64_t have = off < f->size ? f->size - off : 0;

	__atomic_fetch_add(&f->reads, 1, __ATOMIC_RELAXED);
	if (fake_should_fail(f->host, FAKE_FILE_READ))
		return -EIO;
	if (have > len)
		have = len;
	memcpy(hva, f->bytes + off, have);
	memset((uint8_t *)hva + have, 0, len - have);
	return 0;
}

static int file_write(void *file, uint64_t off, const void *hva, size_t len)
{
	struct fake_file *f = file;

	__atomic_fetch_add(&f->writes, 1, __ATOMIC_RELAXED);
	if (off + len > f->size) {
		fake_violation(f->host, "write of %zu bytes at %#lx, past the end %#lx of the file",
			       len, off, f->size);
		return -EINVAL;
	}
	if (fake_should_fail(f->host, FAKE_FILE_WRITE))
		return -EIO;
	memcpy(f->bytes + off, hva, len);
	return 0;
}

static int64_t file_size(void *file)
{
	return (int64_t)((struct fake_file *)file)->size;
}

static int file_sync(void *file)
{
	__atomic_fetch_add(&((struct fake_file *)file)->syncs, 1, __ATOMIC_RELAXED);
	return 0;
}

static void file_release(void *file)
{
	struct fake_file *f = file;

	if (f->released)
		fake_violation(f->host, "a file was released twice");
	f->released = true;
}

const struct mapping_ops fake_file_ops = {
	.read = file_read,
	.write = file_write,
	.size = file_size,
	.sync = file_sync,
	.release = file_release,
};
