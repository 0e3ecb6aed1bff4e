/* SPDX-License-Identifier: MIT */
/* The vDSO's code as a file that is in umm itself, and as an area of a process. */
#include <string.h>
#include <sys/mman.h>

#include "guest/vdso.h"

extern const char vdso_image[], vdso_image_end[];

static size_t image_size(void)
{
	return (size_t)(vdso_image_end - vdso_image);
}

static int image_read(void *file, uint64_t off, void *hva, size_t len)
{
	size_t size = image_size(), n = off < size ? size - off : 0;

	(void)file;
	if (n > len)
		n = len;
	memcpy(hva, vdso_image + off, n);
	memset((char *)hva + n, 0, len - n);
	return 0;
}

static int image_write(void *file, uint64_t off, const void *hva, size_t len)
{
	(void)file;
	(void)off;
	(void)hva;
	(void)len;
	return -EBADF; /* it is only ever mapped privately */
}

static int64_t image_file_size(void *file)
{
	(void)file;
	return (int64_t)image_size();
}

static int image_sync(void *file)
{
	(void)file;
	return 0;
}

static void image_release(void *file)
{
	(void)file;
}

static const struct mapping_ops image_ops = {
	.read = image_read,
	.write = image_write,
	.size = image_file_size,
	.sync = image_sync,
	.release = image_release,
};

int vdso_create(struct mm_sys *sys, struct address_space **out)
{
	return mapping_create(sys, &image_ops, NULL, 0, out);
}

bool vdso_is(const struct address_space *m)
{
	return m->ops == &image_ops;
}

int vdso_map(struct mm *mm, struct address_space *vdso, uint64_t *out)
{
	struct mm_map_request req = {
		.len = page_align_up(image_size()),
		.prot = PROT_READ | PROT_EXEC,
		.flags = MAP_PRIVATE,
		.mapping = vdso,
		.extra_flags = VM_DONTEXPAND,
	};
	gva_t at;
	int err = mm_mmap(mm, &req, &at);

	*out = at.v;
	return err;
}
