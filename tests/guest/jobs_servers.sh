# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Jobs of servers, each with a client of the host; sourced by jobs_lib.sh, which tells what serve_, answers_,
# drive_ and after_JOB are.

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
	nginx_config "$data/www" "sendfile off; output_buffers 4 512k;
		gzip on; gzip_types *; gzip_comp_level 9; gzip_buffers 8 64k;" >"$state/nginx.conf"
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
