#!/bin/bash
# SPDX-License-Identifier: MIT
# The guest's own NUMA: its calls compared with Linux, and unmodified numactl, numastat,
# migratepages, numademo and memhog, which must see the guest's nodes and move its memory.
# takes: numactl numastat migratepages numademo memhog cat grep sed sleep paste
# timeout: 300
# lab: 2 2-shadow
. "$(dirname "$0")/lib.sh"
require_guest

# One page a fault and small folios, as the recorded Linux had them.
OPTIONS="--nodes 2 --cpus 2 --mem 256M --thp never --fault-around 1"
LINUX=$(dirname "$0")/numa_calls.txt # Linux 6.12 on two nodes with a processor each

# guest NAME OPTIONS COMMAND...: its output lands in $TEST_TMP/out.
guest()
{
	local name=$1 options=$2 rc

	shift 2
	# shellcheck disable=SC2086 # options are words
	umm run --name "$name" $options -- "$@" >"$TEST_TMP/out" 2>&1 </dev/null
	rc=$?
	[ $rc = 0 ] || { fail "$name" "exit status $rc" "$TEST_TMP/out"; return 1; }
}

# holds NAME PATTERN...: each is in the output.
holds()
{
	local name=$1 pattern

	shift
	for pattern; do
		grep -Eq -- "$pattern" "$TEST_TMP/out" ||
			{ fail "$name" "no line matches: $pattern" "$TEST_TMP/out"; return 1; }
	done
	pass "$name"
}

calls()
{
	guest numa-calls "$OPTIONS" "$PROGS/numa_calls" || return
	if diff -u "$LINUX" "$TEST_TMP/out" >"$TEST_TMP/difference"; then
		pass numa-calls "as recorded of Linux, $(wc -l <"$LINUX") lines"
	else
		fail numa-calls "differs from Linux" "$TEST_TMP/difference"
	fi
	if [ "$(cat /sys/devices/system/node/has_cpu 2>/dev/null)" != 0-1 ]; then
		skip numa-calls-native "this machine has not two nodes with a processor each"
	elif ! uname -r | awk -F. '{ exit !($1 > 6 || ($1 == 6 && $2 + 0 >= 12)) }'; then
		skip numa-calls-native "Linux 6.12 and later answer as the guest does, this is $(uname -r)"
	else
		[ ! -w /proc/sys/kernel/numa_balancing ] || echo 0 >/proc/sys/kernel/numa_balancing
		"$PROGS/numa_calls" >"$TEST_TMP/native"
		if diff -u "$TEST_TMP/native" "$TEST_TMP/out" >"$TEST_TMP/difference"; then
			pass numa-calls-native
		else
			fail numa-calls-native "guest and host differ" "$TEST_TMP/difference"
		fi
	fi
}

# Weights of weighted interleaving by /sys, and what they do.
weights()
{
	local linux=$TEST_TMP/weights

	guest numa-weights "$OPTIONS" "$PROGS/weights" && holds numa-weights \
		'^1 and 5: 20 of 24 pages on node 1$' '^2 and 1: 8 of 24 pages on node 1$' \
		'^weight_write\(0, "256.n"\): EINVAL$' || return
	if [ ! -w /sys/kernel/mm/mempolicy/weighted_interleave/node1 ] ||
		[ -e /sys/kernel/mm/mempolicy/weighted_interleave/auto ]; then
		skip numa-weights-native "this machine's Linux has not two nodes, or not the files of 6.9 to 6.15"
		return
	fi
	"$PROGS/weights" >"$linux"
	if diff -u "$linux" "$TEST_TMP/out" >"$TEST_TMP/difference"; then
		pass numa-weights-native
	else
		fail numa-weights-native "guest and host differ" "$TEST_TMP/difference"
	fi
}

