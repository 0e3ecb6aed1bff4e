#!/bin/sh
# Print a linker version script that exports what the given public headers declare.
# A name too many (a macro, a static inline) does no harm: the linker ignores what is not defined.
set -eu

echo '{'
echo 'global:'
cat /dev/null "$@" | sed -e 's|//.*||' -e '/^[[:space:]]*#/d' -e '/^[[:space:]]*\/\{0,1\}\*/d' |
	grep -oE '[A-Za-z_][A-Za-z0-9_]*[[:space:]]*\(|^extern [^(]*;' |
	sed -e 's/[[:space:]]*($//' -e 's/\[.*$//' -e 's/;$//' -e 's/.*[ *]//' |
	grep -vxE '|if|for|while|switch|return|sizeof|__attribute__' | sort -u |
	sed 's/.*/	&;/'
echo 'local: *;'
echo '};'
