# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# An NBD server for tests of swap; sourced after lib.sh. One at a time.
#
#   nbd_start PLUGIN ARGS...   nbdkit, listening at $socket when this returns; its pid is $server
#   nbd_kill                   kill -9, if it runs

socket=$TEST_TMP/nbd.sock
server=

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
