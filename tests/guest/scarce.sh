#!/bin/bash
# SPDX-License-Identifier: MIT
# Real programs with half, a quarter and an eighth of the memory they want: their output byte for
# byte that of the native run. How much each wants is measured first, natively: the peak of its
# resident set. SOAK=1 tries every program with every share on every kind of swap area, over and
# over for SOAK_SECONDS.
# timeout: 400
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/servers_lib.sh"
require_guest
LIMIT=120
LEAST=4096 # KiB; umm run takes no less
KEYS=25000
data=$TEST_TMP/data
declare -A want # KiB, by program

# --- the programs: each a command that reads $data and writes what it finds -------------------

run_python()
{
	"$@" /usr/bin/python3 -S "$REPO/tests/guest/work.py"
}

run_sqlite3()
{
	"$@" sqlite3 :memory: ".read $data/work.sql"
}

run_gcc()
{
	"$@" gcc -O1 -S -o - "$data/work.c"
}

run_sort()
{
	"$@" sort -r -n -k2 -S 100M --parallel=1 "$data/lines"
}

run_zstd()
{
	"$@" zstd -d --long=26 -c "$data/lines.zst"
}

make_data()
{
	mkdir -p "$data"
	cat >"$data/work.sql" <<'END'
pragma temp_store = memory;
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 80000)
insert into t select i, printf('%0200d', i * 7919 % 1000003) from n;
select count(*), sum(a), min(b), max(b) from t;
select substr(b, 190), a from t order by substr(b, 190) || a limit 7;
delete from t where a % 3 = 0;
select count(*), sum(a), max(b) from t;
pragma integrity_check;
END
	awk -f "$REPO/tests/guest/jobs/work_c.awk" >"$data/work.c"
	awk 'BEGIN {
		srand(7)
		for (i = 0; i < 1200000; i++)
			printf "%08x%08x %d\n", rand() * 2 ^ 31, rand() * 2 ^ 31, i
	}' >"$data/lines"
	! command -v zstd >/dev/null || zstd -q -3 --long=26 -T1 "$data/lines" -o "$data/lines.zst"
}

# --- native runs ----------------------------------------------------------------------------------

# prepare PROGRAM: its native output, and what it wants. False: it is not here.
prepare()
{
	have "$1" "${1/python/python3}" || return
	if ! "run_$1" /usr/bin/python3 "$REPO/tests/guest/peak.py" "$TEST_TMP/peak" \
		>"$TEST_TMP/$1.native" 2>"$TEST_TMP/err"; then
		fail "$1" "the native run failed" "$TEST_TMP/err"
		return 1
	fi
	want[$1]=$(cat "$TEST_TMP/peak")
}

# --- in the guest -----------------------------------------------------------------------------------

# share PROGRAM TENTHS-OF-A-PERCENT: KiB of memory
share()
{
	local kib=$((${want[$1]} * $2 / 1000))

	echo $((kib < LEAST ? LEAST : kib))
}

# stat_of FILE EXPRESSION: python's EXPRESSION over what umm run --stat wrote, in j
stat_of()
{
	python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); e = j["events"]
print(eval(sys.argv[2]))' "$1" "$2"
}

percent()
{
	echo "$(($1 / 10))$([ $(($1 % 10)) = 0 ] || echo ".$(($1 % 10))") %"
}

# kind_of AREA
kind_of()
{
	case $1 in
	[0-9]*) echo file ;;
	*writeback*) echo "${1%%:*} and file" ;;
	*) echo "${1%%:*}" ;;
	esac
}

# at_least EXPRESSION NUMBER: of the guest that ran last
at_least()
{
	local value

	value=$(stat_of "$TEST_TMP/stat" "$1") && [ "$value" -ge "$2" ]
}

# scarce PROGRAM TENTHS AREA
scarce()
{
	local program=$1 kib name start

	kib=$(share "$1" "$2")
	name="$1 with $(percent "$2"), $(kind_of "$3")"
	start=$(now)
	if ! "run_$program" timeout -k 5 "$LIMIT" "$UMM" run --mem "${kib}K" --swap "$3" \
		--stat "$TEST_TMP/stat" -- >"$TEST_TMP/out" 2>"$TEST_TMP/err"; then
		fail "$name" "it failed with ${kib}K of ${want[$program]}K" "$TEST_TMP/err"
	elif ! cmp "$TEST_TMP/$program.native" "$TEST_TMP/out" >"$TEST_TMP/difference" 2>&1; then
		fail "$name" "the output is another" "$TEST_TMP/difference"
	elif ! at_least 'e["pgsteal"]' $((kib / 16)); then
		fail "$name" "next to nothing was reclaimed: ${kib}K of ${want[$program]}K"
	else
		pass "$name" "$((kib / 1024))M of $((${want[$program]} / 1024))M, $(seconds_since "$start") s"
	fi
}

# redis is filled and verified by a client on the host, which knows every value.
prepare_redis()
{
	have redis redis-server redis-cli python3 || return
	redis_start native redis-native "$TEST_TMP/redis" || return
	client redis fill "$port" $KEYS 1 && client redis verify "$port" $KEYS 1 ||
		fail redis "the native run failed"
	want[redis]=$(($(redis_info "$port" used_memory_peak) / 1024 + 4096))
	server_stop redis-native
}

scarce_redis()
{
	local kib name start

	kib=$(share redis "$1")
	name="redis with $(percent "$1"), $(kind_of "$2")"
	GUEST_OPTIONS=(--mem "${kib}K" --swap "$2" --stat "$TEST_TMP/stat")
	start=$(now)
	redis_start guest redis-guest "$TEST_TMP/redis" || return
	if ! client redis fill "$port" $KEYS 1 >"$TEST_TMP/err" 2>&1 ||
		! client redis verify "$port" $KEYS 1 >>"$TEST_TMP/err" 2>&1; then
		fail "$name" "the client found it wrong" "$TEST_TMP/err"
		server_stop redis-guest
		return
	fi
	server_stop redis-guest
	if [ "$status" != 0 ]; then
		fail "$name" "exit status $status after SIGTERM" "$TEST_TMP/redis-guest.log"
	elif ! at_least 'e["pswpout"]' $((kib / 16)); then
		fail "$name" "next to nothing was swapped"
	else
		pass "$name" "$((kib / 1024))M of $((${want[redis]} / 1024))M, $(seconds_since "$start") s"
	fi
}

make_data
programs=()
for program in python sqlite3 gcc sort zstd; do
	! prepare $program || programs+=($program)
done
prepare_redis

if [ -n "${SOAK:-}" ]; then
	end=$((SECONDS + ${SOAK_SECONDS:-1800}))
	LIMIT=600
	while [ $SECONDS -lt $end ]; do
		for area in lz4:512M 512M zstd:512M ram:512M lz4:512M,memory=8M,writeback=512M; do
			for tenths in 500 250 125; do
				for program in "${programs[@]}"; do
					scarce "$program" $tenths $area
				done
				[ -z "${want[redis]:-}" ] || scarce_redis $tenths $area
				[ $SECONDS -lt $end ] || break 2
			done
		done
	done
else
	for program in "${programs[@]}"; do
		scarce "$program" 125 lz4:512M
		scarce "$program" 250 512M
	done
	if [ -n "${want[redis]:-}" ]; then
		scarce_redis 125 lz4:512M
		scarce_redis 125 512M
	fi
	[ -z "${want[python]:-}" ] || scarce python 500 512M
	[ -z "${want[python]:-}" ] || scarce python 125 512M
fi
servers_finish
