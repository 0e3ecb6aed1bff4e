#!/bin/bash
# SPDX-License-Identifier: MIT
# The commands on a running guest: what they say must fit what the guest does.
# timeout: 200
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=100
name=commands
log=$TEST_TMP/said

# says NAME PATTERN CMD...: the command succeeds and prints a line that matches.
says()
{
	local test=$1 pattern=$2

	shift 2
	umm "$@" >"$log" 2>&1
	local status=$?
	# Of a running program a page may be in use just then: migrate says 3.
	if [ $status != 0 ] && [ "$1 $status" != "migrate 3" ]; then
		fail "$test" "umm $* failed, status $status" "$log"
		return 1
	elif ! grep -qE -- "$pattern" "$log"; then
		fail "$test" "umm $* does not say '$pattern'" "$log"
		return 1
	elif [ $status = 3 ] && ! few_stayed "$log" >"$log.stayed"; then
		fail "$test" "$(cat "$log.stayed")" "$log"
		return 1
	fi
	pass "$test"
}

# json CMD... EXPRESSION: evaluate perl's EXPRESSION over the JSON that umm prints, in $j.
json()
{
	local expression=${*: -1}

	umm "${@:1:$#-1}" --json 2>"$log.err" | tee "$log" | perl -MJSON::PP -e '
		local $/; my $j = decode_json(<STDIN>); my $v = eval $ARGV[0];
		die $@ if $@; print defined $v ? $v : "undef", "\n"' "$expression" 2>>"$log.err"
}

guest_listed()
{
	umm ps 2>/dev/null | grep -q -- "$name"
}

# Resident memory of the VMM in KiB: what the host really gave.
host_rss()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$guest/status"
}

"$UMM" run --name $name --nodes 2 --mem 512M --swap 256M -- "$WORKLOADS/checker" --size 64M \
	--fork 1 >"$TEST_TMP/out" 2>"$TEST_TMP/err" </dev/null &
guest=$!
if ! await 10 guest_listed; then
	fail start "umm ps does not list the guest" "$TEST_TMP/err"
	kill -9 $guest 2>/dev/null
	finish
fi
# Filled by both, and looked through once.
await 20 grep -q '^ok' "$TEST_TMP/err" || fail start "the checker does not begin" "$TEST_TMP/err"
pid=$(umm maps $name | awk -F"[ :]" '/^process/ { print $2; exit }')
says ps 'checker' ps
says maps 'checker' maps $name
says maps-pid '\[heap\]|\[stack\]' maps $name --pid "$pid"
says maps-physical '^physical: [1-9][0-9]* pages on host node [0-9]+$' maps $name --physical \
	--pid "$pid"
