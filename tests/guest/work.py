# SPDX-License-Identifier: MIT
"""A dictionary, a sort and a hash: some 40 MiB. With the word "bytes" also one array there and back,
20 MiB more. With "array MIB" only an array of so much, filled and read once. What it prints is
the same every time."""
import hashlib
import sys

if sys.argv[1:2] == ["array"]:
    array = bytearray()
    for i in range(int(sys.argv[2]) << 4):
        array += (b"%08d" % (i * 7919)) * 8192
    print(len(array), hashlib.md5(array).hexdigest())
    sys.exit()

values = {i: ("value %d" % (i * 7919)) * 3 for i in range(150000)}
order = sorted(values, key=lambda i: values[i])
digest = hashlib.sha256()
for i in order:
    digest.update(values[i].encode())
print(len(values), order[:5], digest.hexdigest())
if sys.argv[1:] == ["bytes"]:
    array = bytearray(range(256)) * 80000
    array[::4099] = bytes(len(array[::4099]))
    print(hashlib.md5(bytes(reversed(array))).hexdigest())
