# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What the lab's own jobs share; sourced, busybox sh. A job counts with `verdict` and ends with
# `finish`. OUT is the folder whose files go back to the host.

passed=0 failed=0 skipped=0

# uptime_ms: of the machine.
uptime_ms()
{
	local seconds rest

	read -r seconds rest </proc/uptime
	echo $((${seconds%.*} * 1000 + 1${seconds#*.}0 - 1000))
}
last_verdict=$(uptime_ms)

# verdict NAME [FILE...]: count the last command's result; show the FILEs of a failure.
verdict()
{
	local status=$? name=$1 now took f

	shift
	now=$(uptime_ms)
	took=$(((now - last_verdict) / 100))
	took="$((took / 10)).$((took % 10)) s"
	last_verdict=$now
	if [ $status = 0 ]; then
		passed=$((passed + 1))
		echo "lab: ok   $name ($took)"
		return
	fi
	failed=$((failed + 1))
	echo "lab: FAIL $name ($took)"
	for f in "$@"; do
		echo "--- $f"
		tail -n 20 "$f"
	done
}

# skip NAME REASON: what cannot be looked at here.
skip()
{
	skipped=$((skipped + 1))
	echo "# skip $1: $2"
}

finish()
{
	echo "# subtests: $passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
	exit
}

require_kvm()
{
	if ! [ -c /dev/kvm ]; then
		echo "no /dev/kvm in the lab: kvm-amd did not load"
		exit 77
	fi
}

# host_nodes: the numbers of the machine's nodes that have memory.
host_nodes()
{
	local n

	for n in /sys/devices/system/node/node[0-9]*; do
		echo "${n##*node}"
	done | sort -n
}

# guest_start NAME OPTIONS PROGRAM...: run it in the background; $guest is umm's pid. OPTIONS is
# one word. The guest's output goes to $OUT/NAME.out and .err.
guest_start()
{
	local name=$1 options=$2 i

	shift 2
	# shellcheck disable=SC2086
	./umm run --name "$name" $options -- "$@" >"$OUT/$name.out" 2>"$OUT/$name.err" </dev/null &
	guest=$!
	for i in $(seq 600); do
		./umm stat "$name" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "lab: guest $name does not answer"
	return 1
}

# physical_percent NODE FILE: of the pages in what `umm maps --physical` printed, by the kernel's
# word, how many percent are on this node of the host; -1: there are none.
physical_percent()
{
	sed -n 's/^physical: //p' "$2" | tr -s ' ,' ' ' |
	sed 's/ pages / /g; s/on host node //g' |
	awk -v node="$1" '{ for (i = 1; i < NF; i += 2) { if ($(i + 1) == node) n += $i; all += $i } }
		END { print all ? int(100 * n / all) : -1 }'
}

# await SECONDS COMMAND...: run it until it succeeds.
await()
{
	local end=$(($(uptime_ms) + $1 * 1000))

	shift
	until "$@"; do
		[ "$(uptime_ms)" -lt $end ] || return 1
		sleep 0.1
	done
}
