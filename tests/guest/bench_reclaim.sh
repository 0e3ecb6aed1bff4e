#!/bin/bash
# SPDX-License-Identifier: MIT
# umm bench reclaim in small: that it runs on both sides, leaves no swap and no cgroup behind,
# and that its JSON, CSV and report say what they should. The report is opened in a browser.
# The figures themselves are not judged here.
# timeout: 280
. "$(dirname "$0")/lib.sh"
require_guest

out=$TEST_TMP/results
log=$TEST_TMP/log

swaps_before=$(cat /proc/swaps)
LIMIT=200 umm bench reclaim --quick --repeat 2 --size 32M --workload gups-moving --ratio 60 \
	--out "$out" --json >"$TEST_TMP/all.json" 2>"$log"
status=$?
if [ $status = 0 ]; then
	pass "bench reclaim"
else
	fail "bench reclaim" "exit status $status" "$log"
fi
if [ "$(cat /proc/swaps)" = "$swaps_before" ]; then
	pass "no swap stays on"
else
	fail "no swap stays on" "/proc/swaps differs" /proc/swaps
fi
left=$(find /sys/fs/cgroup -maxdepth 2 -name 'umm-bench-*' 2>/dev/null; ls "$out"/*.swap 2>/dev/null)
if [ -z "$left" ]; then
	pass "nothing left behind"
else
	fail "nothing left behind" "$left"
fi

# json NAME EXPRESSION: python's EXPRESSION over the results, in j, must be true.
json()
{
	have "$1" python3 || return
	if python3 - "$out/results.json" "$2" >"$TEST_TMP/said" 2>&1 <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
rows = {(r["name"], r["other"]): r for r in j["benchmarks"]}
points = {(p["side"], p["ratio"]): p for p in j["programs"]}
ok = eval("(" + sys.argv[2] + ")")
if not ok:
    print(json.dumps(j["benchmarks"], indent=1)[:3000])
sys.exit(not ok)
END
	then
		pass "$1"
	else
		fail "$1" "not so: $2" "$TEST_TMP/said"
	fi
}

cmp -s <(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["benchmarks"])' \
	"$TEST_TMP/all.json") <(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["benchmarks"])' \
	"$out/results.json")
case $? in
0) pass "--json says what the file says" ;;
*) fail "--json says what the file says" "they differ" ;;
esac
json "bytes freed beside the limit" '0 < rows["file: freed", "io_uring limit"]["ratio"] < 1.5'
json "intervals" 'all(r["umm"]["low"] <= r["umm"]["median"] <= r["umm"]["high"]
	for r in j["benchmarks"] if r["umm"]["samples"])'
json "verdicts" 'all(r["mark"] in ("met", "fell short") for r in j["benchmarks"]
	if r["target"] and r["mark"] != "skipped")'
json "slowdown of a guest" 'points["umm", 60]["slowdown"]["median"] > 1.2
	and points["umm", 0]["slowdown"]["median"] < 2'
json "a guest's own counts" 'points["umm", 60]["swapout_pages"] > 500
	and points["umm", 0]["swapout_pages"] == 0'
json "the optimum is the least" 'len(j["simulations"]) >= 6 and
	all(s["faults"] >= s["optimum"] > 0 for s in j["simulations"])'
json "regret of what really happened" 'points["umm", 60]["regret"] > -1'
json "no run failed, and how much memory each had" 'all("error" not in r for r in j["runs"]) and
	all(p["failed"] == 0 for p in j["programs"]) and
	points["umm", 60]["memory_bytes"] == points.get(("kernel", 60), points["umm", 60])["memory_bytes"]'
json "both repeats" 'all(len(p["slowdown"]["samples"]) == 2 for p in j["programs"])'
if [ "$(id -u)" = 0 ] && ! grep -q '"mark": "skipped"' "$out/results.json"; then
	json "the kernel beside it" 'rows["file: freed", "MADV_PAGEOUT, freed"]["ratio"] > 0
		and points["kernel", 60]["swapout_pages"] > 500'
else
	skip "the kernel beside it" "$(grep -o 'skipped: [^"]*' "$out/results.json" | head -1)"
fi
if [ "$(wc -l <"$out/runs.csv")" -ge 5 ] && [ "$(awk -F, '{ print NF }' "$out/runs.csv" |
	sort -u | wc -l)" = 1 ]; then
	pass runs.csv
else
	fail runs.csv "too few lines, or not as many columns in each" "$out/runs.csv"
fi

# --- the report -------------------------------------------------------------------------------

html=$out/report.html
if grep -qE '(src|href)="?(https?:|//)' "$html"; then
	fail "self-contained" "the report refers to the network"
else
	pass "self-contained"
fi
if have "report in a browser" chromium; then
	timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$TEST_TMP/chromium" \
		--enable-logging=stderr --dump-dom "file://$html" >"$TEST_TMP/dom" 2>"$TEST_TMP/console"
	rows=$(grep -o '<tr' "$TEST_TMP/dom" | wc -l)
	pictures=$(grep -o '<svg' "$TEST_TMP/dom" | wc -l)
	# A timeline has a point each tenth of a second: on a fast machine there is too little of it.
	wanted=$(python3 -c 'import json, sys
runs = json.load(open(sys.argv[1]))["runs"]
long = [r for r in runs if r["repeat"] == 0 and r["ratio"] == 60 and len(r.get("timeline") or []) > 2]
print(4 if long else 3)' "$TEST_TMP/all.json")
	if ! command -v gnuplot >/dev/null; then
		skip "pictures" "gnuplot is not installed"
		pictures=4
	fi
	if grep -q 'CONSOLE' "$TEST_TMP/console"; then
		fail "report in a browser" "the console is not empty" "$TEST_TMP/console"
	elif [ "$rows" -lt 8 ] || ! grep -q 'id="figures"' "$TEST_TMP/dom" ||
		! grep -q 'id="programs"' "$TEST_TMP/dom" || ! grep -q 'id="simulations"' "$TEST_TMP/dom"; then
		fail "report in a browser" "$rows rows of tables" "$TEST_TMP/dom"
	elif [ "$pictures" -lt "$wanted" ]; then
		fail "report in a browser" "$pictures pictures of $wanted" "$TEST_TMP/dom"
	else
		pass "report in a browser" "$rows rows, $pictures pictures"
	fi
fi

# --- stopped amid it ---------------------------------------------------------------------------

kernel_swaps()
{
	grep -q "^$TEST_TMP/stopped/" /proc/swaps
}

if [ "$(id -u)" = 0 ] && ! grep -q '"mark": "skipped"' "$out/results.json"; then
	"$UMM" bench reclaim --quick --size 32M --workload none --backend file \
		--out "$TEST_TMP/stopped" >"$log" 2>&1 &
	bench=$!
	if await 60 kernel_swaps; then
		if umm bench reclaim --quick --size 32M --workload none --backend null \
			--out "$TEST_TMP/stopped" >"$log.second" 2>&1; then
			fail "a second run in the folder is refused" "it was taken" "$log.second"
		elif grep -q "another umm bench reclaim" "$log.second"; then
			pass "a second run in the folder is refused"
		else
			fail "a second run in the folder is refused" "it does not say why" "$log.second"
		fi
		kill -TERM $bench
		wait $bench
		status=$?
		if [ $status = 130 ] && ! kernel_swaps; then
			pass "stopped: the swap is off"
		else
			fail "stopped: the swap is off" "status $status" "$log"
		fi
	else
		fail "stopped: the swap is off" "it never was on" "$log"
		kill -9 $bench 2>/dev/null
	fi
else
	skip "stopped: the swap is off" "no swap of the kernel's here"
fi

# --- mistakes ----------------------------------------------------------------------------------

# refused WORDS...: status 2 and a sentence.
refused()
{
	umm bench reclaim "$@" >"$log" 2>&1
	if [ $? = 2 ] && [ -s "$log" ]; then
		pass "refused: $*"
	else
		fail "refused: $*" "it was taken" "$log"
	fi
}

refused --workload nothing
refused --programs --workload none
refused --backend nothing
refused --policy nothing
refused --ratio 0
refused --ratio 50,x
refused --against everybody
refused --repeat 1000
refused --size 1K
finish
