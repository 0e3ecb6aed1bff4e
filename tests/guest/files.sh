#!/bin/bash
# SPDX-License-Identifier: MIT
# What programs see of files, pipes, sockets, locks and waiting: the same as natively.
# timeout: 300
. "$(dirname "$0")/lib.sh"
require_guest
input=$TEST_TMP/input
mkdir "$input"
python=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1

# Shared by the scripts: attempt() gives the result, or the name of the error.
cat >"$input/common.py" <<'END'
import errno, fcntl, mmap, os, select, signal, socket, sys, time

def attempt(call, *args):
    try:
        return call(*args)
    except OSError as e:
        return errno.errorcode[e.errno]

def in_child(work):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work() or 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
END

test_moving()
{
	cat >"$input/moving.py" <<'END'
from common import *

open("in", "wb").write(bytes(range(256)) * 2000)
i, o = os.open("in", os.O_RDONLY), os.open("out", os.O_RDWR | os.O_CREAT)
print(os.copy_file_range(i, o, 100000), os.sendfile(o, i, None, 50000), os.lseek(i, 0, 1),
      os.fstat(o).st_size)
r, w = os.pipe()
print(os.splice(i, w, 5000, 0), len(os.read(r, 9999)))
parts = [bytearray(10), bytearray(20)]
print(os.preadv(i, parts, 5), parts, os.pwritev(o, [b"abc", b"def"], 3), os.pread(o, 8, 1))
print(attempt(os.pwrite, i, b"x", 0), attempt(os.pread, r, 1, 0), attempt(os.lseek, i, -1, 0),
      attempt(os.read, os.open(".", os.O_RDONLY), 1))
a = os.open("in", os.O_RDWR | os.O_APPEND)
print(os.write(a, b"+end"), os.lseek(a, 0, 1))
fcntl.fcntl(a, fcntl.F_SETFL, os.O_NONBLOCK)
print(fcntl.fcntl(a, fcntl.F_GETFL) & (os.O_APPEND | os.O_ACCMODE | os.O_NONBLOCK))
t = os.open(".", os.O_TMPFILE | os.O_RDWR)
print(os.write(t, b"tmp"), os.fstat(t).st_size, os.fstat(t).st_nlink)
print(os.truncate("in", 3), os.stat("in").st_size, os.posix_fallocate(a, 0, 10000),
      os.stat("in").st_size)
r, w = os.pipe2(os.O_NONBLOCK)
n = 0
while isinstance(put := attempt(os.write, w, b"x" * 4096), int):
    n += put
print(attempt(os.read, r, 10 ** 6) == b"x" * n, n, put, attempt(os.read, r, 1))
os.close(r)
print(attempt(os.write, w, b"1"))
print(attempt(os.dup2, i, 10 ** 7), attempt(os.close, 500))
e = os.eventfd(3)
print(os.eventfd_read(e), os.eventfd_write(e, 9), select.select([e], [e], [], 0) == ([e], [e], []))
END
	compare moving --input "$input" -- $python moving.py
	compare direct --input "$input" -- /bin/sh -c 'head -c 3000000 /bin/bash > in
		dd if=in of=out bs=4k count=100 iflag=direct oflag=direct 2>&- && cksum out
		dd if=in of=out bs=1M oflag=direct count=2 2>&-; cksum out'
}

test_names()
{
	cat >"$input/names.py" <<'END'
from common import *
import shutil, tempfile

open("x", "w").write("text")
print(attempt(os.open, "none/x", 0), attempt(os.open, "x/y", 0), attempt(os.mkdir, "x"),
      attempt(os.rmdir, "."), attempt(os.open, ".", os.O_WRONLY),
      attempt(os.open, "x", os.O_CREAT | os.O_EXCL), attempt(os.readlink, "x"))
os.symlink("loop", "loop")
print(attempt(os.open, "loop", 0), attempt(os.stat, "a" * 300), attempt(os.stat, "a/" * 3000))
os.link("x", "x2")
print(os.stat("x").st_nlink, os.rename("x2", "x3"), os.replace("x3", "x"),
      os.stat("x").st_nlink, os.path.exists("x3"))
os.utime("x", ns=(10 ** 18, 2 * 10 ** 18))
os.chmod("x", 0o640)
print(os.stat("x").st_mtime_ns, os.stat("x").st_atime_ns, oct(os.stat("x").st_mode))
print(attempt(os.setxattr, "x", "user.a", b"v"), attempt(os.getxattr, "x", "user.a"),
      attempt(os.listxattr, "x"), attempt(os.removexattr, "x", "user.a"))
os.umask(0o27)
os.close(os.open("file", os.O_CREAT, 0o666))
os.mkdir("folder", 0o777)
os.mkfifo("fifo", 0o666)
print([oct(os.stat(n).st_mode) for n in ("file", "folder", "fifo")])
os.unlink("fifo")
for n in range(700):
    open("folder/with-a-name-of-some-length-%d" % n, "w").close()
print(len(os.listdir("folder")), len(set(os.listdir("folder"))))
here = os.getcwd()
os.chdir("folder")
print(os.getcwd() == here + "/folder", os.path.samefile("..", here))
shutil.rmtree(here + "/folder")
print(attempt(os.getcwd), attempt(os.listdir, "."), attempt(os.open, "z", os.O_CREAT))
os.chdir(here)
fd = os.open("x", os.O_RDONLY)
link = "/proc/self/fd/%d" % fd
print(os.path.realpath("/proc/self/cwd") == here, os.readlink(link) == here + "/x",
      os.stat(link).st_ino == os.fstat(fd).st_ino, open("/dev/fd/%d" % fd).read())
os.unlink("x")
print(os.readlink(link) == here + "/x (deleted)", open(link).read())
print(attempt(os.chroot, "/nonexistent"), attempt(os.access, "/etc/passwd", os.X_OK))
END
	compare names --input "$input" -- $python names.py
}

