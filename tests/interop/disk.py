"""A disk that fails when a test wants it to (tests/faults/disk.c), and what there is on it afterwards."""
import atexit
import collections
import contextlib
import functools
import mmap
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import threading

from daemon import HERE

CREATE, WRITE, SYNC, TRUNCATE, RENAME, REMOVE, MKDIR, DATABASE = (1 << i for i in range(8))
NAMES = {CREATE: "create", WRITE: "write", SYNC: "sync", TRUNCATE: "truncate", RENAME: "rename", REMOVE: "remove", MKDIR: "mkdir"}
FILES = 127  # all but the database's
ALL = 255

WANTED, SEEN = struct.Struct("8q"), struct.Struct("4q")  # struct test_disk
FOLDER_BYTES, ENTRY, TRACE = 256, struct.Struct("3q104s"), 1 << 14
TRACE_AT = WANTED.size + SEEN.size + FOLDER_BYTES

Operation = collections.namedtuple("Operation", "number kind offset bytes path")
Row = collections.namedtuple("Row", "path start_us end_us bytes")


@functools.cache
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-disk-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


shim_made = threading.Lock()


def shim():
    path = folder() / "disk.so"
    with shim_made:
        if not path.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", path, HERE.parent / "faults" / "disk.c", "-ldl"], check=True)
    return path


class Disk:
    """The disk under one store, as the nvrd with this environment sees it."""

    def __init__(self, store):
        handle, self.file = tempfile.mkstemp(dir=folder())
        os.truncate(handle, TRACE_AT + ENTRY.size * TRACE)
        self.memory = mmap.mmap(handle, 0)
        os.close(handle)
        name = os.path.realpath(store).encode()
        self.memory[TRACE_AT - FOLDER_BYTES:TRACE_AT - FOLDER_BYTES + len(name)] = name
        self.environment = {"LD_PRELOAD": str(shim()), "NVRD_TEST_DISK": self.file,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        self.calm()

    def choose(self, at=0, every=0, run=1, operations=FILES, error=0, delay_s=0, kill=False, half=False):
        """What shall happen, and to which operations: the `run` from number `at` on, and again after each `every`."""
        self.memory[8:16] = bytes(8)  # none, while the rest changes
        wanted = WANTED.pack(operations, at, every, run, error, int(delay_s * 1000000), kill, half)
        self.memory[16:WANTED.size] = wanted[16:]
        self.memory[:16] = wanted[:16]

    def calm(self, operations=FILES):
        self.choose(operations=operations)

    def forget(self):
        """Numbers begin again at 1."""
        self.memory[WANTED.size:WANTED.size + SEEN.size] = bytes(SEEN.size)

    def seen(self):
        return SEEN.unpack(self.memory[WANTED.size:WANTED.size + SEEN.size])

    count = property(lambda self: self.seen()[0])
    chosen = property(lambda self: self.seen()[1])
    waiting = property(lambda self: self.seen()[2])
    by_main = property(lambda self: self.seen()[3])  # operations of the thread that must never wait

    def operation(self, number):
        at = TRACE_AT + number % TRACE * ENTRY.size
        kind, offset, n, path = ENTRY.unpack(self.memory[at:at + ENTRY.size])
        return Operation(number, NAMES.get(kind, "?"), offset, n, path.partition(b"\0")[0].decode(errors="replace"))

    def operations(self, start=1):
        return [self.operation(number) for number in range(max(start, self.count - TRACE + 1), self.count + 1)]


# --- what is on it ---

def readable(store):
    """The catalogue, to be read."""
    return sqlite3.connect(f"{(pathlib.Path(store) / 'nvrd.db').absolute().as_uri()}?mode=ro", uri=True, timeout=10)


def rows(store, state=1):
    """The catalogue's rows of closed recordings, by path."""
    with contextlib.closing(readable(store)) as database:
        found = database.execute("select path, start_us, end_us, bytes from segments where state = ? order by start_us", (state,)).fetchall()
    return {row[0]: Row(*row) for row in found}


def gaps(store, camera, cause):
    """What the catalogue says is missing, in seconds each."""
    with contextlib.closing(readable(store)) as database:
        return [us / 1e6 for us, in database.execute("select end_us - start_us from gaps where camera = ? and cause = ? order by start_us", (camera, cause))]


def files(store):
    """All recordings by their path in the store, with their sizes."""
    return {str(path.relative_to(store)): path.stat().st_size for path in sorted(pathlib.Path(store).glob("recordings/*/*/*.mp4"))}


Probe = collections.namedtuple("Probe", "frames table complaint")


def probe(path):
    """What ffprobe counts in the first video track, what the file's own table says, and what it complains about."""
    words = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_frames,nb_read_packets", "-of", "default=nw=1", str(path)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    numbers = dict(line.split("=") for line in done.stdout.split())
    complaint = done.stderr or ("" if numbers else "no video")
    return Probe(*(int(n) if n.isdigit() else 0 for n in (numbers.get("nb_read_packets", ""), numbers.get("nb_frames", ""))), complaint)


def takes_all(paths):
    """Whether ffmpeg reads every picture track without a complaint, and finds pictures in each."""
    words = ["ffmpeg", "-nostdin", "-v", "warning"]
    for path in paths:
        words += ["-i", str(path)]
    for i in range(len(paths)):
        words += ["-map", f"{i}:v"]
    done = subprocess.run([*words, "-c", "copy", "-f", "framecrc", "-"], capture_output=True, text=True, timeout=120)
    seen = {line.partition(",")[0] for line in done.stdout.splitlines() if not line.startswith("#")}
    return done.returncode == 0 and not done.stderr and len(seen) == len(paths)


def checkpoint(store):
    """Has the catalogue's journal written into the database."""
    with contextlib.closing(sqlite3.connect(f"{store}/nvrd.db", timeout=10)) as database:
        database.execute("pragma wal_checkpoint(truncate)").fetchall()
