# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A table of programs to run with less memory than they want; sourced after lib.sh and servers_lib.sh.
# Each runs natively or in a guest, in an empty folder, and what it says is the same each time:
#
#   JOBS              the names of all; needs[JOB]: the commands without which it is skipped
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
declare -A needs=()

PYTHON_TESTS="test_mmap test_fork1 test_posix test_os test_threading test_signal test_subprocess"
JOBS="redis memcached nginx http_server sqlite3 gcc python python_array awk arrays java node stress_ng memtester
	stressapptest sysbench $PYTHON_TESTS"

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
	arrays)
		gcc -O2 -fopenmp -o "$data/arrays" "$jobs/arrays.c" 2>/dev/null ||
			{ skip "$1" "gcc has no OpenMP here"; return 1; } ;;
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

# Lines "NAME VERDICT".
tell_python_test()
{
	sed -nE 's/^(test\w* \([a-zA-Z_.0-9]+\)).*\.\.\. (ok|FAIL|ERROR|skipped|expected failure).*$/\1 \2/p' | sort
}

for job in $PYTHON_TESTS; do
	needs[$job]=/usr/bin/python3
	eval "run_$job() { run_python_test $job \"\$@\"; }
		tell_$job() { tell_python_test; }"
done

# --- servers ------------------------------------------------------------------------------------------

REDIS_KEYS=8000
needs[redis]="redis-server redis-cli redis-check-rdb redis-check-aof python3"
serve_redis()
{
	exec "$@" redis-server --port "$port" --dir "$state" --save '' --enable-debug-command yes \
		--appendonly yes --auto-aof-rewrite-percentage 0
}

answers_redis()
{
	redis "$port" ping 2>/dev/null | grep -q PONG
}

# What the child saves is what was there at the fork; the parent stores all along.
drive_redis()
{
	client redis fill "$port" $REDIS_KEYS 1 && client redis verify "$port" $REDIS_KEYS 1 || return
	echo "first: $(redis "$port" debug digest)"
	redis "$port" bgsave | grep -q started || return
	client redis fill "$port" $REDIS_KEYS 2 &&
		redis_await "$port" rdb_bgsave_in_progress 0 || return
	echo "saved: $(redis_info "$port" rdb_last_bgsave_status)"
	redis "$port" bgrewriteaof >/dev/null
	client redis verify "$port" $REDIS_KEYS 2 &&
		client redis fill "$port" $((REDIS_KEYS / 2)) 3 &&
		redis_await "$port" aof_rewrite_in_progress 0 || return
	echo "rewritten: $(redis_info "$port" aof_last_bgrewrite_status)"
	echo "last: $(redis "$port" debug digest)"
}

# A native server reads both files.
after_redis()
{
	local name=redis-after loaded

	redis-check-rdb "$state/dump.rdb" | grep -o 'RDB looks OK'
	for loaded in dump.rdb appendonly; do
		server_start native $name answers_redis redis-server --port "$port" --dir "$state" \
			--save '' --enable-debug-command yes \
			--appendonly "$([ $loaded = appendonly ] && echo yes || echo no)" >&2 || return
		echo "$loaded holds: $(redis "$port" debug digest)"
		server_stop $name
	done
}

MEMCACHED_KEYS=20000
needs[memcached]="memcached python3"
serve_memcached()
{
	exec "$@" memcached -u root -t 4 -m 128 -l 127.0.0.1 -p "$port"
}

answers_memcached()
{
	client memcached fill "$port" 1 0 2>/dev/null
}

drive_memcached()
{
	local seed

	for seed in 1 2; do
		client memcached fill "$port" $MEMCACHED_KEYS $seed &&
			client memcached verify "$port" $MEMCACHED_KEYS $seed || return
		echo "all $MEMCACHED_KEYS are right, seed $seed"
	done
}

fetch()
{
	timeout -k 5 "$LIMIT" python3 "$jobs/fetch.py" "$port" "$@"
}

needs[nginx]="nginx python3"
serve_nginx()
{
	local user=

	[ "$(id -u)" != 0 ] || user="user nobody nogroup;"
	cat >"$state/nginx.conf" <<CONF
$user
worker_processes 2;
pid nginx.pid;
events { worker_connections 64; }
http {
	access_log off;
	sendfile off;
	output_buffers 4 512k;
	gzip on;
	gzip_types *;
	gzip_comp_level 9;
	gzip_buffers 8 64k;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
	uwsgi_temp_path t4; scgi_temp_path t5;
	server { listen 127.0.0.1:$port; root $data/www; }
}
CONF
	exec "$@" "$(command -v nginx)" -p "$state" -c nginx.conf -e "$state/error.log" -g 'daemon off;'
}

answers_nginx()
{
	fetch 1 file1 >/dev/null 2>&1
}

drive_nginx()
{
	fetch 12 file1 file2 file3 file4
}

needs[http_server]=/usr/bin/python3
serve_http_server()
{
	exec "$@" /usr/bin/python3 -m http.server --bind 127.0.0.1 --directory "$data/www" "$port"
}

answers_http_server()
{
	answers_nginx
}

drive_http_server()
{
	fetch 40 file1 file2 file3 file4
}
