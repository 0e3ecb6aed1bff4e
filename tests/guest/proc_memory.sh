#!/bin/bash
# SPDX-License-Identifier: MIT
# The files of /proc and /sys that tell of pages: pagemap, clear_refs, mem, kpageflags,
# kpagecount, page_idle; and /proc/sys/vm, which acts. Natively is right where the kernel has them.
# timeout: 150
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest

if [ "$(id -u)" = 0 ] && [ -r /proc/kpageflags ]; then
	compare pagemap --umm "--fault-around 1" -- "$PROGS/pagemap"
else
	skip pagemap "needs root and /proc/kpageflags"
fi
if [ "$(printf '6.7\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.7 ]; then
	compare pagemap_scan --umm "--fault-around 1" -- "$PROGS/pagemap_scan"
else
	skip pagemap_scan "Linux has PAGEMAP_SCAN since 6.7, this is $(uname -r)"
fi
compare proc_mem -- "$PROGS/proc_mem"

# expect NAME FILE CMD...: its output is known.
expect()
{
	local name=$1 file=$2

	shift 2
	if ! (cd "$TEST_TMP" && umm "$@" >out 2>err); then
		cat "$TEST_TMP/err" >>"$TEST_TMP/out"
		fail "$name" "exit status is not 0" "$TEST_TMP/out"
	elif ! diff -u "$REPO/tests/guest/$file" "$TEST_TMP/out" >"$TEST_TMP/difference"; then
		fail "$name" "not what Linux does" "$TEST_TMP/difference"
	else
		pass "$name"
	fi
}

# says NAME TEXT ARGS...: how tests/guest/progs/balance.c finds reclaim and swap-in.
says()
{
	local name=$1 text=$2

	shift 2
	(cd "$TEST_TMP" && umm run --mem 64M --swap 128M -- "$PROGS/balance" "$@" >out 2>err)
	if [ "$(tail -n 1 "$TEST_TMP/out")" = "$text" ]; then
		pass "$name" "$(tail -n 1 "$TEST_TMP/err")"
	else
		cat "$TEST_TMP/err" >>"$TEST_TMP/out"
		fail "$name" "not: $text" "$TEST_TMP/out"
	fi
}

expect soft_dirty soft_dirty.txt run --swap 64M -- "$PROGS/soft_dirty"
if [ "$(id -u)" = 0 ]; then
	expect page_idle page_idle.txt run --fault-around 1 -- "$PROGS/page_idle"
	expect sysctl_vm sysctl_vm.txt run --mem 256M -- "$PROGS/sysctl_vm"
	if [ "$(printf '6.3\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.3 ]; then
		expect sysctl_memfd sysctl_memfd.txt run -- "$PROGS/sysctl_vm" memfd
	else
		skip sysctl_memfd "Linux has memfd_noexec since 6.3, this is $(uname -r)"
	fi
	says swappiness-0 "the file's went" 0
	says swappiness-200 'what was stored to went' 200
	says page-cluster-0 'one fault brings 1' 100 0
	says page-cluster-2 'one fault brings 4' 100 2
else
	skip page_idle "needs root"
	skip sysctl_vm "needs root"
	skip sysctl_memfd "needs root"
	skip swappiness-0 "needs root"
	skip swappiness-200 "needs root"
	skip page-cluster-0 "needs root"
	skip page-cluster-2 "needs root"
fi

# under NAME CMD...: while it runs its memory is moved and reclaimed, and checked.
under()
{
	local name=$1 pid rounds=0

	shift
	"$UMM" run --name "$name" --nodes 2 --mem 64M --swap 64M -- "$@" >"$TEST_TMP/out" \
		2>"$TEST_TMP/err" &
	pid=$!
	if await 20 grep -q ready "$TEST_TMP/out"; then
		while kill -0 $pid 2>/dev/null; do
			rounds=$((rounds + 1))
			umm migrate "$name" --to $((rounds % 2)) >"$TEST_TMP/said" 2>&1
			umm reclaim "$name" all >"$TEST_TMP/said" 2>&1
			umm check "$name" >"$TEST_TMP/said" 2>&1
			# 1: it found something wrong; others: there is no such guest any more.
			if grep -q '^first:' "$TEST_TMP/said"; then
				fail "$name" "umm check" "$TEST_TMP/said"
			fi
		done
	fi
	if ! wait $pid || ! grep -q '^PASS\|^alive' "$TEST_TMP/out"; then
		cat "$TEST_TMP/err" >>"$TEST_TMP/out"
		fail "$name" "did not come to a good end" "$TEST_TMP/out"
	else
		pass "$name" "$(tail -n 1 "$TEST_TMP/out"), moved and reclaimed $rounds times"
	fi
}

under soft_dirty_moving "$PROGS/soft_dirty" loop 5
under proc_race "$PROGS/proc_race" 8
finish
