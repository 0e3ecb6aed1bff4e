# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Builds the lab's initramfs; sourced by tests/lab/run. $root is the folder that becomes the
# root of the file system; `fail` ends the script with a message.

# What bash scripts written for Debian expect to be the real ones, not busybox's.
BASH_COMPANIONS="basename cat cmp cp cut date diff dirname env expr find grep head id ls mawk awk
	md5sum mkdir mktemp mv nproc od readlink rm rmdir sed seq sha256sum sleep sort stat tail tee
	timeout touch tr truncate uname uniq wc xargs"

initramfs_begin()
{
	local kernel=$1 busybox=$2 dir

	mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib/modules,usr/lib64,usr/local/bin,job,lab,etc}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$root/$dir"
	done
	cp "$busybox" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	cp "$kernel"/*.ko "$kernel/modules" "$root/lib/modules/"
	cp tests/lab/init "$root/init"
	chmod 755 "$root/init"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
}

# take_libraries PROGRAM...: copy interpreters and shared libraries to where they are looked for.
take_libraries()
{
	local lib

	{ ldd "$@" 2>/dev/null || true; } | grep -oE '/[^ ]+ \(0x' | sed 's/ (0x//' | sort -u |
	while read -r lib; do
		[ -e "$root$lib" ] || { mkdir -p "$root${lib%/*}" && cp -L "$lib" "$root$lib"; }
	done
}

# take_file HOST GUEST: a file or folder with what its programs need; symbolic links are followed.
take_file()
{
	local found

	[ -e "$1" ] || fail "$1: no such file"
	[ ! -e "$root$2" ] || return 0
	mkdir -p "$(dirname "$root$2")"
	cp -rL "$1" "$root$2"
	found=$(find -L "$1" -type f \( -perm -100 -o -name '*.so*' \))
	# shellcheck disable=SC2086
	[ -z "$found" ] || take_libraries $found
}

# take_program NAME: a program of this system, to its own place. False if there is none.
take_program()
{
	local path

	path=$(type -P -- "$1") || return 1
	take_file "$path" "$path"
}

# Of python's own test programs, where they are installed: those that jobs run, and what they import.
PYTHON_TESTS="__init__.py support fork_wait.py test_fork1.py test_mmap.py"

# take_python: Debian's, with its library but for what jobs have no use for.
take_python()
{
	local lib part

	[ -x /usr/bin/python3 ] || return 1
	lib=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	take_file "$(readlink -f /usr/bin/python3)" /usr/bin/python3
	[ ! -e "$root$lib" ] || return 0
	mkdir -p "$root$lib"
	tar -C "$lib" --exclude=__pycache__ --exclude='./config-*' --exclude=./test --exclude=./idlelib \
		--exclude=./lib2to3 --exclude=./ensurepip --exclude=./pydoc_data -cf - . |
		tar -C "$root$lib" -xf -
	mkdir "$root$lib/test"
	for part in $PYTHON_TESTS; do
		[ ! -e "$lib/test/$part" ] || cp -r "$lib/test/$part" "$root$lib/test/"
	done
}

# take_word WORD: a relative path with a slash: that file or folder, to the same place below /job;
# else the program of this name, to its own place, python3 with its library. False if there is neither.
take_word()
{
	case $1 in
	*..*) return 1 ;;
	/*) [ -f "$1" ] && [ -x "$1" ] && take_file "$1" "$1" ;;
	python3) take_python ;;
	*/*) [ -e "$1" ] && take_file "${1%/}" "/job/${1%/}" ;;
	*) take_program "$1" ;;
	esac
}

# take_script FILE: with its interpreter, and what it names in lines `# takes: WORD...`. What is
# not installed here is left out: the script has to find that out.
take_script()
{
	local interpreter word

	take_file "$1" "/job/$1"
	interpreter=$(sed -n '1s/^#! *\(\/[^ ]*\).*/\1/p' "$1")
	case $interpreter in
	'' | /bin/sh) ;;
	*)
		[ -x "$interpreter" ] || fail "$1 needs $interpreter, which is not installed"
		take_file "$interpreter" "$interpreter"
		;;
	esac
	if [[ $interpreter == */bash ]]; then
		for word in $BASH_COMPANIONS; do
			take_program "$word" || true
		done
	fi
	for word in $(sed -n 's/^# takes: //p' "$1"); do
		take_word "$word" || true
	done
}

initramfs_finish()
{
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$1"
}
