# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A table of programs to run with less memory than they want; sourced after lib.sh and servers_lib.sh.
# Each runs natively or in a guest, in an empty folder, and what it says is the same each time:
#
#   JOBS              the names of all; needs[JOB]: the commands without which it is skipped
#   guest_only[JOB]   natively it would harm this machine: it runs in guests only, the KiB that it wants are
#                     these, it ends with 0, leaves no file, and expect_JOB prints what it has to say
#   job_data          makes what they read, in $data
#   job_can JOB       whether it can be run here; else it is skipped by name
#   run_JOB CMD...    runs it, by CMD if there is one (umm run --, ...)
#   tell_JOB          takes what it printed and leaves what has to be the same (default: all of it)
#   serve_JOB CMD...  instead of run_JOB, becomes a server at $port, with files of its own in $state
#   answers_JOB       whether the server does
#   drive_JOB         a client of the host that knows all answers, and prints what has to be the same
#   after_JOB         looks through what the server left in $state, likewise
#
# SECONDS_EACH is how long those go on that can be told.

data=$TEST_TMP/data
jobs=$REPO/tests/guest/jobs
SECONDS_EACH=${SECONDS_EACH:-8}
# MiB of what python_array and (the half) awk fill.
ARRAY_MIB=${ARRAY_MIB:-60}
declare -A needs=() guest_only=()

PYTHON_TESTS="test_mmap test_fork1 test_posix test_os test_threading test_signal test_subprocess"
. "$REPO/tests/guest/jobs_servers.sh"
. "$REPO/tests/guest/jobs_vm.sh"
JOBS="redis memcached nginx http_server sqlite3 sqlite_speed gcc bash python_prompt python python_array awk
	arrays java node memtester stressapptest sysbench $PYTHON_TESTS stress_ng $VM_JOBS"

# --- data ------------------------------------------------------------------------------------------

job_data()
{
	mkdir -p "$data"
	awk -f "$jobs/work_c.awk" >"$data/work.c"
	# Workers that gave up root read it.
	chmod a+x "$TEST_TMP"
	chmod -R a+rX "$data"
}

# What servers serve, made when one of them is to run.
www_data()
{
	[ ! -d "$data/www" ] || return 0
	mkdir "$data/www"
	for i in 1 2 3 4; do
		awk -v i="$i" 'BEGIN {
			srand(i)
			for (n = 0; n < 30000 * i; n++)
				printf "%d %x\n", n, rand() * 2 ^ 31
		}' >"$data/www/file$i"
	done
	chmod -R a+rX "$data/www"
}

# job_can JOB
job_can()
{
	# shellcheck disable=SC2086
	have "$1" ${needs[$1]} || return
	case $1 in
	nginx | http_server) www_data ;;
	test_*)
		/usr/bin/python3 -c "import test.$1" 2>/dev/null ||
			{ skip "$1" "CPython's test programs are not installed"; return 1; } ;;
	sqlite_speed) python3 "$REPO/tests/guest/sqlite_speed.py" 8 >"$data/speed.sql" ;;
	arrays)
		gcc -O2 -fopenmp -o "$data/arrays" "$jobs/arrays.c" 2>/dev/null ||
			{ skip "$1" "gcc has no OpenMP here"; return 1; } ;;
	stress_swap)
		# Of a file that is not there: nothing but the right to ask is tried.
		[ "$("$PROGS/swap_one" on "$data/missing")" = ENOENT ] ||
			{ skip "$1" "one must be root and have the right to call swapon"; return 1; }
		[ "$(stat -f -c %T "$TEST_TMP")" != tmpfs ] ||
			{ skip "$1" "$TEST_TMP is in memory, where no swap file can be; set TMPDIR"; return 1; } ;;
	java)
		javac -d "$data" "$jobs/Heap.java" ||
			{ skip "$1" "javac cannot compile"; return 1; } ;;
	esac
}

# --- programs that come to an end ------------------------------------------------------------------

needs[sqlite3]=sqlite3
run_sqlite3()
{
	"$@" sqlite3 work.db ".read $jobs/work.sql"
}

