#!/bin/bash
# SPDX-License-Identifier: MIT
# umm run as part of a shell's work: standard streams, exit status, signals from outside,
# environment, closed descriptors, several guests at a time.
# timeout: 200
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=100
cd "$TEST_TMP" || exit 1

# equal NAME GOT WANTED
equal()
{
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		printf 'got:\n%s\nwanted:\n%s\n' "$2" "$3" >difference
		fail "$1" "differs" difference
	fi
}

test_streams()
{
	head -c 3000000 /dev/urandom >random
	equal pipe-through "$(umm run -- /bin/cat <random | md5sum)" "$(md5sum <random)"
	equal pipe-chain "$(umm run -- /bin/cat random | umm run -- /usr/bin/tail -c 100000 | md5sum)" \
		"$(tail -c 100000 random | md5sum)"
	umm run -- /bin/sh -c 'echo out; echo err >&2' >out 2>err
	equal stdout "$(cat out)" out
	equal stderr "$(cat err)" err
	equal same-file "$(umm run -- /bin/sh -c 'echo 1; echo 2 >&2; echo 3' 2>&1)" "$(printf '1\n2\n3')"
	echo begin >appended
	umm run -- /bin/echo more >>appended
	equal append "$(cat appended)" "$(printf 'begin\nmore')"
	# The reader goes away: SIGPIPE ends the writer, as it would natively.
	umm run -- /usr/bin/yes 2>err | head -n 2 >out
	equal broken-pipe "${PIPESTATUS[0]} $(wc -l <out) $(cat err)" "141 2 "
	umm run -- /bin/echo lost >/dev/full 2>err
	equal full-device "$? $(cat err)" "1 /bin/echo: write error: No space left on device"
	umm run -- /bin/sh -c 'echo x || echo failed >&2; exit 3' >&- 2>err
	equal closed-stdout "$? $(tail -n 1 err)" "3 failed"
	umm run -- /bin/sh -c 'read x; echo "got $?"' <&- >out 2>/dev/null
	equal closed-stdin "$(cat out)" "got 1"
	equal descriptor "$(umm run -- /bin/sh -c 'cat <&5' 5<<<"through 5" 2>&1 || :)" \
		"$(sh -c 'cat <&5' 5<<<"through 5" 2>&1)"
}

test_status()
{
	local status

	for status in 0 1 2 42 125 126 127 128 255; do
		umm run -- /bin/sh -c "exit $status"
		equal "exit-$status" "$?" $status
	done
	for status in 1 2 3 6 9 11 13 14 15; do
		umm run -- /bin/sh -c "ulimit -c 0; kill -$status \$\$"
		equal "signal-$status" "$?" $((128 + status))
	done
}

test_environment()
{
	equal environment "$(A='x y' B= umm run -- /usr/bin/env | grep -v ^_= | sort)" \
		"$(A='x y' B= env | grep -v ^_= | sort)"
	mkdir -p deep/er
	equal directory "$(cd deep/er && umm run -- /bin/pwd)" "$TEST_TMP/deep/er"
	equal path-search "$(PATH=$TEST_TMP/bin:$PATH umm run -- ls -d deep)" deep
	equal umask "$(umask 027; umm run -- /bin/sh -c umask)" 0027
	equal limit "$(ulimit -n 77; umm run -- /bin/sh -c 'ulimit -n')" 77
}

# signalled NAME SIGNAL WANTED SHELL-TEXT: send SIGNAL to umm when the program is ready.
signalled()
{
	local status

	rm -f ready
	# A shell lets its background programs ignore SIGINT and SIGQUIT.
	perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV' "$UMM" run -- /bin/bash -c "$4" >out 2>err </dev/null &
	if ! await 10 test -e ready; then
		fail "$1" "the program did not start" err
		kill -9 $!
		return
	fi
	kill "-$2" $!
	wait $!
	status=$?
	equal "$1" "$status $(cat out)" "$3"
}

test_signals()
{
	signalled term-handled TERM "7 term" 'trap "echo term; exit 7" TERM; touch ready; while :; do sleep 0.1; done'
	signalled int-handled INT "8 int" 'trap "echo int; exit 8" INT; touch ready; while :; do sleep 0.1; done'
	signalled term-default TERM "143 " 'touch ready; while :; do sleep 0.1; done'
	signalled hup-default HUP "129 " 'touch ready; while :; do :; done'
	signalled quit-handled QUIT "9 quit" 'trap "echo quit; exit 9" QUIT; touch ready; while :; do :; done'
}

# Guests do not know of each other, not even of one name.
test_together()
{
	local i pids=()

	for i in 1 2 3 4 5 6; do
		"$UMM" run --mem 64M -- "$WORKLOADS/checker" --size 4M --rounds 4 --seed "$i" \
			>"together.$i" 2>/dev/null </dev/null &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}"
		equal "together-$((i + 1))" "$? $(tail -n 1 "together.$((i + 1))")" \
			"0 $("$WORKLOADS/checker" --size 4M --rounds 1 --seed $((i + 1)) 2>/dev/null | tail -n 1)"
	done
	equal sockets-left "$(find "$XDG_RUNTIME_DIR" -type s)" ""
}

test_terminal()
{
	have terminal script || return
	equal terminal "$(script -qec "$UMM run -- /bin/sh -c 'test -t 0 && test -t 1 && stty size'" /dev/null \
		</dev/null | tr -d '\r')" "$(script -qec "/bin/sh -c 'test -t 0 && test -t 1 && stty size'" /dev/null </dev/null | tr -d '\r')"
}

test_streams
test_status
test_environment
test_signals
test_together
test_terminal
finish
