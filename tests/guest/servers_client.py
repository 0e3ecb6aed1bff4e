#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A client of redis and memcached that knows what it stored and verifies every byte.

    servers_client.py redis     ACTION ADDRESS COUNT SEED
    servers_client.py memcached ACTION ADDRESS COUNT SEED
        ACTION fill: store COUNT entries made from SEED; verify: read all of them back
    servers_client.py redis     churn ADDRESS SECONDS SEED
    servers_client.py memcached churn ADDRESS SECONDS SEED
        store, change, delete and verify at random for so long, then verify everything
    servers_client.py port
        print a TCP port that nobody uses

ADDRESS is a port of this host or the path of a socket. Every value is made from its key and
the seed, so that a value of another key, an old one or a torn one is told from the right one.
The exit status is 0 if nothing was wrong; what was is told on stderr.
"""
import hashlib
import random
import socket
import sys
import threading
import time

BATCH = 64


class Wrong(Exception):
    pass


def connect(address):
    if "/" in address:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(address)
    else:
        s = socket.create_connection(("127.0.0.1", int(address)), 60)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def pattern(seed, name, longest=6000):
    """Bytes that only this seed and name give; of very different lengths."""
    h = hashlib.sha256(f"{seed} {name}".encode()).digest()
    length = int.from_bytes(h[:2], "little") % 300
    if h[2] < 24:
        length = int.from_bytes(h[3:5], "little") % longest
    return (h.hex().encode() * (length // 64 + 1))[:length]


# --- redis ----------------------------------------------------------------------------------


class Redis:
    def __init__(self, address):
        self.socket = connect(address)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def encode(command):
        parts = [x if isinstance(x, bytes) else str(x).encode() for x in command]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Wrong(f"the server hung up after {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self.file.read(int(rest) + 2)
            return data[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"-":
            return Wrong(rest.decode())
        raise Wrong(f"not a reply: {line!r}")

    def pipeline(self, commands):
        commands = list(commands)
        self.socket.sendall(b"".join(map(self.encode, commands)))
        return [self.reply() for _ in commands]


def redis_entry(seed, i):
    """(command that stores entry i, command that reads it, what it must answer)"""
    kind = i % 10
    if kind == 6:
        items = [pattern(seed, f"l{i}.{n}", 600) for n in range(i % 40 + 1)]
        return ["RPUSH", f"list:{i}", *items], ["LRANGE", f"list:{i}", 0, -1], items
    if kind == 7:
        items = {b"f%d" % n: pattern(seed, f"h{i}.{n}", 600) for n in range(i % 50 + 1)}
        flat = [x for pair in items.items() for x in pair]
        return ["HSET", f"hash:{i}", *flat], ["HGETALL", f"hash:{i}"], items
    if kind == 8:
        items = {b"%d" % (n * n + seed) for n in range(i % 60 + 1)}
        return ["SADD", f"set:{i}", *sorted(items)], ["SMEMBERS", f"set:{i}"], items
    if kind == 9:
        items = [b"m%d.%d" % (n, seed) for n in range(i % 30 + 1)]
        flat = [x for n, item in enumerate(items) for x in (n, item)]
        return ["ZADD", f"zset:{i}", *flat], ["ZRANGE", f"zset:{i}", 0, -1], items
    value = pattern(seed, f"s{i}")
    return ["SET", f"string:{i}", value], ["GET", f"string:{i}"], value


def redis_matches(answer, wanted):
    if isinstance(wanted, dict) and isinstance(answer, list):
        return dict(zip(answer[::2], answer[1::2])) == wanted
    if isinstance(wanted, set) and isinstance(answer, list):
        return len(answer) == len(wanted) and set(answer) == wanted
    return answer == wanted


def redis_commands(seed, i):
    store = redis_entry(seed, i)[0]
    return [store] if store[0] == "SET" else [["DEL", store[1]], store]


def redis_store(r, numbers, seed):
    commands = [c for i in numbers for c in redis_commands(seed, i)]
    for command, answer in zip(commands, r.pipeline(commands)):
        if isinstance(answer, Wrong):
            raise Wrong(f"{command[:2]}: {answer}")


def redis_check(r, entries):
    """entries: pairs of number and seed, the seed None where nothing may be."""
    entries = list(entries)
    made = [redis_entry(0 if seed is None else seed, i) for i, seed in entries]
    for (i, seed), (_, read, wanted), answer in zip(entries, made,
                                                    r.pipeline(m[1] for m in made)):
        if seed is None:
            if answer:
                raise Wrong(f"{read}: deleted, but there: {answer!r:.200}")
        elif not redis_matches(answer, wanted):
            raise Wrong(f"{read}, seed {seed}: {answer!r:.200} and not {wanted!r:.200}")


def batches(items):
    items = list(items)
    for at in range(0, len(items), BATCH):
        yield items[at:at + BATCH]


def redis_fill(address, count, seed):
    r = Redis(address)
    for numbers in batches(range(count)):
        redis_store(r, numbers, seed)


def redis_verify(address, count, seed):
    r = Redis(address)
    if (there := r.pipeline([["DBSIZE"]])[0]) != count:
        raise Wrong(f"{there} keys instead of {count}")
    for numbers in batches(range(count)):
        redis_check(r, ((i, seed) for i in numbers))


def redis_churn(address, seconds, seed):
    """Other clients may be at work on other keys."""
    r = Redis(address)
    rand = random.Random(seed)
    current, end, rounds = {}, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        numbers = rand.sample(range(seed * 100000, seed * 100000 + 4000), BATCH)
        redis_check(r, ((i, current.get(i)) for i in numbers))
        new = rounds + 1
        redis_store(r, numbers[:40], new)
        current.update((i, new) for i in numbers[:40])
        for i in numbers[40:50]:
            r.pipeline([["DEL", redis_entry(0, i)[0][1]]])
            current[i] = None
        rounds += 1
    for items in batches(current.items()):
        redis_check(r, items)
    print(f"redis: {rounds} rounds, {len(current)} keys verified")


# --- memcached ------------------------------------------------------------------------------


class Memcached:
    def __init__(self, address):
        self.socket = connect(address)
        self.file = self.socket.makefile("rb")

    def store(self, key, value):
        self.socket.sendall(b"set %s %d 0 %d\r\n%s\r\n" % (key, len(key), len(value), value))
        if (answer := self.file.readline()) != b"STORED\r\n":
            raise Wrong(f"set {key}: {answer!r}")

    def delete(self, key):
        self.socket.sendall(b"delete %s\r\n" % key)
        if (answer := self.file.readline()) not in (b"DELETED\r\n", b"NOT_FOUND\r\n"):
            raise Wrong(f"delete {key}: {answer!r}")

    def fetch(self, keys):
        found = {}
        self.socket.sendall(b"get %s\r\n" % b" ".join(keys))
        while (line := self.file.readline()) != b"END\r\n":
            word = line.split()
            if len(word) != 4 or word[0] != b"VALUE" or int(word[2]) != len(word[1]):
                raise Wrong(f"get {keys[0]}...: {line!r}")
            found[word[1]] = self.file.read(int(word[3]) + 2)[:-2]
        return found

    def check(self, wanted):
        found = self.fetch(list(wanted))
        for key, value in wanted.items():
            if found.get(key) != value:
                raise Wrong(f"get {key}: {found.get(key)!r:.200} and not {value!r:.200}")


def mc_key(i):
    return b"key:%d" % i


def mc_each(address, count, seed, work):
    """Four connections at once, one for each of the server's threads."""
    errors = []

    def run(part):
        try:
            m = Memcached(address)
            for numbers in batches(range(part, count, 4)):
                work(m, {mc_key(i): pattern(seed, f"m{i}", 20000) for i in numbers})
        except (Wrong, OSError) as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise Wrong(errors[0])


