# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The guest's half of torture.sh: python, sqlite, gcc, the storm of memory calls and the
# checker side by side, again and again, each result compared with the first native one.
#
#   bash torture_job.sh expect           make the expected results, in ./expected
#   bash torture_job.sh run SECONDS      go on for so long; "NAME PASS" or what differed
#
# WORKLOADS and PROGS name the folders of the checker and of the storm.
set -u

job_python()
{
	/usr/bin/python3 - <<'END'
import hashlib, random, zlib
random.seed(11)
d = {i: random.random() for i in range(60000)}
for i in range(0, 60000, 3):
    del d[i]
s = sorted(d.items(), key=lambda x: x[1])
b = repr(s[::7]).encode()
z = zlib.compress(b, 1)
print(hashlib.sha256(b).hexdigest(), len(z), zlib.decompress(z) == b)
END
}

job_sqlite()
{
	rm -f "$1".db*
	sqlite3 "$1.db" <<'END'
PRAGMA journal_mode=WAL;
PRAGMA mmap_size=67108864;
CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
CREATE INDEX tk ON t(k);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
INSERT INTO t SELECT i, (i * 7919) % 10007, printf('value %d of some length', i) FROM n;
UPDATE t SET v = v || ' changed' WHERE k % 3 = 0;
DELETE FROM t WHERE k % 5 = 1;
SELECT count(*), sum(k), sum(length(v)), max(v) FROM t;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA integrity_check;
SELECT * FROM t ORDER BY v, id LIMIT 50;
END
}

job_gcc()
{
	gcc -O2 -c -o "$1.o" job.c && md5sum <"$1.o"
}

job_storm()
{
	for seed in 1 2 3; do
		"$PROGS/mem_storm" $seed
	done
}

# again NAME UNTIL: run job_NAME until that second and compare each result.
again()
{
	local rounds=0

	while [ "$SECONDS" -lt "$2" ] || [ "$rounds" = 0 ]; do
		"job_$1" "work-$1" >"result-$1" 2>&1
		if ! cmp "expected/$1" "result-$1" >&2; then
			echo "$1 FAIL in round $rounds"
			diff -a "expected/$1" "result-$1" | head -n 10
			return
		fi
		rounds=$((rounds + 1))
	done
	echo "$1: $rounds rounds" >&2
	echo "$1 PASS"
}

case $1 in
expect)
	mkdir -p expected
	for name in python sqlite gcc storm; do
		"job_$name" "work-$name" >"expected/$name" 2>&1
	done
	;;
run)
	SECONDS=0
	"$WORKLOADS/checker" --size 24M --threads 2 --fork 1 --file shared --seconds "$2" \
		>result-checker &
	for name in python sqlite gcc storm; do
		again $name "$2" >"verdict-$name" &
	done
	wait
	cat verdict-python verdict-sqlite verdict-gcc verdict-storm
	grep -v '^ok ' result-checker
	;;
esac
