#!/bin/bash
# SPDX-License-Identifier: MIT
# Equal pages are merged in a running guest, before and after forks, while its memory is
# migrated and reclaimed; every process goes on seeing what it stored.
# timeout: 120
. "$(dirname "$0")/lib.sh"
require_guest

"$UMM" run --name merged --mem 64M --nodes 2 --swap 64M -- "$PROGS/ksm" 12 \
	>"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
trap 'kill -9 $pid 2>/dev/null; rm -rf "$TEST_TMP"' EXIT
if ! await 40 grep -q '^merged' "$TEST_TMP/out"; then
	fail merged "nothing was merged" "$TEST_TMP/out"
	cat "$TEST_TMP/err"
	finish
fi
pass merged "$(grep '^merged' "$TEST_TMP/out")"

# said NAME PATTERN CMD...: umm's answer must match.
said()
{
	local name=$1 pattern=$2

	shift 2
	if umm "$@" >"$TEST_TMP/said" 2>&1 && grep -Eq "$pattern" "$TEST_TMP/said"; then
		pass "$name" "$(grep -Em 1 "$pattern" "$TEST_TMP/said")"
	else
		fail "$name" "umm $* said otherwise" "$TEST_TMP/said"
	fi
}

said stat 'pages_sharing +[0-9]{3}' stat merged
# The page is one of 128 alike in its process, and of three children.
address=$(sed -n 's/^area //p' "$TEST_TMP/out")
guest_pid=$(sed -n 's/^pid //p' "$TEST_TMP/out")
lines=0
for i in 0 1 2 3 4 5 6 7; do
	at=$(printf '%#x' $((address + i * 4096)))
	umm rmap merged --pid "$guest_pid" --addr "$at" >"$TEST_TMP/said" 2>&1
	if grep -q ksm "$TEST_TMP/said"; then
		lines=$(grep -c "^ *$guest_pid " "$TEST_TMP/said")
		break
	fi
done
if [ "$lines" -gt 20 ]; then
	pass rmap "$lines entries of one process map the frame"
else
	fail rmap "a merged page with many entries was expected" "$TEST_TMP/said"
fi
moved=0
for i in 1 2 3 4 5 6; do
	if ! umm migrate merged --to $((i % 2)) --json >"$TEST_TMP/said" 2>&1; then
		# Exit status 3: something was busy at that moment.
		[ $? = 3 ] || true
	fi
	moved=$((moved + $(sed -n 's/.*"moved": *\([0-9]*\).*/\1/p' "$TEST_TMP/said" | head -n 1)))
	umm reclaim merged all >"$TEST_TMP/said" 2>&1 || fail reclaim "failed" "$TEST_TMP/said"
	if ! umm check merged >"$TEST_TMP/said" 2>&1; then
		fail check "not clean" "$TEST_TMP/said"
	fi
done
if [ $moved -gt 100 ]; then
	pass migrated "$moved frames in six rounds, with reclaim between"
else
	fail migrated "only $moved frames moved" "$TEST_TMP/said"
fi
checker_verdict $pid
finish
