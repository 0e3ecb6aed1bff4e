#!/bin/bash
# SPDX-License-Identifier: MIT
# Memory that fails: SIGBUS for every process that maps the page, with the right si_code;
# a clean page of a file is read again.
# timeout: 60
. "$(dirname "$0")/lib.sh"
require_guest

head -c 8192 /dev/urandom >"$TEST_TMP/file"
"$UMM" run --name broken --mem 64M -- "$PROGS/poisoned" "$TEST_TMP/file" \
	>"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
trap 'kill -9 $pid 2>/dev/null; rm -rf "$TEST_TMP"' EXIT
if ! await 20 grep -q '^pages' "$TEST_TMP/out"; then
	fail start "the program did not begin" "$TEST_TMP/err"
	finish
fi
read -r late early clean < <(sed -n 's/^pages //p' "$TEST_TMP/out")
who=$(sed -n 's/^pid //p' "$TEST_TMP/out")

# breaks NAME ADDRESS PATTERN: umm poison's answer must have it.
breaks()
{
	if umm poison broken --pid "$who" --addr "$2" >"$TEST_TMP/said" 2>&1 &&
		grep -q "$3" "$TEST_TMP/said"; then
		pass "$1" "$(grep -m 1 "$3" "$TEST_TMP/said")"
	else
		fail "$1" "it said otherwise" "$TEST_TMP/said"
	fi
}

# shows NAME LINE: the program must say so.
shows()
{
	if await 20 grep -qx "$2" "$TEST_TMP/out"; then
		pass "$1" "$2"
	else
		fail "$1" "the program does not say '$2'" "$TEST_TMP/out"
	fi
}

breaks late "$late" 'SIGBUS when touched, BUS_MCEERR_AR'
if [ "$(grep -c 'SIGBUS when touched' "$TEST_TMP/said")" = 2 ]; then
	pass both "parent and child map the page"
else
	fail both "parent and child were expected" "$TEST_TMP/said"
fi
if umm check broken >"$TEST_TMP/said" 2>&1; then
	pass check "$(cat "$TEST_TMP/said")"
else
	fail check "not clean" "$TEST_TMP/said"
fi
umm kill broken -s USR1 >/dev/null
shows late-signal 'late: BUS_MCEERR_AR at the page, 12 bits'
shows child-signal 'child: BUS_MCEERR_AR at the page, 12 bits'
shows wants 'early wanted'
breaks early "$early" 'SIGBUS now, BUS_MCEERR_AO'
shows early-signal 'early: BUS_MCEERR_AO at the page, 12 bits'
breaks clean "$clean" 'its content is read again'
umm kill broken -s USR1 >/dev/null
shows clean-page 'clean: read again'
umm poison broken --pid "$who" --addr 10 >"$TEST_TMP/said" 2>&1
wait $pid
status=$?
if [ $status = 0 ]; then
	pass end
else
	fail end "status $status" "$TEST_TMP/err"
fi
finish
