#!/bin/bash
# SPDX-License-Identifier: MIT
# --mem is a hard limit, with programs that want four and eight times as much; umm limit
# changes it while they run, and the host's kernel says what that gave back.
# timeout: 400
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=150

# What the kernel says that umm holds, in KiB.
rss()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

# has_filled PID KIB: has the program touched as much?
has_filled()
{
	[ "$(rss "$1")" -gt "$2" ]
}

# has_resident NAME PAGES: has the guest's first process as many pages of its own?
has_resident()
{
	[ "$(umm stat "$1" --json 2>/dev/null | awk '/"resident":/ { n = $2 } END { print n + 0 }')" -ge "$2" ]
}

# run_checked NAME OPTIONS... -- CMD...: the last line must say that every word was right.
run_checked()
{
	local name=$1

	shift
	if umm run -v "$@" >"$TEST_TMP/out" 2>"$TEST_TMP/err" && grep -q '^PASS' "$TEST_TMP/out"; then
		pass "$name" "$(tail -n 1 "$TEST_TMP/out")"
	else
		fail "$name" "the checker failed" "$TEST_TMP/out"
		tail -n 3 "$TEST_TMP/err"
	fi
}

run_checked four-times-the-memory --mem 32M --swap 512M -- \
	"$WORKLOADS/checker" --size 128M --threads 2 --rounds 1
run_checked eight-times-two-nodes --mem 32M --nodes 2 --swap 512M -- \
	"$WORKLOADS/checker" --size 256M --fork 1 --rounds 1

"$UMM" run --name limited --mem 128M --max-mem 256M --swap 512M -- \
	"$WORKLOADS/checker" --size 96M >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
trap 'kill -9 $pid 2>/dev/null; rm -rf "$TEST_TMP"' EXIT
if ! await 30 has_filled $pid 90000; then
	fail limited "the program did not begin" "$TEST_TMP/err"
	finish
fi

before=$(rss $pid)
umm limit limited 32M >"$TEST_TMP/said" 2>&1
status=$?
after=$(rss $pid)
# Tables, umm itself and what one host huge page may bring back come on top.
if [ $status = 0 ] && [ "$before" -gt 80000 ] && [ "$after" -lt $((32768 + 20000)) ]; then
	pass shrink "host RSS $((before / 1024))M, then $((after / 1024))M"
else
	fail shrink "status $status, host RSS $before KiB, then $after KiB" "$TEST_TMP/said"
fi
sleep 1
again=$(rss $pid)
if [ "$again" -lt $((32768 + 20000)) ]; then
	pass it-holds "$((again / 1024))M"
else
	fail it-holds "host RSS $again KiB after a second"
fi
umm limit limited 200M >/dev/null && umm limit limited max >"$TEST_TMP/said"
if [ $? = 0 ] && grep -q '^limit 256M, was 200M' "$TEST_TMP/said"; then
	pass grow
else
	fail grow "said otherwise" "$TEST_TMP/said"
fi
umm limit limited 1G >"$TEST_TMP/said" 2>&1
status=$?
if [ $status = 1 ] && grep -q 'from 2M to 256M' "$TEST_TMP/said"; then
	pass too-much "$(cat "$TEST_TMP/said")"
else
	fail too-much "status $status" "$TEST_TMP/said"
fi
if umm check limited >"$TEST_TMP/said" 2>&1; then
	pass check "$(cat "$TEST_TMP/said")"
else
	fail check "not clean" "$TEST_TMP/said"
fi
umm kill limited -s TERM >/dev/null
checker_verdict $pid

# Without swap nothing can go: the limit says so, and nothing is harmed.
"$UMM" run --name full --mem 96M -- "$WORKLOADS/checker" --size 64M \
	>"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
# Every page of the 64 MiB, or it would still ask for more.
await 30 has_resident full 16384
umm limit full 32M >"$TEST_TMP/said" 2>&1
status=$?
if [ $status = 3 ] && grep -q 'no swap space' "$TEST_TMP/said"; then
	pass no-swap "$(head -n 1 "$TEST_TMP/said")"
else
	fail no-swap "status $status" "$TEST_TMP/said"
fi
umm kill full -s TERM >/dev/null
wait $pid
if grep -q '^PASS' "$TEST_TMP/out"; then
	pass no-swap-every-word-right
else
	fail no-swap-every-word-right "the checker failed" "$TEST_TMP/err"
fi
finish
