#!/bin/bash
# SPDX-License-Identifier: MIT
# What umm stat, the guest's /proc/meminfo, /proc/vmstat and its processes say of memory adds up:
# resident, swapped, compressed, scanned and freed pages, refaults and their distance, waits.
# timeout: 120
. "$(dirname "$0")/lib.sh"
require_guest
have accounting python3 || finish
LIMIT=180
SLACK=96 # pages: of the shell and cat, which come and go between two looks

# A shell in the guest that does what it is told.
mkfifo "$TEST_TMP/in"
"$UMM" run --name acct --mem 40M --swap lz4:128M -- /bin/sh -c \
	'while read -r line; do eval "$line"; echo "--end"; done' \
	<"$TEST_TMP/in" >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
guest=$!
exec 3>"$TEST_TMP/in"
asked=0

answered()
{
	[ "$(grep -c '^--end' "$TEST_TMP/out")" -ge $asked ]
}

# ask COMMAND: in the guest; what it wrote is in $TEST_TMP/answer
ask()
{
	local before

	before=$(wc -l <"$TEST_TMP/out")
	asked=$((asked + 1))
	echo "$1" >&3
	await 30 answered || fail "$1" "no answer" "$TEST_TMP/err"
	tail -n "+$((before + 1))" "$TEST_TMP/out" >"$TEST_TMP/answer"
}

# Three programs of 16 MiB in 40: some of it is swapped. A fourth has exited.
for i in 1 2 3; do
	mkfifo "$TEST_TMP/in$i"
	ask "$PROGS/dead_pages 16 none <$TEST_TMP/in$i >$TEST_TMP/out$i &"
	eval "exec $((i + 3))>\$TEST_TMP/in$i"
	echo fill >&$((i + 3))
	await 30 test -s "$TEST_TMP/out$i" || fail fill "program $i does not answer" "$TEST_TMP/err"
done
echo read >&4	# the first again, so that something comes back
await 30 grep -q wrong "$TEST_TMP/out1"
umm reclaim acct 8M --json >"$TEST_TMP/reclaim" 2>&1
ask 'cat /proc/meminfo /proc/vmstat /proc/pressure/memory /proc/[0-9]*/status'
umm stat acct --json >"$TEST_TMP/stat"

