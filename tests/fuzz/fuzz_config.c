/* SPDX-License-Identifier: MIT */
/*
 * Configuration files of any bytes: refused with a sentence, or options that are
 * within the limits umm(1) tells.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run_options o;
	struct errmsg e = { .text = "" };
	char path[64];
	int fd = fuzz_file(data, size), rc;

	/* libconfig's @include would read this machine's files, folders too. */
	if (memmem(data, size, "@include", 8)) {
		close(fd);
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	run_options_default(&o);
	rc = config_load(path, &o, &e);
	if (!rc)
		rc = run_options_complete(&o, &e);
	fuzz_check(rc <= 0, "an errno");
	fuzz_check(!rc || (e.text[0] && memchr(e.text, 0, sizeof(e.text))), "a refusal says why");
	if (!rc) {
		fuzz_check(o.nodes >= 1 && o.nodes <= UMM_MAX_NODES, "nodes within limits");
		fuzz_check(o.cpus >= 1, "there is a processor");
		fuzz_check(memchr(o.name, 0, sizeof(o.name)), "the name ends");
	}
	close(fd);
	return 0;
}