test_sockets()
{
	cat >"$input/sockets.py" <<'END'
from common import *

open("x", "w").write("through a socket")
a, b = socket.socketpair()
socket.send_fds(a, [b"m"], [os.open("x", os.O_RDONLY), os.open("/", os.O_RDONLY)])
data, fds, flags, address = socket.recv_fds(b, 10, 4)
print(data, os.read(fds[0], 100), os.fstat(fds[1]).st_ino == os.stat("/").st_ino)
b.close()
print(attempt(a.send, b"x"))
# A name relative to the working directory.
os.mkdir("d")
os.chdir("d")
s = socket.socket(socket.AF_UNIX)
s.bind("name")
s.listen()
os.chdir("..")
c = socket.socket(socket.AF_UNIX)
print(oct(os.stat("d/name").st_mode), c.connect("d/name"))
k, _ = s.accept()
print(k.send(b"ABC"), c.recv(10), c.close(), k.recv(5))
print(attempt(socket.socket(socket.AF_UNIX).connect, "none"), os.unlink("d/name"))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to = u.getsockname()
print(v.sendto(b"q" * 5000, to), len(u.recv(100)), v.sendto(b"", to), u.recvfrom(10)[0],
      attempt(v.sendto, b"x" * 70000, to))
s = socket.create_server(("127.0.0.1", 0))

def serve():
    k, _ = s.accept()
    n = 0
    while chunk := k.recv(1 << 20):
        n += len(chunk)
    k.sendall(str(n).encode())

pid = in_child(serve)
c = socket.create_connection(s.getsockname())
c.sendall(b"z" * 3000001)
c.shutdown(socket.SHUT_WR)
print(c.recv(100), wait(pid), c.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
END
	compare sockets --input "$input" -- $python sockets.py
}

test_locks()
{
	cat >"$input/locks.py" <<'END'
from common import *

f = open("lock", "w+")
fcntl.lockf(f, fcntl.LOCK_EX)

def try_both():
    g = open("lock", "r+")
    print(attempt(fcntl.lockf, g, fcntl.LOCK_EX | fcntl.LOCK_NB),
          attempt(fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB))

print(wait(in_child(try_both)))
r, w = os.pipe()

def wait_for_it():
    g = open("lock", "r+")
    os.write(w, b"1")
    fcntl.lockf(g, fcntl.LOCK_EX)
    return 7

pid = in_child(wait_for_it)
os.read(r, 1)
time.sleep(0.1)
fcntl.lockf(f, fcntl.LOCK_UN)
print(wait(pid))
# Closing any descriptor of the file drops the locks of the process.
fcntl.lockf(f, fcntl.LOCK_EX)
open("lock").close()
print(wait(in_child(try_both)))
fcntl.flock(f, fcntl.LOCK_EX)
print(attempt(fcntl.flock, open("lock"), fcntl.LOCK_SH | fcntl.LOCK_NB),
      attempt(fcntl.flock, os.dup(f.fileno()), fcntl.LOCK_EX | fcntl.LOCK_NB))
END
	compare locks --input "$input" -- $python locks.py
}

test_waiting()
{
	cat >"$input/waiting.py" <<'END'
from common import *

class Rang(Exception):
    pass

def ring(*args):
    raise Rang

def rings(wait, *args):
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        return wait(*args)
    except Rang:
        return "rang"

r, w = os.pipe()
seen = []
signal.signal(signal.SIGALRM, lambda *args: seen.append(1))
start = time.monotonic()
print(rings(select.select, [r], [], [], 0.3), seen, 0.29 < time.monotonic() - start < 3)
signal.signal(signal.SIGALRM, lambda *args: os.write(w, b"Z"))
print(rings(os.read, r, 5))
signal.signal(signal.SIGALRM, ring)
p = select.poll()
p.register(r, select.POLLIN)
e = select.epoll()
e.register(r, select.EPOLLIN)
print(rings(os.read, r, 5), rings(p.poll, 3000), rings(e.poll, 3),
      rings(select.select, [r], [], []), rings(time.sleep, 3))
os.write(w, b"x")
print(p.poll(0) == [(r, select.POLLIN)], e.poll(0) == [(r, select.EPOLLIN)],
      select.select([r], [w], [r], 0) == ([r], [w], []))
os.close(w)
os.read(r, 1)
print(p.poll() == [(r, select.POLLHUP)])
p.register(50, select.POLLIN)
print((50, select.POLLNVAL) in p.poll(), attempt(select.select, [50], [], []),
      attempt(e.register, 50))
END
	compare waiting --input "$input" -- $python waiting.py
}

test_mappings()
{
	cat >"$input/mappings.py" <<'END'
from common import *

fd = os.open("mm", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8192)
m, private = mmap.mmap(fd, 8192), mmap.mmap(fd, 8192, access=mmap.ACCESS_COPY)
m[0:3] = b"abc"
private[4096] = 5
print(private[0:3], os.pread(fd, 3, 0), os.pwrite(fd, b"QQQQ", 4094), m[4094:4098],
      private[4096])

def store():
    m[10:13] = b"kid"
    os.pwrite(fd, b"wr", 20)

print(wait(in_child(store)), m[10:13], m[20:22], os.pread(fd, 13, 10))
os.ftruncate(fd, 100)
os.ftruncate(fd, 8192)
print(m[4094:4098], m[90:91], m[100:104])
print(os.sendfile(fd, os.open("/etc/hostname", os.O_RDONLY), 0, 0), os.lseek(fd, 0, 1))
f = os.memfd_create("name")
os.write(f, b"m" * 5000)
q = mmap.mmap(f, 5000)
q[0] = 65
print(os.pread(f, 2, 0), os.readlink("/proc/self/fd/%d" % f))
z = mmap.mmap(os.open("/dev/zero", os.O_RDWR), 4096)
z[0] = 9
print(z[0], z[1])
shared = mmap.mmap(-1, 4096)

def count():
    shared[0] = 77

print(wait(in_child(count)), shared[0])
open("other", "w").write("old " * 2000)
o = mmap.mmap(os.open("other", os.O_RDONLY), 8000, access=mmap.ACCESS_READ)
print(o[:4], os.rename("mm", "other"), o[:4], open("other", "rb").read(3))
END
	compare mappings --input "$input" -- $python mappings.py
}

test_tools()
{
	cat >"$input/tools.sh" <<'END'
cp -a /usr/include/linux copy && diff -r /usr/include/linux copy && echo same
find copy -name '*.h' | sort | xargs cat | cksum
rm -rf copy
mkfifo ff; (echo through > ff &); cat ff; rm ff
dd if=/dev/urandom bs=1M count=3 2>/dev/null | wc -c
dd if=/dev/zero bs=1M count=20 2>/dev/null | cksum
yes | head -100000 | cksum
seq 100000 > n; split -b 100k n part.; cat part.* | cmp - n && echo joined; rm part.*
truncate -s 5M hole; stat -c '%s %a' hole; rm hole
diff <(seq 3) <(seq 4)
exec 5<>/dev/tcp/127.0.0.1/1 || echo refused
ls -l /dev/stdin | grep -c fd/0
[ -e /proc/$$/status ] && echo myself
cp /bin/sleep asleep; ./asleep 60 & rm asleep
cmp /proc/$!/exe /bin/sleep && echo its program; readlink /proc/$!/exe | grep -o 'asleep.*'; kill $!
END
	compare tools --input "$input" --no-stderr -- /bin/bash tools.sh
	cat >"$input/git.sh" <<'END'
export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q repo && cd repo || exit 1
for i in $(seq 20); do seq "$i" > "f$i"; done
git add . && git commit -q -m one
sed -i s/1/x/ f*
git commit -qam two; git log --oneline; git diff HEAD~ --stat | tail -1
git gc -q; git fsck; git status --short; git checkout -q HEAD~; cat f3
cd ..; rm -rf repo
END
	if command -v git >/dev/null; then
		compare git --input "$input" --no-stderr -- /bin/bash git.sh
	else
		skip git "git is not installed"
	fi
}

test_moving
test_names
test_sockets
test_locks
test_waiting
test_mappings
test_tools
finish
