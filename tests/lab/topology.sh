# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The lab's NUMA topologies, as arguments for QEMU; sourced by tests/lab/run.
#
# A topology is a list of CPUs for each node and a table of distances, as the firmware will tell
# them to Linux: what a node's row says is the distance from it to each node.

TOPOLOGIES="2 4 slow"

# topology_find NAME: set topology_cpus (one word a node: CPU numbers, or none) and
# topology_distances (one row a node). False if there is no such topology.
topology_find()
{
	case $1 in
	2)
		topology_cpus=(0 1)
		topology_distances=("10 20" "20 10")
		;;
	4) # a square whose sides differ
		topology_cpus=(0 1 2 3)
		topology_distances=("10 12 21 31" "12 10 31 21" "21 31 10 16" "31 21 16 10")
		;;
	slow) # node 2 is memory alone, far from both
		topology_cpus=(0 1 none)
		topology_distances=("10 20 40" "20 10 60" "40 60 10")
		;;
	*) return 1 ;;
	esac
}

# topology_qemu_args MIB: QEMU's arguments for a machine of so much memory, one a line.
topology_qemu_args()
{
	local nodes=${#topology_cpus[@]} cpus=0 i j row

	for i in "${topology_cpus[@]}"; do
		[ "$i" = none ] || cpus=$((cpus + 1))
	done
	printf '%s\n' -smp "$cpus,sockets=$cpus" -m "$(($1 / nodes * nodes))M"
	for ((i = 0; i < nodes; i++)); do
		printf '%s\n' -object "memory-backend-ram,id=m$i,size=$(($1 / nodes))M"
		if [ "${topology_cpus[i]}" = none ]; then
			printf '%s\n' -numa "node,nodeid=$i,memdev=m$i"
		else
			printf '%s\n' -numa "node,nodeid=$i,cpus=${topology_cpus[i]},memdev=m$i"
		fi
	done
	for ((i = 0; i < nodes; i++)); do
		read -ra row <<<"${topology_distances[i]}"
		for ((j = 0; j < nodes; j++)); do
			[ $i = $j ] || printf '%s\n' -numa "dist,src=$i,dst=$j,val=${row[j]}"
		done
	done
}
