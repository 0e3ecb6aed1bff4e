# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests with servers share; sourced after lib.sh. A server runs natively or in a
# guest, always in the background; clients run on the host.
#
#   server_start SIDE NAME ANSWERS CMD...   SIDE is native or guest; waits until `ANSWERS` succeeds
#   server_stop NAME          SIGTERM; its exit status is in $status
#   redis_start SIDE NAME DIR OPTION...     at port $port, with its files in DIR
#   redis PORT CMD...         redis-cli
#   nginx_config ROOT DIRECTIVES    prints one of two workers, who serve ROOT at $port as nobody
#   client ARGS...            servers_client.py
#   servers_finish            ends those that a failed test left behind, then the script
# GUEST_OPTIONS are options of umm run.

CLIENT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/servers_client.py
GUEST_OPTIONS=(--mem 512M)
declare -A server_pid

client()
{
	timeout -k 5 "$LIMIT" python3 "$CLIENT" "$@"
}

redis()
{
	timeout -k 5 "$LIMIT" redis-cli -p "$@"
}

server_start()
{
	local side=$1 name=$2 answers=$3 log=$TEST_TMP/$2.log run=()

	shift 3
	[ "$side" = native ] || run=("$UMM" run --name "$name" "${GUEST_OPTIONS[@]}" --)
	timeout -k 5 300 "${run[@]}" "$@" >"$log" 2>&1 </dev/null &
	server_pid[$name]=$!
	# shellcheck disable=SC2086
	await 20 eval "$answers" && return
	fail "$name" "does not answer on the $side side" "$log"
	kill -9 "${server_pid[$name]}" 2>/dev/null
	return 1
}

server_stop()
{
	kill -TERM "${server_pid[$1]}"
	wait "${server_pid[$1]}"
	status=$?
	unset "server_pid[$1]"
}

servers_finish()
{
	# Some have ended long ago.
	kill -TERM "${server_pid[@]}" 2>/dev/null
	wait "${server_pid[@]}" 2>/dev/null
	finish
}

redis_start()
{
	local side=$1 name=$2 dir=$3

	shift 3
	port=$(client port)
	mkdir -p "$dir"
	server_start "$side" "$name" "redis $port ping 2>/dev/null | grep -q PONG" \
		/usr/bin/redis-server --port "$port" --dir "$dir" --save '' \
		--enable-debug-command yes --daemonize no "$@"
}

nginx_config()
{
	[ "$(id -u)" != 0 ] || echo "user nobody nogroup;"
	cat <<CONF
worker_processes 2;
pid nginx.pid;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
	uwsgi_temp_path t4; scgi_temp_path t5;
	$2
	server { listen 127.0.0.1:$port; root $1; }
}
CONF
}

# redis_info PORT FIELD
redis_info()
{
	redis "$1" info | tr -d '\r' | sed -n "s/^$2://p"
}

# redis_await PORT FIELD VALUE
redis_await()
{
	await 60 eval "[ \"\$(redis_info $1 $2)\" = '$3' ]"
}