# getcpu with and without a call, on each processor: the same, and true.
processors()
{
	guest getcpu "--nodes 2 --cpus 2 --mem 64M" "$PROGS/getcpu" &&
		holds getcpu '^cpu 0: node 0$' '^cpu 1: node 1$' '^right$' &&
		echo "# getcpu: $(tail -n 1 "$TEST_TMP/out")"
	guest getcpu-shared "--nodes 2 --cpus 8 --mem 64M" "$PROGS/getcpu" &&
		holds getcpu-shared '^cpu 7: node 1$' '^right$'
}

# /proc/zoneinfo: a zone a node, of the node's size.
zones()
{
	# shellcheck disable=SC2016
	guest zoneinfo "--config $TEST_TMP/nodes.conf" sh -c '
		sed -n "/^Node/h; /managed/{ H; x; s/\n//; s/  */ /gp }" /proc/zoneinfo
		sed -n "s/^  *nr_free_pages *//p" /proc/zoneinfo | paste -sd+
		sed -n "s/^MemFree: *\([0-9]*\) kB/free \1/p" /proc/meminfo' &&
		holds zoneinfo '^Node 0, zone Normal managed 32768$' '^Node 1, zone Normal managed 16384$' \
			'^Node 2, zone Normal managed 8192$' || return
	# Programs that end give back what is free a little later.
	if awk -F+ 'NF == 3 { sum = $1 + $2 + $3 } /^free/ { split($0, f, " "); free = f[2] / 4 }
		END { exit !(sum > 50000 && sum - free < 500 && free - sum < 500) }' "$TEST_TMP/out"; then
		pass zoneinfo-free
	else
		fail zoneinfo-free "the zones' free pages are not MemFree" "$TEST_TMP/out"
	fi
}

write_config()
{
	cat >"$TEST_TMP/nodes.conf" <<-'END'
		node0 = { mem = "128M"; cpus = 1; };
		node1 = { mem = "64M"; cpus = 1; distance = [ 20, 10, 33 ]; };
		node2 = { mem = "32M"; cpus = 0; distance = [ 40, 40, 10 ]; };
	END
}

tools()
{
	local config="--config $TEST_TMP/nodes.conf" sleeper

	# $p: a sleep with its memory on one node, which has begun.
	# shellcheck disable=SC2016 # for the guest's shell
	sleeper='began() { [ "$(cat /proc/$p/comm)" = sleep ] && grep -q "heap.* N$1=" /proc/$p/numa_maps; }
		sleeper() { numactl --membind=$1 sleep 1000 & p=$!
			tries=0; until began $1 || [ $((tries += 1)) -gt 600 ]; do sleep 0.1; done; }
		sleeper'
	have numactl numactl || return
	guest numactl-hardware "$config" numactl --hardware &&
		holds numactl-hardware 'available: 3 nodes \(0-2\)' 'node 2 cpus:$' \
			'node 1 size: 64 MB' '1: +20 +10 +33'
	guest numactl-show "$config" numactl --cpunodebind=1 numactl --show &&
		holds numactl-show '^physcpubind: 1 $' '^nodebind: 1 $' '^membind: 0 1 2 $'
	guest numactl-membind "$config" numactl --membind=2 cat /proc/self/numa_maps &&
		holds numactl-membind 'bind:2 heap .* N2=' 'bind:2 stack .* N2=[0-9]+ kernel'
	guest numactl-interleave "$config" numactl --interleave=0,2 cat /proc/self/numa_maps &&
		holds numactl-interleave 'interleave:0,2 stack .* N0=[0-9]+ N2=[0-9]+ kernel'
	guest numactl-preferred "$config" numactl --preferred=2 cat /proc/self/numa_maps &&
		holds numactl-preferred 'prefer.*:2 heap .* N2='
	guest memhog "$config" numactl --membind=1 memhog 16M && pass memhog
	have numademo numademo &&
		guest numademo "$config" numademo -t 4M memset && holds numademo 'memory interleaved'
	guest numastat-m "$config" numastat -m && holds numastat-m 'MemTotal +128.00 +64.00 +32.00'
	# shellcheck disable=SC2016 # for the guest's shell
	guest numastat-p "$config" sh -c "$sleeper"' 1; numastat -p $p; kill $p' &&
		holds numastat-p '^Stack +0.00 +0.0[1-9] +0.00'
	# shellcheck disable=SC2016
	guest migratepages "$config" sh -c "$sleeper"' 0
		grep -c "heap.* N0=" /proc/$p/numa_maps; migratepages $p 0 2
		grep "heap" /proc/$p/numa_maps; kill $p' &&
		holds migratepages '^1$' 'heap .* N2=[0-9]+ kernel'
}

