#!/bin/bash
# SPDX-License-Identifier: MIT
# Swap files added and removed while a program uses four times its memory: every word right.
# timeout: 300
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=250

areas()
{
	umm swap swapper --json | grep -c '"area"'
}

"$UMM" run --name swapper --mem 32M --swap "$TEST_TMP/first:256M" -- \
	"$WORKLOADS/checker" --size 96M --threads 2 >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
trap 'kill -9 $pid 2>/dev/null; rm -rf "$TEST_TMP"' EXIT
is_swapping()
{
	[ "$(umm swap swapper --json 2>/dev/null | awk -F '[:,]' '/"used"/ { print $2; exit }')" -gt 8000 ]
}
if ! await 40 is_swapping 2>/dev/null; then
	fail swapping "nothing was swapped out" "$TEST_TMP/err"
	finish
fi

umm swap swapper remove 0 >"$TEST_TMP/said" 2>&1
status=$?
if [ $status = 1 ] && grep -q 'no room' "$TEST_TMP/said" && [ "$(areas)" = 1 ]; then
	pass the-last-area-stays
else
	fail the-last-area-stays "status $status" "$TEST_TMP/said"
fi
for round in 1 2 3; do
	umm swap swapper add "$TEST_TMP/next$round:256M" >"$TEST_TMP/said" 2>&1 &&
		umm swap swapper remove $((round - 1)) >"$TEST_TMP/said" 2>&1
	status=$?
	if [ $status = 0 ] && grep -q "next$round" "$TEST_TMP/said" && [ "$(areas)" = 1 ] &&
		umm check swapper >"$TEST_TMP/said"; then
		pass "from-file-to-file-$round"
	else
		fail "from-file-to-file-$round" "status $status" "$TEST_TMP/said"
	fi
done
umm swap swapper remove nonsense >"$TEST_TMP/said" 2>&1
if [ $? = 1 ] && grep -q 'umm swap lists them' "$TEST_TMP/said"; then
	pass unknown-area
else
	fail unknown-area "said otherwise" "$TEST_TMP/said"
fi
umm kill swapper -s TERM >/dev/null
checker_verdict $pid
if umm run --mem 32M --swap 64M -- cat /proc/swaps | grep -q '^unnamed *file'; then
	pass proc-swaps
else
	fail proc-swaps "the area is not there"
fi
finish
