#!/bin/bash
# SPDX-License-Identifier: MIT
# Static programs: our workloads and busybox, natively and in the guest.
# timeout: 400
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest

w=$WORKLOADS
compare hello -- "$w/hello"
compare arguments -- "$w/hello" one "two words" "" --status 7
compare spin --no-stderr -- "$w/spin" --work 50000000
compare touch --no-stderr -- "$w/touch" --size 64M
compare touch-random --no-stderr -- "$w/touch" --size 64M --order random
compare seq --no-stderr -- "$w/seq" --size 64M --rounds 2
compare chase --no-stderr -- "$w/chase" --size 32M --steps 1000000
compare stream --no-stderr -- "$w/stream" --size 48M --rounds 3
compare gups --no-stderr -- "$w/gups" --size 128M --updates 3000000 --verify
compare getppid --no-stderr -- "$w/getppid" --calls 5000
compare forker --no-stderr -- "$w/forker" --forks 30 --size 4M
compare checker --no-stderr -- "$w/checker" --size 16M --rounds 6 --threads 3
compare checker-fork --no-stderr -- "$w/checker" --size 8M --rounds 6 --threads 2 --fork 3
compare checker-file --no-stderr -- "$w/checker" --size 4M --rounds 6 --fork 1 --file shared
compare bad-option -- "$w/gups" --size much

if have busybox busybox; then
	b=$(command -v busybox)
	mkdir "$TEST_TMP/input"
	seq 1 2000 >"$TEST_TMP/input/numbers"
	compare busybox-echo -- "$b" echo hello
	compare busybox-sh -- "$b" sh -c 'echo $0; for i in 1 2 3; do echo $((i * i)); done; exit 5'
	compare busybox-stdin --stdin "$TEST_TMP/input/numbers" -- "$b" md5sum
	compare busybox-sha256 -- "$b" sha256sum "$b"
	cat >"$TEST_TMP/input/script" <<'END'
set -e
busybox sort -rn numbers | busybox head -n 20 | busybox tail -n 5 > sorted
busybox cat < sorted
busybox wc -l numbers sorted 2>&1
( cd /; pwd ) >> sorted
if busybox grep -q 1999 numbers; then echo found; fi
x=$(busybox seq 1 5 | busybox tr '\n' ,)
echo "$x" | busybox sed 's/,/;/g'
busybox cat /nonexistent || echo "status $?"
{ echo out; echo err >&2; } 2> errors | busybox cat
i=0
while [ $i -lt 20 ]; do i=$((i + 1)); echo "$i" >> list; done
busybox awk '{ s += $1 } END { print s }' list
busybox mkdir -p a/b/c
echo deep > a/b/c/file
busybox find a
busybox tar cf - a | busybox tar tf -
busybox sleep 0.1 & wait $!
echo "waited $?"
trap 'echo trapped' USR1
kill -USR1 $$
exec busybox sh -c 'echo last; exit 4'
END
	compare busybox-script --input "$TEST_TMP/input" -- "$b" sh script
fi
finish
