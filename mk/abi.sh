#!/bin/bash
# The table of system calls, docs/linux-abi.md, from guest/syscalls_*.def. `mk/abi.sh` prints it;
# `make lint` compares. Files of /proc and /sys that act: from the comments in their tables.
set -eu
cd "$(dirname "$0")/.."

# count PATTERN FILE...: how many lines declare a call
count()
{
	cat "${@:2}" | grep -c "^$1("
}

done_files="guest/syscalls_process.def guest/syscalls_file.def"
cat <<EOF
# The system calls of the guest

Made by \`mk/abi.sh\` from \`guest/syscalls_*.def\`; do not edit. Linux 6.1 to 6.12 on x86-64 is what is
compared with. $(count SYSCALL $done_files) calls are answered: by umm itself, or, on files, sockets and descriptors, with the
host's own call after every pointer, descriptor and path was translated. $(count SYSCALL_NAME guest/syscalls_missing.def) more are known by name
and answer ENOSYS, as does every other number; \`umm stat\` counts them and \`--strace\` shows them.
EOF

# Headings are comment lines of their own: "/* memory: sys_mem.c */".
awk -F'[(,]' '
	/^\/\* .*: .*\.c \*\/$/ {
		split($0, part, ": ")
		heading = substr(part[1], 4)
		file = part[2]
		sub(/ \*\/$/, "", file)
		gsub(/[a-z0-9_]+\.c/, "`guest/&`", file)
		printf "\n## %s%s\n\n%s\n\n| nr | call | notes |\n|---|---|---|\n",
			toupper(substr(heading, 1, 1)), substr(heading, 2), file
	}
	/^SYSCALL\(/ {
		name = $3
		sub(/^ /, "", name)
		note = ""
		if (match($0, /\/\* .* \*\/$/))
			note = substr($0, RSTART + 3, RLENGTH - 6)
		printf "| %s | %s | %s |\n", $2, name, note
	}' $done_files

printf '\n## Not there: ENOSYS\n\n'
sed -n 's/^SYSCALL_NAME([0-9]*, \([a-z0-9_]*\)).*/\1/p' guest/syscalls_missing.def |
	paste -sd' ' | fold -s -w 98 | sed 's/ *$//'
printf '\n'
sed -n 's|^SYSCALL_NAME([0-9]*, \([a-z0-9_]*\)) /\* \(.*\) \*/$|- \1: \2|p' \
	guest/syscalls_missing.def

# notes DIRECTORY FILE TABLE: rows of a table in the code, each after the comment that is its note.
notes()
{
	awk -v dir="$1" -v table="$3" '
		/\[\] = \{$/ { inside = index($0, " " table "[") > 0 }
		!inside { next }
		/^};/ { inside = 0 }
		/^\t\/\*/ { note = ""; text = 1 }
		text {
			line = $0
			gsub(/^[\t ]*(\/\*|\*\/|\*)? ?| *\*\/$/, "", line)
			if (line != "")
				note = note (note == "" ? "" : " ") line
			text = $0 !~ /\*\/$/
		}
		/^\t\{ "/ {
			split($0, part, "\"")
			printf "| %s%s | %s |\n", dir, part[2], note
			note = ""
		}' "$2"
}

printf '\n## Files that tell of memory, and act on it\n\n| file | notes |\n|---|---|\n'
notes /proc/PID/ guest/proc_memory.c procfs_pid_io
notes /proc/ guest/proc_pages.c procfs_system_io
{
	notes /proc/sys/vm/ guest/procfs_sysctl.c files
	notes /proc/sys/vm/ guest/procfs_sysctl_kept.c kept_files
	notes /proc/sys/vm/ guest/procfs_sysctl_kept.c odd_files
} | sort
notes /sys/kernel/mm/page_idle/ guest/proc_pages.c idle_files

cat <<EOF

## Differences that CPython's tests show

None. test_mmap (44 tests), test_fork1 (4), test_posix (159), test_os (316), test_threading (194), test_signal (55) and
test_subprocess (330) of Debian 12's Python 3.11, run natively and in the guest as root, gave the same verdict test by
test, and skipped the same for the same reasons. \`tests/guest/cpython.sh\` compares the first four in \`make check\`;
\`tests/guest/cpython.sh all\`, and \`make soak\`, all seven.

## The stressors of stress-ng's class vm

stress-ng 0.15.06 (Debian 12) has 36. Run one by one with \`--verify\` as root, natively and in a guest of 1 GiB, 31
end well in both: bad-altstack, bigheap, brk, dev-shm, env, madvise, malloc, mlock, mlockmany, mmap, mmapaddr, mmapfixed,
mmaphuge, mmapmany, mprotect, mremap, msync, msyncmany, munmap, pagemove, pageswap, shm, shm-sysv, stack, stackmmap, swap,
vm, vm-addr, vm-rw, vm-splice and watchdog (which finds none). The rest:

| stressor | natively | in the guest |
|---|---|---|
| vm-segv | ends well | does not end by itself: its child asks to be traced (ptrace is ENOSYS, which it does not look at) and stops itself; its parent waits for a stop that only a tracer is told of. stress-ng kills both after four minutes |
| userfaultfd | ends well | userfaultfd is ENOSYS: skipped by stress-ng |
| mmapfork | not run: it takes all memory of the host | ends well |
| physpage | fails on the machine these were run on | ends well |
| tmpfs | skipped by stress-ng: no tmpfs it may use | likewise |

madvise is slow: one of its rounds makes 80 000 system calls in eight threads, and each is an exit; on a busy
machine that took 14 s, natively 0.1 s, and it looks at the time only between rounds. \`make soak\` runs them all
(\`tests/guest/programs.sh\`, swap in \`tests/guest/swapon.sh\`), and 30 of them under torture
(\`tests/guest/torture_ratios.sh\`).
EOF
