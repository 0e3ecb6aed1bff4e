#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that move much data: compression, archives, a sort larger than half the memory.
# timeout: 600
. "$(dirname "$0")/lib.sh"
require_guest
LIMIT=120
input=$TEST_TMP/input
mkdir "$input"

# Text that compresses somewhat, the same in every run.
make_text()
{
	awk -v n="$1" 'BEGIN { x = 12345
		for (i = 0; i < n; i++) {
			x = (x * 1103515245 + 12345) % 2147483648
			printf "%d line %d of the input\n", x, i
		} }'
}

make_text 400000 >"$input/text"
if have zstd zstd; then
	compare zstd-T2 --no-stderr --input "$input" -- /usr/bin/zstd -q -T2 -3 text -o text.zst
	cp "$TEST_TMP/native/files/text.zst" "$input" 2>/dev/null
	compare zstd-decompress --no-stderr --input "$input" -- /usr/bin/zstd -q -d -f text.zst -o again
	rm -f "$input/text.zst"
fi
compare gzip --input "$input" -- /bin/sh -c 'gzip -n -1 text && gzip -t text.gz && gunzip -c text.gz | md5sum'
compare tar-gzip -- /bin/sh -c 'tar cf - --sort=name -C /usr/include linux | gzip -n > a.tgz; tar tzf a.tgz | wc -l; md5sum < a.tgz; mkdir x; tar xzf a.tgz -C x; find x -type f | sort | xargs cat | md5sum; rm -r x'
compare wc-md5 --input "$input" -- /bin/sh -c 'wc text; md5sum text; sha512sum < text'

# 64 MiB of memory, a 40 MB file: its pages do not all stay.
make_text 1200000 >"$input/text"
compare sort-small-memory --umm "--mem 64M --swap 256M" --input "$input" \
	-- /bin/sh -c 'sort -S 40M -n text -o sorted; md5sum sorted; rm sorted text'
compare sort-no-swap --umm "--mem 64M" --input "$input" \
	-- /bin/sh -c 'sort -S 16M -n text | md5sum; rm text'
finish
