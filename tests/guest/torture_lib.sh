# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tortures share; sourced after lib.sh. Loops that move all memory of the guest
# $name back and forth, page it all out and validate it, as fast as they can, until the
# file $stop is there:
#
#   torture_begin     in the background
#   torture_begin_with PID    the same once the guest answers, of which PID is umm; if it does not,
#                     that is the end of the script
#   torture_end       and wait for them
#   torture_verdicts  they worked several times, on pages, and never failed
#   loop_judge LOOP   whether migrate, reclaim or check did, for those who judge by themselves
#
# $logs is the folder of what the loops leave; a guest that comes next has a folder and a $stop of
# its own.
#
# The loops rest for a second now and then: programs whose every page is taken away at once
# hardly come to the point where a lost store would show.

stop=$TEST_TMP/stop
logs=$TEST_TMP
# How often each loop has to come through.
LEAST_TIMES=3
# Of all that was to move: what reclaim held, and what calls of the host were using.
STAYED_PERCENT=5
# A reason for which any number may stay.
MAY_STAY=nothing

guest_answers()
{
	umm stat "$name" >/dev/null 2>&1
}

guest_ended()
{
	[ -e "$stop" ] || [[ $(umm stat "$name" 2>&1) = *'no running guest'* ]]
}

# one_call LOG CMD...: count in LOG.good or LOG.bad how umm CMD went.
one_call()
{
	local log=$logs/$1 status

	shift
	umm "$@" >"$log.out" 2>&1
	status=$?
	# 3: the work was done, but some pages were in use, as they are in a busy guest.
	if [ $status = 0 ] || [ $status = 3 ]; then
		head -n 1 "$log.out" >>"$log.good"
		cat "$log.out" >>"$log.all"
	# If it came to its end by itself, its results tell whether it should have.
	elif [ ! -e "$stop" ] && ! await 5 guest_ended; then
		cat "$log.out" >>"$log.bad"
	fi
}

# True while the loops are to go on; sleeps through their rests.
at_work()
{
	while [ $((SECONDS % 4)) = 3 ]; do
		sleep 0.1
	done
	[ ! -e "$stop" ]
}

moving()
{
	while at_work; do
		one_call migrate migrate $name --rate max --to 1
		one_call migrate migrate $name --rate max --to 0
	done
}

reclaiming()
{
	while at_work; do
		one_call reclaim reclaim $name all
	done
}

checking()
{
	while [ ! -e "$stop" ]; do
		one_call check check $name
		sleep 2
	done
}

# loop_judge LOOP: it came through several times, and never failed while the guest lived. A line that
# tells how it went, and if it did not go well, what it said.
loop_judge()
{
	local log=$logs/$1 times=0

	[ ! -e "$log.good" ] || times=$(wc -l <"$log.good")
	if [ -s "$log.bad" ]; then
		echo "failed, besides working $times times"
		cat "$log.bad"
	elif [ "$times" -lt "$LEAST_TIMES" ]; then
		echo "worked only $times times"
		cat "$log.out"
	elif ! grep -qE '(moved|freed|checked) [1-9]' "$log.good"; then
		echo "worked $times times, but on no page"
		cat "$log.good"
	elif [ "$1" = migrate ] &&
		! few_stayed <(grep -v "$MAY_STAY" "$log.all") "$STAYED_PERCENT" >"$log.stayed"; then
		echo "too many pages stayed"
		cat "$log.stayed"
	else
		echo "$times times, $(awk '{ n += $2 } END { print n }' "$log.good") pages"
		return 0
	fi
	return 1
}

verdict()
{
	if loop_judge "$1" >"$TEST_TMP/judgement"; then
		pass "$1" "$(cat "$TEST_TMP/judgement")"
	else
		fail "$1" "$(head -n 1 "$TEST_TMP/judgement")" <(tail -n +2 "$TEST_TMP/judgement")
	fi
}

torture_begin()
{
	moving & loops=$!
	reclaiming & loops+=" $!"
	checking & loops+=" $!"
}

torture_begin_with()
{
	if ! await 10 guest_answers; then
		kill -9 "$1" 2>/dev/null
		fail start "the guest does not answer" "$TEST_TMP/err"
		finish
	fi
	torture_begin
}

torture_end()
{
	touch "$stop"
	# shellcheck disable=SC2086
	wait $loops
}

torture_verdicts()
{
	verdict migrate
	verdict reclaim
	verdict check
}