# What the guest is told of nodes when one of them goes: 2 has no processor, 1 has one.
offline()
{
	local guest

	# shellcheck disable=SC2016
	"$UMM" run --name offline --config "$TEST_TMP/nodes.conf" -- sh -c '
		look() { cd /sys/devices/system/node; echo $1 $(cat online) $(cat has_memory) $(cat possible); }
		look before; while [ ! -e "$0" ]; do sleep 0.2; done; look after' "$TEST_TMP/gone" \
		>"$TEST_TMP/out" 2>&1 </dev/null &
	guest=$!
	await 10 grep -q before "$TEST_TMP/out" &&
		umm node offline offline 1 >"$TEST_TMP/said" 2>&1 && umm node offline offline 2 >>"$TEST_TMP/said" 2>&1 ||
		fail node-offline "it does not go offline" "$TEST_TMP/said"
	touch "$TEST_TMP/gone"
	wait $guest
	holds node-offline '^before 0-2 0-2 0-2$' '^after 0-1 0 0-2$'
}

# pages_are_on NODE: does the kernel have the whole area of `placed` on this node of the host?
pages_are_on()
{
	local start end

	read -r start end < <(awk '$1 == "area" { print substr($3, 3), substr($4, 3) }' "$TEST_TMP/out")
	umm maps physical --pid "$(umm maps physical | awk '/^process [0-9]+: [^ ]*placed / { sub(":", "", $2); print $2 }')" \
		--range "$start-$end" --physical >"$TEST_TMP/maps" 2>&1 &&
		grep -Eq "^physical: +1024 pages on host node $1\$" "$TEST_TMP/maps"
}

# The guest's own calls move memory between nodes of the host.
physical()
{
	local guest

	if [ ! -d /sys/devices/system/node/node1 ]; then
		skip numa-physical "this machine has one node"
		return
	fi
	# shellcheck disable=SC2016
	"$UMM" run --name physical --nodes 2 --cpus 2 --mem 128M -- sh -c '
		numactl --membind=1 "$0" --threads 1 --mem 4M --seconds 60 --unbound & p=$!
		until [ -e "$1" ]; do sleep 0.2; done
		migratepages $p 1 0
		until [ -e "$2" ]; do sleep 0.2; done
		kill $p; wait' "$WORKLOADS/placed" "$TEST_TMP/seen" "$TEST_TMP/came" >"$TEST_TMP/out" 2>"$TEST_TMP/err" </dev/null &
	guest=$!
	# In the lab, programs start slowly.
	if await 20 pages_are_on 1; then
		pass physical-membind
	else
		fail physical-membind "the area is not on host node 1" "$TEST_TMP/maps"
	fi
	: >"$TEST_TMP/seen"
	if await 20 pages_are_on 0; then
		pass physical-migratepages
	else
		fail physical-migratepages "the area did not come to host node 0" "$TEST_TMP/maps"
	fi
	: >"$TEST_TMP/came"
	wait $guest
	grep -q '^placed: all words right' "$TEST_TMP/out" && pass physical-words ||
		fail physical-words "wrong words" "$TEST_TMP/out"
}

write_config
calls
processors
weights
zones
tools
offline
physical
finish
