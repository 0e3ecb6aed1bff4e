#!/bin/bash
# SPDX-License-Identifier: MIT
# The self-tests of tests/guest/progs: each prints what the system did; natively is right.
# timeout: 500
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest

# Calls that the guest answers with ENOSYS are not implemented: told, not compared.
filter_unimplemented()
{
	local side

	sed -n 's/^\([a-z_0-9]*\), .*: ENOSYS$/\1/p' "$TEST_TMP/guest/out" | sort -u \
		>"$TEST_TMP/unimplemented"
	for side in native guest; do
		awk -F, -v names="$(tr '\n' ' ' <"$TEST_TMP/unimplemented")" '
			BEGIN { split(names, list, " "); for (i in list) gone[list[i]] }
			!($1 in gone)' "$TEST_TMP/$side/out" >"$TEST_TMP/$side/filtered"
		mv "$TEST_TMP/$side/filtered" "$TEST_TMP/$side/out"
	done
}

compare_hostile()
{
	local name

	run_side native '' /dev/null "$LIMIT" "$PROGS/hostile"
	run_side guest '' /dev/null "$LIMIT" "$UMM" run -- "$PROGS/hostile"
	filter_unimplemented
	while read -r name; do
		skip "hostile-$name" "the call is not implemented"
	done <"$TEST_TMP/unimplemented"
	difference stderr >"$TEST_TMP/difference"
	if [ -s "$TEST_TMP/difference" ]; then
		fail hostile "differs from the native run" "$TEST_TMP/difference"
	elif ! grep -q '^alive$' "$TEST_TMP/guest/out"; then
		fail hostile "did not come to its end"
	else
		pass hostile "$(wc -l <"$TEST_TMP/guest/out") calls"
	fi
}

# compare_recorded PROGRAM VERSION: calls that Linux has since then. PROGRAM.txt is what Linux 6.18
# printed; older ones are not asked.
compare_recorded()
{
	local name=$1 since=$2 text

	text=$(dirname "$0")/$name.txt
	run_side guest '' /dev/null "$LIMIT" "$UMM" run -- "$PROGS/$name"
	if [ "$(cat "$TEST_TMP/guest/status")" != 0 ]; then
		fail "$name" "exit status $(cat "$TEST_TMP/guest/status")" "$TEST_TMP/guest/err"
	elif diff -u "$text" "$TEST_TMP/guest/out" >"$TEST_TMP/difference"; then
		pass "$name" "as recorded of Linux, $(wc -l <"$text") lines"
	else
		fail "$name" "differs from Linux" "$TEST_TMP/difference"
	fi
	if [ "$(printf '%s\n' "$since" "$(uname -r)" | sort -V | head -n 1)" != "$since" ]; then
		skip "$name-native" "Linux has these calls since $since, this is $(uname -r)"
		return
	fi
	run_side native '' /dev/null "$LIMIT" "$PROGS/$name"
	if diff -u "$text" "$TEST_TMP/native/out" >"$TEST_TMP/difference"; then
		pass "$name-native"
	else
		fail "$name-native" "the record differs from this Linux" "$TEST_TMP/difference"
	fi
}

for program in mem_map mem_remap mem_advise mem_file mem_fault signals processes threads \
	timers pipes exec_args times sysv_shm sysv_sem signal_file odd_calls mqueues limits \
	calls_wait calls_procs calls_ptys calls_jobs calls_bytes calls_attrs calls_locks calls_ipc \
	calls_timers calls_knobs file_change; do
	compare $program -- "$PROGS/$program"
done
compare mem_flags --limit 150 -- "$PROGS/mem_flags"
compare mem_sparse --limit 100 -- "$PROGS/mem_sparse"
# Only root has somebody else to become.
if [ "$(id -u)" = 0 ]; then
	compare creds -- "$PROGS/creds"
	compare oom_adj -- "$PROGS/oom_adj"
	compare others -- "$PROGS/others"
	compare proc_other -- "$PROGS/proc_other"
else
	skip creds "needs root"
	skip oom_adj "needs root"
	skip others "needs root"
	skip proc_other "needs root"
fi
# They tell which single pages are there: a fault must not map its neighbours.
for program in mem_lock proc_self; do
	compare $program --umm "--fault-around 1" -- "$PROGS/$program"
done
# Again where swap can take what PAGEOUT gives.
for program in mem_advise mem_file; do
	compare $program-swap --umm "--swap 64M" -- "$PROGS/$program"
done
for seed in 1 2 3 4; do
	compare mem_storm-$seed --umm "--nodes 2 --swap 64M" -- "$PROGS/mem_storm" $seed
	compare file_storm-$seed --umm "--nodes 2 --swap 64M" -- "$PROGS/file_storm" $seed
done
compare_recorded seal 6.12
compare_recorded futex2 6.7
compare_recorded release 5.15
compare_hostile
finish
