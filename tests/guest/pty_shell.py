#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pty_shell.py bash|python|job CMD...: an interactive program in a terminal of its own, which is typed to. A shell:
window size, ^Z, jobs, bg, fg, ^C, a pipeline in the background, ^D, SIGWINCH. Python: the same as far as it
goes, a line that is asked for, a child in the terminal, its own answer to ^Z. A job of a shell, started by
$RUN: stopped by ^Z and continued, where it has no answer to that and where it has one before it stops. Prints
what was answered and the exit status."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PROMPT = b'PROMPT '
# What is typed, and what is waited for (None: half a second).
BASH = [
    (b'stty size\n', PROMPT),
    (b'sleep 100\n', None), (b'\x1a', PROMPT),
    (b'jobs\n', PROMPT), (b'bg\n', PROMPT),
    (b'sleep 200 | cat &\n', PROMPT), (b'jobs\n', PROMPT),
    (b'fg %1\n', None), (b'\x03', PROMPT), (b'echo status $?\n', PROMPT),
    (b'kill %2; wait %2\n', PROMPT),
    (b'cat\n', None), (b'typed\n', b'typed\r\ntyped'), (b'\x04', PROMPT),
    (b'trap "echo winch" WINCH\n', PROMPT), ('resize', None), (b'stty size\n', PROMPT),
    (b'exit 7\n', None),
]
PYTHON = [
    (b'import sys, os, signal, subprocess, time; sys.ps1 = "PROM" "PT "\n', PROMPT),
    (b'os.get_terminal_size(), os.isatty(0), os.getpgrp() == os.tcgetpgrp(0)\n', PROMPT),
    (b'print("asl" "eep"); time.sleep(100)\n', b'asleep'), (b'\x03', PROMPT),
    (b'input("na" "me? ")\n', b'name? '), (b'typed\n', PROMPT),
    (b'subprocess.run(["stty", "size"]).returncode\n', PROMPT),
    # A handler that raises: there is no moment at which the signal could come too early.
    (b'signal.signal(signal.SIGTSTP, signal.default_int_handler)\n', PROMPT),
    (b'print("asl" "eep"); time.sleep(100)\n', b'asleep'), (b'\x1a', PROMPT),
    (b'signal.signal(signal.SIGWINCH, signal.default_int_handler)\n', PROMPT),
    (b'print("asl" "eep"); time.sleep(100)\n', b'asleep'), ('resize', PROMPT),
    (b'os.get_terminal_size()\n', PROMPT),
    (b'\x04', None),
]
# The shell is native; what it starts is a guest if $RUN says so. Readline puts the terminal in order before it stops.
JOB = [
    (b'$RUN cat\n', None), (b'typed\n', b'typed\r\ntyped'), (b'\x1a', PROMPT), (b'jobs\n', PROMPT),
    (b'fg\n', b'cat\r\n'), (b'again\n', b'again\r\nagain'), (b'\x04', PROMPT), (b'echo status $?\n', PROMPT),
    (b'$RUN /usr/bin/python3 -q\n', b'>>> '), (b'\x1a', PROMPT), (b'jobs\n', PROMPT),
    (b'fg\n', b'python3 -q\r\n'), (b'2 + 2\n', b'4\r\n>>> '), (b'\x04', PROMPT), (b'echo status $?\n', PROMPT),
    (b'exit 7\n', None),
]


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def read_until(fd, text, limit):
    got = b''
    end = time.time() + limit
    while text not in got and time.time() < end:
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        try:
            got += os.read(fd, 4096)
        except OSError:
            break
    return got


def main():
    steps, first = {'bash': (BASH, PROMPT), 'python': (PYTHON, b'>>> '),
                    'job': (JOB, PROMPT)}[sys.argv[1]]
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PS1=PROMPT.decode(), TERM='dumb', HISTFILE='')
        os.execvp(sys.argv[2], sys.argv[2:])
    set_size(fd, 33, 77)
    log = read_until(fd, first, 20)
    for typed, answer in steps:
        if typed == 'resize':
            set_size(fd, 20, 60)
        else:
            os.write(fd, typed)
        if answer:
            got = read_until(fd, answer, 20)
            log += got if answer in got else got + b'<<no answer to %r>>' % typed
        else:
            time.sleep(0.5)
    log += read_until(fd, b'\0', 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = re.sub(r'(\[\d\][+-]?) \d+', r'\1 PID', log.decode(errors='replace').replace('\r', ''))
    # What is typed while readline puts the terminal in order again is echoed by both.
    print(text.replace('2 + 2\n2 + 2\n', '2 + 2\n'))
    print('status', status)


main()
