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

# Where umm has something, from its stack to what KVM shares with it: to the guest there is nothing.
own_memory()
{
	local guest got

	mkdir -p "$TEST_TMP/own"
	mkfifo "$TEST_TMP/addresses"
	(cd "$TEST_TMP/own" && exec "$UMM" run --swap lz4:16M -- "$PROGS/bad_pointers" given) \
		<"$TEST_TMP/addresses" >"$log" 2>&1 &
	guest=$!
	exec {got}>"$TEST_TMP/addresses"
	if ! await 20 grep -q '^ready$' "$log"; then
		kill -9 "$guest"
		fail own-memory "the program does not begin" "$log"
		return
	fi
	# The first page and one in the middle of each of its mappings.
	python3 - "/proc/$guest/maps" >&"$got" <<'END'
import sys
for line in open(sys.argv[1]):
    start, end = (int(x, 16) for x in line.split()[0].split('-'))
    if line.split()[1][0] == 'r' and end <= 1 << 47:
        print('%x\n%x' % (start, (start + end) // 2 & ~4095))
END
	exec {got}>&-
	wait "$guest"
	verdict own-memory $? '^tried [0-9]{5,}, wrong 0$'
}

fds descriptors --swap 64M --swap lz4:16M --nodes 2
pointers pointers-native timeout "$LIMIT"
pointers pointers umm run --
have own-memory python3 && own_memory
pointers pointers-small-pages umm run --thp never --fault-around 1 --
finish
