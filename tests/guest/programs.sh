#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of the distribution that judge themselves or a system: memory stressors, servers, language
# runtimes, a database's speed test, interactive programs. Each runs natively too, or tells by itself whether
# the system is right.
# SOAK=1: every stressor of stress-ng's class vm that ends well natively, memtester, stressapptest and
# sysbench as long as people run them, and all of SQLite's speed test.
# timeout: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/servers_lib.sh"
require_guest

# These cannot run here: vm-segv traces its child and waits for ever without ptrace, userfaultfd wants
# its call (both are ENOSYS, docs/linux-abi.md), physpage /dev/mem; swap would give the host's own kernel
# swap when it runs natively (in a guest it runs in swapon.sh).
NOT_STRESSED="vm-segv swap userfaultfd physpage"
# This one takes all memory there is: that of a guest, but not that of the host.
NOT_NATIVELY="mmapfork"
SQLITE_SIZE=8 # of 100
MEMTESTER_SIZE=4M SAT_MIB=32 SAT_SECONDS=2
if [ -n "${SOAK:-}" ]; then
	SQLITE_SIZE=100 MEMTESTER_SIZE=256M SAT_MIB=256 SAT_SECONDS=60
	LIMIT=900
fi

# judged NAME PATTERN CMD...: runs in a guest, ends with 0 and says PATTERN.
judged()
{
	local name=$1 pattern=$2 start

	shift 2
	start=$(now)
	run_side guest '' /dev/null "$LIMIT" "$UMM" run --mem 1G -- "$@"
	cat "$TEST_TMP/guest/err" >>"$TEST_TMP/guest/out"
	if [ "$(cat "$TEST_TMP/guest/status")" != 0 ]; then
		fail "$name" "exit status $(cat "$TEST_TMP/guest/status")" "$TEST_TMP/guest/out"
	elif ! grep -q "$pattern" "$TEST_TMP/guest/out" ||
		grep -qE 'FAILURE|: fail:' "$TEST_TMP/guest/out"; then
		fail "$name" "it does not say '$pattern', or tells of a failure" "$TEST_TMP/guest/out"
	else
		pass "$name" "guest $(seconds_since "$start") s"
	fi
}

test_stressors()
{
	local name

	have stress-ng stress-ng || return
	judged stress-ng-vm-all "successful run" \
		stress-ng --vm 2 --vm-bytes 16M --vm-method all --verify --vm-ops 300 -t 20
	judged stress-ng-class-vm "successful run" stress-ng --verify -t 2 --vm-rw 1 --vm-splice 1 \
		--vm-addr 1 --shm 1 --shm-sysv 1 --mremap 1 --mlock 1 --stack 1 --bad-altstack 1 --brk 1
	[ -n "${SOAK:-}" ] || return
	for name in $(stress-ng --class 'vm?' 2>&1 | sed -n 's/.*stressors: //p'); do
		if [[ " $NOT_STRESSED " = *" $name "* ]]; then
			skip "stress-ng-$name" "see NOT_STRESSED in $0"
		elif [[ " $NOT_NATIVELY " != *" $name "* ]] &&
			! (cd "$TEST_TMP" && timeout 60 stress-ng "--$name" 1 --verify -t 3) >/dev/null 2>&1; then
			skip "stress-ng-$name" "it does not end well natively here"
		else
			judged "stress-ng-$name" "successful run" stress-ng "--$name" 1 --verify -t 3
		fi
	done
}

test_testers()
{
	! have memtester memtester || judged memtester "^Done" memtester "$MEMTESTER_SIZE" 1
	! have stressapptest stressapptest || judged stressapptest "^Status: PASS" \
		stressapptest -M "$SAT_MIB" -s "$SAT_SECONDS"
	! have sysbench sysbench || judged sysbench-memory "transferred" \
		sysbench memory --memory-total-size=256M --threads=2 run
}