cat >"$TEST_TMP/look.py" <<'END'
import json, re, sys
tmp, slack = sys.argv[1], int(sys.argv[2])
text = open(tmp + "/answer").read()
j = json.load(open(tmp + "/stat"))
e, s, n, a = j["events"], j["swap"], j["numa"], j["swap"]["areas"][0]
# Of the guest: meminfo in pages, vmstat, sums over the processes in pages.
info = {k: int(v) // 4 for k, v in re.findall(r"^(\w+(?:\(\w+\))?): +(\d+) kB$", text, re.M)}
vm = {k: int(v) for k, v in re.findall(r"^(\w+) (\d+)$", text, re.M)}
total = lambda key: sum(int(v) for v in re.findall(r"^%s:\s+(\d+) kB$" % key, text, re.M)) // 4
near = lambda x, y: abs(x - y) <= slack
swapped = sum(p["swapped"] for p in j["processes"])
checks = {
    "anonymous pages: processes, meminfo, nodes":
        near(total("RssAnon"), info["AnonPages"]) and
        near(info["AnonPages"], sum(x["anon"] for x in n)) and total("RssAnon") > 4000,
    "resident pages: processes, umm stat":
        near(total("VmRSS"), sum(p["resident"] for p in j["processes"])),
    "resident is anonymous, file and shared":
        total("VmRSS") == total("RssAnon") + total("RssFile") + total("RssShmem"),
    "swapped pages: processes, meminfo, slots":
        near(total("VmSwap"), swapped) and
        s["used"] - s["cached"] - slack <= swapped <= s["used"] + slack and
        near(info["SwapTotal"] - info["SwapFree"], s["used"]) and swapped > 2000,
    "what is there is used or free":
        near(info["MemTotal"], info["MemFree"] + info["AnonPages"] + info["Cached"] + info["Slab"]),
    "all that was stored is in memory or in swap":
        near(total("RssAnon") + total("VmSwap"), 3 * 16 * 256 + 300) or
        total("RssAnon") + total("VmSwap") >= 3 * 16 * 256,
    "compressed pages: meminfo, area":
        near(info["Zswapped"], s["compressed"]) and
        s["compressed"] == a["original_bytes"] // 4096 and
        abs(info["Zswap"] * 4096 - a["memory_bytes"]) <= slack * 4096 and
        s["compressed_memory_bytes"] == a["memory_bytes"] and s["compressed"] > 2000,
    "every page written or marked as zero has a slot":
        s["compressed"] <= s["used"] + slack,
    "swap: events, area, vmstat":
        near(e["pswpout"], a["pages_written"]) and near(e["pswpin"], vm["pswpin"]) and
        near(vm["pswpout"], e["pswpout"]),
    "scanned and freed: by whom, all":
        e["pgscan"] >= e["pgscan_kswapd"] + e["pgscan_direct"] and
        e["pgsteal"] - e["pgsteal_kswapd"] - e["pgsteal_direct"] ==
        json.load(open(tmp + "/reclaim"))["freed"] and 0 < e["pgsteal"] <= e["pgscan"],
    "freed pages went somewhere":
        e["pgsteal"] <= e["pswpout"] + e["pswp_zero"] + e["pswpin"] + e["file_read"] + slack,
    "refaults came from swap, at a distance":
        0 < e["workingset_refault_anon"] <= e["pswpin"] and
        0 < e["workingset_refault_distance"] / e["workingset_refault_anon"] < e["pgsteal"],
    "waits: vmstat and pressure":
        int(re.search(r"^some .*total=(\d+)$", text, re.M).group(1)) > 0 and
        int(re.search(r"^full .*total=(\d+)$", text, re.M).group(1)) <=
        int(re.search(r"^some .*total=(\d+)$", text, re.M).group(1)),
}
for name, good in checks.items():
    print("ok" if good else "bad", name)
if not all(checks.values()):
    keys = ("MemTotal MemFree AnonPages Cached Slab SwapTotal SwapFree SwapCached Zswap "
            "Zswapped").split()
    print({k: info.get(k) for k in keys}, {k: total(k) for k in (
        "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmSwap")}, file=sys.stderr)
    print(e, {k: v for k, v in s.items() if k != "areas"}, a, n, j["processes"],
          open(tmp + "/reclaim").read(), file=sys.stderr)
END
python3 "$TEST_TMP/look.py" "$TEST_TMP" $SLACK >"$TEST_TMP/said" 2>"$TEST_TMP/figures"
[ -s "$TEST_TMP/said" ] || fail "figures" "one is missing" "$TEST_TMP/figures"
while read -r verdict name; do
	if [ "$verdict" = ok ]; then pass "$name"; else fail "$name" "not so" "$TEST_TMP/figures"; fi
done <"$TEST_TMP/said"
exec 4>&- 5>&- 6>&- 3>&-
wait $guest

# --- reading evicted file pages again is a wait for memory, reading them first is none -----------

file=$TEST_TMP/file
head -c $((24 << 20)) /dev/zero >"$file"

# waited HOW: microseconds, after reading 24 MiB of a file twice with memory enough; evict: what was
# read is reclaimed in between, by request, so that nobody waits for that
waited()
{
	local pid

	rm -f "$TEST_TMP/go" "$TEST_TMP/read"
	"$UMM" run --name psi --mem 64M -- /bin/sh -c "
		(echo file; until [ -e $TEST_TMP/go ]; do sleep 0.1; done; echo file) |
			$PROGS/dead_pages 24 $file >$TEST_TMP/read
		cat /proc/pressure/memory" >"$TEST_TMP/waits" 2>"$TEST_TMP/err" &
	pid=$!
	await 30 test -s "$TEST_TMP/read"
	if [ "$1" = evict ]; then
		umm reclaim psi all >"$TEST_TMP/said" 2>&1
		umm reclaim psi all >>"$TEST_TMP/said" 2>&1
	fi
	touch "$TEST_TMP/go"
	wait $pid
	sed -n 's/^some .*total=//p' "$TEST_TMP/waits"
}

kept=$(waited keep)
evicted=$(waited evict)
if [ "$kept" = 0 ] && [ "${evicted:-0}" -gt 0 ]; then
	pass "waits for evicted file pages" "$evicted us"
else
	fail "waits for evicted file pages" "$kept us if they stay, $evicted us if they went"
fi

# --- OOM kills are counted -----------------------------------------------------------------------

umm run --mem 24M -- /bin/sh -c "$WORKLOADS/checker --size 24M --rounds 1
	grep '^oom_kill ' /proc/vmstat" >"$TEST_TMP/said" 2>&1
if grep -qx 'oom_kill 1' "$TEST_TMP/said"; then
	pass "OOM kills"
else
	fail "OOM kills" "not one" "$TEST_TMP/said"
fi

# --- watermarks ----------------------------------------------------------------------------------

# marks: pages from low to high of the node, after a change if there is one
umm run --mem 64M --watermark-scale 500 -- /bin/sh -c '
	f=/proc/sys/vm/watermark_scale_factor
	marks() { awk "\$1 == \"low\" { l = \$2 } \$1 == \"high\" { print \$2 - l; exit }" /proc/zoneinfo; }
	cat $f; marks; echo 1000 >$f && cat $f; marks
	for bad in 0 1001 x ""; do echo "$bad" >$f 2>/dev/null && echo "took $bad"; done; cat $f' \
	>"$TEST_TMP/said" 2>&1
if [ "$(paste -sd' ' "$TEST_TMP/said")" = "500 819 1000 1638 1000" ]; then
	pass "watermark scale"
else
	fail "watermark scale" "not 1/20 and 1/10 of 16384 pages" "$TEST_TMP/said"
fi
umm run --watermark-scale 1001 -- true >"$TEST_TMP/said" 2>&1
if [ $? != 0 ] && grep -q '1000' "$TEST_TMP/said"; then
	pass "watermark scale: too much"
else
	fail "watermark scale: too much" "said otherwise" "$TEST_TMP/said"
fi
finish
