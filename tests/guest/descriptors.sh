#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptors of all kinds: passed from process to process, and what umm keeps of them.
# timeout: 300
# also: asan tsan
. "$(dirname "$0")/lib.sh"
require_guest

# One round of the storm, and how many descriptors umm has then.
round()
{
	local answer

	echo >&"${storm[1]}"
	read -r -t "$LIMIT" answer <&"${storm[0]}" || answer="no answer"
	echo "$answer" >>"$TEST_TMP/answers"
	[ "$answer" = "0 wrong" ]
}

count()
{
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# What was sent and received, or never received, leaves nothing open.
test_storm()
{
	local before after pid

	coproc storm { exec "$UMM" run --name storm -- "$PROGS/passed_storm" 2>"$TEST_TMP/err"; }
	pid=$storm_PID
	: >"$TEST_TMP/answers"
	if ! round || ! before=$(count "$pid") || ! round || ! round; then
		fail storm "$(tail -n 1 "$TEST_TMP/answers")" "$TEST_TMP/err"
	else
		after=$(count "$pid")
		if ! umm check storm >"$TEST_TMP/check" 2>&1; then
			fail storm "umm check is not content" "$TEST_TMP/check"
		elif [ "$before" != "$after" ]; then
			fail storm "umm had $before descriptors, and has $after"
		else
			pass storm "umm keeps its $after descriptors"
		fi
	fi
	exec {storm[1]}>&-
	wait "$pid"
}

compare passed_fds -- "$PROGS/passed_fds"
compare bad_reads -- "$PROGS/bad_reads"
test_storm
finish
