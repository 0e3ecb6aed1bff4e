#!/bin/bash
# SPDX-License-Identifier: MIT
# swapon and swapoff by programs of the guest: Debian's own tools on files that are really needed,
# what is refused and to whom, files that are spoiled while pages are in them, confinement.
# No swapon is ever made outside of a guest that could succeed.
# timeout: 300
. "$(dirname "$0")/lib.sh"
require_guest
if [ "$(id -u)" != 0 ]; then
	echo "only root may have swap files"
	exit 77
fi
LIMIT=250
one=$PROGS/swap_one
# Of a file that is not there: nothing but the right to ask is tried.
if [ "$("$one" on "$TEST_TMP/missing")" != ENOENT ]; then
	echo "this root may not call swapon"
	exit 77
fi
if [ "$(stat -f -c %T "$TEST_TMP")" = tmpfs ]; then
	echo "$TEST_TMP is in memory, where no swap file can be; set TMPDIR"
	exit 77
fi
log=$TEST_TMP/log
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$TEST_TMP"' EXIT

# said NAME PATTERN: the log has such a line.
said()
{
	if grep -qE -- "$2" "$log"; then
		pass "$1" "$(grep -E -- "$2" "$log" | tail -n 1)"
	else
		fail "$1" "no line like $2" "$log"
	fi
}

# swap_file FILE MIB
swap_file()
{
	dd if=/dev/zero of="$1" bs=1M count="$2" status=none
	chmod 600 "$1"
	mkswap "$1" >/dev/null
}

# --- Debian's tools, and a program that needs what they give --------------------------------

cat >"$TEST_TMP/tools.sh" <<'EOS'
# $1: the checker. It wants 72M of a guest that has 32M.
# Of the area with these letters in its name.
in_use() { awk -v f="$1" 'index($1, f) { print $4 }' /proc/swaps; }
wait_for() { until "$@"; do sleep 0.05; done; }
holds() { [ "$(in_use "$1")" -gt "$2" ]; }
for name in first 'sec ond'; do
	dd if=/dev/zero of="$name" bs=1M count=128 status=none
	chmod 600 "$name"
	mkswap "$name" >/dev/null || echo "mkswap: $?"
done
swapon first || echo "swapon: $?"
echo "prefers nothing: $(awk 'NR == 2 { print $2, $3, $5 }' /proc/swaps)"
$1 --size 72M --threads 2 >checked 2>&1 &
checker=$!
wait_for holds first 20000
echo "holds pages: yes"
swapon first 2>&1 | sed 's/.*failed: /again: /'
swapoff first 2>&1 | sed 's/.*failed: /no room: /'
swapon --discard -p 7 'sec ond' || echo "swapon: $?"
awk 'NR > 1 { print "area", $1, $2, $3, $5 }' /proc/swaps | sed 's,/[^ ]*/,,'
swapon --show=NAME,TYPE,SIZE,PRIO --noheadings --bytes | tr -s ' ' | sed 's,/[^ ]*/,show ,'
set -- $(awk 'NR > 1 { s += $3 } END { print s }' /proc/swaps) \
	$(awk '/SwapTotal/ { print $2 }' /proc/meminfo) $(free -k | awk '/Swap/ { print $2 }')
[ "$1" = "$2" ] && [ "$2" = "$3" ] && echo "totals agree"
swapoff first && echo "taken away: $?"
wait_for holds ond 20000
echo "areas left: $(($(wc -l </proc/swaps) - 1))"
# Its header is whole: it can be taken again as it is.
swapon -p 0 first && echo "taken again"
swapoff 'sec ond' && wait_for holds first 20000 && echo "back in the first"
kill -TERM $checker
wait $checker
echo "checker: $? $(grep -c '^PASS' checked)"
swapoff first && echo "areas left: $(($(wc -l </proc/swaps) - 1))"
swapoff first 2>&1 | sed 's/.*failed: /no area: /'
EOS

cat >"$TEST_TMP/tools.expected" <<'EOS'
prefers nothing: file 131068 -2
holds pages: yes
again: Device or resource busy
no room: Cannot allocate memory
area sec\040ond file 131068 7
area first file 131068 -2
show sec ond file 134213632 7
show first file 134213632 -2
totals agree
taken away: 0
areas left: 1
taken again
back in the first
checker: 0 1
areas left: 0
no area: Invalid argument
EOS

test_tools()
{
	have tools mkswap swapon swapoff free || return
	mkdir "$TEST_TMP/tools"
	(cd "$TEST_TMP/tools" && umm run --name tools --mem 32M -- \
		bash "$TEST_TMP/tools.sh" "$WORKLOADS/checker") >"$log" 2>&1
	if diff -u "$TEST_TMP/tools.expected" "$log" >"$TEST_TMP/difference"; then
		pass tools "72M in 32M, through two files and back"
	else
		fail tools "said otherwise" "$TEST_TMP/difference"
	fi
	for name in first 'sec ond'; do
		if [ "$(tail -c +4087 "$TEST_TMP/tools/$name" | head -c 10)" = SWAPSPACE2 ]; then
			pass "header-left-${name// /-}"
		else
			fail "header-left-${name// /-}" "it was overwritten"
		fi
	done
	have stress-ng stress-ng || return
	(cd "$TEST_TMP" && umm run --mem 128M -- stress-ng --swap 1 -t 5) >"$log" 2>&1
	said stress-ng-swap '[1-9][0-9]* of .* pages were swapped out'
}

