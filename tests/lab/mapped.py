# SPDX-License-Identifier: MIT
"""A python program that knows what it stored: anonymous shared and private maps and a file's, written
by forked children and the parent in turn; big objects made, copied and dropped. Ends with 0 if all
was right."""
import mmap
import os
import sys

PAGE = mmap.PAGESIZE
PAGES = 64


def fill(area, round_nr, who):
    for page in range(PAGES):
        area[page * PAGE:page * PAGE + 8] = (round_nr << 32 | who << 16 | page).to_bytes(8, "little")


def wrong(area, round_nr, who):
    return [page for page in range(PAGES) if area[page * PAGE:page * PAGE + 8] !=
            (round_nr << 32 | who << 16 | page).to_bytes(8, "little")]


def child(areas, round_nr):
    """Sees the parent's stores, makes its own: seen by the parent where memory is shared."""
    bad = [name for name, area in areas.items() if wrong(area, round_nr, 1)]
    for area in areas.values():
        fill(area, round_nr, 2)
    os._exit(len(bad))


def one_round(areas, round_nr):
    for area in areas.values():
        fill(area, round_nr, 1)
    pid = os.fork()
    if not pid:
        child(areas, round_nr)
    status = os.waitpid(pid, 0)[1]
    bad = ["child: %d" % status] if status else []
    for name, area in areas.items():
        pages = wrong(area, round_nr, 1 if name == "private" else 2)
        if pages:
            bad.append("%s: pages %s" % (name, pages))
    words = list(range(round_nr, round_nr + 20000))
    if sum(words[:]) != sum(range(round_nr, round_nr + 20000)):
        bad.append("a list")
    return bad


def main():
    path = "/tmp/mapped.%d" % os.getpid()
    with open(path, "w+b") as file:
        file.truncate(PAGES * PAGE)
        areas = {
            "private": mmap.mmap(-1, PAGES * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
            "shared": mmap.mmap(-1, PAGES * PAGE),
            "file": mmap.mmap(file.fileno(), PAGES * PAGE),
        }
        os.unlink(path)
        for round_nr in range(1, 6):
            bad = one_round(areas, round_nr)
            if bad:
                print("round %d: %s" % (round_nr, "; ".join(bad)))
                return 1
    print("mapped: 5 rounds right")
    return 0


sys.exit(main())
