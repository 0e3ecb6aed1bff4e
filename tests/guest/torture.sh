#!/bin/bash
# SPDX-License-Identifier: MIT
# Torture: python, sqlite, gcc, a storm of memory calls and the checker run in one guest
# of two nodes while one loop moves all of its memory back and forth, another pages all
# of it out, both as fast as they can, and the validator looks at it again and again. No
# result may differ.
# SOAK=1 goes on for SOAK_SECONDS (600).
# timeout: 600
# also: asan tsan
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/torture_lib.sh"
require_guest

here=$(cd "$(dirname "$0")" && pwd)
run_seconds=${TORTURE_SECONDS:-45}
[ -z "${SOAK:-}" ] || run_seconds=${SOAK_SECONDS:-600}
end_seconds=$((run_seconds + 200))
name=torture
files=$TEST_TMP/job

make_job()
{
	mkdir "$files"
	cp "$here/torture_job.sh" "$files"
	awk 'BEGIN { for (i = 0; i < 30; i++) {
		printf "int f%d(int x) { int s = 0; for (int i = 0; i < x; i++)", i
		printf " s += i * %d ^ x; return s; }\n", i } }' >"$files/job.c"
	(cd "$files" && export WORKLOADS PROGS && bash torture_job.sh expect)
}

guest_lives()
{
	kill -0 "$guest" 2>/dev/null
}

judge_results()
{
	printf '%s PASS\n' python sqlite gcc storm >"$TEST_TMP/wanted"
	"$WORKLOADS/checker" --size 24M --threads 2 --fork 1 --file "$TEST_TMP/shared" --rounds 1 \
		2>/dev/null | grep -v '^ok ' >>"$TEST_TMP/wanted"
	diff -a "$TEST_TMP/wanted" "$TEST_TMP/out" >"$TEST_TMP/difference"
	if [ ! -s "$TEST_TMP/difference" ] && [ "$status" = 0 ]; then
		pass results "$(grep -a rounds "$TEST_TMP/err" | tr '\n' ' ')"
		return
	fi
	tail -n 15 "$TEST_TMP/err" >>"$TEST_TMP/difference"
	fail results "exit status $status; a result is not the native one" "$TEST_TMP/difference"
}

have torture sqlite3 gcc || finish
make_job
(cd "$files" && export WORKLOADS PROGS && exec "$UMM" run --name $name --nodes 2 --mem 512M --swap 1G \
	-- /bin/bash torture_job.sh run "$run_seconds") >"$TEST_TMP/out" 2>"$TEST_TMP/err" </dev/null &
guest=$!
torture_begin_with $guest
sleep "$run_seconds"
touch "$stop"
# Now each program ends the round that it is in.
if ! await_until $((SECONDS + end_seconds)) eval '! guest_lives'; then
	kill -9 $guest
	fail end "the guest did not come to its end in $end_seconds s" "$TEST_TMP/err"
fi
wait $guest
status=$?
torture_end

judge_results
torture_verdicts
finish
