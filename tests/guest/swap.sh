#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs with a quarter of the memory they want, on each kind of swap area: their output byte for
# byte, every word of what they stored, and the tables clean while they run. Then what goes wrong:
# a full disk, a server that is gone.
# timeout: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nbd_lib.sh"
require_guest
LIMIT=120

cleanup()
{
	nbd_kill
	[ -z "${loop:-}" ] || losetup -d "$loop"
	mountpoint -q "$TEST_TMP/small" && umount "$TEST_TMP/small"
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
	"$UMM" run --name chk --mem 24M "$@" -- "$WORKLOADS/checker" --size 96M --seconds 3 \
		>"$log" 2>&1 &
	pid=$!
	await 20 swapped chk
	verdict=$(umm check chk 2>&1)
	if ! wait "$pid" || ! grep -q '^PASS' "$log"; then
		fail "$name" "the program found wrong data, or died" "$log"
	elif ! grep -q 'clean$' <<<"$verdict"; then
		fail "$name" "umm check: $verdict"
	else
		pass "$name" "${verdict%:*}"
	fi
}

# A dictionary, a sort and hashes: some 60 MiB in 20.
cat >"$TEST_TMP/work.py" <<'END'
import hashlib
d = {i: ("value %d" % (i * 7919)) * 3 for i in range(150000)}
order = sorted(d, key=lambda i: d[i])
h = hashlib.sha256()
for i in order:
    h.update(d[i].encode())
print(len(d), order[:5], h.hexdigest())
b = bytearray(range(256)) * 80000
b[::4099] = bytes(len(b[::4099]))
print(hashlib.md5(bytes(reversed(b))).hexdigest())
END

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
			-- /usr/bin/python3 -S "$TEST_TMP/work.py"
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
mkdir "$TEST_TMP/small"
if mount -t tmpfs -o size=16m none "$TEST_TMP/small" 2>"$TEST_TMP/err"; then
	truncate -s 256M "$TEST_TMP/small/swap"
	checker "disk full, next area" --swap "$TEST_TMP/small/swap,priority=300" --swap 256M
	umount "$TEST_TMP/small"
else
	skip "disk full, next area" "$(head -n 1 "$TEST_TMP/err")"
fi

# The server goes: a reader dies of SIGBUS, its parent lives; it comes back: all is well again.
if have "nbd: server lost" nbdkit; then
	truncate -s 256M "$TEST_TMP/image"
	nbd_start file "$TEST_TMP/image"
	out=$TEST_TMP/loss.out
	"$UMM" run --name loss --mem 24M --swap "nbd:nbd+unix:///?socket=$socket,wait=0" \
		-- "$PROGS/swaploss" 64 "$TEST_TMP/full" "$TEST_TMP/go" >"$out" 2>&1 &
	pid=$!
	await 30 test -e "$TEST_TMP/full"
	sleep 0.5
	nbd_kill
	await 20 test -s "$out"
	nbd_start file "$TEST_TMP/image"
	await 20 sh -c "'$UMM' stat loss | grep -q 'connected 4'"
	verdict=$(umm check loss 2>&1)
	touch "$TEST_TMP/go"
	wait "$pid"
	if [ "$(cat "$out")" != "first: signal 7
second: exit 0" ]; then
		fail "nbd: server lost" "not one SIGBUS, then all well" "$out"
	elif ! grep -q 'clean$' <<<"$verdict"; then
		fail "nbd: server lost" "umm check: $verdict"
	else
		pass "nbd: server lost" "SIGBUS for the reader alone"
	fi
	nbd_kill

	# With patience nobody notices.
	nbd_start file "$TEST_TMP/image"
	"$UMM" run --name loss --mem 24M --swap "nbd:nbd+unix:///?socket=$socket,wait=60" \
		-- "$WORKLOADS/checker" --size 64M --seconds 6 >"$out" 2>&1 &
	pid=$!
	await 20 swapped loss
	for _ in 1 2 3; do
		nbd_kill
		sleep 0.3
		nbd_start file "$TEST_TMP/image"
		sleep 0.5
	done
	if wait "$pid" && grep -q '^PASS' "$out"; then
		pass "nbd: server started again"
	else
		fail "nbd: server started again" "the program died or found wrong data" "$out"
	fi
	nbd_kill
fi
finish
