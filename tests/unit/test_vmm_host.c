/* SPDX-License-Identifier: MIT */
/*
 * Making a VM, its memory, and what is said when it cannot be made.
 */
#include <CUnit/Basic.h>
#include <numaif.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kvm_guest.h"
#include "vmm/vm.h"

static struct kvm_guest guest;

static const struct host_node *node(unsigned int i)
{
	return host_node_get(guest.host, i);
}

static void test_layout(void)
{
	const struct host_tables *tables = host_tables_get(guest.host);
	uint64_t next = node(0)->base.v;

	CU_ASSERT_EQUAL(host_nr_nodes(guest.host), 3);
	CU_ASSERT_EQUAL((uintptr_t)node(0)->hva % UMM_PMD_SIZE, 0);
	for (unsigned int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(node(i)->base.v, next);
		CU_ASSERT_EQUAL(node(i)->base.v % (1u << UMM_PMD_ORDER), 0);
		CU_ASSERT_EQUAL(node(i)->nr, (64u << 20) >> UMM_PAGE_SHIFT);
		CU_ASSERT_PTR_EQUAL(host_frame_hva(guest.host, node(i)->base), node(i)->hva);
		next += node(i)->nr;
	}
	CU_ASSERT_PTR_NULL(host_frame_hva(guest.host, pfn_make(next)));
	CU_ASSERT_PTR_NULL(host_frame_hva(guest.host, pfn_make(node(0)->base.v - 1)));
	CU_ASSERT_PTR_NULL(host_frame_hva(guest.host, tables->base));
	CU_ASSERT_TRUE(tables->nr >= 8192 - 16);
	/* Table frames are no RAM, and empty. */
	for (uint64_t i = 0; i < tables->nr * 512; i += 509)
		if (((uint64_t *)tables->hva)[i]) {
			CU_FAIL("a table frame is not empty");
			break;
		}
}

static void test_frames(void)
{
	pfn_t a = pfn_add(node(0)->base, 100), b = pfn_add(node(1)->base, 7);
	uint64_t *pa = host_frame_hva(guest.host, a), *pb = host_frame_hva(guest.host, b);

	CU_ASSERT_EQUAL(host_frame_node(guest.host, b), -ENOENT);
	CU_ASSERT_EQUAL(guest.mm->populate_frames(guest.host, a, 4, false), 0);
	CU_ASSERT_EQUAL(host_frame_node(guest.host, a), node(0)->host_node);
	CU_ASSERT_EQUAL(pa[3 * 512], 0);
	for (unsigned int i = 0; i < 4 * 512; i++)
		pa[i] = i;
	CU_ASSERT_EQUAL(guest.mm->populate_frames(guest.host, a, 4, false), 0);
	CU_ASSERT_EQUAL(guest.mm->copy_frames(guest.host, b, a, 4), 0);
	CU_ASSERT_EQUAL(memcmp(pa, pb, 4 * UMM_PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(host_frame_node(guest.host, b), node(1)->host_node);
	CU_ASSERT_EQUAL(guest.mm->clear_frames(guest.host, pfn_add(a, 1), 2), 0);
	CU_ASSERT_EQUAL(pa[512] | pa[1535], 0);
	CU_ASSERT_EQUAL(pa[511], 511);
	CU_ASSERT_EQUAL(pa[1536], 1536);
	CU_ASSERT_EQUAL(guest.mm->discard_frames(guest.host, a, 4), 0);
	CU_ASSERT_EQUAL(host_frame_node(guest.host, a), -ENOENT);
	CU_ASSERT_EQUAL(pa[5], 0);
	CU_ASSERT_EQUAL(pb[5], 5);
}

static void test_frames_bad(void)
{
	pfn_t last = pfn_add(node(2)->base, node(2)->nr - 1);

	CU_ASSERT_EQUAL(guest.mm->clear_frames(guest.host, last, 2), -EFAULT);
	CU_ASSERT_EQUAL(guest.mm->discard_frames(guest.host, pfn_make(0), 1), -EFAULT);
	CU_ASSERT_EQUAL(guest.mm->populate_frames(guest.host, last, 2, false), -EFAULT);
	CU_ASSERT_EQUAL(guest.mm->copy_frames(guest.host, node(0)->base, last, 2), -EFAULT);
	CU_ASSERT_EQUAL(host_frame_node(guest.host, pfn_make(1)), -EFAULT);
}

static uint64_t populate_ns(bool in_stead)
{
	pfn_t a = pfn_add(node(0)->base, 512);
	uint64_t start = vm_now_ns();

	CU_ASSERT_EQUAL(guest.mm->populate_frames(guest.host, a, 4, in_stead), 0);
	CU_ASSERT_EQUAL(guest.mm->discard_frames(guest.host, a, 4), 0);
	return vm_now_ns() - start;
}

/* Beyond the limit a program waits 20 ms for what it wants anew, a migration does not. */
static void test_resident_limit(void)
{
	uint64_t soonest = UINT64_MAX;

	host_set_resident_limit(guest.host, 1);
	CU_ASSERT_TRUE(populate_ns(false) >= 20000000);
	for (unsigned int i = 0; i < 10; i++) {
		uint64_t ns = populate_ns(true);

		soonest = ns < soonest ? ns : soonest;
	}
	host_set_resident_limit(guest.host, 0);
	CU_ASSERT_TRUE(soonest < 20000000);
}

/* Strict binding: asked of the kernel, for the middle of each node. */
static void test_binding(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		unsigned long mask[16] = { 0 };
		int mode = -1;

		if (get_mempolicy(&mode, mask, sizeof(mask) * 8, (char *)node(i)->hva + (32 << 20),
				  MPOL_F_ADDR)) {
			CU_ASSERT_EQUAL(errno, ENOSYS);
			return;
		}
		CU_ASSERT_EQUAL(mode, MPOL_BIND);
		CU_ASSERT_EQUAL(mask[0], 1ul << node(i)->host_node);
	}
}

static void test_topology(void)
{
	const struct host_kind *kind = host_kind_get(guest.host);

	CU_ASSERT_EQUAL(kind->simulated_nodes, kind->nr_host_nodes < 3);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++) {
			unsigned int d = guest.mm->node_distance(guest.host, i, j);

			CU_ASSERT_TRUE(i == j ? d == 10 : d > 10);
			CU_ASSERT_EQUAL(d, guest.mm->node_distance(guest.host, j, i));
		}
}

