#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run CMD and write the most memory that it and its children had resident at once, in KiB, to FILE:
the peak of the largest one, or of their sum (pages that several have are counted once), whichever is
more. The sum is looked at 50 times a second. SIGTERM goes on to CMD; ^C of a
terminal is for CMD alone.

    peak.py FILE CMD...
"""
import pathlib
import resource
import signal
import subprocess
import sys
import threading


def children(pid):
    found = [pid]
    for pid in found:
        try:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found


def resident(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except (OSError, ValueError):
        return 0


def watch():
    global most
    while not ended.wait(0.02):
        most = max(most, sum(map(resident, children(program.pid))))


most = 0
ended = threading.Event()
program = subprocess.Popen(sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: program.terminate())
signal.signal(signal.SIGINT, lambda *_: None)
watcher = threading.Thread(target=watch)
watcher.start()
status = program.wait()
ended.set()
watcher.join()
largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as f:
    f.write(str(max(most, largest)))
sys.exit(status if status >= 0 else 128 - status)
