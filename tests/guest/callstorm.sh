#!/bin/bash
# SPDX-License-Identifier: MIT
# Random system calls: a program can end itself by them, but never umm.
# timeout: 600
. "$(dirname "$0")/lib.sh"
require_guest

seconds=${STORM_SECONDS:-8}

# Has umm check looked through the guest while it lives, and is it well?
storm_checked()
{
	umm check storm >"$check" 2>&1 && return
	# Others: there is no such guest, not yet or not any more.
	! grep -q '^first:' "$check" || fail "check-$seed" "umm check found errors" "$check"
	return 1
}

# storm SEED OPTIONS...: the guest must come to its own end, and the validator find nothing.
storm()
{
	local seed=$1 how=$2 out=$TEST_TMP/out err=$TEST_TMP/err check=$TEST_TMP/check
	local guest fds status=0 checks=0

	shift 2
	mkdir -p "$TEST_TMP/empty"
	(cd "$TEST_TMP/empty" && exec "$UMM" run --name storm "$@" -- "$PROGS/call_storm" "$seed" \
		"$seconds" $how) >"$out" 2>"$err" </dev/null &
	guest=$!
	await 10 storm_checked || fail "check-$seed" "umm check does not answer" "$check"
	sleep $((seconds / 2))
	while storm_checked; do
		checks=$((checks + 1))
		sleep 1
	done
	# Many children have opened and lost descriptors by now.
	fds=$(find "/proc/$guest/fd" | wc -l)
	[ "$fds" -lt 300 ] || fail "descriptors-$seed" "umm has $fds of them"
	if ! await $((seconds + 30)) [ ! -d "/proc/$guest" ]; then
		kill -9 "$guest"
		fail "storm-$seed" "it hung" "$err"
		return
	fi
	wait "$guest" || status=$?
	if [ "$status" != 0 ]; then
		cat "$err" >>"$out"
		fail "storm-$seed" "umm run ended with $status" "$out"
	elif ! grep -q '^alive$' "$out"; then
		fail "storm-$seed" "the first process did not come to its end" "$err"
	elif [ -n "$(ls -A "$TEST_TMP/empty")" ]; then
		fail "storm-$seed" "it left files"
	else
		pass "storm-$seed${how:+-$how}" "$(tail -n 1 "$err"), checked $checks times, umm had $fds descriptors"
	fi
}

for seed in 1 "$RANDOM"; do
	storm "$seed" '' --mem 256M --swap 64M --nodes 2
done
if [ "$(id -u)" = 0 ]; then
	storm "$RANDOM" all --mem 256M --swap 64M --nodes 2 --ro --no-net
else
	skip storm-all "only root may confine a guest everywhere"
fi
finish
