#!/bin/bash
# SPDX-License-Identifier: MIT
# The clocks that programs read without leaving the guest: beside the host's own, never
# backwards, and really without system calls.
# also: tsan
. "$(dirname "$0")/lib.sh"
require_guest
program=$PROGS/clocks

# Where programs ask the host for the time, there is no vDSO to test.
has_vdso()
{
	umm run -- "$program" vdso >"$TEST_TMP/vdso" 2>&1
	grep -q '^ELF' "$TEST_TMP/vdso"
}

# A program outside and one in the guest note counter and clocks at the same time; between
# two notes of the one outside the host's clocks are straight lines.
compare_clocks()
{
	python3 - "$1" "$2" <<'END'
import bisect, sys
host, guest = ([list(map(int, line.split())) for line in open(f)] for f in sys.argv[1:])
for column, name in (0, "monotonic"), (2, "real time"):
    line = sorted((r[column], r[column + 1]) for r in host)
    at = [counter for counter, _ in line]
    off = []
    for r in guest:
        i = bisect.bisect(at, r[column])
        if 0 < i < len(at) and at[i] - at[i - 1] < 50_000_000:
            (c0, t0), (c1, t1) = line[i - 1], line[i]
            off.append(r[column + 1] - (t0 + (t1 - t0) * (r[column] - c0) // (c1 - c0)))
    if len(off) < 200:
        sys.exit(f"only {len(off)} notes of the guest lie between notes of the host")
    print(f"{name} {min(off)} to {max(off)} ns off")
    if max(map(abs, off)) > 1000:
        sys.exit(f"{name}: more than 1000 ns from the host's")
END
}

test_beside_host()
{
	local host_pid

	timeout "$LIMIT" "$program" sample 600000 >"$TEST_TMP/host" &
	host_pid=$!
	umm run -- "$program" sample 1000 >"$TEST_TMP/guest" 2>"$TEST_TMP/err"
	kill $host_pid 2>/dev/null
	wait $host_pid 2>/dev/null
	# The last line of the one that was ended may be cut.
	sed -i '$d' "$TEST_TMP/host"
	if compare_clocks "$TEST_TMP/host" "$TEST_TMP/guest" >"$TEST_TMP/off" 2>&1; then
		pass beside-host "$(paste -sd, "$TEST_TMP/off")"
	else
		fail beside-host "not the host's time" "$TEST_TMP/off"
	fi
}

test_without_calls()
{
	local calls

	umm run -v -- "$program" many 1000000 >"$TEST_TMP/out" 2>"$TEST_TMP/err"
	calls=$(sed -n 's/.* for \([0-9]*\) system calls.*/\1/p' "$TEST_TMP/err")
	if [ -n "$calls" ] && [ "$calls" -lt 1000 ]; then
		pass without-calls "$(cat "$TEST_TMP/out"), $calls system calls in all"
	else
		fail without-calls "a million readings, ${calls:-?} system calls" "$TEST_TMP/err"
	fi
}

if has_vdso; then
	printf '%s\n' 'vdso r-xp there' vvar ELF >"$TEST_TMP/wanted"
	cmp -s "$TEST_TMP/wanted" "$TEST_TMP/vdso" && pass mapped ||
		fail mapped "not as Linux shows it" "$TEST_TMP/vdso"
	have beside-host python3 && test_beside_host
	test_without_calls
elif umm run -v -- /bin/true 2>&1 | grep -q 'TSC of its own'; then
	skip vdso "the guest's counter is not the host's"
elif ! grep -qxE 'tsc|kvm-clock' /sys/devices/system/clocksource/clocksource0/current_clocksource; then
	skip vdso "the host's clocks do not stand on its counter"
else
	fail vdso "there is none" "$TEST_TMP/vdso"
fi
compare order --no-stderr -- "$program" order 5
finish
