#!/bin/bash
# SPDX-License-Identifier: MIT
# Torture of real programs with less memory than they want: what each wants is measured natively, then
# it runs in a guest of two nodes with 100, 50, 25 and 12.5 % of that and a swap area, while all its memory
# is moved back and forth, paged out and validated. What it prints, the files it leaves and its exit
# status must be those of the native run.
#
#   torture_ratios.sh [PROGRAM...]     RATIOS="100 25" chooses, too; without either, a few of both
#   SLOW_LIMIT=600 SWAP="128M" ...     so many seconds a program may take (100); swap areas, taken in turn
#   SOAK=1 torture_ratios.sh           all programs with all ratios, over and over for SOAK_SECONDS
#   SOAK=1 LOOP_SECONDS=600 torture_ratios.sh PROGRAM    the loops go on to its end, 600 s at most
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/servers_lib.sh"
. "$(dirname "$0")/torture_lib.sh"
. "$(dirname "$0")/jobs_lib.sh"
require_guest
SOAK_SECONDS=${SOAK_SECONDS:-1800}

LEAST=8192 # KiB; umm run takes no less for two nodes
LIMIT=${SLOW_LIMIT:-100}
if [ -n "${SOAK:-}" ]; then
	LIMIT=$((SOAK_SECONDS < 500 ? SOAK_SECONDS + 100 : 600))
fi
# The loops let go of a program that has gone on for so long, so that it comes to its end.
LOOP_SECONDS=${LOOP_SECONDS:-${SOAK:+15}} LOOP_SECONDS=${LOOP_SECONDS:-8}
LEAST_TIMES=1
# Where memory is short, so is room to move to.
MAY_STAY='stay: no memory on the node'
ALL_RATIOS=(100 50 25 12.5)
read -ra AREAS <<<"${SWAP:-1G lz4:1G zstd:1G}"
declare -A want=() # KiB, by program; 0: it cannot be run here

is_server()
{
	declare -F "serve_$1" >/dev/null
}

tell()
{
	if declare -F "tell_$1" >/dev/null; then "tell_$1"; else cat; fi
}

# --- one run on one side -----------------------------------------------------------------------------

# run_server JOB SIDE CMD...: with its client; all that is to be the same in out, the rest in err.
run_server()
{
	local job=$1 dir=$TEST_TMP/$2

	shift 2
	port=$(client port)
	state=$dir/state
	mkdir "$state"
	"serve_$job" timeout -k 5 "$LIMIT" "$@" >"$dir/err" 2>&1 </dev/null &
	program=$!
	if ! await 60 "answers_$job"; then
		echo "$job does not answer"
	elif ! "drive_$job" 2>&1; then
		echo "its client failed"
	fi >"$dir/out"
	kill -TERM "$program"
	wait "$program"
	echo $? >"$dir/status"
	! declare -F "after_$job" >/dev/null || "after_$job" >>"$dir/out" 2>>"$dir/err"
}

# run_job JOB SIDE CMD...: leaves $TEST_TMP/SIDE/{out,err,status,files}
run_job()
{
	local job=$1 side=$2 dir=$TEST_TMP/$2

	rm -rf "$dir"
	mkdir -p "$dir/files"
	chmod a+rwx "$dir/files"
	if is_server "$job"; then
		run_server "$@"
		return
	fi
	shift 2
	(cd "$dir/files" && "run_$job" timeout -k 5 "$LIMIT" "$@") >"$dir/raw" 2>"$dir/err" </dev/null
	echo $? >"$dir/status"
	tell "$job" <"$dir/raw" >"$dir/out"
}

# expected JOB: for one that runs in guests only, what a native run would leave.
expected()
{
	mkdir -p "$TEST_TMP/$1/files"
	echo 0 >"$TEST_TMP/$1/status"
	"expect_$1" >"$TEST_TMP/$1/out"
}

# prepare JOB: its native run, kept in $TEST_TMP/JOB, and what it wants.
prepare()
{
	[ -z "${want[$1]:-}" ] || return
	want[$1]=0
	job_can "$1" || return
	if [ -n "${guest_only[$1]:-}" ]; then
		expected "$1"
		want[$1]=${guest_only[$1]}
		return
	fi
	run_job "$1" native python3 "$REPO/tests/guest/peak.py" "$TEST_TMP/peak"
	rm -rf "${TEST_TMP:?}/$1"
	mv "$TEST_TMP/native" "$TEST_TMP/$1"
	if ! [ -s "$TEST_TMP/$1/out" ] && [ -z "$(ls -A "$TEST_TMP/$1/files")" ]; then
		fail "$1" "the native run says nothing" "$TEST_TMP/$1/err"
	else
		want[$1]=$(cat "$TEST_TMP/peak")
	fi
}

# --- torture ------------------------------------------------------------------------------------------

