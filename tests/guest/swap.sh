#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs with a quarter of the memory they want, on each kind of swap area: their output byte for
# byte, every word of what they stored, and the tables clean while they run. Then what goes wrong:
# a full disk, a server that is gone.
# timeout: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/swap_lib.sh"
require_guest
LIMIT=120

cleanup()
{
	[ -z "${loop:-}" ] || losetup -d "$loop"
	swap_cleanup
	rm -rf "$TEST_TMP"
}
trap cleanup EXIT

# swapped NAME: has the guest something in swap?
swapped()
{
	umm stat "$1" --json 2>/dev/null |
		python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["swap"]["used"] == 0)' 2>/dev/null
}

# checker NAME OPTIONS...: a program that verifies each word of 96 MiB in 24 MiB, and `umm check`
# meanwhile.
checker()
{
	local name=$1 log=$TEST_TMP/checker.log pid verdict

	shift
	"$UMM" run --name chk --mem 24M "$@" -- "$WORKLOADS/checker" --size 96M \
		>"$log" 2>&1 &
	pid=$!
	await 20 swapped chk
	verdict=$(umm check chk 2>&1)
	sleep 3
	umm kill chk -s TERM >/dev/null
	if ! wait "$pid" || ! grep -q '^PASS' "$log"; then
		fail "$name" "the program found wrong data, or died" "$log"
	elif ! grep -q 'clean$' <<<"$verdict"; then
		fail "$name" "umm check: $verdict"
	else
		pass "$name" "${verdict%:*}"
	fi
}

# one_kind NAME SPEC...: a real program and the checker on these areas.
one_kind()
{
	local name=$1 options=() spec

	shift
	for spec; do
		options+=(--swap "$spec")
	done
	if have "$name: python" python3; then
		compare "$name: python" --umm "--mem 20M ${options[*]}" \
			-- /usr/bin/python3 -S "$REPO/tests/guest/work.py" bytes
	fi
	checker "$name: every word" "${options[@]}"
}

one_kind file 256M
one_kind ram ram:256M
one_kind lz4 lz4:256M
one_kind zstd zstd:256M,level=1
one_kind lz4-writeback lz4:256M,memory=8M,writeback=256M
one_kind two-areas lz4:256M,memory=8M 256M
if have nbd nbdkit; then
	nbd_start memory 256M
	one_kind nbd "nbd:nbd+unix:///?socket=$socket"
	nbd_kill
fi

# A device.
truncate -s 256M "$TEST_TMP/disk"
if loop=$(losetup -f --show "$TEST_TMP/disk" 2>"$TEST_TMP/err"); then
	checker "loop device" --swap "$loop"
	losetup -d "$loop"
else
	skip "loop device" "$(head -n 1 "$TEST_TMP/err")"
fi
loop=

# A sparse file on a disk of 16 MiB: it is full long before the area is, and the next one is used.
if small_disk "disk full, next area"; then
	checker "disk full, next area" --swap "$small/swap,priority=300" --swap 256M
	umount "$small"
fi

restart_with_image()
{
	nbd_start file "$TEST_TMP/image"
}

# The server goes: a reader dies of SIGBUS, its parent lives; it comes back: all is well again.
if have "nbd: server lost" nbdkit; then
	truncate -s 256M "$TEST_TMP/image"
	restart_with_image
	loss "nbd: server lost" wait=0 nbd_kill restart_with_image
	nbd_kill

	# With patience nobody notices.
	restart_with_image
	out=$TEST_TMP/patient.out
	"$UMM" run --name loss --mem 24M --swap "nbd:nbd+unix:///?socket=$socket,wait=60" \
		-- "$WORKLOADS/checker" --size 64M >"$out" 2>&1 &
	pid=$!
	await 20 swapped loss
	for _ in 1 2 3; do
		nbd_kill
		sleep 0.3
		restart_with_image
		sleep 0.5
	done
	umm kill loss -s TERM >/dev/null
	if wait "$pid" && grep -q '^PASS' "$out"; then
		pass "nbd: server started again"
	else
		fail "nbd: server started again" "the program died or found wrong data" "$out"
	fi
	nbd_kill
fi
finish
