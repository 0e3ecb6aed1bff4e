#!/bin/bash
# SPDX-License-Identifier: MIT
# Pages that nobody needs are never written: unmapped, freed, of a process that has exited, clean
# in the swap cache or in a file, all zero. Each case makes them, reclaims everything and looks at
# the counters, umm's own and the swap area's. What MADV_COLD and MADV_PAGEOUT take, too.
# timeout: 200
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=180
MIB=8
PAGES=$((MIB * 256))
file=$TEST_TMP/file
head -c $((MIB << 20)) /dev/urandom >"$file"

# begin OPTION...: a guest with the program in it, whose counters start from here
begin()
{
	rm -f "$TEST_TMP/in"
	mkfifo "$TEST_TMP/in"
	"$UMM" run --name dead --mem 48M --swap 64M "$@" -- "$PROGS/dead_pages" $MIB "$file" \
		<"$TEST_TMP/in" >"$TEST_TMP/out" 2>"$TEST_TMP/err" &
	guest=$!
	exec 3>"$TEST_TMP/in"
	asked=0
	ask file	# the program runs, and its text has been read
	reclaim
	count before
}

end()
{
	exec 3>&-
	wait $guest
}

answered()
{
	[ "$(wc -l <"$TEST_TMP/out")" -ge $asked ]
}

# ask STEP: the program does it; what it answers is in $answer
ask()
{
	asked=$((asked + 1))
	echo "$1" >&3
	await 30 answered || fail "$1" "no answer" "$TEST_TMP/err"
	answer=$(sed -n "${asked}p" "$TEST_TMP/out")
}

# Twice: what was used goes in the second round.
reclaim()
{
	umm reclaim dead all >"$TEST_TMP/said" 2>&1
	umm reclaim dead all >>"$TEST_TMP/said" 2>&1
}

# count WHEN: the counters, as shell variables WHEN_out, WHEN_in and so on
count()
{
	eval "$(umm stat dead --json | python3 -c '
import json, sys
j = json.load(sys.stdin)
e, a, n = j["events"], j["swap"]["areas"][0], j["numa"][0]
for name, value in {"out": e["pswpout"], "in": e["pswpin"], "area": a["pages_written"],
                    "read": a["pages_read"], "used": j["swap"]["used"], "zero": e["pswp_zero"],
                    "file": e["file_write"], "anon": n["anon"], "cache": n["file"]}.items():
    print(f"'"$1"'_{name}={value}")')"
}

# holds NAME CONDITION...: each a comparison of $((...))
holds()
{
	local name=$1 condition

	shift
	for condition; do
		if [ $((condition)) = 0 ]; then
			fail "$name" "not so: $condition ($(eval "echo \"$(sed 's/\b\(before\|after\)_/$&/g' <<<"$condition")\""))" \
				"$TEST_TMP/said"
			return
		fi
	done
	pass "$name"
}

# What little the program stores beside its memory (its stack, stdio) is written.
nothing='after_out - before_out < 64'
nothing_there='after_area - before_area < 64'

# dead_after NAME STEP...: done, then reclaimed; nothing was written, and nothing stayed
dead_after()
{
	local name=$1 s

	shift
	begin
	for s; do
		ask "$s"
	done
	reclaim
	count after
	holds "$name" "$nothing" "$nothing_there" 'after_anon < 256' 'after_used < 128'
	end
}

dead_after "unmapped" fill unmap
dead_after "MADV_DONTNEED" fill dontneed
dead_after "MADV_FREE" fill free
dead_after "process exited" child
dead_after "unmapped after MADV_FREE" fill free unmap

# A page stored to after MADV_FREE is no dead page.
begin
for s in fill free fill; do ask $s; done
reclaim
count after
ask read
holds "MADV_FREE, stored to again" "after_out - before_out >= $PAGES" "$(($(echo "$answer" | cut -d' ' -f1) == 0))"
end

# Zero pages cost neither a write nor a read.
begin
ask zero
reclaim
count after
holds "zero pages: not written" "$nothing" "$nothing_there" "after_zero - before_zero >= $PAGES" \
	'after_anon < 256'
before_in=$after_in before_read=$after_read
ask read
count after
holds "zero pages: not read" 'after_read - before_read < 64' "$(($(echo "$answer" | cut -d' ' -f1) == 0))"
end

# Out, in again by reading, out again: the slot still has it.
begin
ask fill
reclaim
count after
holds "stored pages are written" "after_area - before_area >= $PAGES" "after_used >= $PAGES"
ask read
count before
holds "and read" "before_in - after_in >= $PAGES" "before_anon >= $PAGES"
reclaim
count after
holds "clean pages of the swap cache: not written" "$nothing" "$nothing_there" 'after_anon < 256'
ask read
holds "and are right" "$(($(echo "$answer" | cut -d' ' -f1) == 0))"
# Swapped out and unmapped: slots go, and are not read for it.
reclaim
count before
ask unmap
count after
holds "unmapped in swap: not read" 'after_read - before_read < 64' 'after_used < 128'
end

begin
ask fill
reclaim
count before
ask free
count after
holds "MADV_FREE in swap: not read" 'after_read - before_read < 64' 'after_used < 128'
end

# File pages that nobody stored to are dropped.
begin
ask file
count before
holds "a file is mapped" "before_cache >= $PAGES"
reclaim
count after
holds "clean file pages: not written" 'after_file == before_file' "$nothing" \
	"before_cache - after_cache >= $PAGES"
end

# Freed pages go before those that must be written.
begin
umm limit dead 24M >"$TEST_TMP/said"
ask fill
ask free
count before
umm reclaim dead 6M >"$TEST_TMP/said"
count after
holds "freed pages go first" "$nothing" 'before_anon - after_anon >= 1200'
end

# --- advice -------------------------------------------------------------------------------------

# MADV_PAGEOUT takes what it names, also in the midst of large folios, and nothing beside it.
for thp in never 64K:always always; do
	begin --thp $thp
	ask fill
	ask "pageout 1001 100"
	ask resident
	holds "MADV_PAGEOUT of 100 pages, --thp $thp" "$answer == $PAGES - 100"
	count before
	ask "cold 200 100"
	ask resident
	count after
	holds "MADV_COLD writes nothing, --thp $thp" "$answer == $PAGES - 100" 'after_out == before_out'
	ask read
	holds "all is right, --thp $thp" "$(($(echo "$answer" | cut -d' ' -f1) == 0))"
	end
done

# Cold pages go first.
begin
ask fill
ask read
ask "cold 0 1024"
count before
umm reclaim dead 3M >"$TEST_TMP/said"
ask resident
cold_left=$answer
ask "pageout 0 1024"
ask resident
holds "cold pages go first" "$cold_left - $answer < 400"
end
finish
