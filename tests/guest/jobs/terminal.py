#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""terminal.py DIALOG CMD...: CMD, a shell or an interpreter, in a terminal of its own, which is typed to by the
DIALOG "bash" or "python". Prints all that was on the terminal, without process ids, and the exit status.

Nothing is typed before what was typed last has been answered, however long that takes: so a program
that has all its memory and one that hardly has any print the same."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 200
PROMPTS = {'bash': b'PROMPT ', 'python': b'>>> '}
# What is typed (or happens), and what is awaited after it, one after the other.
PROMPT = object()
RESIZE = object()
DIALOGS = {
    # Programs in the foreground tell when they run: before, a key would reach the shell.
    'bash': [
        (b'stty size\n', b'33 77\r\n', PROMPT),
        (b"sh -c 'echo started; exec sleep 1000'\n", b'started\r\n'),
        (b'\x1a', b'Stopped', PROMPT),
        (b'jobs\n', b'Stopped', PROMPT),
        (b'bg\n', PROMPT),
        (b'kill %1; wait %1; echo ended $?\n', b'ended 143\r\n', PROMPT),
        (b"sh -c 'trap \"echo caught; exit 3\" INT; echo ready; while :; do sleep 0.1; done'\n", b'ready\r\n'),
        (b'\x03', b'caught\r\n', PROMPT),
        (b'echo status $?\n', b'status 3\r\n', PROMPT),
        (b'for i in {1..60000}; do a[i]=$((i * i % 10007)); done; echo ${#a[@]}\n', b'60000\r\n', PROMPT),
        # A trap for what comes between a prompt and the reading of a line runs only behind that line.
        (b'trap resized=1 WINCH; echo waiting; until [ $resized ]; do :; done\n', b'waiting\r\n'),
        (RESIZE, PROMPT),
        (b'stty size\n', b'20 60\r\n', PROMPT),
        (b'for i in {1..8}; do b=$(echo "${a[@]}" | cksum); done; echo $b\n', PROMPT),
        (b'unset a; jobs; exit 7\n',),
    ],
    'python': [
        (b'import hashlib, os, signal, time\n', PROMPT),
        (b'd = {i: str(i * i) * 3 for i in range(200000)}\n', PROMPT),
        (b'hashlib.sha256(repr(d).encode()).hexdigest()\n', PROMPT),
        # Python may sleep through a ^C that comes just before it sleeps; where it comes, the traceback tells.
        (b"s = 'try:\\n print(\"start\" \"ed\")\\n while 1: time.sleep(0.05)\\n'\n", PROMPT),
        (b"s += 'except KeyboardInterrupt: print(\"caught\")'\n", PROMPT),
        (b'exec(s)\n', b'started\r\n'),
        (b'\x03', b'caught\r\n', PROMPT),
        (b'input("a" + "sk: ")\n', b'\nask: '),
        (b'typed\n', b"'typed'\r\n", PROMPT),
        (b'size = os.get_terminal_size; sizes = [size()]\n', PROMPT),
        # The terminal changes while nobody edits a line, or the line would be drawn once more.
        (b'_ = signal.signal(signal.SIGWINCH, lambda *_: sizes.append(size()))\n', PROMPT),
        (b'print("wait" + "ing"); exec("while len(sizes) < 2: time.sleep(0.05)")\n', b'waiting\r\n'),
        (RESIZE, PROMPT),
        (b'sizes\n', PROMPT),
        (b's = sorted(d.items(), key=lambda x: x[1])\n', PROMPT),
        (b'hashlib.sha256(repr(s).encode()).hexdigest()\n', PROMPT),
        (b'os.system("exit 5") >> 8\n', b'5\r\n', PROMPT),
        (b'\x04',),
    ],
}


class Terminal:
    def __init__(self, fd):
        self.fd, self.log, self.done = fd, b'', 0

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read(self):
        """False at the end."""
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.log += data
        return bool(data)

    def wait_for(self, text):
        """Reads until text is there, behind what was waited for before. False if it does not come."""
        end = time.monotonic() + PATIENCE
        while self.log.find(text, self.done) < 0:
            if time.monotonic() > end:
                self.log += b'<<no %r>>' % text
                return False
            if select.select([self.fd], [], [], 1)[0] and not self.read():
                self.log += b'<<ended without %r>>' % text
                return False
        self.done = self.log.find(text, self.done) + len(text)
        return True

    def read_to_end(self):
        """False if the end does not come."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 1)[0] and not self.read():
                return True
        self.log += b'<<no end>>'
        return False


def hold(terminal, prompt, steps):
    if not terminal.wait_for(prompt):
        return False
    for typed, *answers in steps:
        if typed is RESIZE:
            terminal.resize(20, 60)
        else:
            os.write(terminal.fd, typed)
        if not all(terminal.wait_for(prompt if answer is PROMPT else answer) for answer in answers):
            return False
    return True


def talk(command, prompt, steps):
    """Runs the command in a terminal of its own, types the steps to it, prints what came and the status."""
    pid, fd = pty.fork()
    if pid == 0:
        # By itself: from outside, the signal could come at any time of the program's start.
        Terminal(0).resize(33, 77)
        os.environ.update(PS1=PROMPTS['bash'].decode(), TERM='dumb', HISTFILE='')
        os.execvp(command[0], command)
    terminal = Terminal(fd)
    if not hold(terminal, prompt, steps) or not terminal.read_to_end():
        os.kill(pid, signal.SIGKILL)
        os.close(fd)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(re.sub(r'(\[\d\][+-]?) \d+', r'\1 PID', terminal.log.decode(errors='replace').replace('\r', '')))
    print('status', status)


if __name__ == '__main__':
    talk(sys.argv[2:], PROMPTS[sys.argv[1]], DIALOGS[sys.argv[1]])
