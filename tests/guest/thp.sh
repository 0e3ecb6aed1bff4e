#!/bin/bash
# SPDX-License-Identifier: MIT
# /sys/kernel/mm/transparent_hugepage and AnonHugePages in the guest: they tell of the guest's
# folios, and what is written acts.
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest

cat >"$TEST_TMP/job.sh" <<'END'
cd /sys/kernel/mm/transparent_hugepage || exit
huge()
{
	/usr/bin/python3 -c 'a = bytearray(64 << 20)
kb = [int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("AnonHugePages")][0]
print("huge" if kb > 60000 else "small" if kb == 0 else kb)'
}
echo $(cat enabled) $(huge)
echo never >enabled
echo $(cat enabled) $(huge)
echo madvise >enabled
echo $(cat enabled) $(huge)
echo always >enabled
echo $(cat enabled) $(huge)
for word in sometimes alwaysalways ''; do
	echo "$word" >enabled || echo "refused <$word>"
done 2>/dev/null
cat hpage_pmd_size
grep -c never defrag shmem_enabled
echo left $(sed -n 's/^AnonHugePages: *//p' /proc/meminfo)
END
cat >"$TEST_TMP/wanted" <<'END'
[always] madvise never huge
always madvise [never] small
always [madvise] never small
[always] madvise never huge
refused <sometimes>
refused <alwaysalways>
refused <>
2097152
defrag:1
shmem_enabled:1
left 0 kB
END
have thp python3 || finish
umm run --mem 256M -- /bin/bash "$TEST_TMP/job.sh" >"$TEST_TMP/out" 2>"$TEST_TMP/err"
if diff "$TEST_TMP/wanted" "$TEST_TMP/out" >"$TEST_TMP/difference"; then
	pass thp
else
	cat "$TEST_TMP/err" >>"$TEST_TMP/difference"
	fail thp "not as wanted" "$TEST_TMP/difference"
fi
finish
