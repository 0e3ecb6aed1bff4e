#!/bin/bash
# SPDX-License-Identifier: MIT
# Torture of servers: redis and memcached in one guest of two nodes, clients on the host that
# know every byte, redis forking a child to save itself again and again, while all memory of
# the guest is moved back and forth and paged out. Every saved file must be whole, and the last
# one must hold, to the byte, what was there when the child was forked.
# SOAK=1 goes on for SOAK_SECONDS (600).
# timeout: 300
# also: asan
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/servers_lib.sh"
. "$(dirname "$0")/torture_lib.sh"
require_guest

run_seconds=${TORTURE_SECONDS:-20}
[ "$run_seconds" -le 20 ] || run_seconds=20
[ -z "${SOAK:-}" ] || run_seconds=${SOAK_SECONDS:-600}
LIMIT=$((run_seconds + 120))
KEYS=3000
name=servers
dir=$TEST_TMP/redis
mkdir "$dir"
GUEST_OPTIONS=(--nodes 2 --mem 512M --swap 1G)

# Both servers in one guest, ended by SIGTERM.
servers_start()
{
	redis_port=$(client port)
	mc_port=$(client port)
	server_start guest $name "redis $redis_port ping 2>/dev/null | grep -q PONG &&
			client memcached fill $mc_port 1 0 2>/dev/null" /bin/bash -c '
		redis-server --port "$0" --dir "$2" --save "" --enable-debug-command yes \
			--appendonly yes --auto-aof-rewrite-min-size 1mb & redis=$!
		memcached -u root -t 4 -m 64 -l 127.0.0.1 -p "$1" & memcached=$!
		trap "kill -TERM $redis $memcached" TERM
		wait; wait $redis && wait $memcached' "$redis_port" "$mc_port" "$dir"
}

# saving: one BGSAVE after the other, each file looked through by redis's own checker.
saving()
{
	while [ ! -e "$TEST_TMP/enough" ]; do
		redis "$redis_port" bgsave >/dev/null
		redis_await "$redis_port" rdb_bgsave_in_progress 0
		if redis-check-rdb "$dir/dump.rdb" >"$TEST_TMP/rdb.out" 2>&1; then
			echo "saved" >>"$TEST_TMP/save.good"
		else
			cat "$TEST_TMP/rdb.out" >>"$TEST_TMP/save.bad"
		fi
		sleep 0.5
	done
}

churn()
{
	local clients=() client_pid failures=0

	client redis churn "$redis_port" "$run_seconds" 1 >"$TEST_TMP/churn.1" 2>&1 & clients+=($!)
	client redis churn "$redis_port" "$run_seconds" 2 >"$TEST_TMP/churn.2" 2>&1 & clients+=($!)
	client memcached churn "$mc_port" "$run_seconds" 3 >"$TEST_TMP/churn.3" 2>&1 & clients+=($!)
	for client_pid in "${clients[@]}"; do
		wait "$client_pid" || failures=1
	done
	cat "$TEST_TMP"/churn.? >"$TEST_TMP/churn"
	if [ $failures = 0 ]; then
		pass clients "$(paste -sd';' "$TEST_TMP/churn")"
	else
		fail clients "a wrong byte, or no answer" "$TEST_TMP/churn"
	fi
}

judge_saves()
{
	local times=0

	[ ! -e "$TEST_TMP/save.good" ] || times=$(wc -l <"$TEST_TMP/save.good")
	if [ -e "$TEST_TMP/save.bad" ]; then
		fail saves "a damaged file, besides $times good ones" "$TEST_TMP/save.bad"
	elif [ "$times" -lt 2 ]; then
		fail saves "only $times"
	else
		pass saves "$times times"
	fi
}

# What the child saves is what was there at the fork; the parent stores all along.
last_save()
{
	redis "$redis_port" flushall >/dev/null
	client redis fill "$redis_port" $KEYS 1 || return
	at_fork=$(redis "$redis_port" debug digest)
	# An AOF rewrite may be going on: one child at a time.
	await 60 eval 'redis $redis_port bgsave | grep -q started' || return
	client redis fill "$redis_port" $KEYS 2 || return
	redis_await "$redis_port" rdb_bgsave_in_progress 0 || return
	client redis verify "$redis_port" $KEYS 2 || return
	at_end=$(redis "$redis_port" debug digest)
}

# loaded NAME DIGEST SEED OPTION...: by a native server
loaded()
{
	local port got wanted=$2

	redis_start native "$1" "$dir" "${@:4}" || return
	got=$(redis "$port" debug digest)
	if [ "$got" != "$wanted" ]; then
		fail "$1" "digest $got, was $wanted"
	elif client redis verify "$port" $KEYS "$3" 2>"$TEST_TMP/step"; then
		pass "$1"
	else
		fail "$1" "loaded, but" "$TEST_TMP/step"
	fi
	server_stop "$1"
}

have torture-servers redis-server redis-cli redis-check-rdb memcached python3 || finish
servers_start || servers_finish
torture_begin
saving & saver=$!
churn
touch "$TEST_TMP/enough"
wait $saver
judge_saves
last_save 2>"$TEST_TMP/step" || fail last-save "the client failed" "$TEST_TMP/step"
torture_end
umm check $name >"$TEST_TMP/step" 2>&1 && grep -q clean "$TEST_TMP/step" && pass clean ||
	fail clean "the validator, at rest" "$TEST_TMP/step"
server_stop $name
if [ "$status" = 0 ]; then
	pass shutdown
else
	fail shutdown "exit status $status" "$TEST_TMP/$name.log"
fi
loaded rdb "$at_fork" 1
loaded aof "$at_end" 2 --appendonly yes
torture_verdicts
servers_finish
