#!/bin/bash
# SPDX-License-Identifier: MIT
# Torture of programs that test themselves: GUPS, stressapptest and python's own test programs,
# beside a storm of fork, mremap, munmap and madvise and files that are truncated under their
# mappings, in one guest of four nodes (one of them slow), while all of its memory is moved round the
# nodes, placement moves it as well, and everything is paged out again and again.
# SOAK=1: each for SOAK_SECONDS (600), and more of python's tests.
# timeout: 600
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/torture_lib.sh"
require_guest

run_seconds=${TORTURE_SECONDS:-12}
[ "$run_seconds" -le 12 ] || run_seconds=12
python_tests="test_mmap test_fork1"
if [ -n "${SOAK:-}" ]; then
	run_seconds=${SOAK_SECONDS:-600}
	python_tests+=" test_threading test_signal test_epoll test_poll test_select test_queue"
fi
LIMIT=120
name=programs
NODES=4
files=$TEST_TMP/job
mkdir "$files"

# The guest's half. What each says lands in a file; the verdicts come last, a line each.
cat >"$files/job.sh" <<'END'
# program NAME COMMAND...: its output is kept; PASS or FAIL for its exit status.
program()
{
	local name=$1

	shift
	"$@" >"out-$name" 2>&1 && echo "$name PASS" >"verdict-$name" || echo "$name FAIL $?" >"verdict-$name"
}

storm()
{
	local seed=0 until=$((SECONDS + $1))

	while [ $SECONDS -lt $until ]; do
		seed=$((seed + 1))
		"$PROGS/mem_storm" $seed >"storm-$seed" || return
		"$PROGS/truncate_storm" $seed || return
		"$PROGS/file_storm" $seed 500 || return
	done
}

# stressapptest checks and copies its memory with a thread a processor; -f adds file copies.
[ -z "$STRESSAPPTEST" ] || program stressapptest \
	stressapptest -M "$STRESS_MEM" -s "$RUN_SECONDS" -f sat.file --filesize 4m -i 1 &
program gups "$WORKLOADS/gups" --size 32M --verify --seconds "$RUN_SECONDS" &
program storm storm "$RUN_SECONDS" &
for t in $PYTHON_TESTS; do
	program "$t" /usr/bin/python3 -m test -q --tempdir "$PWD" "$t"
done
wait
cat verdict-*
END

guest_lives()
{
	kill -0 "$guest" 2>/dev/null
}

# All memory to each node in turn, and each time over.
moving()
{
	local node

	while at_work; do
		for node in 1 2 3 0; do
			one_call migrate migrate $name --to $node
		done
	done
}

# Another policy of placement every second, of both kinds.
placing()
{
	local policy

	while [ ! -e "$stop" ]; do
		for policy in two-fault majority off; do
			umm balance $name $policy >/dev/null 2>&1
			sleep 0.5
		done
		for policy in recency sampling off; do
			umm tier $name $policy >/dev/null 2>&1
			sleep 0.5
		done
	done
}

judge_programs()
{
	local expected="gups storm $python_tests" what

	[ -z "$stressapptest" ] || expected+=" stressapptest"
	for what in $expected; do
		if grep -qx "$what PASS" "$TEST_TMP/out"; then
			pass "$what" "$(tail -n 1 "$files/out-$what" | cut -c 1-90)"
		else
			tail -n 15 "$TEST_TMP/err" >>"$files/out-$what"
			TAIL=60 fail "$what" "$(grep "^$what " "$TEST_TMP/out") status $status" "$files/out-$what"
		fi
	done
	if [ -n "$stressapptest" ] && ! grep -q '^Status: PASS' "$files/out-stressapptest"; then
		fail stressapptest "it does not say PASS" "$files/out-stressapptest"
	fi
}

have torture-programs python3 || finish
python3 -c 'import test.test_mmap' 2>/dev/null || { skip python "its test programs are not installed"; python_tests=; }
stressapptest=
! have stressapptest stressapptest || stressapptest=yes
(
	cd "$files" || exit
	export WORKLOADS PROGS RUN_SECONDS=$run_seconds STRESSAPPTEST=$stressapptest PYTHON_TESTS=$python_tests
	export STRESS_MEM=64
	[ -z "${SOAK:-}" ] || STRESS_MEM=256
	exec "$UMM" run --name $name --nodes $NODES --mem $((STRESS_MEM * 4 + 512))M --swap 1G --slow-nodes 3 \
		-- /bin/bash job.sh
) >"$TEST_TMP/out" 2>"$TEST_TMP/err" </dev/null &
guest=$!
torture_begin_with $guest
placing & loops+=" $!"
# Long enough for all of them where the machine is free; where it is not, they end in peace.
await_until $((SECONDS + run_seconds * 3)) eval '! guest_lives' || touch "$stop"
await 60 eval '! guest_lives' || {
	kill -9 $guest
	fail end "the guest did not come to its end" "$TEST_TMP/err"
}
wait $guest
status=$?
torture_end
judge_programs
torture_verdicts
finish
