#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fetch the files NAME... of a server on this host ROUNDS times, eight at once, and print the hash
of each once; another hash of the same file, or an error, ends it.

    fetch.py PORT ROUNDS NAME...
"""
import concurrent.futures
import gzip
import hashlib
import sys
import urllib.request


def fetch(name):
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/{name}",
                                     headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        data = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
    return name, hashlib.sha256(data).hexdigest()


seen = {}
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for name, digest in pool.map(fetch, sys.argv[3:] * int(sys.argv[2])):
        if seen.setdefault(name, digest) != digest:
            sys.exit(f"{name} came as {digest} and as {seen[name]}")
for name in sorted(seen):
    print(seen[name], name)