static void test_describe(void)
{
	char text[1024];
	int len = host_describe(guest.host, text, sizeof(text));

	CU_ASSERT_TRUE(len > 0 && len < (int)sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, host_kind_get(guest.host)->paging));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, host_kind_get(guest.host)->zap));
	CU_ASSERT_EQUAL(!!strstr(text, "simulated"), host_kind_get(guest.host)->simulated_nodes);
	/* Cut off, not overrun. */
	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(host_describe(guest.host, text, 10), len);
	CU_ASSERT_EQUAL(text[9], 0);
	CU_ASSERT_EQUAL(text[10], 'x');
}

static void test_alloc(void)
{
	for (size_t size = 1; size < 5000; size = size * 3 + 1) {
		unsigned char *p = guest.mm->alloc(guest.host, size);

		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT_TRUE(size < 64 || (uintptr_t)p % 64 == 0);
		for (size_t i = 0; i < size; i++)
			CU_ASSERT_EQUAL(p[i], 0);
		memset(p, 0xff, size);
		guest.mm->free(guest.host, p, size);
	}
}

static void refused(unsigned int nodes, uint64_t bytes, int want, const char *word)
{
	const struct host_config cfg = { .nr_nodes = nodes, .mem_bytes = bytes };
	struct errmsg e = { "" };
	struct host *host;

	CU_ASSERT_EQUAL(host_create(&cfg, &host, &e), want);
	if (!strstr(e.text, word))
		printf("  no \"%s\" in \"%s\"\n", word, e.text);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, word));
}

static void test_refused(void)
{
	refused(0, 64 << 20, -EINVAL, "guest nodes");
	refused(65, 1ull << 32, -EINVAL, "guest nodes");
	refused(1, 1 << 20, -EINVAL, "too little");
	refused(4, 12 << 20, -EINVAL, "too little");
	refused(1, 1ull << 60, -E2BIG, "too much");
	refused(2, ~0ull, -E2BIG, "too much");
}

/* In a child, so that limits and rights do not come back to us. */
static void in_child(void (*prepare)(void), int want, const char *word)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		const struct host_config cfg = { .nr_nodes = 1, .mem_bytes = 1 << 30 };
		struct errmsg e = { "" };
		struct host *host;
		int rc;

		prepare();
		rc = host_create(&cfg, &host, &e);
		if (rc != want || !strstr(e.text, word))
			printf("  %d \"%s\"\n", rc, e.text);
		fflush(stdout);
		_exit(rc == want && strstr(e.text, word) ? 0 : 1);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void little_address_space(void)
{
	const struct rlimit limit = { 400 << 20, 400 << 20 };

	setrlimit(RLIMIT_AS, &limit);
}

static void no_files(void)
{
	const struct rlimit limit = { 3, 3 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

static void nobody(void)
{
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(2);
}

static void test_no_resources(void)
{
	struct stat st;

	in_child(no_files, -EMFILE, "/dev/kvm");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	in_child(little_address_space, -ENOMEM, "ulimit -v");
#else
	(void)little_address_space;
#endif
	if (!geteuid() && !stat("/dev/kvm", &st) && !(st.st_mode & S_IROTH))
		in_child(nobody, -EACCES, "group");
}

/* Nothing is left behind: descriptors, mappings. */
static void test_no_leak(void)
{
	const struct host_config cfg = { .nr_nodes = 2, .mem_bytes = 64 << 20 };
	int before = dup(0), after;

	close(before);
	for (int i = 0; i < 3; i++) {
		struct host *host;

		CU_ASSERT_EQUAL_FATAL(host_create(&cfg, &host, NULL), 0);
		host_destroy(host);
	}
	after = dup(0);
	close(after);
	CU_ASSERT_EQUAL(before, after);
}

int main(void)
{
	unsigned int failures;
	CU_pSuite suite;

	guest_init(&guest, 3);

	CU_initialize_registry();
	suite = CU_add_suite("host", NULL, NULL);
	CU_add_test(suite, "layout", test_layout);
	CU_add_test(suite, "frames", test_frames);
	CU_add_test(suite, "frames that are none", test_frames_bad);
	CU_add_test(suite, "the limit of resident memory", test_resident_limit);
	CU_add_test(suite, "strict binding", test_binding);
	CU_add_test(suite, "topology", test_topology);
	CU_add_test(suite, "description", test_describe);
	CU_add_test(suite, "manager's objects", test_alloc);
	CU_add_test(suite, "refused configurations", test_refused);
	CU_add_test(suite, "missing rights and resources", test_no_resources);
	CU_add_test(suite, "nothing is left behind", test_no_leak);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	host_destroy(guest.host);
	return failures ? 1 : 0;
}
