#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
r"""pty_inside.py SHELL...: a shell in a terminal that this program opens itself, as expect, sshd and the like do.
It is typed to, step by step, each after the answer to the one before: ^C, ^Z, ^\, fg, bg, a quoted ^C and the
window's size. Prints what was answered and how the shell ended."""
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
LIMIT = 30
WINCH = (b"from signal import *; pthread_sigmask(SIG_BLOCK, {SIGWINCH}); "
         b"print('arm' 'ed', flush=True); print(Signals(sigwait({SIGWINCH})).name)")
# What is typed, and the end of what is waited for; None: that of all.
STEPS = [
    (b'stty size; tty | tr 0-9 N\n', PROMPT),
    (b'test -w /dev/tty && echo "to the" terminal >/dev/tty\n', b'to the terminal\r\n' + PROMPT),
    (b'cat\n', b'cat\r\n'), (b'one\n', b'one\r\none\r\n'), (b'\x03', b'^C\r\n' + PROMPT),
    (b'echo status $?\n', b'status 130\r\n' + PROMPT),
    (b'cat\n', b'cat\r\n'), (b'two\n', b'two\r\ntwo\r\n'), (b'\x1a', b'cat\r\n' + PROMPT),
    (b'jobs\n', b'cat\r\n' + PROMPT),
    (b'fg\n', b'cat\r\n'), (b'three\n', b'three\r\nthree\r\n'), (b'\x1c', PROMPT),
    (b'echo status $?\n', b'status 131\r\n' + PROMPT),
    (b'cat\n', b'cat\r\n'), (b'\x16\x03quoted\n', b'quoted\r\n\x03quoted\r\n'), (b'\x04', PROMPT),
    (b'sh -c "echo begun; exec sleep 1000"\n', b'begun\r\n'), (b'\x1a', b'1000"\r\n' + PROMPT),
    (b'bg\n', b'&\r\n' + PROMPT),
    (b'cat | cat\n', b'cat\r\n'), (b'four\n', b'four\r\nfour\r\n'), (b'\x03', b'^C\r\n' + PROMPT),
    (b'kill %1; wait %1\n', b'1000"\r\n' + PROMPT),
    (b'python3 -c "%s"\n' % WINCH, b'armed\r\n'), ('resize', b'SIGWINCH\r\n' + PROMPT),
    (b'stty size\n', b'20 60\r\n' + PROMPT),
    (b'read -r a b c d e f g front rest </proc/$$/stat; test $front = $$; echo $?\n', b'0\r\n' + PROMPT),
    (b'exit 7\n', None),
]


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def read_until(fd, text):
    got = b''
    end = time.time() + LIMIT
    while text is None or not got.endswith(text):
        if time.time() > end or not select.select([fd], [], [], end - time.time())[0]:
            return got + b'<<no answer>>'
        try:
            got += os.read(fd, 4096)
        except OSError:
            return got + b'<<end>>\n'
    return got


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PS1=PROMPT.decode(), TERM='dumb', HISTFILE='')
        os.execvp(sys.argv[1], sys.argv[1:])
    log = read_until(fd, PROMPT)
    set_size(fd, 33, 77)
    for typed, answer in STEPS:
        if typed == 'resize':
            set_size(fd, 20, 60)
        else:
            os.write(fd, typed)
        log += read_until(fd, answer)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = log.decode(errors='replace').replace('\r', '')
    print(re.sub(r'(\[\d\][+-]?) \d+', r'\1 PID', text) + 'status', status)


main()
