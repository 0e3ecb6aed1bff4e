#!/bin/bash
# The lab's test suite: umm on real NUMA nodes, in each topology, with nested paging and once with
# shadow paging. Two machines run at a time.
# timeout: 1800
#
# Needs `make build guest-tests` first. A machine, called a boot, runs one job after the other:
# the lab's own, and each script of tests/guest that names the boot in a line `# lab: BOOT...`.
#
#   TOPOLOGY=2|4|slow    only the boots of this topology
#   NPT=0|1              only those with shadow (0) or nested (1) paging
#   LAB_PARALLEL=N       machines at a time (2)
set -u
cd "$(dirname "$0")/../.."

# name topology npt jobs; the longest first.
BOOTS="2-shadow 2 0 smoke,migrate,places,ratios,torture
slow slow 1 migrate,placement,torture
2 2 1 smoke,migrate,places,placement,ratios
4 4 1 migrate"

out=${TEST_TMP:-$(mktemp -d)}
failed=0

# boot_jobs NAME JOBS: the scripts that it runs, as arguments.
boot_jobs()
{
	local job

	for job in ${2//,/ }; do
		echo "--job tests/lab/$job-job"
	done
	for job in tests/guest/*.sh; do
		[ ! -x "$job" ] || ! grep -qE "^# lab:.* $1( |\$)" "$job" || echo "--job $job"
	done
}

boot()
{
	local name=$1 topology=$2 npt=$3 jobs=$4 status

	# shellcheck disable=SC2046
	tests/lab/run --topology "$topology" --npt "$npt" --out "$out/$name" --time 1200 \
		$(boot_jobs "$name" "$jobs") >"$out/$name.log" 2>&1
	status=$?
	# The log at once, so that those of two machines do not mix.
	if [ $status != 0 ] && ! grep -q '^# subtests: .* [1-9][0-9]* failed' "$out/$name.log"; then
		[ $status = 77 ] || echo "# subtests: 0 passed, 1 failed, 0 skipped" >>"$out/$name.log"
	fi
	{ echo "== $name" && cat "$out/$name.log"; } >"$out/$name.done"
	cat "$out/$name.done"
	return $status
}

# The kernel first, so that two machines need not fetch it at once.
reason=$(tests/lab/kernel) || { status=$?; echo "$reason"; exit $status; }

running=0 ran=0
while read -r name topology npt jobs; do
	[ -z "${TOPOLOGY:-}" ] || [ "$topology" = "$TOPOLOGY" ] || continue
	[ -z "${NPT:-}" ] || [ "$npt" = "$NPT" ] || continue
	ran=$((ran + 1))
	if [ $running = "${LAB_PARALLEL:-2}" ]; then
		wait -n || failed=$?
		running=$((running - 1))
	fi
	boot "$name" "$topology" "$npt" "$jobs" </dev/null &
	running=$((running + 1))
done <<<"$BOOTS"
while [ $running -gt 0 ]; do
	wait -n || failed=$?
	running=$((running - 1))
done
if [ $ran = 0 ]; then
	echo "no boot with TOPOLOGY=${TOPOLOGY:-} NPT=${NPT:-}; there are:"
	echo "$BOOTS" | while read -r name topology npt jobs; do
		echo "  TOPOLOGY=$topology NPT=$npt"
	done
	exit 125
fi

echo
grep -h '^lab: boot:' "$out"/*.log
awk '/^# subtests: / { p += $3; f += $5; s += $7 }
	END { printf "lab: %d passed, %d failed, %d skipped\n", p, f, s }' "$out"/*.log
# What this machine lacks for the lab is the reason, as the last line.
[ $failed != 77 ] || grep -hv '^lab:' "$out"/*.log | tail -n 1
[ -n "${TEST_TMP:-}" ] || rm -rf "$out"
exit $failed
