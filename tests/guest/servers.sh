#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-server and memcached of the distribution in the guest, unmodified, serving clients on
# the host. What redis writes in the guest (RDB by a forked child, AOF) is loaded by a native
# server and by a guest: the digest of all keys and values must be the same.
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/servers_lib.sh"
require_guest

KEYS=6000

# check NAME CMD...: a step of the test NAME. The first that fails fails it.
check()
{
	local name=$1

	shift
	"$@" >"$TEST_TMP/step" 2>&1 && return
	fail "$name" "$(printf '%.150s' "$*")" "$TEST_TMP/step"
	return 1
}

digest()
{
	redis "$1" debug digest
}

# stopped NAME SERVER: it ends by SIGTERM as it does natively.
stopped()
{
	server_stop "$2"
	[ "$status" = 0 ] && return
	fail "$1" "exit status $status after SIGTERM" "$TEST_TMP/$2.log"
	return 1
}

# loaded NAME SIDE DIR DIGEST SEED OPTION...: a server on SIDE finds all of it in a copy of DIR.
loaded()
{
	local name=$1 side=$2 copy=$TEST_TMP/$1-$2 wanted=$4 seed=$5 dir=$3 got port

	shift 5
	rm -rf "$copy"
	cp -a "$dir" "$copy"
	redis_start "$side" "$name-$side" "$copy" "$@" || return
	got=$(digest "$port")
	if [ "$got" != "$wanted" ]; then
		fail "$name" "loaded on the $side side: digest $got, was $wanted"
	elif check "$name" client redis verify "$port" $KEYS "$seed"; then
		stopped "$name" "$name-$side"
		return
	fi
	server_stop "$name-$side"
	return 1
}

# The child must save what was there at the fork, whatever the parent stores meanwhile.
test_redis_rdb()
{
	local dir=$TEST_TMP/rdb socket=$TEST_TMP/redis.sock at_fork at_end saved=$TEST_TMP/saved

	redis_start guest redis-rdb "$dir" --unixsocket "$socket" || return
	check redis-rdb client redis fill "$socket" $KEYS 1 &&
		check redis-rdb client redis verify "$port" $KEYS 1 || return
	pass redis-serves
	at_fork=$(digest "$port")
	check redis-rdb redis "$port" bgsave &&
		check redis-rdb client redis fill "$port" $KEYS 2 &&
		check redis-rdb redis_await "$port" rdb_bgsave_in_progress 0 &&
		check redis-rdb grep -qx ok <(redis_info "$port" rdb_last_bgsave_status) &&
		check redis-rdb client redis verify "$socket" $KEYS 2 || return
	cp -a "$dir" "$saved"
	at_end=$(digest "$port")
	if [ "$at_fork" = "$at_end" ]; then
		fail redis-rdb "two different contents have one digest"
	fi
	loaded redis-bgsave native "$saved" "$at_fork" 1 && pass redis-bgsave
	redis_save_and_stop redis-rdb "$dir" || return
	loaded redis-reload native "$dir" "$at_end" 2 &&
		loaded redis-reload guest "$dir" "$at_end" 2 && pass redis-reload
}

# Let the server save at its end: what a second run starts with.
redis_save_and_stop()
{
	check "$1" redis "$port" config set save '3600 1' && stopped "$1" "$1" &&
		check "$1" grep -q 'DB saved on disk' "$TEST_TMP/$1.log"
}

test_redis_aof()
{
	local dir=$TEST_TMP/aof at_end aof=(--appendonly yes --io-threads 2 --io-threads-do-reads yes)

	redis_start guest redis-aof "$dir" "${aof[@]}" || return
	check redis-aof client redis fill "$port" $((KEYS / 2)) 3 &&
		check redis-aof redis "$port" bgrewriteaof &&
		check redis-aof client redis fill "$port" $KEYS 4 &&
		check redis-aof redis_await "$port" aof_rewrite_in_progress 0 &&
		check redis-aof grep -qx ok <(redis_info "$port" aof_last_bgrewrite_status) || return
	at_end=$(digest "$port")
	stopped redis-aof redis-aof || return
	loaded redis-aof native "$dir" "$at_end" 4 --appendonly yes &&
		loaded redis-aof guest "$dir" "$at_end" 4 "${aof[@]}" && pass redis-aof
}