test_openmp()
{
	cat >"$TEST_TMP/omp.c" <<'END'
#include <omp.h>
#include <stdio.h>

int main(void)
{
	int threads = 0, i;
	double sum = 0;

#pragma omp parallel reduction(+ : sum)
	{
#pragma omp atomic
		threads++;
#pragma omp for schedule(static)
		for (i = 1; i < 3000000; i++)
			sum += 1.0 / i;
	}
	printf("%d threads on %d processors: %.9f\n", threads, omp_get_num_procs(), sum);
	return 0;
}
END
	if ! gcc -O2 -fopenmp -o "$TEST_TMP/omp" "$TEST_TMP/omp.c" 2>/dev/null; then
		skip openmp "no gcc with OpenMP"
		return
	fi
	compare openmp -- "$TEST_TMP/omp"
}

fetch()
{
	python3 -c 'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=10).read())' \
		"http://127.0.0.1:$port/$1"
}

# served NAME DIR: all files come as they are, several at once too; then it ends by SIGTERM.
served()
{
	local name=$1 dir=$2 file i

	for file in index.html large; do
		fetch "$file" 2>&1 | cmp - "$dir/$file" >"$TEST_TMP/step" 2>&1 || {
			fail "$name" "$file came otherwise" "$TEST_TMP/step"
			return 1
		}
	done
	for i in 1 2 3 4; do
		(fetch large | cmp -s - "$dir/large" || touch "$TEST_TMP/wrong") &
	done
	wait $(jobs -p | grep -vx "${server_pid[$name]}")
	if [ -e "$TEST_TMP/wrong" ]; then
		fail "$name" "files fetched at once came otherwise"
		return 1
	fi
}

make_site()
{
	mkdir -p "$1"
	echo "hello" >"$1/index.html"
	head -c 700000 /dev/urandom >"$1/large"
	# Workers that gave up root read it.
	chmod a+x "$TEST_TMP" "$(dirname "$1")"
	chmod -R a+rX "$1"
}

test_nginx()
{
	local dir=$TEST_TMP/site

	have nginx nginx || return
	make_site "$dir/www"
	port=$(client port)
	nginx_config www "sendfile on;" >"$dir/nginx.conf"
	server_start guest nginx 'fetch index.html >/dev/null 2>&1' \
		/usr/sbin/nginx -p "$dir" -c nginx.conf -e "$dir/error.log" -g 'daemon off;' || return
	served nginx "$dir/www" || return
	server_stop nginx
	if [ "$status" != 0 ]; then
		fail nginx "exit status $status after SIGTERM" "$dir/error.log"
	else
		pass nginx "two workers"
	fi
}

test_http_server()
{
	local dir=$TEST_TMP/site2

	have http-server python3 || return
	make_site "$dir"
	port=$(client port)
	server_start guest http-server 'fetch index.html >/dev/null 2>&1' \
		/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory "$dir" "$port" || return
	served http-server "$dir" || return
	server_stop http-server
	pass http-server
}

test_runtimes()
{
	if have java java javac; then
		cat >"$TEST_TMP/Churn.java" <<'END'
public class Churn {
	public static void main(String[] args) throws Exception {
		var map = new java.util.HashMap<Integer, byte[]>();
		long hash = 0;
		for (int round = 0; round < 60; round++)
			for (int i = 0; i < 2000; i++) {
				byte[] b = new byte[2000];
				b[i] = (byte)(i + round);
				map.put(i, b);
			}
		for (int i = 0; i < 2000; i++)
			hash = hash * 31 + map.get(i)[i];
		var threads = new Thread[4];
		var sums = new long[4];
		for (int k = 0; k < 4; k++) {
			int n = k;
			threads[k] = new Thread(() -> {
				long x = n;
				for (int i = 0; i < 1000000; i++)
					x = x * 6364136223846793005L + 1442695040888963407L;
				sums[n] = x;
			});
			threads[k].start();
		}
		for (var t : threads)
			t.join();
		System.out.println(hash + " " + sums[0] + " " + sums[3]);
	}
}
END
		javac -d "$TEST_TMP" "$TEST_TMP/Churn.java" &&
			compare java-g1 --umm "--mem 1G" -- \
				"$(command -v java)" -Xmx256m -XX:+UseG1GC -cp "$TEST_TMP" Churn
	fi
	if have node node; then
		cat >"$TEST_TMP/churn.js" <<'END'
const { Worker } = require('worker_threads');
const rows = [];
for (let i = 0; i < 100000; i++)
	rows.push({ key: i, value: 'x' + i });
rows.sort((a, b) => a.value < b.value ? -1 : 1);
const hash = require('crypto').createHash('sha256');
for (const row of rows)
	hash.update(row.value);
console.log(hash.digest('hex'));
const worker = new Worker("require('worker_threads').parentPort.postMessage(42)", { eval: true });
worker.on('message', (m) => console.log('worker', m));
END
		compare node --umm "--mem 1G" -- "$(command -v node)" "$TEST_TMP/churn.js"
	fi
}

