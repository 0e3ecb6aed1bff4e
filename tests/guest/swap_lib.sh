# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests of swap areas share; sourced after lib.sh. An NBD server, one at a time; a disk that is
# soon full:
#
#   nbd_start PLUGIN ARGS...   nbdkit, listening at $socket when this returns; its pid is $server
#   nbd_kill                   kill -9, if it runs
#   loss NAME OPTIONS BREAK MEND
#                              what becomes of a reader of swapped pages while that server is broken
#   small_disk NAME            mount 16 MiB at $small, with a sparse file `swap` of 256 MiB; the test
#                              NAME is skipped where that may not be done
#   swap_cleanup               for the script's end

socket=$TEST_TMP/nbd.sock
server=
small=$TEST_TMP/small

nbd_start()
{
	rm -f "$socket" "$TEST_TMP/nbd.pid"
	# It must not keep open what the script writes to.
	nbdkit -f -U "$socket" -P "$TEST_TMP/nbd.pid" "$@" 2>>"$TEST_TMP/nbd.log" 3>&- &
	server=$!
	await 20 test -e "$TEST_TMP/nbd.pid"
}

nbd_kill()
{
	[ -n "$server" ] || return 0
	kill -9 "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}

# BREAK and MEND are commands. The reader of what is lost dies of SIGBUS and nobody else; who comes
# after MEND finds all well, and so does `umm check`.
loss()
{
	local name=$1 options=$2 out=$TEST_TMP/loss.out pid verdict

	rm -f "$TEST_TMP/full" "$TEST_TMP/go"
	"$UMM" run --name loss --mem 24M --swap "nbd:nbd+unix:///?socket=$socket,$options" \
		-- "$PROGS/swaploss" 64 "$TEST_TMP/full" "$TEST_TMP/go" >"$out" 2>&1 &
	pid=$!
	await 30 test -e "$TEST_TMP/full"
	sleep 0.5
	$3
	await 40 test -s "$out"
	$4
	await 20 sh -c "'$UMM' stat loss 2>/dev/null | grep -q 'connected 4'"
	verdict=$(umm check loss 2>&1)
	touch "$TEST_TMP/go"
	if ! timeout -k 1 60 tail --pid=$pid -f /dev/null; then
		fail "$name" "it hangs" "$out"
		kill -9 $pid
	elif [ "$(cat "$out")" != "first: signal 7
second: exit 0" ]; then
		fail "$name" "not one SIGBUS, then all well" "$out"
	elif ! grep -q 'clean$' <<<"$verdict"; then
		fail "$name" "umm check: $verdict"
	else
		pass "$name" "SIGBUS for the reader alone"
	fi
	wait $pid 2>/dev/null
}

small_disk()
{
	mkdir -p "$small"
	if ! mount -t tmpfs -o size=16m none "$small" 2>"$TEST_TMP/err"; then
		skip "$1" "$(head -n 1 "$TEST_TMP/err")"
		return 1
	fi
	truncate -s 256M "$small/swap"
}

swap_cleanup()
{
	nbd_kill
	! mountpoint -q "$small" || umount "$small"
}
