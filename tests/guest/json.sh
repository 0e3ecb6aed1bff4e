#!/bin/bash
# SPDX-License-Identifier: MIT
# --json of every command on a guest: one valid object, whose members (and those of the objects
# in its lists) stand in that command's rows of the manual page's table. Counters by name are
# free: events, facts, objects and so on.
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=100
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }

cat >"$TEST_TMP/undocumented.py" <<'END'
import json, re, sys

FREE = {"events", "facts", "ksm", "objects", "machine", "guest", "host", "holes", "pressure", "physical"}

def members(o):
    if isinstance(o, dict):
        for k, v in o.items():
            yield k
            if k not in FREE:
                yield from members(v)
    elif isinstance(o, list):
        for v in o:
            yield from members(v)

page, command = sys.argv[1:]
text = open(page).read().replace("\\-", "-")
table = text[text.index(".SH JSON"):text.index(".SH EXIT STATUS")]
rows = {}
for line in table.splitlines():
    row = re.fullmatch(r"([a-z]*)\|(.*)", line)
    if row:
        name = row[1] or name
        rows[name] = rows.get(name, "") + " " + row[2]
told = rows[command]
for other in rows:  # "as ps", "as in maps"
    if re.search(r"\bas (in )?%s\b" % other, rows[command]):
        told += rows[other]
o = json.load(sys.stdin)
missing = sorted({k for k in members(o) if not re.search(r"\b%s\b" % k, told)})
if not isinstance(o, dict) or not o or missing:
    print("not in the manual page:", *missing)
    sys.exit(1)
print(len(set(members(o))), "members")
END

# documented COMMAND STATUS ARGUMENTS...
documented()
{
	local row=$1 want=$2 status

	shift 2
	umm "$@" --json >"$TEST_TMP/json" 2>"$TEST_TMP/err"
	status=$?
	if [ $status != "$want" ]; then
		fail "$*" "exit status $status, not $want" "$TEST_TMP/err"
	elif ! python3 "$TEST_TMP/undocumented.py" "$REPO/docs/umm.1" "$row" <"$TEST_TMP/json" \
		>"$TEST_TMP/said" 2>&1; then
		fail "$*" "$(cat "$TEST_TMP/said")" "$TEST_TMP/json"
	else
		pass "$*" "$(cat "$TEST_TMP/said")"
	fi
}

"$UMM" run --name json --nodes 2 --mem 256M --max-mem 512M --swap 128M --holes 64M -- \
	"$WORKLOADS/checker" --size 32M >"$TEST_TMP/out" 2>&1 </dev/null &
guest=$!
if ! await 20 grep -q rounds=1 "$TEST_TMP/out"; then
	fail json "the guest did not start" "$TEST_TMP/out"
	finish
fi
documented ps 0 ps
documented maps 0 maps json --physical
# The last page of the stack is there: the program's arguments.
documented rmap 0 rmap json --pid 100 --addr 7fffffffe000
grep -q '"present": true' "$TEST_TMP/json" || fail rmap-frame "no frame is there" "$TEST_TMP/json"
documented stat 0 stat json --physical
documented migrate 0 migrate json --to 1 --rate max --verify
documented node 0 node json
documented node 0 node json offline 1
documented node 0 node json online 1
documented node 0 node json compact 0
documented balance 0 balance json on
documented tier 0 tier json on --slow 1
documented policy 0 policy json mglru
documented swap 0 swap json add lz4:32M
documented reclaim 0 reclaim json 4M
documented reclaim 0 reclaim json 4M --mechanism hole
documented stat 0 stat json
documented limit 0 limit json
documented limit 0 limit json 128M
documented check 0 check json
"$WORKLOADS/pattern" --pattern zipf --size 1M --ops 10000 --trace "$TEST_TMP/trace" >/dev/null 2>&1
documented sim 0 sim "$TEST_TMP/trace" --mem 50 --policy fifo
documented poison 0 poison json --pid 100 --addr 7fffffffe000
documented kill 0 kill json
wait $guest

# A failure is an object, too, and wrong options leave nothing on stdout.
umm stat json --json >"$TEST_TMP/json" 2>/dev/null
if [ $? = 1 ] && grep -q '"error": "no running guest' "$TEST_TMP/json"; then
	pass error
else
	fail error "not told as an object" "$TEST_TMP/json"
fi
umm stat --json >"$TEST_TMP/json" 2>/dev/null
if [ $? = 2 ] && [ ! -s "$TEST_TMP/json" ]; then
	pass wrong-options
else
	fail wrong-options "something was printed" "$TEST_TMP/json"
fi
finish
