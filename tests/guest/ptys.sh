#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of the guest that open terminals themselves: a shell that is typed to, script, tmux.
# timeout: 400
# also: asan tsan
. "$(dirname "$0")/lib.sh"
require_guest
here=$(cd "$(dirname "$0")" && pwd)

test_shell()
{
	have inside-bash python3 || return
	compare inside-bash -- /usr/bin/python3 "$here/pty_inside.py" /bin/bash --norc --noediting -i
	compare inside-bash-confined --umm "--root /" -- \
		/usr/bin/python3 "$here/pty_inside.py" /bin/bash --norc --noediting -i
}

# The program in the terminal that script opens signals its own group, and ends by that.
test_script()
{
	have script script || return
	compare script -- /usr/bin/script -qec 'tty | tr 0-9 N; kill -INT 0; echo not reached' /dev/null
	compare script-status -- /usr/bin/script -qec 'read line </dev/tty; echo "$line"; exit 5' /dev/null
}

# Typed to by send-keys, each step after the answer to the one before.
cat >"$TEST_TMP/tmux.sh" <<'END'
tm() { tmux -S "$PWD/socket" -f /dev/null "$@"; }
screen() { tm capture-pane -p | sed '/^$/d'; }
# until COUNT LINE LAST: LINE is there so often, and LAST is the last one.
until_screen()
{
	local end=$((SECONDS + 30))

	until [ "$(screen | grep -cxF -- "$2")" = "$1" ] && [ "$(screen | tail -n 1)" = "$3" ]; do
		if [ $SECONDS -ge $end ]; then
			echo "no $1 times '$2', at the end '$3'"
			return
		fi
		sleep 0.05
	done
}
tm new-session -d -x 60 -y 24 "env PS1='P> ' TERM=dumb HISTFILE= bash --norc --noediting -i"
until_screen 1 'P>' 'P>'
tm send-keys 'cat' Enter
until_screen 1 'P> cat' 'P> cat'
tm send-keys 'one' Enter
until_screen 2 'one' 'one'
tm send-keys C-z
until_screen 1 '[1]+  Stopped                 cat' 'P>'
tm send-keys 'fg' Enter
until_screen 1 'cat' 'cat'
tm send-keys 'two' Enter
until_screen 2 'two' 'two'
tm send-keys C-c
until_screen 1 '^C' 'P>'
tm send-keys 'echo status $?' Enter
until_screen 1 'status 130' 'P>'
tm resize-window -x 70 -y 26
tm send-keys 'stty size' Enter
until_screen 1 '26 70' 'P>'
screen
tm send-keys 'exit' Enter
while tm has-session 2>/dev/null; do
	sleep 0.05
done
rm -f socket
END

test_tmux()
{
	have tmux tmux || return
	compare tmux --no-stderr -- /bin/bash "$TEST_TMP/tmux.sh"
}

test_shell
test_script
test_tmux
finish
