#!/bin/bash
# SPDX-License-Identifier: MIT
# umm at work, in about a minute: python and a memory checker run in a guest of two nodes
# while their memory is shown, traced, moved and paged out; at the end their output must
# be the native one. `make run` shows it; `make check` runs it as a test.
# timeout: 180
. "$(dirname "$0")/lib.sh"
require_guest

job_seconds=${DEMO_SECONDS:-20}
name=demo
files=$TEST_TMP/demo
notes=()

say()
{
	printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[01]m//g'; fi
}

# show CMD...: the command as one would type it, and what it says.
show()
{
	printf '\n$ umm %s\n' "$*"
	umm "$@" >"$TEST_TMP/shown" 2>&1
	local status=$?
	head -n "${LINES_SHOWN:-12}" "$TEST_TMP/shown" | cut -c 1-110
	[ "$(wc -l <"$TEST_TMP/shown")" -le "${LINES_SHOWN:-12}" ] || echo "  ..."
	# 3: all was done, but for pages that were in use just then.
	if [ $status = 0 ] || [ "$1 $status" = "migrate 3" ]; then
		passed=$((passed + 1))
	else
		fail "umm $1" "exit status $status"
	fi
}

make_job()
{
	mkdir -p "$files"
	cat >"$files/words.py" <<'END'
import hashlib, random, sys, time
random.seed(3)
end, rounds, first = time.time() + float(sys.argv[1]), 0, None
while rounds == 0 or time.time() < end:
    random.seed(3)
    table = {random.getrandbits(40): "word %d" % i for i in range(20000)}
    text = "\n".join(table[key] for key in sorted(table))
    digest = hashlib.sha256(text.encode()).hexdigest()
    first = first or digest
    if digest != first:
        sys.exit("round %d differs: %s" % (rounds, digest))
    rounds += 1
print("python", first)
print(rounds, "rounds", file=sys.stderr)
END
	cat >"$files/job.sh" <<'END'
"$1" --size 48M --threads 2 --fork 1 --seconds "$2" > checked 2>/dev/null &
/usr/bin/python3 words.py "$2"
wait
cat checked
END
}

guest_answers()
{
	umm stat $name >/dev/null 2>&1
}

guest_lives()
{
	kill -0 "$guest" 2>/dev/null
}