# The statements of SQLite's own speed test, in a file and in memory: every answer is the same.
test_sqlite_speed()
{
	have sqlite-speed sqlite3 python3 || return
	python3 "$(dirname "$0")/sqlite_speed.py" "$SQLITE_SIZE" >"$TEST_TMP/speed.sql"
	compare sqlite-speed-file -- \
		/bin/sh -c "sqlite3 -bail x.db <'$TEST_TMP/speed.sql' && sqlite3 x.db .sha3sum && rm x.db"
	compare sqlite-speed-memory -- /bin/sh -c "sqlite3 -bail :memory: <'$TEST_TMP/speed.sql'"
}

# typed NAME WHAT STATUS NOTE -- COMMAND...: pty_shell.py types to it natively and in a guest. GUEST stands
# for the start of a guest, and for nothing natively.
typed()
{
	local name=$1 what=$2 status=$3 note=$4 side guest command

	shift 5
	for side in native guest; do
		[ $side = native ] && guest= || guest="$UMM run --"
		command=("$@")
		# shellcheck disable=SC2206
		[ "$1" != GUEST ] || command=($guest "${@:2}")
		RUN=$guest timeout -k 5 240 python3 "$(dirname "$0")/pty_shell.py" "$what" "${command[@]}" \
			>"$TEST_TMP/typed.$side" 2>&1
	done
	diff "$TEST_TMP/typed.native" "$TEST_TMP/typed.guest" >"$TEST_TMP/difference" &&
		grep -q "^status $status\$" "$TEST_TMP/typed.guest"
	case $? in
	0) pass "$name" "$note" ;;
	*) fail "$name" "differs from the native run" "$TEST_TMP/difference" ;;
	esac
}

test_interactive()
{
	have interactive python3 || return
	typed interactive-bash bash 7 "job control, window size" -- \
		GUEST /bin/bash --norc --noediting -i
	typed interactive-python python 0 "^C, ^Z, window size" -- GUEST /usr/bin/python3 -q
	typed interactive-job job 7 "guests stopped and continued" -- /bin/bash --norc --noediting -i
}

# Each way in and out of the guest costs the exits that are expected.
test_bench()
{
	have bench-abi python3 || return
	if umm bench abi --only call --repeat 1 --json >"$TEST_TMP/abi.json" 2>"$TEST_TMP/step" &&
		python3 - "$TEST_TMP/abi.json" <<'END' 2>>"$TEST_TMP/step"
import json, sys
rows = {row["name"]: row for row in json.load(open(sys.argv[1]))["benchmarks"]}
assert rows["an exit of this host"]["umm"]["median"] > 0
row = rows["system call (getppid)"]
assert row["other_samples"]["median"] > 0 and 0.99 <= float(row["note"].split()[0]) <= 1.05, row
END
	then
		pass bench-abi "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["benchmarks"][1]["note"])' "$TEST_TMP/abi.json")"
	else
		fail bench-abi "no figures, or wrong ones" "$TEST_TMP/step"
	fi
}

test_bench
test_stressors
test_testers
test_openmp
test_nginx
test_http_server
test_runtimes
test_sqlite_speed
test_interactive
servers_finish
