"""Attempts to get out of the sandbox of the code tool: a corpus of short snippets and a generator of more.

A snippet prints OUT where it achieved what it may not, or what it read. What it changed outside is seen from outside
(`World.state`). Placeholders: {secret} a file that the caller can read, {folder} the folder around it, {port} a port
that listens here, {agent} the process that runs the sandbox.
"""

from __future__ import annotations

import os
import platform
import random
import re
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SECRET = "kumquat-7731"
_CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*arguments):
    return libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
def out(result):
    if result >= 0: print("OUT", result)
def opened(path, flags):
    try: return os.open(path, flags)
    except OSError: return -1
def old_call():  # getpid by the calls of 32 bits
    import mmap
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex("b814000000cd80c3"))
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
def near():  # processes that began shortly before this one, by their numbers outside
    me = int(os.readlink("/proc/self"))
    return range(max(1, me - 12), me)
"""
# "name: statement" a line; what it prints or returns is judged by the templates below
_READS = """
open: print(open({target!r}).read())
low: print(os.read(os.open({target!r}, os.O_RDONLY), 999))
symlink: os.symlink({target!r}, 'l'); print(open('l').read())
hardlink: os.link({target!r}, 'l'); print(open('l').read())
rename: os.rename({target!r}, 'l'); print(open('l').read())
root: print(open('/proc/self/root' + {target!r}).read())
agent root: print(open('/proc/{agent}/root' + {target!r}).read())
parent root: print(open(f'/proc/{{os.getppid()}}/root' + {target!r}).read())
cwd: print(open('/proc/{agent}/cwd/../../../../..' + {target!r}).read())
up: print(open('../' * 20 + {target!r}[1:]).read())
chdir: os.chdir('/'); print(open({target!r}[1:]).read())
chroot: os.chroot('/'); print(open({target!r}).read())
sendfile: os.sendfile(1, os.open({target!r}, 0), 0, 99)
copy: import shutil; shutil.copyfile({target!r}, 'c'); print(open('c').read())
mmap: import mmap; print(mmap.mmap(os.open({target!r}, 0), 0, prot=mmap.PROT_READ)[:])
sqlite: import sqlite3; print(sqlite3.connect('file:{target}?mode=ro', uri=True).execute('select * from x'))
list: print(os.listdir({folder!r}), 'OUT')
scan: print([e.name for e in os.scandir({folder!r})], 'OUT')
directory: f = os.open({folder!r}, os.O_PATH); print(open(os.open({target!r}.split('/')[-1], 0, dir_fd=f)).read())
openat2: call(437, -100, {target!r}.encode(), bytes(24), 24) >= 0 and print('OUT')
handle: call(303, -100, {target!r}.encode(), bytes(200), bytes(8), 0) >= 0 and print('OUT')
"""
_WRITES = """
write: open({target!r}, 'w').write('x')
append: open({target!r}, 'a').write('x')
update: open({target!r}, 'r+').write('x')
truncate: os.truncate({target!r}, 0)
truncating: os.open({target!r}, os.O_RDONLY | os.O_TRUNC)
creat: call(85, {target!r}.encode(), 0o600)
ftruncate: os.ftruncate(os.open({target!r}, os.O_RDWR), 0)
temporary: os.open({folder!r}, os.O_TMPFILE | os.O_RDWR)
new: open({folder!r} + '/new', 'x')
mkdir: os.mkdir({folder!r} + '/new')
mkfifo: os.mkfifo({folder!r} + '/new')
symlink: os.symlink('/', {folder!r} + '/new')
link: os.link({target!r}, {folder!r} + '/new')
link in: open('mine', 'w').close(); os.link('mine', {folder!r} + '/new')
rename in: open('mine', 'w').close(); os.rename('mine', {target!r})
exchange: open('mine', 'w').close(); call(316, -100, b'mine', -100, {target!r}.encode(), 2)
rename out: os.rename({target!r}, 'mine')
remove: os.remove({target!r})
rmdir: os.rmdir({folder!r} + '/empty')
chmod: os.chmod({target!r}, 0o777)
fchmodat2: call(452, -100, {target!r}.encode(), 0o777, 0)
chown: os.chown({target!r}, -1, os.getgid())
utime: os.utime({target!r}, (1, 1))
xattr: os.setxattr({target!r}, 'user.x', b'1')
setxattrat: call(463, -100, {target!r}.encode(), 0, b'user.x', bytes(16), 16)
attributes: import fcntl; fcntl.ioctl(os.open({folder!r}, 0), 0x40086602, b'\\x10\\0\\0\\0')
fallocate: os.posix_fallocate(os.open({target!r}, os.O_RDWR), 0, 9999)
lease: import fcntl; fcntl.fcntl(os.open(os.__file__, 0), fcntl.F_SETLEASE, fcntl.F_RDLCK); print('OUT')
"""
_NETWORK = """
tcp: import socket; socket.create_connection(('127.0.0.1', {port}), 0.3); print('OUT')
raw tcp: out(call(41, 2, 1, 0))
udp: import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port})); print('OUT')
bind: import socket; socket.socket().bind(('127.0.0.1', 0)); print('OUT')
unix: import socket; socket.socket(socket.AF_UNIX).bind('\\0agent'); print('OUT')
pair: import socket; socket.socketpair(); print('OUT')
netlink: import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); print('OUT')
io_uring: out(call(425, 8, bytes(120)))
"""
_SIGNALS = """
kill: os.kill({pid}, {signal}); print('OUT')
tkill: out(call(200, {pid}, {signal}))
tgkill: out(call(234, {pid}, {pid}, {signal}))
queue: out(call(129, {pid}, {signal}, bytes(128)))
thread queue: out(call(297, {pid}, {pid}, {signal}, bytes(128)))
pidfd: f = call(434, {pid}, 0); out(f); out(call(424, f, {signal}, 0, 0))
owner: import fcntl; r, w = os.pipe(); fcntl.fcntl(r, 8, {pid}); print('OUT')
owner2: import fcntl, struct; r, w = os.pipe(); fcntl.fcntl(r, 15, struct.pack('ii', 1, {pid})); print('OUT')
owner of output: out(call(72, 1, 8, {pid}))
choose: import fcntl; r, w = os.pipe(); fcntl.fcntl(r, 10, {signal} or 9); print('OUT')
async: import fcntl; r, w = os.pipe(); fcntl.fcntl(r, 4, os.O_ASYNC); print('OUT')
async2: import fcntl; r, w = os.pipe(); fcntl.ioctl(r, 0x5452, b'\\1\\0\\0\\0'); print('OUT')
owner3: import fcntl, struct; fcntl.ioctl(1, 0x8901, struct.pack('i', {pid})); print('OUT')
notify: import fcntl; fcntl.fcntl(os.open('/usr/lib', 0), 1026, 1); print('OUT')
group: os.killpg({pid}, {signal}); print('OUT')
"""
_PROCESSES = """
nice: os.setpriority(0, {pid}, 19); print('OUT')
affinity: os.sched_setaffinity({pid}, {{0}}); print('OUT')
scheduler: os.sched_setscheduler({pid}, os.SCHED_IDLE, os.sched_param(0)); print('OUT')
parameters: os.sched_setparam({pid}, os.sched_param(0)); print('OUT')
attributes: out(call(314, {pid}, bytes(48), 0))
io priority: out(call(251, 1, {pid}, 3 << 13))
limits: import resource; resource.prlimit({pid}, resource.RLIMIT_NOFILE, (3, 3)); print('OUT')
trace: out(call(101, 16, {pid}, 0, 0))
seize: out(call(101, 0x4206, {pid}, 0, 0))
read memory: out(call(310, {pid}, bytes(16), 1, bytes(16), 1, 0))
memory: print(open('/proc/%d/mem' % {pid}, 'rb').read(1), 'OUT')
environment: print(open('/proc/%d/environ' % {pid}).read(), 'OUT')
maps: print(open('/proc/%d/maps' % {pid}).read(), 'OUT')
descriptor: print(os.open('/proc/%d/fd/0' % {pid}, 0), 'OUT')
compare: out(call(312, {pid}, {pid}, 0, 0, 0))
migrate: out(call(256, {pid}, 1, bytes(8), bytes(8)))
advise: f = call(434, {pid}, 0); out(call(440, f, bytes(16), 1, 20, 0))
core: out(call(157, 62, 2, {pid}, 0, 0))
pipes to read: out(max(opened(f'/proc/{{n}}/fd/{{d}}', os.O_RDONLY) for n in near() for d in (0, 1, 5, 6)))
pipes to write: out(max(opened(f'/proc/{{n}}/fd/{{d}}', os.O_WRONLY) for n in near() for d in (0, 1, 5, 6)))
group of processes: os.setpgid({pid}, 0); print('OUT')
"""
_LASTING = """
msgget: out(call(68, 0x1234, 0o1666))
semget: out(call(64, 0x1234, 1, 0o1666))
shmget: out(call(29, 0x1234, 4096, 0o1666))
mq_open: out(call(240, b'agent', 0o102, 0o600, 0))
add_key: out(call(248, b'user', b'agent', b'x', 1, -3))
keyctl: out(call(250, 0, -3, 1))
memfd: out(call(319, b'agent', 0))
inotify: out(call(253))
inotify1: out(call(294, 0))
fanotify: out(call(300, 0, 0))
fork: os.fork() or os._exit(0); print('OUT')
vfork: out(call(58))
clone: out(call(56, 17, 0, 0, 0, 0))
clone3: out(call(435, bytes(88), 88))
exec: os.execv('/bin/sh', ['sh', '-c', 'echo OUT'])
execveat: call(322, -100, b'/bin/sh', 0, 0, 0); print('back')
spawn: os.posix_spawn('/bin/sh', ['sh', '-c', 'echo OUT'], {{}}); print('OUT')
subprocess: import subprocess; print(subprocess.run(['echo', 'OUT'], capture_output=True).stdout)
shell: print('OUT' if os.system('true') == 0 else '')
thread: import _thread; _thread.start_new_thread(print, ('OUT',)); import time; time.sleep(0.05)
"""
_POWERS = """
setuid: os.setuid(12345); print('OUT')
root: os.setresuid(0, 0, 12345); print('OUT')
unshare: out(call(272, 0x10000000))
namespace: out(call(272, 0x00020000))
setns: out(call(308, 0, 0))
mount: out(call(165, b'none', b'.', b'tmpfs', 0, 0))
umount: out(call(166, b'.', 2))
fsopen: out(call(430, b'tmpfs', 0))
open_tree: out(call(428, -100, b'/', 1))
mount_setattr: out(call(442, -100, b'/', 0x8000, bytes(32), 32))
pivot_root: out(call(155, b'.', b'.'))
chroot: os.chroot('.'); print('OUT')
capset: import struct; out(call(126, struct.pack('Ii', 0x20080522, 0), b'\\xff' * 24))
bpf: out(call(321, 0, bytes(64), 64))
perf: out(call(298, bytes(128), 0, -1, -1, 0))
userfaultfd: out(call(323, 1))
log: out(call(103, 3, bytes(100), 100))
quota: out(call(179, 0x800007, 0, 0, bytes(100)))
hostname: out(call(170, b'agent', 5))
clock: out(call(227, 0, bytes(16)))
swap: out(call(167, b'/x', 0))
kexec: out(call(246, 0, 0, 0, 0))
module: out(call(175, b'', 0, b''))
accounting: out(call(163, b'/x'))
sync: out(call(162))
raise: import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**40, 2**40)); print('OUT')
memory: x = bytearray(2**31); print('OUT')
output: print('x' * 10**6, 'OUT')
file: f = open('big', 'wb'); f.write(bytes(3_000_000)); f.flush(); print('OUT')
files: [open(f'f{{n}}', 'wb').write(bytes(900_000)) for n in range(20)]; print('OUT')
names: [os.mkdir(f'd{{n}}') for n in range(1500)]; print('OUT')
depth: [(os.mkdir('d'), os.chdir('d')) for _ in range(1500)]; print('OUT')
x32: out(call(0x40000000 + 39))
old calls: out(old_call())
"""
# the first leaves something, the second looks for it
_PAIRS: dict[str, tuple[str, str]] = {
    "file": ("open('left', 'w').write('x')", "print(open('left').read(), 'OUT')"),
    "temporary file": ("open('/tmp/left', 'w').write('x')", "print(open('/tmp/left').read(), 'OUT')"),
    "shared memory": ("open('/dev/shm/left', 'w').write('x')", "print(open('/dev/shm/left').read(), 'OUT')"),
    "queue": ("q = call(68, 7, 0o1666); call(69, q, b'\\1' + bytes(7) + b'x', 1, 0)", "out(call(68, 7, 0))"),
    "semaphore": ("call(64, 7, 1, 0o1666)", "out(call(64, 7, 1, 0))"),
    "segment": ("call(29, 7, 4096, 0o1666)", "out(call(29, 7, 4096, 0))"),
    "message queue": ("call(240, b'q', 0o102, 0o600, 0)", "out(call(240, b'q', 2, 0, 0))"),
    "module": ("import json; json.left = 1", "import json; print('OUT' if hasattr(json, 'left') else '')"),
    "builtin": ("import builtins; builtins.left = 1", "print(left, 'OUT')"),
    "environment": ("os.environ['LEFT'] = '1'", "print(os.environ['LEFT'], 'OUT')"),
    "frames": (
        "print('pome' + 'lo')",
        "import sys; f = sys._getframe()\n"
        "while f: print('OUT' * ('omelop'[-1] + 'omelo' in repr(f.f_locals))); f = f.f_back",
    ),
    "process": ("os.fork() or [None for _ in iter(int, 1)]", "out(call(62, -1, 0))"),
    "mask": ("os.umask(0o777)", "print('OUT' if os.umask(0) == 0o777 else '')"),
    "directory": ("os.chdir('/')", "print('OUT' if os.getcwd() == '/' else '')"),
}
FAMILIES = {
    "reads": _READS,
    "writes": _WRITES,
    "network": _NETWORK,
    "signals": _SIGNALS,
    "processes": _PROCESSES,
    "lasting": _LASTING,
    "powers": _POWERS,
}
# Calls that no snippet may make, for raw attempts with whatever arguments. Only numbers of x86_64.
# fmt: off
RAW = (
    29, 41, 53, 56, 57, 58, 59, 62, 64, 68, 101, 109, 129, 141, 142, 144, 157, 165, 200, 203, 234, 240,
    248, 251, 253, 254, 256, 272, 279, 294, 297, 298, 300, 301, 302, 303, 310, 311, 312, 313, 314, 317, 321, 322,
    323, 424, 425, 426, 427, 428, 430, 434, 435, 437, 438, 440, 442, 443, 444, 447, 448, 457, 458, 463, 466, 467,
    469, 500, 600,
)
# fmt: on


@dataclass
class World:
    """What lies around a sandbox, and whether it is as it was. Use `close` at the end."""

    folder: Path
    signals: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secret = self.folder / "secret.txt"
        self.secret.write_text(SECRET)
        (self.folder / "empty").mkdir()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.port = self.server.getsockname()[1]
        kinds = (signal.SIGIO, signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG, signal.SIGHUP)
        self._before = {kind: signal.signal(kind, lambda number, _: self.signals.append(number)) for kind in kinds}

    def state(self) -> tuple[object, ...]:
        """What no snippet may change."""
        me = psutil.Process()
        facts = self.secret.stat()
        try:
            self.server.accept()[0].close()
            connected = True
        except BlockingIOError:
            connected = False
        return (
            self.secret.read_text(),
            (facts.st_mode, facts.st_uid, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_nlink),
            sorted(path.name for path in self.folder.iterdir()),
            (me.nice(), me.cpu_affinity(), me.ionice(), os.sched_getscheduler(0), me.rlimit(psutil.RLIMIT_NOFILE)),
            connected,
            list(self.signals),
        )

    def close(self) -> None:
        """Put handlers back."""
        self.server.close()
        for kind, handler in self._before.items():
            signal.signal(kind, handler)


@dataclass(frozen=True)
class Escape:
    """Snippets to run in turn; only what the last one says counts."""

    name: str
    snippets: tuple[str, ...]


def escaped(answer: str) -> bool:
    """Whether a snippet says that it is out, or has read the secret."""
    return re.search(r"\bOUT\b", answer) is not None or SECRET in answer


def _fill(family: str, line: str, values: dict[str, object]) -> Escape:
    name, _, statement = line.partition(": ")
    return Escape(f"{family}: {name}", (_CALL + statement.format(**values),))


def _values(world: World, rng: random.Random | None) -> dict[str, object]:
    """Targets: fixed ones for the corpus, drawn ones for the generator."""
    targets = [str(world.secret), "/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/dev/mem", __file__]
    pids = ["os.getppid()", str(os.getpid()), "1"]
    signals = [0, signal.SIGKILL, signal.SIGSTOP, signal.SIGIO, signal.SIGUSR1]
    return {
        "target": rng.choice(targets) if rng else targets[0],
        "folder": str(world.folder),
        "port": world.port,
        "agent": os.getpid(),
        "pid": rng.choice(pids) if rng else pids[0],
        "signal": int(rng.choice(signals)) if rng else 0,
    }


def corpus(world: World) -> list[Escape]:
    """Every line above once, and the pairs."""
    values = _values(world, None)
    single = [_fill(family, line, values) for family, lines in FAMILIES.items() for line in lines.strip().splitlines()]
    return single + [Escape(f"pairs: {name}", tuple(_CALL + part for part in pair)) for name, pair in _PAIRS.items()]


def generate(world: World, n: int, seed: int) -> list[Escape]:
    """`n` more: lines of the corpus at other targets, and raw calls with arguments of all kinds."""
    rng = random.Random(f"escapes {seed}")
    lines = [(family, line) for family, text in FAMILIES.items() for line in text.strip().splitlines()]
    raw = platform.machine() == "x86_64"
    return [
        _raw_escape(world, rng) if raw and rng.random() < 0.3 else _fill(*rng.choice(lines), _values(world, rng))
        for _ in range(n)
    ]


def _raw_escape(world: World, rng: random.Random) -> Escape:
    kinds = ["0", "1", "-1", "-100", "os.getppid()", str(os.getpid()), "bytes(64)", f"{str(world.secret)!r}.encode()"]
    number = rng.choice(RAW)
    arguments = ", ".join(rng.choice(kinds) for _ in range(rng.randint(0, 6)))
    return Escape(f"raw: {number}({arguments})", (f"{_CALL}out(call({number}, {arguments}))",))