# The host, and what cannot be shown on it.
describe_host()
{
	local nodes

	"$UMM" run -v -- /bin/true 2>"$TEST_TMP/verbose"
	nodes=$(find /sys/devices/system/node -maxdepth 1 -name 'node[0-9]*' 2>/dev/null | wc -l)
	echo "host: Linux $(uname -r), $(nproc) processors, $nodes memory node(s)"
	sed 's/^/  /' "$TEST_TMP/verbose" | head -n 20
	if [ "$nodes" -lt 2 ]; then
		notes+=("this host has one memory node: the guest's two nodes are simulated, and moving
  between them does all the work but reaches no other memory (make lab: real nodes)")
	fi
}

# A page that several processes share: code of libc in the shell.
shared_address()
{
	umm maps $name --pid "$pid" | awk '/r-xp/ && /libc/ { sub("-.*", "", $1); print "0x" $1; exit }'
}

# Exit status 3 of umm migrate: some pages were in use just then, and stay.
some_stay()
{
	[ $? = 3 ]
}

# Both, again and again: how often, how much, how long each took.
repeat()
{
	local node=1 rounds=0 start

	: >"$TEST_TMP/migrate.log"
	: >"$TEST_TMP/reclaim.log"
	start=$(now)
	while guest_lives && [ $SECONDS -lt $((started + job_seconds)) ]; do
		umm migrate $name --to $node --rate max >>"$TEST_TMP/migrate.log" 2>/dev/null ||
			some_stay || break
		umm reclaim $name all >>"$TEST_TMP/reclaim.log" 2>/dev/null || break
		node=$((1 - node)) rounds=$((rounds + 1))
		[ $rounds != 2 ] || LINES_SHOWN=6 show check $name
		[ $rounds != 3 ] || LINES_SHOWN=40 show stat $name
	done
	echo
	echo "$rounds rounds in $(seconds_since "$start") s:"
	sum_up moved "$TEST_TMP/migrate.log"
	few_stayed "$TEST_TMP/migrate.log" 5 >"$TEST_TMP/stayed" || fail moved "too many pages stayed" "$TEST_TMP/stayed"
	sum_up freed "$TEST_TMP/reclaim.log"
	[ $rounds -ge 3 ] || fail rounds "only $rounds"
}

# The first line of each answer: moved|freed N ... pages; then its milliseconds.
sum_up()
{
	awk -v what="$1" '
		$1 == what { pages += $2; n++ }
		$2 ~ /^ms/ && $1 ~ /^[0-9.]+$/ { ms += $1 }
		END { printf "  %s %d pages (%.1f GiB) in %d calls, %.0f ms of work\n", what, pages,
			pages / 262144, n, ms }' "$2"
}

# Has the guest some MiB, and mapped what is to be looked at?
has_memory()
{
	pid=$(umm maps $name 2>/dev/null | awk -F'[ :]' '/^process/ { print $2; exit }')
	[ "$(umm stat $name --json 2>/dev/null | awk '/"resident":/ { n += $2 } END { print n + 0 }')" -gt 8192 ] &&
		[ -n "$(shared_address)" ]
}

make_job
echo "umm: unmodified Linux programs in a guest without a kernel, their memory managed here"
describe_host

say "The native run, to compare with"
(cd "$files" && bash job.sh "$WORKLOADS/checker" 1) >"$TEST_TMP/native.out" 2>/dev/null
cat "$TEST_TMP/native.out"

say "The same programs in a guest: 2 nodes, 512 MiB, 1 GiB of swap, for $job_seconds seconds"
(cd "$files" && exec "$UMM" run --name $name --nodes 2 --mem 512M --swap 1G -- \
	/bin/bash job.sh "$WORKLOADS/checker" "$job_seconds") \
	>"$TEST_TMP/guest.out" 2>"$TEST_TMP/guest.err" </dev/null &
guest=$!
started=$SECONDS
if ! await 10 guest_answers; then
	fail demo "the guest does not answer" "$TEST_TMP/guest.err"
	kill -9 $guest 2>/dev/null
	finish
fi
await 20 has_memory || fail demo "its programs do not begin" "$TEST_TMP/guest.err"
show ps
pid=$(umm maps $name | awk -F'[ :]' '/^process/ { print $2; exit }')
show maps $name --pid "$pid"
address=$(shared_address)
if [ -n "$address" ]; then
	say "Who maps the frame behind $address? (what reverse mapping is for)"
	LINES_SHOWN=20 show rmap $name --pid "$pid" --addr "$address"
fi
say "Moving all of its memory to the other node, gently, and back at full speed, while it runs"
show migrate $name --to 1
show migrate $name --to 0 --rate max
say "Paging all of it out, while it runs"
show reclaim $name all
say "And both again and again"
repeat
wait $guest
status=$?

say "How fast it pages out, beside this machine's disk and the kernel, in one run"
umm bench reclaim --quick --repeat 1 --size 64M --workload none --backend file \
	--out "$TEST_TMP/bench" >"$TEST_TMP/figures" 2>/dev/null
grep -E '^(BENCHMARK|file: (freed|swap-in p50|sequential)|file: kernel)' "$TEST_TMP/figures" | grep -v ": the call"

say "What the programs printed in the guest"
cat "$TEST_TMP/guest.out"
if [ $status = 0 ] && cmp -s "$TEST_TMP/native.out" "$TEST_TMP/guest.out"; then
	pass output "the same as natively; $(grep -a rounds "$TEST_TMP/guest.err")"
else
	fail output "exit status $status; not the native output" "$TEST_TMP/guest.err"
fi
for note in "${notes[@]}"; do
	echo "note: $note"
done
finish
