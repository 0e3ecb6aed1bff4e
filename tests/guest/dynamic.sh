#!/bin/bash
# SPDX-License-Identifier: MIT
# Dynamic programs of the distribution, natively and in the guest.
# timeout: 600
# also: asan
. "$(dirname "$0")/lib.sh"
require_guest
input=$TEST_TMP/input
mkdir "$input"

test_small()
{
	compare true -- /bin/true
	compare false -- /bin/false
	compare ls-recursive -- /bin/ls -lR /usr/include
	compare ls-missing -- /bin/ls /nonexistent
	compare cat --stdin /etc/passwd -- /bin/cat
	compare date -- /bin/date -d @0
	compare env -- /usr/bin/env -i A=1 B=2 /usr/bin/env
}

test_shells()
{
	cat >"$input/script.sh" <<'END'
set -u
declare -A map=([one]=1 [two]=2)
for key in $(printf '%s\n' "${!map[@]}" | sort); do echo "$key=${map[$key]}"; done
mapfile -t lines < <(seq 1 100)
echo "${#lines[@]} ${lines[41]}"
printf '%s\n' "${lines[@]}" | sort -rn | head -3 | tee top > /dev/null
paste -sd, top
cat <<HERE | tr a-z A-Z
here document $((6 * 7))
HERE
(exit 3); echo "status $?"
echo one | cat | cat | cat | wc -c
false | true; echo "${PIPESTATUS[*]}"
trap 'echo got TERM' TERM; kill -TERM $$
trap 'echo bye' EXIT
sleep 0.05 & wait; echo waited
coproc CAT { cat; }; echo through >&"${CAT[1]}"; read -r back <&"${CAT[0]}"; echo "$back"
eval "exec ${CAT[1]}>&-"; wait
( ulimit -n 64; ulimit -n )
x=$(for i in {1..30}; do ( echo "$i" ); done | wc -l); echo "$x"
time_out=$(timeout 0.1 sleep 5; echo $?); echo "timeout says $time_out"
ls /nonexistent 2>/dev/null || echo missing
exit 9
END
	compare bash --input "$input" -- /bin/bash script.sh
	compare bash-jobs --no-stderr -- /bin/bash -c 'set -m; sleep 0.1 & wait %1; echo $?; (kill -9 $BASHPID); echo $?'
	compare dash -- /bin/sh -c 'echo $((1 + 1)) | cat; exec /bin/echo done'
}

test_python()
{
	cat >"$input/work.py" <<'END'
import hashlib, json, os, queue, random, re, subprocess, sys, threading, zlib

out = subprocess.run(["/bin/sh", "-c", "echo from child; exit 3"], capture_output=True)
print(out.returncode, out.stdout)
p = subprocess.Popen(["/usr/bin/sort"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
data = "\n".join(str(i * 7919 % 10007) for i in range(10000)).encode()
print(hashlib.sha256(p.communicate(data)[0]).hexdigest(), p.returncode)

work, results = queue.Queue(), []
lock = threading.Lock()
def worker():
    while (n := work.get()) is not None:
        h = hashlib.md5(str(n).encode() * 1000).hexdigest()
        with lock:
            results.append((n, h))
threads = [threading.Thread(target=worker) for _ in range(4)]
for t in threads: t.start()
for n in range(500): work.put(n)
for t in threads: work.put(None)
for t in threads: t.join()
print(len(results), hashlib.md5(repr(sorted(results)).encode()).hexdigest())

pid = os.fork()
if pid == 0:
    os._exit(sum(range(10)))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
random.seed(5)
d = {random.random(): i for i in range(200000)}
print(sum(d.values()), len(d))
b = zlib.compress(bytes(range(256)) * 4000)
print(len(zlib.decompress(b)), zlib.crc32(b))
print(json.dumps({"a": [1, 2.5, None], "b": "ü"}), re.findall(r"\d+", "a1b22"))
with open("out.txt", "w") as f:
    f.writelines(f"{i}\n" for i in range(5000))
print(os.stat("out.txt").st_size)
sys.exit(4)
END
	compare python-c -- /usr/bin/python3 -c 'print(sum(i * i for i in range(100000)))'
	compare python-script --input "$input" -- /usr/bin/python3 work.py
	compare python-error -- /usr/bin/python3 -c 'raise ValueError("as meant")'
	compare python-memory -- /usr/bin/python3 -c 'a = [bytearray(1000) for _ in range(50000)]; print(len(a)); del a; print(sum(map(len, [b"x" * i for i in range(2000)])))'
	compare python-multiprocessing -- /usr/bin/python3 -c 'from multiprocessing import Pool
with Pool(3) as p: print(p.map(abs, range(-20, 0)))'
}

test_perl()
{
	have perl perl || return
	compare perl -- /usr/bin/perl -e 'my %h; $h{$_ % 97} += $_ for 1 .. 100000; print join(",", map { "$_=$h{$_}" } sort { $a <=> $b } keys %h), "\n"; print `echo from perl`; exit 6'
	compare perl-fork -- /usr/bin/perl -e '$| = 1; pipe(R, W); if (!fork) { close R; print W "x" x 100000; exit 2 } close W; local $/; print length(<R>), "\n"; wait; print $? >> 8, "\n"'
}

test_sqlite()
{
	have sqlite sqlite3 || return
	cat >"$input/work.sql" <<'END'
PRAGMA journal_mode=WAL;
PRAGMA mmap_size=268435456;
CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
CREATE INDEX tk ON t(k);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
INSERT INTO t SELECT i, (i * 7919) % 10007, printf('value %d of some length', i) FROM n;
COMMIT;
SELECT count(*), sum(k), max(v) FROM t;
UPDATE t SET v = v || ' changed' WHERE k % 3 = 0;
DELETE FROM t WHERE k % 5 = 1;
SELECT count(*), sum(length(v)) FROM t;
SELECT k, count(*) c FROM t GROUP BY k ORDER BY c DESC, k LIMIT 5;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA integrity_check;
VACUUM;
SELECT * FROM t ORDER BY v LIMIT 3;
END
	compare sqlite --input "$input" -- /bin/sh -c 'sqlite3 test.db < work.sql && sqlite3 -readonly test.db .dump | md5sum; rm -f test.db*'
}

test_gcc()
{
	have gcc gcc || return
	cat >"$input/hello.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
	char *s = malloc(100);
	snprintf(s, 100, "hello from %s with %d arguments", "gcc", argc - 1);
	puts(s);
	return (int)strlen(s) + (argv[argc] != NULL);
}
END
	compare gcc --limit 120 --input "$input" -- /usr/bin/gcc -O2 -o hello hello.c
	compare gcc-and-run --limit 120 --input "$input" -- /bin/sh -c 'gcc -O2 -o hello hello.c && ./hello a b'
	compare gcc-error --input "$input" -- /bin/sh -c 'echo "int main(void) { return x; }" > bad.c; gcc bad.c'
}

test_small
test_shells
test_python
test_perl
test_sqlite
test_gcc
finish