# --- what is refused -------------------------------------------------------------------------

# refuses NAME ANSWER CMD...: in a guest.
refuses()
{
	local name=$1 answer=$2

	shift 2
	umm run "$@" >"$log" 2>&1
	said "$name" "^$answer\$"
}

test_refused()
{
	swap_file "$TEST_TMP/good" 16
	truncate -s 16M "$TEST_TMP/holes"
	chmod 600 "$TEST_TMP/holes"
	mkswap "$TEST_TMP/holes" >/dev/null 2>&1
	refuses holes EINVAL -- "$one" on "$TEST_TMP/holes"
	refuses read-only EROFS --ro -- "$one" on "$TEST_TMP/good"
	refuses read-only-off EROFS --ro -- "$one" off "$TEST_TMP/good"
	refuses the-hosts-own-is-busy EBUSY --swap "$TEST_TMP/good" -- "$one" on "$TEST_TMP/good"
	refuses the-hosts-own-stays EINVAL --swap "$TEST_TMP/good" -- "$one" off "$TEST_TMP/good"
	swap_file "$TEST_TMP/good" 16
	if mount -t tmpfs -o size=17m none "$TEST_TMP/tools" 2>"$log"; then
		swap_file "$TEST_TMP/tools/memory" 16
		refuses in-memory EINVAL -- "$one" on "$TEST_TMP/tools/memory"
		umount "$TEST_TMP/tools"
	else
		skip in-memory "$(head -n 1 "$log")"
	fi
	for i in 1 2 3 4 5 6 7 8 9; do
		cp "$TEST_TMP/good" "$TEST_TMP/many$i"
	done
	refuses too-many 'done done done done done done done done EPERM' -- \
		bash -c "for i in 1 2 3 4 5 6 7 8 9; do $one on $TEST_TMP/many\$i; done | xargs"
	rm "$TEST_TMP"/many*
	refuses random-headers 'random: .*' -- "$one" on "$TEST_TMP/good" random
	swap_file "$TEST_TMP/good" 16
}

# --- confinement -----------------------------------------------------------------------------

test_root()
{
	local root=$TEST_TMP/root

	mkdir -p "$root"/{bin,proc,dev,sys,tmp}
	cp "$one" "$root/bin"
	cp "$TEST_TMP/good" "$root/area"
	ln -s "$TEST_TMP/good" "$root/out"
	refuses root 'done' --root "$root" -- /bin/swap_one on /area
	refuses root-link ENOENT --root "$root" -- /bin/swap_one on /out
	refuses root-dots ENOENT --root "$root" -- /bin/swap_one on "/../$TEST_TMP/good"
}

# --- seen from outside, and spoiled ------------------------------------------------------------

is_full()
{
	test -e "$TEST_TMP/full"
}

# start NAME SWAPFILE: swaploss over that file, in $pid; its log is $log.
start()
{
	rm -f "$TEST_TMP/full" "$TEST_TMP/go"
	"$UMM" run --name "$1" --mem 24M -- bash -c \
		'"$0" on "$1" && exec "$2" 64 "$3/full" "$3/go"' "$one" "$2" "$PROGS/swaploss" \
		"$TEST_TMP" >"$log" 2>&1 &
	pid=$!
	await 40 is_full || fail "$1" "it does not start" "$log"
}

ended()
{
	if ! timeout -k 1 60 tail --pid=$pid -f /dev/null; then
		fail "$1" "it hangs" "$log"
		kill -9 $pid
	fi
	wait $pid 2>/dev/null
	pid=
}

# Bytes that are no text, in the name.
test_seen()
{
	local file=$TEST_TMP/$'na\xffme'

	swap_file "$file" 96
	start seen "$file"
	umm swap seen >"$TEST_TMP/listed" 2>&1
	if grep -qE '^ *0 +file +-2 .*/na\?me$' "$TEST_TMP/listed" &&
		umm swap seen --json | grep -q '"priority": -2'; then
		pass listed "$(tail -n 1 "$TEST_TMP/listed")"
	else
		fail listed "not as it is" "$TEST_TMP/listed"
	fi
	if umm swap seen add "$TEST_TMP/more:96M" >/dev/null &&
		umm swap seen remove 0 >"$TEST_TMP/listed" 2>&1 &&
		! grep -qF 'na?me' "$TEST_TMP/listed" && umm check seen >/dev/null; then
		pass removed-from-outside
	else
		fail removed-from-outside "it is still there" "$TEST_TMP/listed"
	fi
	umm kill seen >/dev/null
	ended seen
}

# Again and again: the guest's own writes make the file longer.
cut_until_first()
{
	truncate -s 4096 "$TEST_TMP/cut"
	grep -q first "$log"
}

# Truncated while 40M are in it: who reads what is gone gets SIGBUS, or zeros where the file was
# written to behind that; umm and who comes after go on.
test_truncated()
{
	swap_file "$TEST_TMP/cut" 96
	start cut "$TEST_TMP/cut"
	await 40 cut_until_first
	umm check cut >"$TEST_TMP/checked" 2>&1 || fail cut-check "not clean" "$TEST_TMP/checked"
	rm "$TEST_TMP/cut"
	touch "$TEST_TMP/go"
	ended cut
	said cut-first '^first: (signal 7|exit 3)$'
	said cut-second '^second: exit 0$'
}

compare swap_calls -- "$PROGS/swap_calls"
test_tools
test_refused
test_root
test_seen
test_truncated
finish
