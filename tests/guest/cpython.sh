#!/bin/bash
# SPDX-License-Identifier: MIT
# CPython's own test programs (libpython3-testsuite), natively and in a guest: each of their tests must
# come to the same verdict. What differs is printed test by test; docs/linux-abi.md tells of it.
#
#   cpython.sh TEST...    these of CPython's test programs
#   cpython.sh all        the seven of ALL; as in `make soak` (SOAK=1), some 6 minutes
# timeout: 300
. "$(dirname "$0")/lib.sh"
require_guest

SHORT="test_mmap test_fork1 test_posix test_os"
ALL="$SHORT test_threading test_signal test_subprocess"
LIMIT=600

# verdicts SIDE: a line "NAME VERDICT" for each test that SIDE ran, in order; of one that was skipped with
# its reason, as far as that names no numbers, which are other ones each time.
verdicts()
{
	/usr/bin/python3 - "$TEST_TMP/$1/verdicts.xml" <<'END'
import re
import sys
import xml.etree.ElementTree as tree


def verdict(case):
    for kind in 'error', 'failure':
        if case.find(kind) is not None:
            return kind
    skipped = case.find('skipped')
    if skipped is None:
        return 'ok'
    return 'skipped: ' + re.sub(r'\d+', 'N', ' '.join((skipped.text or '').split()))


for line in sorted(case.get('name') + ' ' + verdict(case) for case in tree.parse(sys.argv[1]).iter('testcase')):
    print(line)
END
}

# run_test TEST SIDE CMD...: leaves $TEST_TMP/SIDE/{out,err,status,verdicts.xml}
run_test()
{
	local test=$1 side=$2

	shift 2
	run_side "$side" '' /dev/null "$LIMIT" "$@" /usr/bin/python3 -m test -v --tempdir . \
		--junit-xml "$TEST_TMP/$side/verdicts.xml" "$test"
}

# compare_test TEST
compare_test()
{
	local test=$1 side start

	start=$(now)
	run_test "$test" native
	run_test "$test" guest "$UMM" run --mem 2G --
	for side in native guest; do
		if ! verdicts $side >"$TEST_TMP/$side.verdicts" 2>"$TEST_TMP/step"; then
			cat "$TEST_TMP/$side/err" >>"$TEST_TMP/$side/out"
			tail -n 20 "$TEST_TMP/$side/out" >>"$TEST_TMP/step"
			fail "$test" "no verdicts of the $side run" "$TEST_TMP/step"
			return
		fi
	done
	if ! diff "$TEST_TMP/native.verdicts" "$TEST_TMP/guest.verdicts" >"$TEST_TMP/difference"; then
		TAIL=100 fail "$test" "verdicts differ (< native, > guest)" "$TEST_TMP/difference"
	elif ! cmp -s "$TEST_TMP/native/status" "$TEST_TMP/guest/status"; then
		# A part of a test that failed, or what is looked at after all of them.
		fail "$test" "exit status $(cat "$TEST_TMP/guest/status"), natively $(cat "$TEST_TMP/native/status")" \
			<(tail -n 20 "$TEST_TMP/guest/out")
	elif ! grep -q ' ok$' "$TEST_TMP/guest.verdicts"; then
		fail "$test" "no test of it ran" "$TEST_TMP/guest/out"
	else
		pass "$test" "$(wc -l <"$TEST_TMP/guest.verdicts") tests, $(grep -c ' ok$' "$TEST_TMP/guest.verdicts") ok, $(
			seconds_since "$start") s"
	fi
}

tests=${*:-${SOAK:+all}}
[ -n "$tests" ] || tests=$SHORT
[ "$tests" != all ] || tests=$ALL
for test in $tests; do
	if /usr/bin/python3 -c "import test.$test" 2>/dev/null; then
		compare_test "$test"
	else
		skip "$test" "CPython's test programs are not installed"
	fi
done
finish
