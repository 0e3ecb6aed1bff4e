#!/bin/bash
# SPDX-License-Identifier: MIT
# Restartable sequences: the call as natively, and counters that threads, more than there are
# processors, change by sequences without a lock: none may lose an increment, whatever processors
# the guest has, and while its memory is moved between nodes and paged out.
# timeout: 150
# also: tsan
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/torture_lib.sh"
require_guest

seconds=${RSEQ_SECONDS:-3}
name=rseq

# count UNTIL OPTIONS THREADS: leaves its status, what it says and the details.
count()
{
	local until=$1 options=$2 threads=$3

	# shellcheck disable=SC2086
	umm run --name $name $options -- "$PROGS/rseq" count "$threads" "$until" \
		>"$TEST_TMP/out" 2>"$TEST_TMP/err"
	echo $? >"$TEST_TMP/status"
}

judge()
{
	if [ "$(cat "$TEST_TMP/status")" = 0 ]; then
		pass "$1" "$(paste -sd, "$TEST_TMP/err")"
	else
		cat "$TEST_TMP/err" >>"$TEST_TMP/out"
		fail "$1" "increments were lost, or the program was" "$TEST_TMP/out"
	fi
}

counted()
{
	local test=$1

	shift
	count "$@"
	judge "$test"
}

# Each of the loops has done its work some times.
worked_enough()
{
	local log

	for log in migrate reclaim check; do
		[ "$(cat "$TEST_TMP/$log.good" 2>/dev/null | wc -l)" -ge 5 ] || return 1
	done
}

# Memory is taken away between the moment when all count and the moment when they are to stop.
counted_tortured()
{
	count "$TEST_TMP/over" "--nodes 2 --mem 64M --swap 128M" 8 &
	guest=$!
	await 10 guest_answers || fail tortured "the guest does not answer"
	torture_begin
	await $((seconds * 2 + 20)) worked_enough
	torture_end
	touch "$TEST_TMP/over"
	wait $guest
	judge tortured
}

compare rseq -- "$PROGS/rseq"
grep -q '^it came to each$' "$TEST_TMP/guest/out" || fail rseq-end "it did not come to its end"
# Commands of 6.3.
if [ "$(printf '6.3\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.3 ]; then
	compare membarrier -- "$PROGS/membarrier"
else
	skip membarrier "it asks for registrations, which Linux tells since 6.3"
fi
counted few "$seconds" "" 2
counted many "$seconds" "" 12
counted one-processor "$seconds" "--cpus 1" 6
counted more-processors "$seconds" "--cpus 5" 12
counted_tortured
torture_verdicts
finish
