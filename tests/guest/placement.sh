#!/bin/bash
# SPDX-License-Identifier: MIT
# Placement that acts by itself, with a real program: where its memory is when it begins, and
# how much of it is in the right place after a while. On one host node this is bookkeeping.
# timeout: 300
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=100
name=placement
log=$TEST_TMP/said

# json CMD... EXPRESSION: evaluate perl's EXPRESSION over the JSON that umm prints, in $j.
json()
{
	local expression=${*: -1}

	umm "${@:1:$#-1}" --json 2>"$log.err" | perl -MJSON::PP -e '
		local $/; my $j = decode_json(<STDIN>); my $v = eval $ARGV[0];
		die $@ if $@; print defined $v ? $v : "undef", "\n"' "$expression" 2>>"$log.err"
}

# start OPTIONS... -- PROGRAM OPTIONS: a guest in the background, its program filled and running.
start()
{
	"$UMM" run --name $name "$@" >"$TEST_TMP/out" 2>"$TEST_TMP/err" </dev/null &
	guest=$!
	if ! await 30 grep -qs "^area" "$TEST_TMP/out"; then
		fail start "no areas" "$TEST_TMP/err"
		kill -9 $guest 2>/dev/null
		return 1
	fi
}

# The program ends when told to, with every word right, and the guest with it.
ends_well()
{
	local test=$1

	umm kill -s TERM $name >"$log" 2>&1
	wait $guest
	if ! grep -q '^placed: all words right' "$TEST_TMP/out"; then
		fail "$test" "wrong words, or none" "$TEST_TMP/out"
		return 1
	fi
	pass "$test"
}

# share WHAT I NODE: percent of "area I" or "cold 0" that is on NODE.
share()
{
	local start

	start=$(awk -v w="$1" -v i="$2" '$1 == w && $2 == i { print $3 }' "$TEST_TMP/out")
	json maps $name '
		my ($n, $all) = (0, 0);
		for my $p (@{$j->{processes}}) { for my $a (@{$p->{areas}}) {
			next unless hex($a->{start}) == hex("'"$start"'");
			$n += $a->{on_node}[ '"$3"' ]; $all += $_ for @{$a->{on_node}};
		} } $all ? int(100 * $n / $all) : -1'
}

share_is_at_least()
{
	local now

	now=$(share "$1" "$2" "$3")
	[ "${now:-0}" -ge "$4" ]
}

validates()
{
	if umm check $name >"$log" 2>&1; then
		pass "$1"
	else
		fail "$1" "umm check" "$log"
	fi
}

counter()
{
	json "$1" $name "\$j->{$2}"
}

# --- balancing: the first thread's memory is at home, the second's is not -----------------

# The guest must have a processor on each node, or no thread is far from its memory.
balancing()
{
	local policy=$1 thp=$2 before after

	start --nodes 2 --cpus 2 --mem 256M --thp "$thp" --balance off -- "$WORKLOADS/placed" --threads 2 \
		--mem 16M --seconds 2000 || return
	before=$(share area 1 1)
	if [ "$before" -gt 10 ]; then
		fail "balance $policy, thp $thp: begins far away" "$before % on node 1"
	fi
	umm balance $name "$policy" >"$log" 2>&1 || fail "balance $policy, thp $thp" "cannot be switched on" "$log"
	if await 30 share_is_at_least area 1 1 80; then
		pass "balance $policy, thp $thp: memory comes near" "from $before % to $(share area 1 1) %"
	else
		fail "balance $policy, thp $thp: memory comes near" "$before % before, $(share area 1 1) % now"
		umm balance $name
	fi
	if await 10 share_is_at_least area 0 0 80; then
		after=$(share area 0 0)
		pass "balance $policy, thp $thp: what is at home stays" "$after %"
	else
		fail "balance $policy, thp $thp: what is at home stays" "$(share area 0 0) %"
	fi
	if [ "$(counter balance moved)" -ge 3000 ] &&
		[ "$(counter balance ping_pong)" -le $(($(counter balance moved) / 10)) ]; then
		pass "balance $policy, thp $thp: counters"
	else
		umm balance $name >"$log"
		fail "balance $policy, thp $thp: counters" "few moved, or to and fro" "$log"
	fi
	validates "balance $policy, thp $thp: valid while it runs"
	umm balance $name off >"$log" 2>&1
	validates "balance $policy, thp $thp: valid when off"
	ends_well "balance $policy, thp $thp: every word right"
}

# --- tiering: more than the fast node holds, and what is hot came last ---------------------

tiering()
{
	local policy=$1 thp=$2 before

	start --nodes 2 --cpus 1 --mem 192M --thp "$thp" --slow-nodes 1 -- "$WORKLOADS/placed" --threads 1 \
		--mem 32M --cold 88M --seconds 2000 --unbound || return
	before=$(share area 0 0)
	if [ "$before" -gt 60 ]; then
		fail "tier $policy, thp $thp: begins on the slow node" "$before % is on the fast one"
	fi
	umm tier $name "$policy" >"$log" 2>&1 || fail "tier $policy, thp $thp" "cannot be switched on" "$log"
	if await 30 share_is_at_least area 0 0 85; then
		pass "tier $policy, thp $thp: hot memory gets fast" "from $before % to $(share area 0 0) %"
	else
		fail "tier $policy, thp $thp: hot memory gets fast" "$before % before, $(share area 0 0) % now"
		umm tier $name
	fi
	if [ "$(counter tier promoted)" -ge 3000 ] && [ "$(counter tier demoted)" -ge 2000 ]; then
		pass "tier $policy, thp $thp: counters"
	else
		umm tier $name >"$log"
		fail "tier $policy, thp $thp: counters" "too few" "$log"
	fi
	validates "tier $policy, thp $thp: valid while it runs"
	umm tier $name off >"$log" 2>&1
	ends_well "tier $policy, thp $thp: every word right"
}

# --- mistakes ------------------------------------------------------------------------------

# refuses NAME PATTERN CMD...
refuses()
{
	local test=$1 pattern=$2

	shift 2
	if umm "$@" >"$log" 2>&1 </dev/null; then
		fail "$test" "umm $* succeeds" "$log"
	elif grep -qE -- "$pattern" "$log"; then
		pass "$test"
	else
		fail "$test" "umm $* does not say '$pattern'" "$log"
	fi
}

mistakes()
{
	refuses "unknown policy" "no policy 'nonsense'; there are on, off, two-fault" \
		run --balance nonsense -- true
	refuses "a policy of the other kind" "there are on, off, recency" run --tier majority -- true
	refuses "bad list" "no list of nodes" run --slow-nodes 1,,2 -- true
	refuses "one node" "one node only" run --nodes 1 --balance on -- true
	refuses "all nodes slow" "not all" run --nodes 2 --slow-nodes 0-1 --tier on -- true
	start --nodes 2 --cpus 1 --mem 64M -- "$WORKLOADS/placed" --threads 1 --mem 1M \
		--seconds 2000 --unbound || return
	umm tier $name sampling >"$log" 2>&1 || fail "tier" "cannot be switched on" "$log"
	refuses "slow nodes while it is on" "switch it off" tier $name --slow 1
	ends_well "every word right"
}

mistakes
balancing two-fault always
tiering recency always
# With a sanitized umm it is about the leaves.
if [[ $UMM != */build/asan/* ]]; then
	balancing majority never
	tiering recency never
	tiering sampling always
fi
finish
