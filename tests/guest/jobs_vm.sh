# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Jobs of stress-ng: its memory tester, and every other stressor of its class vm that runs as root
# natively or, where it would harm this machine, in a guest; sourced by jobs_lib.sh. They go on for a
# time, so that what is the same each time is what they say of their own checks.
#
#   VM_JOBS           stress_NAME for each of those
#
# Some take all memory there is, or much more than others, and are told how much to take.

# These cannot run here: vm-segv traces its child and waits for ever without ptrace, userfaultfd
# wants its call (both are ENOSYS, docs/linux-abi.md), physpage /dev/mem, watchdog a watchdog, tmpfs a
# tmpfs of its own.
declare -A VM_STRESSORS=(
	[bad_altstack]="" [bigheap]="--bigheap-growth 16K --bigheap-ops 4000"
	[brk]="--brk-ops 50000" [dev_shm]="" [env]="--env-ops 100" [madvise]="" [malloc]="--malloc-bytes 4K"
	[mlock]="--mlock-ops 2000" [mlockmany]="--mlockmany-procs 4" [mmap]="--mmap-bytes 32M"
	[mmapaddr]="" [mmapfixed]="" [mmapfork]="" [mmaphuge]="--mmaphuge-mmaps 16"
	[mmapmany]="--mmapmany-ops 20000"
	[mprotect]="" [mremap]="--mremap-bytes 16M" [msync]="--msync-bytes 16M" [msyncmany]=""
	[munmap]="" [pagemove]="--pagemove-bytes 16M" [pageswap]="" [shm]="--shm-bytes 2M"
	[shm_sysv]="--shm-sysv-bytes 4M" [stack]="" [stackmmap]="" [swap]="" [vm_addr]="" [vm_rw]=""
	[vm_splice]=""
)
# Natively one would take half of the host's free memory, the other give the host's kernel swap files.
guest_only[stress_mmapfork]=65536
guest_only[stress_swap]=32768
VM_SECONDS=4
VM_JOBS=$(for job in "${!VM_STRESSORS[@]}"; do echo "stress_$job"; done | sort)

# What out of memory kills is started again by default, and nobody would know.
needs[stress_ng]=stress-ng
run_stress_ng()
{
	"$@" stress-ng --vm 2 --vm-bytes 64M --vm-method all --verify --oomable -t "$SECONDS_EACH" 2>&1
}

tell_stress_ng()
{
	grep -oE 'successful run|.*(fail|FAIL|error|killed).*'
}

# run_vm_stressor NAME CMD...: --pathological, as mlockmany can make a machine hang, if it is not small.
run_vm_stressor()
{
	local name=$1 drop=()

	shift
	# What is locked cannot be more than there is memory: as root, mmap is killed where it maps its 32M
	# with MAP_LOCKED into less, and so it is natively in a memory cgroup of that size.
	if [[ $name = mlock* || $name = mmap ]]; then
		drop=(prlimit --memlock=2097152)
		[ "$(id -u)" != 0 ] || drop+=(setpriv --reuid=65534 --clear-groups)
	fi
	# shellcheck disable=SC2086
	"$@" "${drop[@]}" stress-ng --pathological "--${name//_/-}" 1 ${VM_STRESSORS[$name]} --verify --oomable \
		-t "$VM_SECONDS" 2>&1
}

for job in $VM_JOBS; do
	needs[$job]="stress-ng prlimit setpriv"
	eval "run_$job() { run_vm_stressor ${job#stress_} \"\$@\"; }
		tell_$job() { tell_stress_ng; }"
done

expect_stress_mmapfork()
{
	echo "successful run"
}

# A run without any swap file is a successful one, too, for stress-ng; but it does not say this.
tell_stress_swap()
{
	grep -oE 'pages were swapped out|successful run|.*(fail|FAIL|error|killed|skipping).*'
}

expect_stress_swap()
{
	printf '%s\n' "pages were swapped out" "successful run"
}
