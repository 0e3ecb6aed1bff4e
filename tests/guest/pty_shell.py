#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pty_shell.py bash|python|job CMD...: an interactive program in a terminal of its own, which is typed to. A shell:
window size, ^Z, jobs, bg, fg, ^C, a pipeline in the background, ^D, SIGWINCH. Python: the same as far as it
goes, a line that is asked for, a child in the terminal, its own answer to ^Z. A job of a shell, started by
$RUN: stopped by ^Z and continued, where it has no answer to that and where it has one before it stops. Prints
what was answered and the exit status.

A key is typed when what is to get it has said that it is there, and that line has been read whole: ^C and ^Z
discard what is still on its way."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'jobs'))
import terminal  # noqa: E402

PROMPT = b'PROMPT '
# $SLEEPER of bash: silent in the background, where its lines could come before or behind the shell's.
SLEEPER = '''
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
seen = []
signal.signal(signal.SIGCONT, lambda *_: seen.append(1))
print("running", flush=True)
while not seen or os.tcgetpgrp(0) != os.getpgrp():
    time.sleep(0.05)
print("in front", flush=True)
while True:
    time.sleep(1)
'''
# $STOPPER of job: has something to do before it stops.
STOPPER = '''
import os, signal, time
gone_on = []
def stop(*_):
    print("about to stop", flush=True)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    gone_on.append(1)
signal.signal(signal.SIGTSTP, stop)
print("running", flush=True)
while not gone_on:
    time.sleep(0.05)
print("going on", flush=True)
'''
# Python may sleep through a signal that comes just before it sleeps. All on one line, or the traceback would
# tell where it was.
ASLEEP = b"exec(\"for i in range(9999): i or print('asl' 'eep'); time.sleep(0.05)\")\n"
# What is typed, and what is waited for, one after the other.
BASH = [
    (b'stty size\n', b'33 77\r\n', PROMPT),
    (b'python3 -c "$SLEEPER"\n', b'running\r\n'), (b'\x1a', b'Stopped', PROMPT),
    (b'jobs\n', b'Stopped', PROMPT), (b'bg\n', b'&\r\n', PROMPT),
    # The reader does not end when its writer does.
    (b"sleep 200 | sh -c 'read x; sleep 300' &\n", b'[2]', PROMPT), (b'jobs\n', b'[2]', PROMPT),
    (b'fg %1\n', b'in front\r\n'), (b'\x03', PROMPT), (b'echo status $?\n', b'status 130\r\n', PROMPT),
    (b'kill %2; wait %2\n', PROMPT),
    (b"sh -c 'echo rea\"dy\"; exec cat'\n", b'ready\r\n'), (b'typed\n', b'typed\r\ntyped\r\n'), (b'\x04', PROMPT),
    # A trap for what comes between a prompt and the reading of a line runs only behind that line.
    (b'trap "echo wi""nch; resized=1" WINCH\n', PROMPT),
    (b'echo wait"ing"; until [ $resized ]; do :; done\n', b'waiting\r\n'), (terminal.RESIZE, b'winch\r\n', PROMPT),
    (b'stty size\n', b'20 60\r\n', PROMPT),
    (b'exit 7\n',),
]
PYTHON = [
    (b'import sys, os, signal, subprocess, time; sys.ps1 = "PROM" "PT "\n', PROMPT),
    (b'os.get_terminal_size(), os.isatty(0), os.getpgrp() == os.tcgetpgrp(0)\n', PROMPT),
    (ASLEEP, b'asleep\r\n'), (b'\x03', PROMPT),
    (b'input("na" "me? ")\n', b'name? '), (b'typed\n', PROMPT),
    (b'subprocess.run(["stty", "size"]).returncode\n', PROMPT),
    # A handler that raises: there is no moment at which the signal could come too early.
    (b'signal.signal(signal.SIGTSTP, signal.default_int_handler)\n', PROMPT),
    (ASLEEP, b'asleep\r\n'), (b'\x1a', PROMPT),
    (b'signal.signal(signal.SIGWINCH, signal.default_int_handler)\n', PROMPT),
    (ASLEEP, b'asleep\r\n'), (terminal.RESIZE, PROMPT),
    (b'os.get_terminal_size()\n', PROMPT),
    (b'\x04',),
]
# The shell is native; what it starts is a guest if $RUN says so.
JOB = [
    (b"$RUN sh -c 'echo rea\"dy\"; exec cat'\n", b'ready\r\n'), (b'typed\n', b'typed\r\ntyped\r\n'),
    (b'\x1a', b'Stopped', PROMPT), (b'jobs\n', b'Stopped', PROMPT),
    (b'fg\n', b"cat'\r\n"), (b'again\n', b'again\r\nagain\r\n'), (b'\x04', PROMPT), (b'echo status $?\n', PROMPT),
    # Python leaves the terminal to itself when it stops, and finds it as the shell had it: the line has two echoes.
    (b'$RUN /usr/bin/python3 -q\n', b'>>> '), (b'\x1a', b'Stopped', PROMPT), (b'jobs\n', b'Stopped', PROMPT),
    (b'fg\n', b'python3 -q\r\n'), (b'2 + 2\n', b'4\r\n>>> '), (b'\x04', PROMPT),
    (b'echo status $?\n', PROMPT),
    (b'$RUN /usr/bin/python3 -c "$STOPPER"\n', b'running\r\n'), (b'\x1a', b'about to stop\r\n', b'Stopped', PROMPT),
    (b'jobs\n', b'Stopped', PROMPT), (b'fg\n', b'going on\r\n', PROMPT),
    (b'echo status $?\n', PROMPT),
    (b'exit 7\n',),
]


os.environ.update(SLEEPER=SLEEPER, STOPPER=STOPPER)
terminal.PATIENCE = 60
terminal.talk(sys.argv[2:], *{'bash': (PROMPT, BASH), 'python': (b'>>> ', PYTHON), 'job': (PROMPT, JOB)}[sys.argv[1]])
