#!/bin/bash
# SPDX-License-Identifier: MIT
# Reclaim by holes: programs run byte for byte and find every word while their memory is taken and
# comes back, while others migrate and page out the same frames, and near a limit of host memory.
# The host gets the memory, and umm stat tells of it. A device that fails: nobody but who wants the
# page is told. A device that is slow: nobody else waits for it.
# timeout: 280
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/swap_lib.sh"
require_guest
LIMIT=250

cleanup()
{
	nbd_kill
	rm -rf "$TEST_TMP"
}
trap cleanup EXIT

# stat_of NAME EXPRESSION: of the answer j of umm stat
stat_of()
{
	umm stat "$1" --json 2>/dev/null | python3 -c 'import json, sys; j = json.load(sys.stdin)
print(int(eval(sys.argv[1])))' "$2" 2>/dev/null
}

# has NAME EXPRESSION: is it more than 0?
has()
{
	[ "$(stat_of "$1" "$2")" -gt 0 ] 2>/dev/null
}

# --- mistakes ---------------------------------------------------------------------------------------

refused()
{
	local name=$1 text=$2

	shift 2
	if umm "$@" >"$TEST_TMP/out" 2>&1 || ! grep -q -- "$text" "$TEST_TMP/out"; then
		fail "$name" "no clear refusal" "$TEST_TMP/out"
	else
		pass "$name" "$(head -n 1 "$TEST_TMP/out")"
	fi
}

"$UMM" run --name plain --mem 32M -- sleep 100 &
pid=$!
await 20 umm stat plain >/dev/null 2>&1
refused "a guest without holes" "umm run --holes" reclaim plain all --mechanism hole
refused "no such mechanism" "unmap or hole" reclaim plain all --mechanism magic
umm kill plain >/dev/null
wait $pid
refused "a limit without holes" "needs holes" run --resident 16M -- true
refused "an area that cannot be" "cannot open" run --holes /nonexistent/x -- true

# --- taken while they run ---------------------------------------------------------------------------