def memcached_fill(address, count, seed):
    mc_each(address, count, seed, lambda m, e: [m.store(k, v) for k, v in e.items()])


def memcached_verify(address, count, seed):
    mc_each(address, count, seed, lambda m, e: m.check(e))


def memcached_churn(address, seconds, seed):
    m = Memcached(address)
    rand = random.Random(seed)
    current, end, rounds = {}, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for i in rand.sample(range(seed * 100000, seed * 100000 + 3000), 20):
            if rand.random() < 0.2:
                m.delete(mc_key(i))
                current[mc_key(i)] = None
            else:
                current[mc_key(i)] = pattern(f"{seed}.{rounds}", i, 20000)
                m.store(mc_key(i), current[mc_key(i)])
        m.check(dict(rand.sample(sorted(current.items(), key=lambda e: e[0]),
                                 min(BATCH, len(current)))))
        rounds += 1
    for items in batches(current.items()):
        m.check(dict(items))
    print(f"memcached: {rounds} rounds, {len(current)} keys verified")


def main(args):
    if args == ["port"]:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            print(s.getsockname()[1])
        return 0
    actions = {f"{server} {action}": globals()[f"{server}_{action}"]
               for server in ("redis", "memcached") for action in ("fill", "verify", "churn")}
    if len(args) != 5 or " ".join(args[:2]) not in actions:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        actions[" ".join(args[:2])](args[2], int(args[3]), int(args[4]))
    except (Wrong, OSError) as e:
        print(f"{args[0]} {args[1]}: {e}", file=sys.stderr)
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
