# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the guest tests share; sourced, not run. A test runs a command natively and
# under `umm run`, each in a fresh folder with the same input, and compares stdout,
# stderr, exit status and the files that were left behind.
#
#   compare NAME [--input DIR] [--stdin FILE] [--umm OPTIONS] [--no-stderr] [--limit S] -- CMD...
#   skip NAME REASON
#   pass NAME [NOTE]     fail NAME WHY [FILE-TO-SHOW]
#   checker_verdict PID  the checker, a child of the script that prints to $TEST_TMP/out, ended well
#   await SECONDS CMD... waits for an event, with a limit that leaves room for a busy machine
#   finish               prints the counts, ends the script with their verdict
#
# Environment: UMM (the program under test), UMM_WORKLOADS, UMM_PROGS, TEST_TMP.
set -u -o pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${UMM_BUILD:-$REPO/build/release}
UMM=${UMM:-$BUILD/umm}
WORKLOADS=${UMM_WORKLOADS:-$BUILD/workloads}
PROGS=${UMM_PROGS:-$BUILD/tests/guest}
LIMIT=${LIMIT:-180}

if [ -z "${TEST_TMP:-}" ]; then
	TEST_TMP=$(mktemp -d)
	trap 'rm -rf "$TEST_TMP"' EXIT
fi
# Guests of other users and tests are none of ours; the path must fit a socket's name.
export XDG_RUNTIME_DIR=$TEST_TMP/run
mkdir -p "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
# Programs must not tell of the terminal, the user's settings or the time zone.
export LC_ALL=C TZ=UTC HOME=$TEST_TMP PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

passed=0 failed=0 skipped=0

pass()
{
	passed=$((passed + 1))
	echo "ok    $1${2:+ ($2)}"
}

fail()
{
	failed=$((failed + 1))
	echo "FAIL  $1: $2"
	[ $# -lt 3 ] || head -n "${TAIL:-20}" "$3" | sed 's/^/      | /'
}

skip()
{
	skipped=$((skipped + 1))
	echo "# skip $1: $2"
}

checker_verdict()
{
	local status

	wait "$1"
	status=$?
	if [ $status = 0 ] && grep -q '^PASS' "$TEST_TMP/out"; then
		pass every-word-right
	else
		fail every-word-right "status $status" "$TEST_TMP/out"
	fi
}

finish()
{
	echo "# subtests: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ $((passed + skipped)) != 0 ]
	exit
}

# Ends the whole script where no guest can run at all.
require_guest()
{
	if [ ! -x "$UMM" ]; then
		echo "$UMM is not built"
		exit 1
	fi
	if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		echo "no access to /dev/kvm"
		exit 77
	fi
}

# have NAME PROGRAM...: are the programs there? If not, NAME is skipped.
have()
{
	local name=$1 program

	shift
	for program; do
		if ! command -v "$program" >/dev/null; then
			skip "$name" "$program is not installed"
			return 1
		fi
	done
}

now()
{
	date +%s.%N
}

seconds_since()
{
	awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'
}

# For so many times the usual limit a busy machine is waited for: it costs time only where a test fails.
PATIENCE=${PATIENCE:-5}

# await SECONDS CMD...: run it until it succeeds; SECONDS are what is plenty on a machine at its ease.
await()
{
	await_until $((SECONDS + $1 * PATIENCE)) "${@:2}"
}

# await_until TIME CMD...: the same until $SECONDS is TIME, and no longer.
await_until()
{
	local end=$1

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

umm()
{
	timeout -k 5 "$LIMIT" "$UMM" "$@"
}

# run_side SIDE INPUT STDIN LIMIT CMD...: run it in a fresh folder, leave out, err, status.
run_side()
{
	local side=$TEST_TMP/$1 input=$2 stdin=$3 limit=$4

	shift 4
	rm -rf "$side"
	mkdir -p "$side/files"
	[ -z "$input" ] || cp -a "$input/." "$side/files"
	(cd "$side/files" && timeout -k 5 "$limit" "$@") <"$stdin" >"$side/out" 2>"$side/err"
	echo $? >"$side/status"
}

# Where the two runs differ; nothing if they do not.
difference()
{
	local native=$TEST_TMP/native guest=$TEST_TMP/guest part

	for part in status out ${1:+err}; do
		cmp -s "$native/$part" "$guest/$part" && continue
		echo "$part differs (- native, + guest):"
		diff -a -u "$native/$part" "$guest/$part" | tail -n +3
		[ "$part" = err ] || sed 's/^/guest stderr: /' "$guest/err" | tail -n 8
		return
	done
	diff -r --no-dereference "$native/files" "$guest/files"
}

compare()
{
	local name=$1 input='' stdin=/dev/null stderr=yes limit=$LIMIT options=() start native

	shift
	while [ "$1" != -- ]; do
		case $1 in
		--input) input=$2; shift ;;
		--stdin) stdin=$2; shift ;;
		--limit) limit=$2; shift ;;
		--umm) read -ra options <<<"$2"; shift ;;
		--no-stderr) stderr= ;;
		*) fail "$name" "compare: bad option $1"; return 1 ;;
		esac
		shift
	done
	shift
	start=$(now)
	run_side native "$input" "$stdin" "$limit" "$@"
	native=$(seconds_since "$start")
	start=$(now)
	run_side guest "$input" "$stdin" "$limit" "$UMM" run "${options[@]}" -- "$@"
	difference "$stderr" >"$TEST_TMP/difference"
	if [ -s "$TEST_TMP/difference" ]; then
		fail "$name" "differs from the native run (guest $(seconds_since "$start") s)" \
			"$TEST_TMP/difference"
		return 1
	fi
	pass "$name" "native $native s, guest $(seconds_since "$start") s"
}

# few_stayed LOG [PERCENT]: LOG holds what calls of umm migrate printed. Of what they were to move
# at most PERCENT (2) stayed, or 16 pages a call: those that were in use just then.
few_stayed()
{
	awk -v percent="${2:-2}" '
		/^moved [0-9]+ of [0-9]+ pages/ { calls++; total += $4 }
		/^ +[0-9]+  stay: / { stayed += $1 }
		END {
			if (stayed > 16 * calls && stayed * 100 > total * percent) {
				printf "%d of %d pages stayed in %d migrations\n", stayed, total, calls
				exit 1
			}
		}' "$1"
}
