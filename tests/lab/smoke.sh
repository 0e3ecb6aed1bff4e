#!/bin/bash
# The lab's smoke test: umm on two real NUMA nodes, with nested paging and with shadow paging.
# timeout: 700
#
# Needs `make all tests` first. What is run there: tests/lab/smoke-job.
set -u
cd "$(dirname "$0")/../.."

B=${UMM_BUILD:-build/release}
out=${TEST_TMP:-$(mktemp -d)}
passed=0 failed=0

for npt in ${LAB_NPT:-1 0}; do
	echo "== kvm_amd.npt=$npt"
	rm -f "$out/counts"
	tests/lab/run --job tests/lab/smoke-job --npt "$npt" --out "$out" --time 320 \
		--file "$B/umm" --file "$B/workloads/hello" --file "$B/workloads/checker" \
		--file "$B/tests/lab/beacon" --file "$B/tests/lab/live_nodes" \
		--file "$B/tests/lab/holder" --file /bin/ls:/usr/local/bin/ls >"$out/log" 2>&1
	status=$?
	cat "$out/log"
	# A skip: its reason is the last line.
	[ $status != 77 ] || exit 77
	if [ -f "$out/counts" ]; then
		read -r p f <"$out/counts"
		passed=$((passed + p)) failed=$((failed + f))
	else
		echo "lab: npt=$npt: the job did not come to its end (status $status)"
		failed=$((failed + 1))
	fi
done
[ -n "${TEST_TMP:-}" ] || rm -rf "$out"
echo "# subtests: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
