#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
SQL for the sqlite3 shell, of the kinds of statements that SQLite's own speedtest1 makes (its main
set, by its numbers; Debian packages neither that program nor its source as one). All numbers
come from one generator with a fixed start, so every run of it is the same.

    sqlite_speed.py SIZE    SIZE as speedtest1's --size: 100 is its full size
"""
import sys

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
         "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
         "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
state = 20230401


def rand():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff
    return state >> 33


def name(n):
    """A number in words, so that text is compared and found."""
    words = []
    while True:
        words.append(WORDS[n % len(WORDS)])
        n //= len(WORDS)
        if not n:
            return " ".join(reversed(words))


def case(number, what):
    print(f"SELECT '{number} {what}';")


def begin():
    print("BEGIN;")


def commit():
    print("COMMIT;")


def fill(table, n, order, verb="INSERT"):
    begin()
    for i in range(1, n + 1):
        a = order(i)
        print(f"{verb} INTO {table} VALUES({a}, {rand() % n}, '{name(rand() % n)}');")
    commit()


def between(column, n, span, times, table):
    for _ in range(times):
        low = rand() % n
        print(f"SELECT count(*), avg(b), sum(length(c)), group_concat(a) FROM {table} "
              f"WHERE {column} BETWEEN {low} AND {low + span};")


def shuffled(n):
    """A permutation of 1..n: every i its own place."""
    order = list(range(1, n + 1))
    for i in range(n - 1, 0, -1):
        k = rand() % (i + 1)
        order[i], order[k] = order[k], order[i]
    return lambda i: order[i - 1]


def inserts(n):
    case(100, "INSERTs into a table without index")
    print("CREATE TABLE z1(a INTEGER NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL);")
    fill("z1", n, lambda i: i)
    case(110, "ordered INSERTs with a primary key")
    print("CREATE TABLE z2(a INTEGER NOT NULL PRIMARY KEY, b INTEGER NOT NULL, c TEXT NOT NULL);")
    fill("z2", n, lambda i: i)
    case(120, "unordered INSERTs with a primary key")
    print("CREATE TABLE t3(a INTEGER NOT NULL PRIMARY KEY, b INTEGER NOT NULL, c TEXT NOT NULL);")
    fill("t3", n, shuffled(n))


def selects(n):
    case(130, "SELECTs, numeric BETWEEN, no index")
    between("b", n, n // 50, 10, "z1")
    case(140, "SELECTs, LIKE, no index")
    for _ in range(10):
        print(f"SELECT count(*), avg(b), sum(length(c)) FROM z1 WHERE c LIKE '%{name(rand() % 28)}%';")
    case(142, "SELECTs with ORDER BY, and with LIMIT")
    for limit in ("", " LIMIT 10"):
        for _ in range(5):
            print(f"SELECT a, b, c FROM z1 WHERE c LIKE '%{name(rand() % 28)}%' ORDER BY c, a{limit};")
    case(150, "CREATE INDEX")
    for i, (table, columns) in enumerate((("z1", "b"), ("z1", "c"), ("z2", "b, c"),
                                          ("t3", "c, b"), ("t3", "b"))):
        print(f"CREATE INDEX i{i} ON {table}({columns});")
    case(160, "SELECTs, numeric BETWEEN, by index and by key")
    between("b", n, 10, n // 10, "z1")
    between("a", n, 10, n // 10, "z2")
    case(170, "SELECTs, text BETWEEN, by index")
    for _ in range(n // 10):
        word = name(rand() % n)
        print(f"SELECT count(*), avg(b), sum(length(c)) FROM z1 WHERE c BETWEEN '{word}' AND '{word}~';")


def changes(n):
    case(180, "INSERTs with three indexes")
    print("CREATE TABLE t4(a INTEGER NOT NULL, b INTEGER NOT NULL, c TEXT NOT NULL);")
    for column in "abc":
        print(f"CREATE INDEX t4{column} ON t4({column});")
    fill("t4", n, shuffled(n))
    case(190, "DELETE and refill")
    print("DELETE FROM z2; INSERT INTO z2 SELECT a, b, c FROM t3;")
    case(200, "VACUUM")
    print("VACUUM;")
    case(210, "ALTER TABLE ADD COLUMN")
    print("ALTER TABLE z2 ADD COLUMN d INT DEFAULT 123; SELECT sum(d) FROM z2;")
    case(230, "UPDATEs, numeric BETWEEN, and of single rows")
    begin()
    for _ in range(n // 25):
        low = rand() % n
        print(f"UPDATE z2 SET d = b * 2 WHERE b BETWEEN {low} AND {low + 10};")
    for _ in range(n):
        print(f"UPDATE z2 SET d = b * 3 WHERE a = {rand() % n};")
    commit()
    case(250, "one UPDATE of the whole table")
    print("UPDATE z2 SET d = b * 4; SELECT sum(d) FROM z2;")
    case(270, "DELETEs, numeric BETWEEN, and of single rows")
    begin()
    for _ in range(n // 25):
        low = rand() % n
        print(f"DELETE FROM z2 WHERE b BETWEEN {low} AND {low + 2};")
    for _ in range(n // 4):
        print(f"DELETE FROM t3 WHERE a = {rand() % n};")
    commit()
    case(290, "REPLACE")
    print("REPLACE INTO z2(a, b, c) SELECT a, b, c FROM z1;"
          "REPLACE INTO t3(a, b, c) SELECT a, b, c FROM z1;"
          "DELETE FROM z1; INSERT INTO z1 SELECT a, b, c FROM z2 WHERE (b & 1) = (a & 1);")


def joins(n):
    case(310, "joins of four")
    for _ in range(n // 100):
        low = rand() % n
        print("SELECT z1.c, t4.c FROM z1, z2, t3, t4 WHERE t4.a = t3.b AND t3.a = z2.b "
              f"AND z2.c = z1.c AND z1.b BETWEEN {low} AND {low + 10} ORDER BY 1, 2 LIMIT 20;")
    case(320, "a subquery in the result")
    print("SELECT sum(a), max(c), avg((SELECT a FROM z2 WHERE 5 + z2.b = z1.b) AND rowid < 90), "
          "max(c) FROM z1 WHERE rowid < 200;")
    case(400, "REPLACE and SELECT by key, numbers and text")
    print("CREATE TABLE t5(a INTEGER PRIMARY KEY, b); CREATE TABLE t6(a TEXT PRIMARY KEY, b) WITHOUT ROWID;")
    begin()
    for _ in range(n):
        a = rand() % n
        print(f"REPLACE INTO t5 VALUES({a}, '{name(a)}'); REPLACE INTO t6 VALUES('{name(rand() % n)}', {a});")
    for _ in range(n):
        print(f"SELECT b FROM t5 WHERE a = {rand() % n}; SELECT b FROM t6 WHERE a = '{name(rand() % n)}';")
    commit()
    case(520, "SELECT DISTINCT")
    print("SELECT count(*) FROM (SELECT DISTINCT b FROM t5); SELECT DISTINCT b FROM t6 ORDER BY b LIMIT 50;")
    case(980, "PRAGMA integrity_check and ANALYZE")
    print("PRAGMA integrity_check; ANALYZE; SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1, 2;")


def main():
    n = int(sys.argv[1]) * 500
    print("PRAGMA page_size = 4096; PRAGMA cache_size = 2000;")
    inserts(n)
    selects(n)
    changes(n)
    joins(n)


main()
