# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tortures share; sourced after lib.sh. Loops that move all memory of the guest
# $name back and forth, page it all out and validate it, as fast as they can, until the
# file $stop is there:
#
#   torture_begin     in the background
#   torture_end       and wait for them
#   torture_verdicts  they worked several times, on pages, and never failed
#
# The loops rest for a second now and then: programs whose every page is taken away at once
# hardly come to the point where a lost store would show.

stop=$TEST_TMP/stop
# Of all that was to move: what reclaim held, and what calls of the host were using.
STAYED_PERCENT=5

guest_answers()
{
	umm stat "$name" >/dev/null 2>&1
}

# one_call LOG CMD...: count in LOG.good or LOG.bad how umm CMD went.
one_call()
{
	local log=$TEST_TMP/$1 status

	shift
	umm "$@" >"$log.out" 2>&1
	status=$?
	# 3: the work was done, but some pages were in use, as they are in a busy guest.
	if [ $status = 0 ] || [ $status = 3 ]; then
		head -n 1 "$log.out" >>"$log.good"
		cat "$log.out" >>"$log.all"
	elif [ ! -e "$stop" ] && ! grep -q 'no running guest' "$log.out"; then
		cat "$log.out" >>"$log.bad"
	elif [ ! -e "$stop" ]; then
		# It came to its end by itself; whether it should have is told by its results.
		sleep 0.2
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

# verdict WHAT: it was done several times, and never failed while the guest lived.
verdict()
{
	local log=$TEST_TMP/$1 times=0

	[ ! -e "$log.good" ] || times=$(wc -l <"$log.good")
	if [ -s "$log.bad" ]; then
		fail "$1" "failed, besides working $times times" "$log.bad"
	elif [ "$times" -lt 3 ]; then
		fail "$1" "worked only $times times" "$log.out"
	elif ! grep -qE '(moved|freed|checked) [1-9]' "$log.good"; then
		fail "$1" "worked $times times, but on no page" "$log.good"
	elif [ "$1" = migrate ] && ! few_stayed "$log.all" "$STAYED_PERCENT" >"$log.stayed"; then
		fail "$1" "too many pages stayed" "$log.stayed"
	else
		pass "$1" "$times times, $(awk '{ n += $2 } END { print n }' "$log.good") pages"
	fi
}

torture_begin()
{
	moving & loops=$!
	reclaiming & loops+=" $!"
	checking & loops+=" $!"
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