says stat . stat $name
says migrate . migrate $name --to 1
says migrate-back . migrate $name --to 0 --from 1
says migrate-pid . migrate $name --to 1 --pid "$pid"
range=$(umm maps $name --pid "$pid" | awk '/rw-p/ { print $1; exit }')
says migrate-range . migrate $name --to 0 --pid "$pid" --range "${range:-none}"
# sums TEST WORDS...: every page of the request is in exactly one count.
sums()
{
	local test=$1 sum

	shift
	sum=$(json "$@" '$j->{total} - $j->{moved} - $j->{would_move} - $j->{already_there} -
		$j->{shared} - $j->{pinned} - $j->{busy} - $j->{no_memory} - $j->{failed} -
		$j->{left} - $j->{gone}')
	if [ "$sum" = 0 ]; then
		pass "$test"
	else
		fail "$test" "the counts are $sum off the total" "$log"
	fi
}

sums dry-run migrate $name --to 1 --dry-run
before=$(json migrate $name --to 1 --dry-run '$j->{already_there}')
sums percent migrate $name --to 1 --percent 40
after=$(json migrate $name --to 1 --dry-run '$j->{already_there}')
if [ "$after" -gt "$before" ]; then
	pass percent-moves "$before frames on node 1 before, $after after"
else
	fail percent-moves "$before frames on node 1 before, $after after" "$log"
fi
sums give-back migrate $name --to 0 --give-back
echo "0x${range%%-*}" | umm migrate $name --to 1 --pid "$pid" --shared --pages - >"$log" 2>&1
if grep -qE '^moved ([1-9]|1[0-9]|[0-9]{3}) of' "$log"; then
	pass pages
else
	fail pages "one page of a list was to move" "$log"
fi
sums tries migrate $name --to 1 --tries 2 --pid "$pid" --shared
sums back migrate $name --to 0

# node_is N STATE: by umm, and its memory by what umm's own process has.
node_is()
{
	[ "$(json node $name "\$j->{nodes}[$1]{state}")" = "$2" ]
}

says node '^ +0 +[0-9]+ +online' node $name
says node-compact 'free blocks of 2 MiB' node $name compact 0
says node-offline 'is offline' node $name offline 0
if node_is 0 offline && [ "$(json node $name '$j->{nodes}[0]{used}')" = 0 ]; then
	pass node-is-empty
else
	fail node-is-empty "node 0 is not offline, or something is there" "$log"
fi
used=$(json node $name '$j->{nodes}[1]{used}')
if [ "$used" -gt 8192 ]; then
	pass node-moved "$used frames on node 1"
else
	fail node-moved "$used frames on node 1; the checker alone has 64M" "$log"
fi
if umm node $name offline 1 >"$log" 2>&1 || ! grep -q 'last one that is online' "$log"; then
	fail node-last "the last node must stay" "$log"
else
	pass node-last
fi
if umm migrate $name --to 0 >"$log" 2>&1 || ! grep -q 'not online' "$log"; then
	fail node-no-target "an offline node takes nothing" "$log"
else
	pass node-no-target
fi
# The checker's memory came in 2 MiB leaves, and went as such.
leaves=$(json node $name '$j->{nodes}[1]{folios}[9]')
if [ "$leaves" -ge 24 ]; then
	pass node-leaves "$leaves folios of 2 MiB"
else
	fail node-leaves "only $leaves folios of 2 MiB on node 1"
fi
says node-compact-leaves 'free blocks of 2 MiB' node $name compact 1
says node-check . check $name
says node-online 'node 0 is online' node $name online 0
if node_is 0 online; then
	pass node-is-online
else
	fail node-is-online "node 0 is not online" "$log"
fi
sums migrate-to-online migrate $name --to 0

on_node_1()
{
	[ "$(json node $name '$j->{nodes}[1]{used}')" -gt "$1" ]
}

# A migration at a rate is stopped by Ctrl-C, and tells what it did; 4 MiB/s for a second or more.
used=$(json node $name '$j->{nodes}[1]{used}')
started=$(date +%s%N)
# A shell lets its background programs ignore SIGINT.
perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$UMM" migrate $name --to 1 --rate 4M --json \
	>"$TEST_TMP/migrated" 2>&1 &
migrating=$!
await 20 on_node_1 $((used + 700)) || fail interrupt "nothing comes to node 1" "$TEST_TMP/migrated"
kill -INT $migrating
wait $migrating
status=$?
# What it may have moved by now; some at once.
most=$((($(date +%s%N) - started) / 1000000 * 1024 / 1000 + 512))
cp "$TEST_TMP/migrated" "$log"
moved=$(perl -MJSON::PP -e 'local $/; my $j = decode_json(<STDIN>);
	print $j->{stopped} ? $j->{moved} : "not stopped"' <"$log" 2>&1)
if [ "$status" != 130 ]; then
	fail interrupt "exit status $status, not 130" "$log"
elif [[ $moved =~ ^[0-9]+$ ]] && [ "$moved" -gt 0 ] && [ "$moved" -le $most ]; then
	pass interrupt "$moved frames at 4M, $most allowed"
else
	fail interrupt "$moved frames moved; $most were allowed" "$log"
fi
# A frame of the checker's code, which parent and child share; what is reclaimed may be just that.
code=$(umm maps $name --pid "$pid" | awk '/r-xp/ { sub("-.*", "", $1); print $1; exit }')
says rmap "$code" rmap $name --pid "$pid" --addr "0x$code"
if [ "$(grep -c "$code" "$log")" -ge 2 ]; then
	pass rmap-both "both processes map the page of code"
else
	fail rmap-both "parent and child map that page; fewer are told" "$log"
fi
for words in "ps" "stat $name" "maps $name" "check $name" "node $name" "migrate $name --to 1" \
	"reclaim $name 4M" "rmap $name --pid $pid --addr 0x${range%%-*}"; do
	# shellcheck disable=SC2086
	if [ -n "$(json $words 'ref $j')" ]; then
		pass "json of umm $words"
	else
		fail "json of umm $words" "is no JSON" "$log"
	fi
done

says check . check $name

# While stopped, nothing can come back: the host must get its memory again.
before=$(host_rss)
umm reclaim $name all >"$log" 2>&1
after=$(host_rss)
if [ "$after" -lt "$before" ]; then
	pass reclaim-frees "VmRSS of umm: $before kB before, $after kB after"
else
	fail reclaim-frees "VmRSS of umm: $before kB before, $after kB after" "$log"
fi
says check-after . check $name
says reclaim-pid . reclaim $name 1M --pid "$pid"
says kill '' kill $name
if await 10 eval '! kill -0 $guest 2>/dev/null'; then
	wait $guest
	status=$?
	if [ $status = 137 ]; then
		pass kill-status
	else
		fail kill-status "umm run ended with $status, not 137" "$TEST_TMP/err"
	fi
else
	fail kill-status "the guest is still there"
	kill -9 $guest
fi
if grep -q FAIL "$TEST_TMP/out"; then
	fail memory "the checker found a wrong word" "$TEST_TMP/out"
else
	pass memory
fi
finish