guest_began()
{
	guest_answers || [ -e "$TEST_TMP/ended" ]
}

# Loops of a guest of their own, until it ends or has had its time.
torment()
{
	await 60 guest_began || return
	torture_begin
	await_until $((SECONDS + LOOP_SECONDS)) test -e "$TEST_TMP/ended"
	torture_end
}

# stat_of GROUP NAME: from what the guest's --stat left
stat_of()
{
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]][sys.argv[3]])' \
		"$TEST_TMP/stat" "$@"
}

loops_faults()
{
	local loop

	for loop in migrate reclaim check; do
		loop_judge $loop >"$logs/judgement" || sed "1s/^/$loop /" "$logs/judgement"
	done
}

# What is wrong with the guest's run of JOB; nothing if all is as natively.
faults()
{
	local native=$TEST_TMP/$1 guest=$TEST_TMP/guest part

	for part in status out; do
		cmp -s "$native/$part" "$guest/$part" && continue
		echo "$part differs (< native, > guest):"
		diff -a "$native/$part" "$guest/$part"
		tail -n 8 "$guest/err"
		return
	done
	diff -r --no-dereference "$native/files" "$guest/files"
	[ "$(stat_of guest oom_kills)" = 0 ] || echo "memory was out, and somebody was killed"
	loops_faults
}

# tortured JOB RATIO AREA
tortured()
{
	local job=$1 title="$1 at $2 %" kib start tormentor

	kib=$(awk -v want="${want[$1]}" -v least=$LEAST -v ratio="$2" \
		'BEGIN { kib = int(want * ratio / 100); print kib < least ? least : kib }')
	name=$job
	logs=$TEST_TMP/loops stop=$TEST_TMP/loops/stop
	rm -rf "$logs" "$TEST_TMP/ended" "$TEST_TMP/stat"
	mkdir "$logs"
	start=$(now)
	torment & tormentor=$!
	run_job "$job" guest "$UMM" run --name "$name" --nodes 2 --mem "${kib}K" --swap "$3" \
		--stat "$TEST_TMP/stat" --
	touch "$TEST_TMP/ended"
	wait $tormentor
	faults "$job" >"$TEST_TMP/faults" 2>&1
	if [ -s "$TEST_TMP/faults" ]; then
		fail "$title" "${kib}K of ${want[$job]}K, $3, $(seconds_since "$start") s" "$TEST_TMP/faults"
	else
		pass "$title" "$((kib / 1024))M of $((want[$job] / 1024))M, $3, $(seconds_since "$start") s; $(
			stat_of events pswpout) pages out, $(stat_of events pswpin) in; migrated $(loop_judge migrate)"
	fi
}

# --- which ---------------------------------------------------------------------------------------------

# Each pass has every program once, with another ratio than the pass before.
all_of_them()
{
	local end=$((SECONDS + SOAK_SECONDS)) pass=0 ratio job

	while :; do
		ratio=$pass
		for job in $JOBS; do
			if [ $SECONDS -ge $end ]; then
				[ $pass -ge ${#ALL_RATIOS[@]} ] || skip "$job and what follows in pass $pass" "time is up"
				return
			fi
			prepare "$job"
			[ "${want[$job]}" = 0 ] || tortured "$job" "${ALL_RATIOS[ratio % ${#ALL_RATIOS[@]}]}" \
				"${AREAS[ratio % ${#AREAS[@]}]}"
			ratio=$((ratio + 1))
		done
		pass=$((pass + 1))
	done
}

# known JOB[:RATIO]...: or a word about it.
known()
{
	local job

	for job; do
		if [[ " ${JOBS//[[:space:]]/ } " != *" ${job%%:*} "* ]]; then
			echo "torture_ratios: there is no program \"${job%%:*}\" in the table; there are:" $JOBS
		elif [[ $job = *:* && ! ${job#*:} =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
			echo "torture_ratios: \"${job#*:}\" is no share of memory; write $job as ${job%%:*}:12.5"
		else
			continue
		fi
		return 1
	done
}

# some_of_them JOB[:RATIO]...
some_of_them()
{
	local job ratio area=0

	for job; do
		prepare "${job%:*}"
		[ "${want[${job%:*}]}" != 0 ] || continue
		for ratio in $([[ $job = *:* ]] && echo "${job#*:}" || echo "${RATIOS:-${ALL_RATIOS[*]}}"); do
			tortured "${job%:*}" "$ratio" "${AREAS[area % ${#AREAS[@]}]}"
			area=$((area + 1))
		done
	done
}

known "$@" >&2 || exit 2
job_data
if [ $# -gt 0 ]; then
	some_of_them "$@"
elif [ -n "${SOAK:-}" ]; then
	all_of_them
else
	some_of_them redis:25 gcc:12.5 arrays:25
fi
servers_finish
