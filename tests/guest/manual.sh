#!/bin/bash
# SPDX-License-Identifier: MIT
# What is written must be what is there: every option that a command's --help lists is in
# the manual page, and the other way round; every example configuration loads; every
# command of the synopsis exists. Needs no KVM.
. "$(dirname "$0")/lib.sh"

page=$REPO/docs/umm.1
commands=(run ps maps stat migrate node balance tier reclaim swap limit policy sim rmap poison check kill "bench launch" "bench abi" "bench migrate" "bench reclaim")

# options_of_help CMD: one a line, "--mem".
options_of_help()
{
	# shellcheck disable=SC2086
	umm $1 --help | grep -oE '^ +(-[a-z], +)?--[a-z-]+' | grep -oE -- '--[a-z-]+' |
		grep -vxE -- '--help' | sort -u
}

# options_of_page CMD: those of its section and of its line in the synopsis.
options_of_page()
{
	{
		sed -n "/^\.SS umm $1\$/,/^\.S[HS] /p" "$page" | grep -A1 -E '^\.T[PQ]$'
		sed -n "/^.fBumm $1.fR/,/^.fBumm /p" "$page" | sed '2,${/^.fBumm/d}'
	} | sed 's/\\-/-/g; s/\\f[A-Z]//g' | grep -oE -- '--[a-z-]+' | grep -vx -- -- |
		grep -vxE -- '--help' | sort -u
}

for command in "${commands[@]}"; do
	options_of_help "$command" >"$TEST_TMP/help"
	options_of_page "$command" >"$TEST_TMP/page"
	diff "$TEST_TMP/help" "$TEST_TMP/page" >"$TEST_TMP/difference"
	if [ ! -s "$TEST_TMP/help" ]; then
		fail "options of $command" "--help lists none"
	elif [ -s "$TEST_TMP/difference" ]; then
		fail "options of $command" "< --help, > manual page" "$TEST_TMP/difference"
	else
		pass "options of $command" "$(wc -l <"$TEST_TMP/help")"
	fi
done

# The list of commands in `umm help`.
umm help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | sort >"$TEST_TMP/help"
printf '%s\n' "${commands[@]%% *}" | sort -u >"$TEST_TMP/known"
if cmp -s "$TEST_TMP/help" "$TEST_TMP/known"; then
	pass "umm help"
else
	fail "umm help" "lists others than the manual page" "$TEST_TMP/help"
fi

# A program that is not there: 127 when the configuration was fine, 125 when not.
for config in "$REPO"/configs/*.conf; do
	umm run --config "$config" -- nonexistent-program 2>"$TEST_TMP/said"
	status=$?
	if [ $status = 127 ]; then
		pass "configs/${config##*/}"
	else
		fail "configs/${config##*/}" "exit status $status, not 127" "$TEST_TMP/said"
	fi
done

# Every key that umm knows is in default.conf and in the manual page's table.
keys=$(sed -n 's/^\t{ KEY(\([a-z_]*\)),.*/\1/p' "$REPO/vmm/run_options.c")
[ "$(echo "$keys" | wc -l)" -gt 20 ] || fail keys "those of vmm/run_options.c were not found"
for key in $keys; do
	if ! grep -qE "^#?$key = " "$REPO/configs/default.conf"; then
		fail "key $key" "configs/default.conf does not have it"
	elif ! grep -q "^$key|" "$page"; then
		fail "key $key" "the manual page does not have it"
	else
		printf '%s = { };\n' "$key" >"$TEST_TMP/key.conf"
		umm run --config "$TEST_TMP/key.conf" -- nonexistent-program 2>"$TEST_TMP/said"
		if grep -q 'unknown key' "$TEST_TMP/said"; then
			fail "key $key" "umm does not know it" "$TEST_TMP/said"
		else
			pass "key $key"
		fi
	fi
done

if ! command -v man >/dev/null; then
	skip "warnings of man" "man is not installed"
elif LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null | grep -q .; then
	fail "warnings of man" "there are some"
else
	pass "warnings of man"
fi
finish