# take SECONDS OPTIONS...: the checker for so long, all of it made holes again and again; $with is called between.
# How many holes, touches and pages that stayed is left in $out.
take()
{
	local seconds=$1 pid rounds=0

	shift
	: >"$check"
	"$UMM" run --name chk --mem 128M --stat "$TEST_TMP/stat" "$@" -- "$WORKLOADS/checker" \
		--size 12M --threads 2 --fork 1 --file "$TEST_TMP/shared" --file-size 4M --seconds "$seconds" \
		>"$log" 2>&1 &
	pid=$!
	await 30 eval "grep -q '^ok' '$log' || ! kill -0 $pid 2>/dev/null"
	while kill -0 $pid 2>/dev/null; do
		umm reclaim chk all --mechanism hole >>"$TEST_TMP/said" 2>&1
		$with $rounds
		umm check chk >>"$check" 2>>"$TEST_TMP/said"
		rounds=$((rounds + 1))
	done
	wait $pid
	out=$(python3 -c 'import json, sys; h = json.load(open(sys.argv[1]))["holes"]
print(h["out"], h["faults"], h["stayed"])' "$TEST_TMP/stat")
}

took_enough()
{
	grep -q 'clean$' "$check" && awk '{ exit !($1 > 3000 && $2 > 1000) }' <<<"$out"
}

# taken NAME OPTIONS...
taken()
{
	local name=$1 log=$TEST_TMP/checker.log check=$TEST_TMP/check out seconds

	shift
	# Longer on a machine so busy that hardly any holes come about.
	for seconds in 5 20 60; do
		take $seconds "$@"
		! took_enough && grep -q '^PASS' "$log" || break
	done
	if ! grep -q '^PASS' "$log"; then
		fail "$name" "the program found wrong data, or died" "$log"
	elif ! grep -q 'clean$' "$check" || grep -v 'clean$' "$check"; then
		fail "$name" "umm check" "$check"
	elif ! took_enough; then
		fail "$name" "hardly any holes, or nobody touched them: $out" "$TEST_TMP/said"
	else
		pass "$name" "holes, touched, stayed: $out"
	fi
}

nothing_more()
{
	:
}

moved_and_paged_out()
{
	umm migrate chk --to $(($1 % 2)) >>"$TEST_TMP/said" 2>&1
	umm reclaim chk 8M >>"$TEST_TMP/said" 2>&1
}

with=nothing_more
taken "holes in a file" --holes 128M
taken "holes in compressed memory" --holes lz4:128M
taken "holes in 2 MiB leaves" --holes ram:128M --thp 2M:always
with=moved_and_paged_out
taken "with migration and unmapping" --holes ram:128M --nodes 2 --swap ram:128M

# --- near a limit of host memory --------------------------------------------------------------------

# near_limit NAME MIB: was the last run, by what it left in the file stat?
near_limit()
{
	local out

	out=$(python3 -c 'import json, sys; h = json.load(open(sys.argv[1]))["holes"]
print(h["out"], h["faults"], h["resident_peak_bytes"] >> 20)' "$TEST_TMP/stat")
	if awk -v most=$(($2 + 12)) '{ exit !($1 > 1000 && $2 > 100 && $3 < most) }' <<<"$out"; then
		pass "$1: it is kept" "holes, touched, most MiB: $out"
	else
		fail "$1: it is kept" "holes, touched, most MiB: $out"
	fi
}

cat >"$TEST_TMP/work.py" <<'END'
import hashlib, os
d = {i: ("value %d" % (i * 7919)) * 3 for i in range(60000)}
order = sorted(d, key=lambda i: d[i])
h = hashlib.sha256()
for i in order:
    h.update(d[i].encode())
print(len(d), order[:5], h.hexdigest())
pid = os.fork()
if not pid:
    d[7] = "other"
    os._exit(len(d) == 60000 and d[8].startswith("value"))
print(os.waitpid(pid, 0)[1], d[7])
END
if have "python near a limit" python3; then
	compare "python near a limit" --umm "--mem 256M --holes ram:256M --resident 16M --stat $TEST_TMP/stat" \
		-- python3 "$TEST_TMP/work.py"
	near_limit "python near a limit" 16
fi
if have "gcc near a limit" gcc; then
	mkdir "$TEST_TMP/gcc"
	python3 -c 'for i in range(100):
    print("int f%d(int x) { return x %% %d ? x * %d : f(x); }" % (i, i + 2, i + 3) if i else
          "int f(int x) { return x + 1; }")' >"$TEST_TMP/gcc/many.c"
	compare "gcc near a limit" --input "$TEST_TMP/gcc" \
		--umm "--mem 256M --holes ram:256M --resident 24M --stat $TEST_TMP/stat" \
		-- gcc -O2 -S -o many.s many.c
	near_limit "gcc near a limit" 24
fi
if have "sqlite near a limit" sqlite3; then
	cat >"$TEST_TMP/work.sql" <<'END'
pragma cache_size = 4000;
create table t(id integer primary key, name text, x int);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000)
insert into t select i, 'name ' || (i * 7919 % 40009), i % 97 from n;
create index by_name on t(name);
update t set x = x + 1 where name like '%7%';
select count(*), sum(x), min(name), max(name) from t;
select x, count(*) from t group by x order by 2 desc, 1 limit 5;
pragma integrity_check;
END
	compare "sqlite near a limit" --stdin "$TEST_TMP/work.sql" \
		--umm "--mem 256M --holes lz4:256M --resident 4M --stat $TEST_TMP/stat" -- sqlite3 :memory:
	near_limit "sqlite near a limit" 4
fi
for prog in mem_storm mem_remap mem_fault threads; do
	compare "$prog near a limit" --umm "--mem 128M --holes ram:128M --resident 4M" -- "$PROGS/$prog"
done

# Moved round three nodes, 12 MiB leave twice as much free behind: that goes, as there is room
# for what is in use and for as much on its way, and nothing in use becomes a hole.
rm -f "$TEST_TMP/out"
"$UMM" run --name moved --nodes 3 --mem 256M --thp never --holes ram:256M --resident 28M \
	-- "$WORKLOADS/hold" --size 12M >"$TEST_TMP/out" 2>&1 &
pid=$!
await 30 grep -q ready "$TEST_TMP/out"
moved=0
for to in 1 2 0 1 2; do
	umm migrate moved --to $to --json >"$TEST_TMP/moves" 2>&1
	moved=$((moved + $(python3 -c 'import json, sys
print(json.load(open(sys.argv[1])).get("moved", 0))' "$TEST_TMP/moves" || echo 0)))
	await 30 has moved 'j["holes"]["resident_bytes"] <= 28 << 20'
done
holes=$(stat_of moved 'j["holes"]["out"]')
# Where the program began may be where the first move goes.
if [ "$moved" -ge $((4 * 3072)) ] && [ "${holes:-9999}" -lt 100 ]; then
	pass "moved near a limit" "$moved pages, $holes holes made"
else
	fail "moved near a limit" "$moved pages, $holes holes made" "$TEST_TMP/moves"
fi
umm kill moved >/dev/null
wait $pid

# --- the host gets the memory -------------------------------------------------------------------------

"$UMM" run --name idle --mem 128M --holes 128M -- "$WORKLOADS/hold" --size 64M \
	>"$TEST_TMP/out" 2>&1 &
pid=$!
await 30 has idle 'j["rss_bytes"] > 64 << 20'
umm reclaim idle all --mechanism hole >"$TEST_TMP/said" 2>&1
rss=$(stat_of idle 'j["rss_bytes"] >> 20')
# What stands behind the guest for the host's kernel, not by our own books.
anon=$(awk '/^RssAnon/ { print int($2 / 1024) }' /proc/$pid/status)
entries=$(stat_of idle 'j["processes"][0]["resident"] * 4 >> 10')
if [ "${rss:-99}" -le 8 ] && [ "$entries" -ge 64 ]; then
	pass "the host gets the memory" "$rss MiB behind $entries MiB that are mapped, RssAnon $anon MiB"
else
	fail "the host gets the memory" "$rss MiB behind $entries MiB mapped" "$TEST_TMP/said"
fi

# What umm stat says of holes adds up, as text too; umm check reads none of them back.
books='h = j["holes"]; print(h["frames"] > 16000 and h["out"] == h["frames"] + h["in"] + h["dropped"]
	and 16000 < h["slots_used"] <= h["frames"] and h["slots"] == 128 << 8
	and h["waiting_for_device"] == 0 and j["rss_bytes"] == h["resident_bytes"])'
stat_books()
{
	umm stat idle --json | python3 -c "import json, sys; j = json.load(sys.stdin); $books"
}
before=$(stat_of idle 'j["holes"]["frames"]')
verdict=$(umm check idle 2>&1)
after=$(stat_of idle 'j["holes"]["frames"]')
umm stat idle >"$TEST_TMP/stat.txt" 2>&1
if [ "$(stat_books)" != True ]; then
	fail "umm stat of a guest with holes" "it does not add up" "$TEST_TMP/stat.txt"
elif ! grep -q '^holes: file' "$TEST_TMP/stat.txt" ||
	! grep -qE "^ +frames +$after\$" "$TEST_TMP/stat.txt"; then
	fail "umm stat of a guest with holes" "as text" "$TEST_TMP/stat.txt"
elif ! grep -q 'clean$' <<<"$verdict" || [ "$before" != "$after" ]; then
	fail "umm check of a guest with holes" "$before holes before, $after after: $verdict"
else
	pass "umm stat and umm check of a guest with holes" "$after holes"
fi
umm kill idle >/dev/null
wait $pid

# --- a device that fails -------------------------------------------------------------------------------

have "a device that fails" nbdkit || finish
nbd="nbd:nbd+unix:///?socket=$socket"

# Writes: nothing goes, nothing is lost.
nbd_start --filter=error memory 256M error-pwrite=EIO error-pwrite-rate=100%
"$UMM" run --name bad --mem 128M --holes "$nbd" -- "$WORKLOADS/checker" --size 32M >"$TEST_TMP/out" 2>&1 &
pid=$!
await 30 grep -q '^ok' "$TEST_TMP/out"
umm reclaim bad all --mechanism hole >"$TEST_TMP/said" 2>&1
status=$?
errors=$(stat_of bad 'j["holes"]["write_errors"]')
umm kill bad -s TERM >/dev/null
wait $pid
if [ $status = 1 ] && [ "${errors:-0}" -gt 1000 ] && grep -q '^PASS' "$TEST_TMP/out"; then
	pass "every write fails" "$errors errors told, nothing lost"
else
	fail "every write fails" "status $status, $errors errors" <(cat "$TEST_TMP/out" "$TEST_TMP/said")
fi
nbd_kill

# Reads: SIGBUS for who wants the page. Its parent, whose memory is locked, lives; the next child, too.
broken=$TEST_TMP/broken
nbd_start --filter=error memory 256M error-pread=EIO error-pread-rate=100% error-file="$broken"
rm -f "$TEST_TMP/full" "$TEST_TMP/go"
"$UMM" run --name lossy --mem 128M --holes "$nbd" -- \
	"$PROGS/swaploss" 16 "$TEST_TMP/full" "$TEST_TMP/go" >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
await 30 test -e "$TEST_TMP/full"
touch "$broken"
umm reclaim lossy all --mechanism hole >"$TEST_TMP/said" 2>&1
await 40 test -s "$TEST_TMP/out"
rm "$broken"
verdict=$(umm check lossy 2>&1)
touch "$TEST_TMP/go"
if ! timeout -k 1 60 tail --pid=$pid -f /dev/null; then
	fail "no read succeeds" "it hangs" <(cat "$TEST_TMP/out" "$TEST_TMP/err")
	kill -9 $pid
elif [ "$(cat "$TEST_TMP/out")" != "first: signal 7
second: exit 0" ] || ! grep -q 'could not be read back' "$TEST_TMP/err"; then
	fail "no read succeeds" "not one SIGBUS, told, then all well" <(cat "$TEST_TMP/out" "$TEST_TMP/err")
elif ! grep -q 'clean$' <<<"$verdict"; then
	fail "no read succeeds" "umm check: $verdict"
else
	pass "no read succeeds" "SIGBUS for the reader alone"
fi
wait $pid 2>/dev/null
nbd_kill

# Each read takes its time: who has tables flushed meanwhile, leaf by leaf, does not wait for those
# that wait inside KVM.
nbd_start --filter=delay memory 256M rdelay=1000ms
rm -f "$TEST_TMP/full" "$TEST_TMP/go"
"$UMM" run --name slow --mem 128M --cpus 2 --holes "$nbd" --stat "$TEST_TMP/stat" --thp 2M:madvise -- \
	"$PROGS/holeflush" 16 "$TEST_TMP/full" "$TEST_TMP/go" >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
pid=$!
await 30 test -e "$TEST_TMP/full"
umm reclaim slow all --mechanism hole >"$TEST_TMP/said" 2>&1
await 30 has slow 'j["holes"]["faults"]'
touch "$TEST_TMP/go"
timeout -k 1 60 tail --pid=$pid -f /dev/null || umm kill slow >/dev/null
wait $pid
out=$(python3 -c 'import json, sys; j = json.load(open(sys.argv[1]))
print(j["events"]["table_flush"], j["holes"]["faults"])' "$TEST_TMP/stat")
# Each of 100 leaves would take a read or two.
if [ "$(cat "$TEST_TMP/out")" = "100 leaves, child: signal 9" ] &&
	awk '{ exit !($1 >= 100 && $2 < 50) }' <<<"$out"; then
	pass "nobody else waits for a slow device" "flushes, reads: $out"
else
	fail "nobody else waits for a slow device" "flushes, reads: $out" \
		<(cat "$TEST_TMP/out" "$TEST_TMP/err" "$TEST_TMP/said")
fi
nbd_kill

# The end while threads wait for a server that does not answer.
nbd_start memory 256M
"$UMM" run --name stuck --mem 128M --holes "$nbd,wait=0,timeout=3" -- "$WORKLOADS/checker" --size 32M \
	--threads 2 >"$TEST_TMP/out" 2>&1 &
pid=$!
await 30 grep -q '^ok' "$TEST_TMP/out"
umm reclaim stuck all --mechanism hole >"$TEST_TMP/said" 2>&1
kill -STOP "$server"
umm kill stuck >/dev/null 2>&1
if timeout -k 1 60 tail --pid=$pid -f /dev/null; then
	pass "killed while threads wait for a hole"
else
	fail "killed while threads wait for a hole" "it hangs" "$TEST_TMP/out"
	kill -9 $pid
fi
wait $pid 2>/dev/null
kill -CONT "$server"
nbd_kill
finish
