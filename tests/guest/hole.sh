#!/bin/bash
# SPDX-License-Identifier: MIT
# Reclaim by holes: programs run byte for byte and find every word while their memory is taken and
# comes back, while others migrate and page out the same frames, and near a limit of host memory.
# The host gets the memory. A device that fails: nobody but who wants the page is told.
# timeout: 280
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/swap_lib.sh"
require_guest
LIMIT=100

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

# taken NAME OPTIONS...: the checker, all of it made holes again and again; $with is called between.
taken()
{
	local name=$1 log=$TEST_TMP/checker.log pid rounds=0 out check=$TEST_TMP/check

	shift
	: >"$check"
	"$UMM" run --name chk --mem 128M --stat "$TEST_TMP/stat" "$@" -- "$WORKLOADS/checker" \
		--size 12M --threads 2 --fork 1 --file "$TEST_TMP/shared" --file-size 4M --seconds 5 \
		>"$log" 2>&1 &
	pid=$!
	await 30 grep -q '^ok' "$log"
	while kill -0 $pid 2>/dev/null; do
		umm reclaim chk all --mechanism hole >>"$TEST_TMP/said" 2>&1
		$with $rounds
		umm check chk >>"$check" 2>>"$TEST_TMP/said"
		rounds=$((rounds + 1))
	done
	wait $pid
	out=$(python3 -c 'import json, sys; h = json.load(open(sys.argv[1]))["holes"]
print(h["out"], h["faults"], h["stayed"])' "$TEST_TMP/stat")
	if ! grep -q '^PASS' "$log"; then
		fail "$name" "the program found wrong data, or died" "$log"
	elif ! grep -q 'clean$' "$check" || grep -v 'clean$' "$check"; then
		fail "$name" "umm check" "$check"
	elif ! awk '{ exit !($1 > 3000 && $2 > 1000) }' <<<"$out"; then
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
	out=$(python3 -c 'import json, sys; h = json.load(open(sys.argv[1]))["holes"]
print(h["out"], h["faults"], h["resident_peak_bytes"] >> 20)' "$TEST_TMP/stat")
	if awk '{ exit !($1 > 1000 && $2 > 100 && $3 < 28) }' <<<"$out"; then
		pass "the limit is kept" "holes, touched, most MiB: $out"
	else
		fail "the limit is kept" "holes, touched, most MiB: $out"
	fi
fi
for prog in mem_storm mem_remap mem_fault threads; do
	compare "$prog near a limit" --umm "--mem 128M --holes ram:128M --resident 4M" -- "$PROGS/$prog"
done

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
