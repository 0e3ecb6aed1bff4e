#!/bin/bash
# SPDX-License-Identifier: MIT
# What swap that fails does to whom. Pages that cannot be read back are SIGBUS for who wants them;
# memory that cannot be reclaimed, as every area is full or fails, is an OOM kill, neither a hang
# nor SIGBUS; nobody else notices. A server that hangs; one that comes back empty: pages that are
# still in memory are kept.
# timeout: 280
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/swap_lib.sh"
require_guest
LIMIT=180

cleanup()
{
	swap_cleanup
	rm -rf "$TEST_TMP"
}
trap cleanup EXIT

# out_of_memory NAME SCRIPT OPTION...: what a shell in the guest runs wants more than there is. The
# largest is killed; the shell, another program and the tables are well.
out_of_memory()
{
	local name=$1 script=$2 status start

	shift 2
	start=$(now)
	umm run --name oom --mem 24M "$@" -- /bin/sh -c "$script" >"$TEST_TMP/out" 2>"$TEST_TMP/err"
	status=$?
	if [ $status = 124 ]; then
		fail "$name" "it hangs" "$TEST_TMP/out"
	elif ! grep -qx 'died 137' "$TEST_TMP/out" || ! grep -qx 'others live' "$TEST_TMP/out" ||
		! grep -q 'out of guest memory: killed process .*checker' "$TEST_TMP/err"; then
		fail "$name" "not the one kill, exit status $status" <(cat "$TEST_TMP/out" "$TEST_TMP/err")
	else
		pass "$name" "$(grep -o 'killed process.*' "$TEST_TMP/err" | head -n 1), $(seconds_since "$start") s"
	fi
}

# greedy SIZE: a sleeper, then one that wants so much; afterwards memory is there for others.
greedy()
{
	cat <<END
sleep 300 & s=\$!
$WORKLOADS/checker --size $1 --rounds 1; echo died \$?
kill -0 \$s && kill \$s && $WORKLOADS/checker --size 8M --rounds 1 && echo others live
END
}
greedy=$(greedy 96M)

# Not even malloc gives more than there can be.
out_of_memory "no swap" "$(greedy 24M)"
out_of_memory "swap full" "$(greedy 40M)" --swap 16M
out_of_memory "compressed memory full" "$greedy" --swap lz4:256M,memory=8M
if small_disk "disk full"; then
	out_of_memory "disk full" "$greedy" --swap "$small/swap"
	umount "$small"
fi
have nbd nbdkit || finish

nbd_start --filter=error memory 256M error-pwrite=EIO error-pwrite-rate=100%
out_of_memory "every write fails" "$greedy" --swap "nbd:nbd+unix:///?socket=$socket"
out_of_memory "every write fails, two areas" "$greedy" \
	--swap "nbd:nbd+unix:///?socket=$socket" --swap 8M
nbd_kill
nbd_start --filter=error memory 256M error-pwrite=ENOSPC error-pwrite-rate=100%
out_of_memory "every write finds the server full" "$greedy" --swap "nbd:nbd+unix:///?socket=$socket"
nbd_kill

# --- pages that cannot be read back ---------------------------------------------------------------

stop()
{
	kill -STOP "$server"
}

another()
{
	nbd_kill
	nbd_start memory 256M
}

nbd_start memory 256M
loss "a server that hangs" wait=0,timeout=2 stop another
loss "a server that comes back empty" wait=20 another true
nbd_kill

# Pages that are in memory as well as on the server: it comes back empty, nothing is lost.
nbd_start memory 256M
mkfifo "$TEST_TMP/in"
"$UMM" run --name cached --mem 64M --swap "nbd:nbd+unix:///?socket=$socket,wait=20" \
	-- "$PROGS/dead_pages" 16 none <"$TEST_TMP/in" >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
exec 3>"$TEST_TMP/in"

# ask LINE STEP: its answer is that line of the output
ask()
{
	echo "$2" >&3
	await 40 sh -c "[ \$(wc -l <'$TEST_TMP/out') -ge $1 ]"
}

reclaim()
{
	umm reclaim cached all >>"$TEST_TMP/said" 2>&1
	umm reclaim cached all >>"$TEST_TMP/said" 2>&1
}

stat_of()
{
	umm stat cached --json | python3 -c 'import json, sys; j = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$1"
}

ask 1 fill
reclaim
ask 2 read
cached=$(stat_of 'j["swap"]["cached"]')
another
await 20 sh -c "'$UMM' stat cached | grep -q 'connected 4'"
written=$(stat_of 'j["events"]["pswpout"]')
reclaim
again=$(($(stat_of 'j["events"]["pswpout"]') - written))
ask 3 read
exec 3>&-
wait $pid
status=$?
if [ "$cached" -lt 3000 ]; then
	fail "a server comes back empty: cached pages" "only $cached pages were in both places"
elif [ $status = 0 ] && [ "$(sed -n 3p "$TEST_TMP/out")" = "0 wrong" ] && [ $again -ge $((cached - 64)) ]; then
	pass "a server comes back empty: cached pages" "$again written again"
else
	fail "a server comes back empty: cached pages" "status $status, $again of $cached written again" \
		"$TEST_TMP/out"
fi
nbd_kill
finish
