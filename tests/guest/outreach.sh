#!/bin/bash
# SPDX-License-Identifier: MIT
# What a guest must not reach of umm: its descriptors, by any number or name, and its memory, by
# any pointer. The table of wrong pointers is true of Linux, too, or the native run would fail.
# timeout: 150
. "$(dirname "$0")/lib.sh"
require_guest

log=$TEST_TMP/log

# verdict NAME STATUS PATTERN: of a program that counts what went wrong.
verdict()
{
	if [ "$2" = 0 ] && grep -qE "$3" "$log"; then
		pass "$1" "$(tail -n 1 "$log")"
	else
		fail "$1" "exit status $2" "$log"
	fi
}

# fds NAME OPTIONS...
fds()
{
	local name=$1

	shift
	mkdir -p "$TEST_TMP/fds"
	printf stdin >"$TEST_TMP/in"
	(cd "$TEST_TMP/fds" && umm run "$@" -- "$PROGS/vmm_fds") <"$TEST_TMP/in" >"$log" 2>&1
	verdict "$name" $? '^tried [0-9]{5,}, reached 0$'
	[ "$(cat "$TEST_TMP/in")" = stdin ] || fail "$name-input" "the input changed"
}

pointers()
{
	local name=$1

	shift
	mkdir -p "$TEST_TMP/pointers"
	(cd "$TEST_TMP/pointers" && "$@" "$PROGS/bad_pointers") >"$log" 2>&1 </dev/null
	verdict "$name" $? '^tried [0-9]{3,}, wrong 0$'
}

fds descriptors --swap 64M --swap lz4:16M --nodes 2
pointers pointers-native timeout "$LIMIT"
pointers pointers umm run --
pointers pointers-small-pages umm run --thp never --fault-around 1 --
finish
