#!/bin/bash
# mk/deps.sh [tests] [PACKAGE...]: install the Debian packages that building umm needs, those that
# its tests need, and PACKAGEs that one target needs, if any is missing.
#
# Required packages must install; without an optional one the tests that need it are skipped
# by name. An optional package that cannot be had is not asked for again until `make clean`.
set -u
cd "$(dirname "$0")/.."

REQUIRED="gcc make pkg-config libc6-dev liburing-dev libnuma-dev libjansson-dev libconfig-dev
	libcunit1-dev liblz4-dev libzstd-dev libnbd-dev libseccomp-dev"
TESTS="clang libclang-rt-14-dev clang-format g++ python3 perl busybox-static cpio numactl strace sqlite3 zstd
	tar gzip xz-utils util-linux binutils file git man-db redis-server redis-tools memcached
	qemu-system-x86 nbdkit gnuplot-nox chromium stressapptest libpython3.11-testsuite
	stress-ng memtester sysbench nginx-light openjdk-17-jdk-headless nodejs tmux"
OPTIONAL=
if [ "${1:-}" = tests ]; then
	OPTIONAL=$TESTS
	shift
fi
# What one target alone needs is its argument.
OPTIONAL="$OPTIONAL $*"
UNAVAILABLE=build/unavailable-packages

missing()
{
	local p

	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^.i' || echo "$p"
	done
}

install_packages()
{
	DEBIAN_FRONTEND=noninteractive $SUDO apt-get install -y -q --no-install-recommends "$@" \
		>>"$LOG" 2>&1 </dev/null
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: this is no Debian; install by hand: "$REQUIRED $OPTIONAL
	exit 0
fi

mkdir -p build
touch "$UNAVAILABLE"
need=$(missing $REQUIRED)
want=$(missing $OPTIONAL | grep -vxFf "$UNAVAILABLE" 2>/dev/null)
[ -z "$need$want" ] && exit 0

SUDO=
if [ "$(id -u)" != 0 ]; then
	SUDO=sudo
	if ! command -v sudo >/dev/null; then
		echo "deps: missing, and only root can install: "$need $want >&2
		[ -z "$need" ]
		exit
	fi
fi

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
echo "deps: installing "$need $want
$SUDO apt-get update -q >>"$LOG" 2>&1 </dev/null || echo "deps: apt-get update failed, going on"

if [ -n "$need" ] && ! install_packages $need; then
	tail -20 "$LOG" >&2
	echo "deps: cannot install "$need"; install them by hand" >&2
	exit 1
fi
# All at once is fastest; one by one finds out which of them cannot be had.
if [ -n "$want" ] && ! install_packages $want; then
	for p in $want; do
		install_packages "$p" && continue
		echo "deps: no $p here; tests that need it are skipped"
		echo "$p" >>"$UNAVAILABLE"
	done
fi
exit 0
