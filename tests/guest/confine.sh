#!/bin/bash
# SPDX-License-Identifier: MIT
# umm run --root, --ro, --tmp, --no-net against programs that want out. Each of these programs
# succeeds without the option: so the test can fail.
# timeout: 200
. "$(dirname "$0")/lib.sh"
require_guest
if [ "$(id -u)" != 0 ]; then
	echo "only root may make namespaces everywhere"
	exit 77
fi

inside=$TEST_TMP/inside outside=$TEST_TMP/outside
log=$TEST_TMP/log

# expect NAME STATUS LOG PATTERN: the last command had STATUS 0, LOG a line like PATTERN.
expect()
{
	if [ "$2" != 0 ]; then
		fail "$1" "exit status $2" "$3"
	elif ! grep -qE "$4" "$3"; then
		fail "$1" "no line like $4" "$3"
	else
		pass "$1" "$(grep -E "$4" "$3" | tail -n 1)"
	fi
}

listen()
{
	rm -f "$1" "$1.d"
	coproc LISTENER { exec "$PROGS/break_net" listen "$1" 2>&1; }
	read -r port <&"${LISTENER[0]}"
}

# stop_listening: what the listener has said since.
stop_listening()
{
	local pid=$LISTENER_PID

	exec {LISTENER[1]}>&-
	cat <&"${LISTENER[0]}"
	wait "$pid" 2>/dev/null
}

# --- --root ------------------------------------------------------------------------------

fresh()
{
	rm -rf "$inside" "$outside"
	mkdir -p "$inside"/{work,tmp,dev,proc,sys,bin} "$outside"
	cp "$PROGS"/break_* "$inside/bin"
	echo secret >"$outside/file"
	# A script's interpreter, if it could be had, says so.
	printf '#!/bin/sh\nexit 77\n' >"$outside/file.sh"
	chmod 755 "$outside/file.sh"
}

test_root()
{
	fresh
	rm -f "$outside/file.sock"
	listen "$outside/file.sock"
	(cd "$inside/work" && umm run --root "$inside" "$@" -- /bin/break_out "$outside/file") \
		>"$log" 2>&1 </dev/null
	expect "root${*:+ $*}" $? "$log" '^tried [0-9]{4,}, out 0$'
	stop_listening >"$log"
	[ ! -s "$log" ] || fail "root-visited" "its sockets were reached" "$log"
	[ "$(cat "$outside/file")" = secret ] || fail "root-file" "the file outside changed"
	# The same program finds the way where there is no option.
	fresh
	(cd "$inside/work" && umm run -- "$inside/bin/break_out" "$outside/file") >"$log" 2>&1 </dev/null
	[ $? = 1 ] && pass root-can-fail "$(tail -n 1 "$log")" || fail root-can-fail "it saw nothing" "$log"
}

# What must be an error, and which.
refused()
{
	local name=$1 pattern=$2

	shift 2
	"$@" >"$log" 2>&1
	if [ $? = 0 ]; then
		fail "$name" "it was not refused" "$log"
	elif grep -q "$pattern" "$log"; then
		pass "$name"
	else
		fail "$name" "the error does not say $pattern" "$log"
	fi
}

folder_as_stdin()
{
	umm run --root "$inside" -- /bin/break_out x <"$outside"
}

test_root_errors()
{
	fresh
	refused root-missing 'No such file' umm run --root "$inside/nothing" -- /bin/true
	refused root-no-folder 'not a folder' umm run --root "$inside/bin/break_out" -- /bin/true
	refused root-no-program 'No such file' umm run --root "$inside" -- "$inside/bin/break_out" x
	refused root-stdin-folder 'outside of its root' folder_as_stdin
	refused tmp-missing 'no folder /tmp' umm run --root "$inside/bin" --tmp -- /break_out x
}

# --- --ro --------------------------------------------------------------------------------

tree_of()
{
	(cd "$1" && find . -printf '%p %y %m %U:%G %s %T@ %l\n' | sort && find . -type f -exec cat {} +)
}

test_ro()
{
	rm -rf "$inside"
	mkdir -p "$inside/dir"
	head -c 5000 /dev/urandom >"$inside/victim"
	tree_of "$inside" >"$TEST_TMP/before"
	(cd "$inside" && umm run --ro -- "$PROGS/break_ro") <"$inside/victim" >"$log" 2>&1
	expect ro $? "$log" '^tried [0-9]{2,}, done 0$'
	grep -q '^no ' "$log" && fail ro-dev "a device or folder is missing" "$log"
	tree_of "$inside" >"$TEST_TMP/after"
	if cmp -s "$TEST_TMP/before" "$TEST_TMP/after"; then
		pass ro-unchanged
	else
		diff -a "$TEST_TMP/before" "$TEST_TMP/after" | head >"$log"
		fail ro-unchanged "files changed" "$log"
	fi
	(cd "$inside" && umm run -- "$PROGS/break_ro") <"$inside/victim" >"$log" 2>&1
	[ $? = 1 ] && pass ro-can-fail "$(tail -n 1 "$log")" || fail ro-can-fail "it wrote nothing" "$log"
}

test_tmp()
{
	echo mine >"$TEST_TMP/mine"
	umm run --ro --tmp -- sh -c 'ls -A /tmp; echo x >/tmp/file && cat /tmp/file' >"$log" 2>&1 </dev/null
	if [ "$(cat "$log")" = x ] && [ ! -e /tmp/file ]; then
		pass tmp
	else
		fail tmp "no empty /tmp of its own" "$log"
	fi
}

# Ordinary programs go on working.
test_programs()
{
	echo 'some text' >"$TEST_TMP/text"
	compare ro-shell --umm '--ro --no-net' -- sh -c 'seq 1000 | sort -r | md5sum; cat /etc/passwd | wc -l'
	have ro-python python3 && compare ro-python --umm '--ro --no-net' -- python3 -c '
import multiprocessing.shared_memory as m, os, socket, sys
s = m.SharedMemory(create=True, size=4096); s.buf[0] = 7; print(s.buf[0]); s.close(); s.unlink()
a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))
print(os.getcwd() == os.readlink("/proc/self/cwd"))
pid, fd = os.forkpty()
if not pid: print("in a terminal", os.isatty(0)); sys.exit(0)
seen = b""
try:
	while part := os.read(fd, 100): seen += part
except OSError: pass
print(seen)'
}

# --- --no-net ------------------------------------------------------------------------------

test_no_net()
{
	listen "$TEST_TMP/net.sock"
	umm run --no-net -- "$PROGS/break_net" "$port" "$TEST_TMP/net.sock" >"$log" 2>&1 </dev/null
	expect no-net $? "$log" '^tried [0-9]+, out 0$'
	grep -q '^no ' "$log" && fail no-net-within "the guest cannot talk to itself" "$log"
	stop_listening >"$log"
	[ ! -s "$log" ] || fail no-net-visited "somebody came" "$log"
	listen "$TEST_TMP/net.sock"
	umm run -- "$PROGS/break_net" "$port" "$TEST_TMP/net.sock" >"$log" 2>&1 </dev/null
	stop_listening >"$TEST_TMP/visits"
	if [ "$(grep -c VISITED "$TEST_TMP/visits")" = 4 ]; then
		pass no-net-can-fail "$(tail -n 1 "$log")"
	else
		fail no-net-can-fail "without the option it did not reach all four" "$TEST_TMP/visits"
	fi
}

test_root
test_root --ro
test_root_errors
test_ro
test_tmp
test_programs
test_no_net
finish
