#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pty_shell.py CMD...: an interactive shell in a terminal of its own, which is typed to: window size, ^Z,
jobs, bg, fg, ^C, a pipeline in the background, ^D, SIGWINCH. Prints what it answered and its exit status."""
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
STEPS = [
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
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PS1=PROMPT.decode(), TERM='dumb', HISTFILE='')
        os.execvp(sys.argv[1], sys.argv[1:])
    set_size(fd, 33, 77)
    log = read_until(fd, PROMPT, 20)
    for typed, answer in STEPS:
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
    print(text)
    print('status', status)


main()