# What was acknowledged under `appendfsync always` is on disk, even if umm is killed.
test_redis_killed()
{
	local dir=$TEST_TMP/killed at_end

	redis_start guest redis-killed "$dir" --appendonly yes --appendfsync always || return
	check redis-killed client redis fill "$port" 500 5 || return
	at_end=$(digest "$port")
	# Below timeout(1), which ends with it.
	kill -9 "$(pgrep -P "${server_pid[redis-killed]}")"
	wait "${server_pid[redis-killed]}" 2>/dev/null
	KEYS=500 loaded redis-killed native "$dir" "$at_end" 5 --appendonly yes &&
		pass redis-killed
}

test_redis_benchmark()
{
	redis_start guest redis-benchmark "$TEST_TMP/benchmark" || return
	check redis-benchmark timeout "$LIMIT" redis-benchmark -p "$port" -t set,get,lpush,lrange_100 \
		-n 3000 -c 20 -P 16 -d 100 --csv || return
	cp "$TEST_TMP/step" "$TEST_TMP/rates"
	# Pushed twice, as often as was asked for or a whole pipeline more.
	if [ "$(redis "$port" llen mylist)" -lt 6000 ]; then
		fail redis-benchmark "$(redis "$port" llen mylist) items of 6000 in the list"
	elif stopped redis-benchmark redis-benchmark; then
		pass redis-benchmark "$(awk -F, 'NR > 1 { print $1, $2 "/s" }' "$TEST_TMP/rates" |
			tr -d '"' | paste -sd' ')"
	fi
}

# Server and clients in one guest.
test_redis_within()
{
	local dir=$TEST_TMP/within port

	port=$(client port)
	mkdir "$dir"
	cat >"$dir/job.sh" <<END
redis-server --port $port --dir $dir --save '' --appendonly yes --enable-debug-command yes >$dir/log 2>&1 &
server=\$!
until redis-cli -p $port ping 2>/dev/null | grep -q PONG; do
	kill -0 \$server || exit
	sleep 0.1
done
redis-cli -p $port set key value
redis-cli -p $port get key
redis-benchmark -p $port -t set,get,lpush,lrange_100 -n 2000 -c 10 -P 8 --csv | cut -d, -f1
redis-cli -p $port bgsave
until redis-cli -p $port info | grep -q rdb_bgsave_in_progress:0; do sleep 0.1; done
redis-cli -p $port info | grep -o rdb_last_bgsave_status:ok
redis-cli -p $port dbsize
redis-cli -p $port debug digest >$dir/digest
redis-cli -p $port shutdown nosave
wait \$server
echo "status \$?"
END
	if ! check redis-within umm run --mem 512M -- /bin/bash "$dir/job.sh"; then
		tail -n 5 "$dir/log"
		return
	fi
	cp "$TEST_TMP/step" "$TEST_TMP/said"
	if [ "$(tr '\n' ' ' <"$TEST_TMP/said")" != 'OK value "test" "SET" "GET" "LPUSH" "LPUSH (needed to benchmark LRANGE)" "LRANGE_100 (first 100 elements)" Background saving started rdb_last_bgsave_status:ok 3 status 0 ' ]; then
		fail redis-within "its clients said otherwise" "$TEST_TMP/said"
	elif redis_start native redis-within-native "$dir" --appendonly yes; then
		check redis-within test "$(digest "$port")" = "$(cat "$dir/digest")" &&
			stopped redis-within redis-within-native && pass redis-within "$(cat "$dir/digest")"
	fi
}

memcached_start()
{
	server_start guest memcached "client memcached fill $1 1 0 2>/dev/null" \
		/usr/bin/memcached -u root -t 4 -m 128 "${@:2}"
}

test_memcached()
{
	local socket=$TEST_TMP/mc.sock mc_port

	mc_port=$(client port)
	memcached_start "$mc_port" -l 127.0.0.1 -p "$mc_port" || return
	check memcached-tcp client memcached fill "$mc_port" $KEYS 1 &&
		check memcached-tcp client memcached verify "$mc_port" $KEYS 1 &&
		check memcached-tcp client memcached fill "$mc_port" $KEYS 2 &&
		check memcached-tcp client memcached verify "$mc_port" $KEYS 2 &&
		stopped memcached-tcp memcached && pass memcached-tcp
	memcached_start "$socket" -s "$socket" || return
	check memcached-unix client memcached fill "$socket" $KEYS 3 &&
		check memcached-unix client memcached verify "$socket" $KEYS 3 &&
		stopped memcached-unix memcached && pass memcached-unix
}

have redis redis-server redis-cli redis-benchmark python3 && {
	test_redis_rdb
	test_redis_aof
	test_redis_killed
	test_redis_benchmark
	test_redis_within
}
have memcached memcached python3 && test_memcached
servers_finish
