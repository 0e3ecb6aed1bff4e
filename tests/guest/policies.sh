#!/bin/bash
# SPDX-License-Identifier: MIT
# Reclaim policies under a real program that checks its memory: each from the start, all in
# turn while it runs, one from a shared object; and traces replayed by umm sim.
# timeout: 300
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=180
name=policies
log=$TEST_TMP/said
policies=(active_inactive fifo clock mglru damon random)

json()
{
	local expression=${*: -1}

	umm "${@:1:$#-1}" --json 2>"$log.err" | perl -MJSON::PP -e '
		local $/; my $j = decode_json(<STDIN>); my $v = eval $ARGV[0];
		die $@ if $@; print defined $v ? $v : "undef", "\n"' "$expression" 2>>"$log.err"
}

# A program whose memory is twice the guest's.
for policy in "${policies[@]}"; do
	if umm run --policy "$policy" --mem 24M --swap 256M -- "$WORKLOADS/checker" --size 40M \
		--rounds 2 >"$log" 2>&1 && grep -q '^PASS' "$log"; then
		pass "checker under $policy"
	else
		fail "checker under $policy" "it did not pass" "$log"
	fi
done

knows_pages()
{
	[ "$(json policy $name '$j->{nodes}[0]{pages}')" -gt "$1" ] 2>/dev/null
}

has_refaults()
{
	[ "$(json policy $name '$j->{events}{workingset_refault_anon}')" -gt 0 ] 2>/dev/null
}

# Switching while it runs: all pages stay known, the policy is the one asked for.
"$UMM" run --name $name --mem 24M --swap 256M -- "$WORKLOADS/checker" --size 40M \
	>"$TEST_TMP/out" 2>&1 </dev/null &
guest=$!
await 20 umm policy $name >"$log" 2>&1 || fail "umm policy" "no answer" "$log"
for policy in "${policies[@]}"; do
	got=$(json policy $name "$policy" '$j->{policy}')
	if [ "$got" = "$policy" ] && await 20 knows_pages 3000; then
		sleep 0.3
		pass "switch to $policy"
	else
		fail "switch to $policy" "policy $got, $(json policy $name '$j->{nodes}[0]{pages}') pages" "$log.err"
	fi
done
if await 20 has_refaults; then pass "refaults"; else fail "refaults" "none counted"; fi

# One of our own, and some that must be refused.
if have "a policy from a shared object" gcc; then
	example=$REPO/tests/guest/policies/mru.c
	build_policy()
	{
		gcc -shared -fPIC -O2 -I"$REPO/include" "${@:2}" -o "$TEST_TMP/$1" "$example" 2>"$log"
	}
	# refused FILE WHY: umm says so, and the policy stays.
	refused()
	{
		if umm policy $name "$TEST_TMP/$1" >"$log" 2>&1; then
			fail "refuse $1" "it was taken"
		elif ! grep -q "$2" "$log"; then
			fail "refuse $1" "the message does not say '$2'" "$log"
		else
			pass "refuse $1"
		fi
	}
	if (cd "$TEST_TMP" && build_policy mru.so && umm policy $name ./mru.so >"$log" 2>&1) &&
		[ "$(json policy $name '$j->{policy}')" = mru ]; then
		pass "a policy from a shared object"
	else
		fail "a policy from a shared object" "not switched" "$log"
	fi
	sleep 0.5
	sed 's/\.abi = .*/.abi = 4711,/' "$example" >"$TEST_TMP/other.c"
	gcc -shared -fPIC -I"$REPO/include" -o "$TEST_TMP/other.so" "$TEST_TMP/other.c"
	refused other.so "ABI 4711"
	sed 's/\.victim = .*//; s/^static struct folio \*mru_victim/struct folio *mru_victim/' \
		"$example" >"$TEST_TMP/lame.c"
	gcc -shared -fPIC -I"$REPO/include" -o "$TEST_TMP/lame.so" "$TEST_TMP/lame.c"
	refused lame.so "function that must be there"
	echo 'int x;' | gcc -shared -fPIC -x c -o "$TEST_TMP/empty.so" -
	refused empty.so "no policy"
	echo text >"$TEST_TMP/text.so"
	refused text.so "cannot load"
	refused missing.so "No such file"
	# docs/policies.md shows the example whole.
	if sed -n '/^#include/,$p' "$example" | while IFS= read -r line; do
		grep -qxF -- "$line" "$REPO/docs/policies.md" || { echo "$line" >"$log"; exit 1; }
	done; then
		pass "the example in docs/policies.md"
	else
		fail "the example in docs/policies.md" "a line is not as in the tested one" "$log"
	fi
fi
if umm check $name >"$log" 2>&1; then pass "umm check"; else fail "umm check" "unclean" "$log"; fi
umm kill $name -s TERM >/dev/null
wait $guest
if grep -q '^PASS' "$TEST_TMP/out"; then
	pass "checker under all of them"
else
	fail "checker under all of them" "it did not pass" "$TEST_TMP/out"
fi

# A trace of a real run, and what must hold of any replay.
trace=$TEST_TMP/trace
"$WORKLOADS/chase" --size 8M --steps 100000 --trace "$trace" >"$log" 2>&1 ||
	fail "record a trace" "the workload failed" "$log"
bad=$(json sim "$trace" --policy all --mem 50,25 '
	my %best; my $bad = 0;
	for (@{$j->{results}}) { $best{$_->{mem}} = $_->{faults} if $_->{policy} eq "optimum" }
	for (@{$j->{results}}) { $bad++ if $_->{faults} < $best{$_->{mem}} }
	@{$j->{results}} == 14 ? $bad : "results: " . @{$j->{results}}')
if [ "$bad" = 0 ]; then pass "umm sim"; else fail "umm sim" "$bad" "$log.err"; fi
head -c 300 "$trace" >"$trace.cut"
if umm sim "$trace.cut" >"$log" 2>&1; then
	fail "umm sim with a broken trace" "it was taken"
elif grep -q "cut short" "$log"; then
	pass "umm sim with a broken trace"
else
	fail "umm sim with a broken trace" "the message does not say what is wrong" "$log"
fi
finish