needs[sqlite_speed]="sqlite3 python3"
run_sqlite_speed()
{
	"$@" sqlite3 -bail speed.db ".read $data/speed.sql" && sqlite3 speed.db .sha3sum && rm speed.db
}

# on_terminal DIALOG timeout -k 5 LIMIT CMD...: job control, keys, window size. The timeout stays outside
# of the terminal: it would pass on to CMD each ^C that CMD had already.
on_terminal()
{
	"${@:2:4}" python3 "$jobs/terminal.py" "$1" "${@:6}"
}

needs[bash]="bash python3"
run_bash()
{
	on_terminal bash "$@" bash --norc --noediting -i
}

needs[python_prompt]=/usr/bin/python3
run_python_prompt()
{
	on_terminal python "$@" /usr/bin/python3 -q
}

needs[gcc]=gcc
run_gcc()
{
	"$@" gcc -O2 -c -o work.o "$data/work.c"
}

needs[python]=/usr/bin/python3
run_python()
{
	"$@" /usr/bin/python3 -S "$REPO/tests/guest/work.py" bytes
}

needs[python_array]=/usr/bin/python3
run_python_array()
{
	"$@" /usr/bin/python3 -S "$REPO/tests/guest/work.py" array "$ARRAY_MIB"
}

needs[awk]=mawk
run_awk()
{
	"$@" mawk -v mib="$((ARRAY_MIB / 2))" -f "$jobs/strings.awk"
}

needs[arrays]=gcc
run_arrays()
{
	"$@" "$data/arrays"
}

needs[java]="java javac"
run_java()
{
	"$@" java -Xmx256m -XX:+UseG1GC -cp "$data" Heap
}

needs[node]=node
run_node()
{
	"$@" node "$jobs/heap.js"
}

# Unlocked: what is locked cannot be more than there is memory. The tests of its mask are the fast ones.
needs[memtester]="memtester prlimit setpriv"
run_memtester()
{
	local drop=()

	[ "$(id -u)" != 0 ] || drop=(setpriv --reuid=65534 --clear-groups)
	MEMTESTER_TEST_MASK=0x7 "$@" prlimit --memlock=0 "${drop[@]}" "$(command -v memtester)" 64M 1 2>&1
}

# It shows its progress by going back.
tell_memtester()
{
	tr '\b\r' '\n\n' | awk '/^  [A-Z].*:/ { test = $0 } /ok$/ { print test, "ok" } /FAILURE|^Done/'
}

needs[stressapptest]=stressapptest
run_stressapptest()
{
	"$@" stressapptest -M 64 -s "$SECONDS_EACH" -f sat.file --filesize 4m -i 1 && rm sat.file
}

tell_stressapptest()
{
	grep -oE '^Status: .*|[0-9]+ hardware incidents, [0-9]+ errors'
}

needs[sysbench]=sysbench
run_sysbench()
{
	"$@" sysbench memory --memory-block-size=32M --memory-total-size=2G --threads=2 --time=0 run
}

tell_sysbench()
{
	grep -oE '^Total operations: *[0-9]+|^ *[0-9.]+ MiB transferred'
}

run_python_test()
{
	"${@:2}" /usr/bin/python3 -m test -v --tempdir . "$1" 2>&1
}

# Lines "NAME VERDICT". The verdict stands on a line below the name's where the test has a description, or logged
# something, as asyncio does of steps that took long.
tell_python_test()
{
	awk '/^test[A-Za-z0-9_]* \([A-Za-z0-9_.]+\)/ { name = $1 " " $2 }
		name && match($0, /\.\.\. (ok|FAIL|ERROR|skipped|expected)/) {
			print name, substr($0, RSTART + 4, RLENGTH - 4)
			name = ""
		}
		name && /^(ok|FAIL|ERROR|expected failure|skipped .*)$/ {
			print name, $1
			name = ""
		}' | sort
}

for job in $PYTHON_TESTS; do
	needs[$job]=/usr/bin/python3
	eval "run_$job() { run_python_test $job \"\$@\"; }
		tell_$job() { tell_python_test; }"
done
