#!/bin/bash
# SPDX-License-Identifier: MIT
# umm bench reclaim: that programs which take long run to their end in small, on both sides, with half
# the memory they want, and that what the bench says of them adds up. The figures are not judged.
# timeout: 280
. "$(dirname "$0")/lib.sh"
require_guest

out=$TEST_TMP/results
log=$TEST_TMP/log
programs=chase,fork,pr,sqlite,gcc,redis-b

LIMIT=270 umm bench reclaim --quick --programs --repeat 1 --size 32M --ratio 50 --backend file \
	--workload $programs --out "$out" >"$TEST_TMP/table" 2>"$log"
status=$?
if [ $status = 0 ]; then
	pass "bench reclaim"
else
	fail "bench reclaim" "exit status $status" "$log"
fi
have "what it says" python3 || finish

# ran PROGRAM: its runs on both sides, with memory enough and with half of it, succeeded; or, with the
# reason, that this machine lacks what they need.
ran()
{
	python3 - "$out/results.json" "$1" <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
name = sys.argv[2]
skipped = {r["name"]: r["note"] for r in j["benchmarks"] if r["mark"] == "skipped"}
if name in skipped:
    print(skipped[name])
    sys.exit(77)
points = {(p["side"], p["ratio"]): p for p in j["programs"] if p["workload"] == name}
sides = ["umm"] if name + ", kernel" in skipped else ["umm", "kernel"]
for side in sides:
    for ratio in 0, 50:
        p = points.get((side, ratio))
        if not p or p["failed"] or p["runs"] != 1:
            print(side, ratio, p)
            sys.exit(1)
    short = points[side, 50]
    # What a compiler of this size uses at a time may fit.
    if name != "gcc" and (short["swapout_pages"] == 0 or short["swapin_pages"] == 0):
        print(side, "did not page", short)
        sys.exit(1)
    if points["umm", 0]["swapout_pages"]:
        print("paged with memory enough", points["umm", 0])
        sys.exit(1)
END
}

for program in ${programs//,/ }; do
	ran "$program" >"$TEST_TMP/said" 2>&1
	case $? in
	0) pass "$program" ;;
	77) skip "$program" "$(cat "$TEST_TMP/said")" ;;
	*) fail "$program" "it did not run whole on both sides" "$TEST_TMP/said" ;;
	esac
done
finish
