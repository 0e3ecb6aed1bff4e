#!/bin/bash
# SPDX-License-Identifier: MIT
# Bad input: programs that are none, machines that lack something, memory that runs out,
# a killed umm, garbage on the control socket, wrong options and configurations. Each
# must end in a clear message or in what Linux does; umm itself never crashes or hangs.
# ONLY_TEST=test_NAME runs one of the groups below.
# timeout: 400
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=100
dir=$TEST_TMP/bad
mkdir "$dir"
cd "$dir" || exit 1

# attempt CMD...: run it; leaves `status` (exit status), `signal` (that killed it), out, err.
attempt()
{
	read -r status signal < <(LIMIT=$LIMIT perl -e '
		open(STDIN, "<", "/dev/null"); open(my $say, ">&", \*STDOUT);
		open(STDOUT, ">", "out"); open(STDERR, ">", "err");
		my $pid = fork; if (!$pid) { exec { $ARGV[0] } @ARGV or exit 127 }
		$SIG{ALRM} = sub { kill 9, $pid }; alarm $ENV{LIMIT};
		waitpid $pid, 0; printf $say "%d %d\n", $? >> 8, $? & 127;' "$@")
}

# expect NAME STATUS PATTERN: of the last attempt. STATUS may be a pattern too.
expect()
{
	if [ "$signal" != 0 ]; then
		fail "$1" "killed by signal $signal (9: it hung for $LIMIT s)" err
	elif [[ $status != $2 ]]; then
		fail "$1" "exit status $status, not $2" err
	elif [ -n "$3" ] && ! grep -aqE -- "$3" err; then
		fail "$1" "the message does not tell of '$3'" err
	else
		pass "$1" "$(tail -n 1 err)"
	fi
}

alive()
{
	attempt "$UMM" run -- "$WORKLOADS/hello"
	[ "$status $signal $(cat out)" = "0 0 hello, world" ]
}

test_programs()
{
	mkdir folder
	printf 'echo no interpreter line\n' >text
	printf '#!/nonexistent/interpreter\n' >missing
	printf '\177ELF garbage' >garbage
	: >empty
	cp "$WORKLOADS/hello" forbidden
	chmod +x text missing garbage empty
	chmod 600 forbidden
	attempt "$UMM" run -- ./folder
	expect directory 126 'folder'
	attempt "$UMM" run -- ./text
	expect no-interpreter-line 126 'text'
	attempt "$UMM" run -- ./missing
	expect missing-interpreter '12[67]' 'missing'
	attempt "$UMM" run -- ./nonexistent
	expect nonexistent 127 'nonexistent'
	attempt "$UMM" run -- nonexistent-command
	expect nonexistent-command 127 'nonexistent-command'
	attempt "$UMM" run -- ./forbidden
	expect not-executable 126 'forbidden'
	attempt "$UMM" run -- ./garbage
	expect garbage 126 'garbage'
	attempt "$UMM" run -- ./empty
	expect empty 126 'empty'
	attempt "$UMM" run -- ''
	expect empty-name '12[67]' .
	printf '\177ELF\1\1\1' >elf32
	head -c 200 /dev/zero >>elf32
	chmod +x elf32
	attempt "$UMM" run -- ./elf32
	expect elf-of-32-bits 126 'elf32'
}

# Cut and changed ELF files: some still run, some end by a signal, none may take umm along.
test_broken_elf()
{
	local size n=0 crashed=0 offset

	size=$(stat -c %s "$WORKLOADS/hello")
	cp "$WORKLOADS/hello" cut
	for length in $((size - 5000)) $((size / 2)) 20000 4097 4096 4095 500 120 119 100 64 63 52 16 \
		4 1; do
		truncate -s "$length" cut
		attempt "$UMM" run -- ./cut
		n=$((n + 1))
		if [ "$signal" != 0 ] || { [ "$length" -lt 64 ] && [ "$status" != 126 ]; }; then
			crashed=$((crashed + 1))
			echo "cut at $length: status $status signal $signal: $(tail -n 1 err)"
		fi
	done
	RANDOM=${SEED:-7}
	for _ in $(seq "${MUTATIONS:-40}"); do
		cp "$WORKLOADS/hello" cut
		for _ in 1 2 3; do
			offset=$((RANDOM % 400))
			printf '%b' "\\x$(printf %x $((RANDOM % 256)))" |
				dd of=cut bs=1 seek=$offset conv=notrunc status=none
		done
		attempt "$UMM" run --mem 64M -- ./cut
		n=$((n + 1))
		[ "$signal" = 0 ] && continue
		crashed=$((crashed + 1))
		cp cut "$TEST_TMP/crash-$crashed"
		echo "changed file: status $status signal $signal: $(tail -n 1 err)"
	done
	if [ "$crashed" != 0 ]; then
		fail broken-elf "$crashed of $n files were not refused or ended well"
	elif ! alive; then
		fail broken-elf "afterwards nothing runs" err
	else
		pass broken-elf "$n files"
	fi
}

# in_bare_dev SHELL-TEXT: run it as root in a mount namespace whose /dev holds nothing.
in_bare_dev()
{
	attempt unshare -m sh -c "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 &&
		mknod -m 666 /dev/zero c 1 5 && mknod -m 666 /dev/urandom c 1 9 && $1"
}

test_machine()
{
	local nobody="setpriv --reuid 65534 --regid 65534 --clear-groups env XDG_RUNTIME_DIR=$TEST_TMP/nobody"

	if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
		skip machine "needs root and mount namespaces"
		return
	fi
	# The user nobody must be able to reach what it is to run.
	mkdir -m 777 "$TEST_TMP/reach" "$TEST_TMP/nobody"
	chown 65534 "$TEST_TMP/nobody"
	chmod 711 "$TEST_TMP" "$dir"
	cp "$UMM" "$TEST_TMP/reach/umm"
	cp "$WORKLOADS/hello" "$TEST_TMP/reach" && chmod 755 "$TEST_TMP"/reach/*
	in_bare_dev "$UMM run -- $WORKLOADS/hello"
	expect no-kvm '[1-9]*' '/dev/kvm'
	in_bare_dev "mknod -m 600 /dev/kvm c 10 232 && $nobody $TEST_TMP/reach/umm run -- $TEST_TMP/reach/hello"
	expect no-right-to-kvm '[1-9]*' '/dev/kvm'
	in_bare_dev "mknod -m 666 /dev/kvm c 10 1 && $UMM run -- $WORKLOADS/hello"
	expect kvm-is-no-kvm '[1-9]*' '/dev/kvm'
	mkdir "$TEST_TMP/fixed"
	attempt unshare -m sh -c "mount -t tmpfs -o ro none '$TEST_TMP/fixed' &&
		XDG_RUNTIME_DIR='$TEST_TMP/fixed' $UMM run -- $WORKLOADS/hello"
	expect no-place-for-sockets 125 'Read-only file system; set XDG_RUNTIME_DIR'
	if [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" != 0 ]; then
		skip no-right-to-userfaultfd "here every user may"
		return
	fi
	in_bare_dev "mknod -m 666 /dev/kvm c 10 232 && $nobody $TEST_TMP/reach/umm run -- $TEST_TMP/reach/hello"
	expect no-right-to-userfaultfd '[1-9]*' 'userfaultfd'
}

# hogged NAME OPTIONS...: memory runs out under a small process and one that takes a
# MiB after the other. The big one is killed, the small one goes on.
hogged()
{
	local name=$1

	shift
	attempt "$UMM" run "$@" -- /bin/bash oom.sh
	if [ "$signal" = 0 ] && [ "$(tr '\n' ' ' <out)" = "big: 137 small: 0 1 " ]; then
		pass "$name"
	else
		cat err >>out
		fail "$name" "status $status signal $signal; wanted big: 137, small: 0" out
	fi
}

# spared NAME WHO TEXT: of two that together want more than there is, who is killed. Protection
# takes CAP_SYS_RESOURCE, which even root may lack; but not in a user namespace of its own.
spared()
{
	local as=()

	if (($((16#$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status))) >> 24 & 1)); then
		:
	elif unshare -r test -w /dev/userfaultfd 2>/dev/null; then
		as=(unshare -r)
	else
		skip "$1" "needs CAP_SYS_RESOURCE, or a user namespace with it"
		return
	fi
	attempt "${as[@]}" "$UMM" run --mem 64M -- "$PROGS/oom_spared" "$2"
	if [ "$status $signal" = "0 0" ] && [ "$(tr '\n' '|' <out)" = "$3" ]; then
		pass "$1"
	else
		cat err >>out
		fail "$1" "status $status signal $signal; wanted $3" out
	fi
}

test_out_of_memory()
{
	printf 'node0 = { mem = "128M"; };\nnode1 = { mem = "32M"; };\n' >"$TEST_TMP/oom.conf"
	local hog='a = []
while True: a.append(b"x" * (1 << 20))'

	cat >oom.sh <<END
"$WORKLOADS/checker" --size 8M --seconds 5 2>/dev/null > small &
/usr/bin/python3 -c '$hog' 2>/dev/null
echo "big: \$?"
wait %1
echo "small: \$?"
grep -c PASS small
END
	hogged out-of-memory --mem 96M
	hogged out-of-memory-on-two-nodes --mem 128M --nodes 2
	hogged swap-full --mem 64M --swap 32M
	# The smaller one at that moment has volunteered.
	cat >oom.sh <<END
"$WORKLOADS/checker" --size 56M --seconds 5 2>/dev/null > small &
sh -c 'echo 700 >/proc/self/oom_score_adj; exec "\$0" "\$@"' /usr/bin/python3 -c '$hog' 2>/dev/null
echo "big: \$?"
wait %1
echo "small: \$?"
grep -c PASS small
END
	hogged out-of-memory-volunteer --mem 96M
	spared out-of-memory-spared spared 'the greedy one: killed by SIGKILL|the large one: exit 0|'
	spared out-of-memory-equal equal 'the greedy one: exit 0|the large one: killed by SIGKILL|'
	attempt "$UMM" run --mem 64M -- /usr/bin/python3 -c "$hog"
	expect out-of-memory-alone 137 ''
	# Calls of somebody else meanwhile do all that they were asked for.
	LIMIT=90 attempt "$UMM" run --mem 24M -- "$PROGS/oom_calls"
	if [ "$status $signal $(cat out)" = "0 0 0 wrong, killed often enough" ]; then
		pass out-of-memory-calls "$(tail -n 1 err)"
	else
		cat err >>out
		fail out-of-memory-calls "status $status signal $signal" out
	fi
	if have bound-memory-out numactl; then
		# The larger one has its memory on the other node, and lives on.
		cat >oom.sh <<END
numactl --membind=0 "$WORKLOADS/checker" --size 48M --seconds 1000 2>filled > small &
until grep -q '^ok' filled; do sleep 0.1; done
numactl --membind=1 /usr/bin/python3 -c '$hog' 2>/dev/null
echo "big: \$?"
kill %1
wait %1
echo "small: \$?"
grep -c PASS small
END
		hogged bound-memory-out --config "$TEST_TMP/oom.conf"
	fi
	# What can never fit is refused at once, as Linux does.
	attempt "$UMM" run --mem 64M -- "$WORKLOADS/checker" --size 4G --rounds 1
	expect mapping-larger-than-all-memory 1 'cannot map'
	LIMIT=90 attempt "$UMM" run --mem 64M --swap 256M -- "$WORKLOADS/checker" --size 128M --rounds 2
	if [ "$status $signal" = "0 0" ] && grep -q PASS out; then
		pass larger-than-memory
	else
		fail larger-than-memory "status $status signal $signal" err
	fi
}

guest_listed()
{
	umm ps 2>/dev/null | grep -q -- "$1"
}

# start NAME: a guest that runs until it is ended; its umm is `guest`.
start()
{
	"$UMM" run --name "$1" --nodes 2 --mem 128M --swap 64M -- "$WORKLOADS/checker" --size 8M \
		>"$TEST_TMP/$1.out" 2>"$TEST_TMP/$1.err" </dev/null &
	guest=$!
	await 10 guest_listed "$1"
}

test_killed_umm()
{
	local sockets

	if ! start victim; then
		fail killed-umm "the first guest did not start" "$TEST_TMP/victim.err"
		return
	fi
	kill -9 $guest
	wait $guest 2>/dev/null
	attempt "$UMM" stat victim
	expect stat-of-a-killed-guest '[1-9]*' 'victim'
	if guest_listed victim; then
		fail killed-umm "umm ps lists the dead"
		return
	fi
	if ! start victim; then
		fail killed-umm "the name cannot be used again" "$TEST_TMP/victim.err"
		return
	fi
	attempt "$UMM" run --name victim -- "$WORKLOADS/hello"
	expect name-in-use '[1-9]*' 'victim'
	attempt "$UMM" kill victim
	expect kill 0 ''
	wait $guest
	[ $? = 137 ] || fail kill-status "umm run ended with $?, not 137"
	sockets=$(find "$XDG_RUNTIME_DIR" -type s | wc -l)
	if [ "$sockets" = 0 ]; then
		pass killed-umm
	else
		fail killed-umm "$sockets sockets were left"
	fi
}

test_control_socket()
{
	local socket mode

	if ! start target; then
		fail control-socket "the guest did not start" "$TEST_TMP/target.err"
		return
	fi
	socket=$(find "$XDG_RUNTIME_DIR" -type s | head -n 1)
	mode=$(stat -c %a "$socket")
	if [ "$mode" = 600 ]; then
		pass socket-mode
	else
		fail socket-mode "$mode, not 600"
	fi
	timeout 60 perl -MIO::Socket::UNIX -e '
		my $path = shift; srand(3); $SIG{PIPE} = "IGNORE"; my @idle;
		for my $i (1 .. 60) {
			my $s = IO::Socket::UNIX->new(Peer => $path) or next;
			my $n = int(rand(5000));
			my $text = $i % 3 == 0 ? join("", map { chr(int(rand(256))) } 1 .. $n)
				: $i % 3 == 1 ? "{\"command\": " . ("[" x $n) . "\n"
				: ("x" x ($n * 100));
			syswrite($s, $text); $i % 2 and push(@idle, $s) and @idle > 20 and shift @idle;
			$i % 5 == 0 and shutdown($s, 1) and sysread($s, my $got, 1000);
		}' "$socket" </dev/null >"$TEST_TMP/perl" 2>&1
	if [ $? = 124 ]; then
		fail control-garbage "the control socket did not answer or close"
	elif kill -0 $guest 2>/dev/null && umm stat target >"$TEST_TMP/stat" 2>&1; then
		pass control-garbage
	else
		fail control-garbage "the guest does not answer any more" "$TEST_TMP/target.err"
	fi
	printf '# pages\n10000\nnonsense\n' >pages
	attempt "$UMM" migrate target --to 1 --pid 100 --pages pages
	expect pages-line 1 'pages:3: .nonsense. is no address'
	attempt "$UMM" migrate target --to 1 --pages missing-file
	expect pages-missing 1 'cannot read .missing-file'
	for words in "migrate target --to 1 --mode fast" "migrate target --to 1 --percent 0" "migrate target --to 1 --percent 101" \
		"migrate target --to 1 --rate 0" "migrate target --to 1 --rate fast" \
		"migrate target --to 1 --rate 0%" "migrate target --to 1 --rate 91%" \
		"migrate target --to 1 --rate 20%x" "migrate target --to 1 --tries 0" \
		"migrate target --to 1 --pid 100 --pages pages --range 1000-2000" \
		"node target explode 0" "node target offline" "node target offline x" \
		"node target offline 0 1" "node target compact 0 --tries 0"; do
		# shellcheck disable=SC2086
		attempt "$UMM" $words
		expect "$words" 2 .
	done
	for words in "node target offline 7" "node target online 7" "node target compact 7" \
		"migrate target --to 7" "migrate target" "migrate target --to x" \
		"migrate target --to 1 --pid 99999" "migrate target --to 1 --range 9-1" \
		"reclaim target much" "reclaim target" "rmap target" "rmap target --pfn 99999999999" \
		"rmap target --pid 1 --addr zzz" "rmap target --pid 99999 --addr 0x1000" \
		"maps target --pid 99999" "stat nobody" "kill nobody" "check nobody" "frobnicate" \
		"ps --frobnicate" "stat"; do
		# shellcheck disable=SC2086
		attempt "$UMM" $words
		expect "umm $words" '[1-9]*' .
	done
	umm kill target >/dev/null 2>&1
	kill -9 $guest 2>/dev/null
	wait $guest 2>/dev/null
}

test_options()
{
	local words

	for words in "--mem 0" "--mem x" "--mem 1Q" "--mem 99999999T" "--mem -1" "--nodes 0" \
		"--nodes 1000" "--nodes x" "--name a/b" "--name ." "--swap /nonexistent/file" \
		"--swap /" "--swap 0" "--config /nonexistent" "--frobnicate" "--mem"; do
		# shellcheck disable=SC2086
		attempt "$UMM" run $words -- "$WORKLOADS/hello"
		expect "run $words" '[1-9]*' .
	done
	attempt "$UMM" run
	expect run-nothing '[1-9]*' .
	attempt "$UMM"
	expect nothing '[1-9]*' .
}

# config NAME LINE TEXT: refused, and the message names the file and the line.
config()
{
	printf '%b' "$3" >"$1.conf"
	attempt "$UMM" run --config "$1.conf" -- "$WORKLOADS/hello"
	expect "config-$1" '[1-9]*' "$1\.conf:$2"
}

test_configs()
{
	config unknown 2 '\nmemory = "1G";\n'
	config syntax 3 'mem = "1G";\nnodes = 2;\n= = =\n'
	config no-size 1 'mem = "much";\n'
	config too-large 2 'nodes = 2;\nmem = "99999999999T";\n'
	config too-many-nodes 1 'nodes = 100000;\n'
	config negative 1 'nodes = -1;\n'
	config list 3 '\n\nmem = [ 1, 2 ];\n'
	config twice 2 'mem = "1G";\nmem = "2G";\n'
	config unclosed '[12]' 'name = "abc;\n'
	config binary 1 '\001\002\003\000\377\n'
	config bad-swap 1 'swap = "/nonexistent/folder/file";\n'
	attempt "$UMM" run --config "$dir" -- "$WORKLOADS/hello"
	expect config-is-a-directory '[1-9]*' "$dir"
	printf 'mem = "64M";\nnodes = 2;\n' >good.conf
	attempt "$UMM" run --config good.conf -- "$WORKLOADS/hello"
	if [ "$status $signal $(cat out)" = "0 0 hello, world" ]; then
		pass config-good
	else
		fail config-good "status $status signal $signal" err
	fi
}

# What cannot be written is told, and known before the program runs where it can be.
test_output()
{
	local words

	for words in help --version "run --help" ps "ps --json"; do
		attempt sh -c "$UMM $words >/dev/full"
		expect "umm $words: full" 1 'cannot write to the standard output'
		attempt sh -c "$UMM $words >&-"
		expect "umm $words: closed" 1 'cannot write to the standard output'
	done
	attempt "$UMM" run --stat /nonexistent/file -- "$WORKLOADS/hello"
	expect stat-file 125 '--stat: cannot write /nonexistent/file'
	if [ -s out ]; then
		fail stat-file-first "the program has run" out
	else
		pass stat-file-first
	fi
	attempt sh -c "ulimit -f 1000; $UMM run --swap $TEST_TMP/large:64M -- $WORKLOADS/hello"
	expect swap-file-too-large 125 'cannot give swap file'
	if [ -e "$TEST_TMP/large" ]; then
		fail swap-file-left "an empty file was left behind"
	else
		pass swap-file-left
	fi
	attempt sh -c "ulimit -n 12; $UMM run -- $WORKLOADS/hello"
	expect few-descriptors '12[56]' 'ulimit -n'
}

# A umm that was stopped is waited for, not in silence.
test_stopped_umm()
{
	local waiting

	if ! start stopped; then
		fail stopped-umm "the guest did not start" "$TEST_TMP/stopped.err"
		return
	fi
	kill -STOP $guest
	umm kill stopped >"$TEST_TMP/kill.out" 2>"$TEST_TMP/kill.err" &
	waiting=$!
	if await 20 grep -q "no answer .* (process $guest)" "$TEST_TMP/kill.err"; then
		pass stopped-umm "$(cat "$TEST_TMP/kill.err")"
	else
		fail stopped-umm "nothing was said of it" "$TEST_TMP/kill.err"
	fi
	kill -CONT $guest
	wait $waiting || fail stopped-umm-killed "umm kill failed" "$TEST_TMP/kill.err"
	wait $guest
}

if [ -n "${ONLY_TEST:-}" ]; then "$ONLY_TEST"; finish; fi
test_programs
test_broken_elf
test_machine
test_out_of_memory
test_killed_umm
test_control_socket
test_options
test_configs
test_output
test_stopped_umm
finish
