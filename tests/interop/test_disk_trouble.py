#!/usr/bin/env python3
"""Stores that are full, read-only, not mounted or gone: live goes on, nothing is written elsewhere, recording comes back.

Parts may be named: full, fstab, gone, readonly, refuses, damaged.
"""
import contextlib
import errno
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile

import disk
import media
from daemon import NVRD, Nvrd, finish, report, skip, wait_for

MIB = 1 << 20
TEST = {"porch": {"source": '"test:"'}}


def fragments(nvrd, camera="porch"):
    return nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{camera}"}}')


def state(nvrd):
    return next((s for s in ("ready", "failing", "gone") if nvrd.metric(f'nvrd_volume_state{{volume="{nvrd.store}",state="{s}"}}')), None)


def records(nvrd, seconds=20):
    """Whether recording goes on from now."""
    before = fragments(nvrd)
    return wait_for(lambda: fragments(nvrd) > before + 2, seconds)


def lives(nvrd):
    """Whether there is something live to see."""
    return wait_for(lambda: b"#EXTM3U" in nvrd.get("/live/porch/media.m3u8") and nvrd.get("/live/porch/media.m3u8").count(b".m4s") > 1, 20)


def closed_files(store):
    """All recordings but the last one, which is being written, and their sizes."""
    return dict(sorted(disk.files(store).items())[:-1])


def listed(store):
    try:
        return {path: row.bytes for path, row in disk.rows(store).items()}
    except sqlite3.Error:  # it is not there, or busy for long
        return {}


def agrees(store):
    """Whether the catalogue says of all closed recordings what the disk says."""
    files, rows = closed_files(store), listed(store)
    return files and all(rows.get(path) == size for path, size in files.items()) and not set(rows) - set(disk.files(store))


def check_end(nvrd, store=None):
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    store = store or nvrd.store
    rows, found = listed(store), disk.files(store)
    report(rows == found, f"the catalogue says what is in {len(found)} files", (rows.items() ^ found.items(), nvrd.log()[-2000:]))
    bad = [(path, seen) for path in found for seen in [disk.probe(store / path)] if seen.complaint or not seen.frames]
    report(not bad, "ffprobe takes all of them", bad[:5])


class Image:
    """A file system in a file, to be mounted at `place`."""

    def __init__(self, mib, kind="ext4"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-trouble-"))
        self.place, self.file = self.folder / "place", self.folder / "image"
        self.place.mkdir()
        with open(self.file, "wb") as stream:
            stream.truncate(mib * MIB)
        subprocess.run([f"mkfs.{kind}", "-q", "-m", "0", self.file], check=True)
        self.inside = []

    def mount(self, *options):
        words = [*self.inside, "mount", "-o", ",".join(("loop", *options)), self.file, self.place]
        return subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0

    def umount(self):
        return subprocess.run([*self.inside, "umount", "-l", self.place], stderr=subprocess.DEVNULL).returncode == 0

    def remove(self):
        while os.path.ismount(self.place) and self.umount():
            pass
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True)


@contextlib.contextmanager
def image(what, mib=48):
    """An image that is mounted; None where nothing may be."""
    made = Image(mib)
    try:
        if made.mount():
            yield made
        else:
            skip(what, "nothing may be mounted here")
            yield None
    finally:
        made.remove()


# --- full at the start ---

def fill(folder):
    """Writes until nothing more fits, also when what was deleted before has become free."""
    with open(folder / "ballast", "wb", buffering=0) as stream:
        for size in (MIB, 4096, 1) * 3:
            os.sync()
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * size)


def check_full():
    clip = media.make("filling", 2, size="1280x720", fps=25, gop=25, bitrate="4M", audio=False)
    with image("a full disk at the start", 24) as place:
        if not place:
            return
        store = place.place / "store"
        nvrd = Nvrd({"porch": {"source": f'"av:{clip}"', "loop": "yes"}}, store=store, segment="1s", storage=["reserve: 1MB"])
        report(wait_for(lambda: len(listed(store)) > 14, 40), "it records on a small disk", nvrd.log()[-800:])
        nvrd.stop()
        before = sorted(disk.files(store))
        fill(place.place)
        report(not (store / "nvrd.db-shm").exists(), "the catalogue needs room to be opened")
        report(os.statvfs(store).f_bavail == 0, "somebody fills it to the last block", os.statvfs(store))
        nvrd.start()
        report(nvrd.process.poll() is None, "it starts all the same", nvrd.log()[-800:])
        report(wait_for(lambda: before[0] not in disk.files(store), 20), "the oldest recordings make room", nvrd.log()[-2000:])
        report(records(nvrd), "it records", nvrd.log()[-2000:])
        report(wait_for(lambda: nvrd.metric("nvrd_catalogue_open") == 1 and nvrd.metric("nvrd_catalogue_waiting_changes") == 0, 20), "the catalogue takes everything")
        report(wait_for(lambda: len(listed(store)) and agrees(store), 20), "and agrees with the disk", nvrd.log()[-2000:])
        left = [path for path in before if path in disk.files(store)]
        report(before[len(before) - len(left):] == left, f"of {len(before)} recordings the oldest are gone", left)
        check_end(nvrd, store)


# --- not mounted at the start ---

def namespace(table):
    """Words before a command that give it mounts of its own, and another /etc/fstab."""
    return ["unshare", "-m", "sh", "-c", f'mount --bind {table} /etc/fstab && exec "$@"', "sh"]


def check_fstab():
    what = "a store that is not mounted"
    place = Image(48)
    table = place.folder / "fstab"
    table.write_text(f"# a comment\n{place.file} {place.place} ext4 loop,nofail 0 2\nnone none swap sw 0 0\n")
    if subprocess.run([*namespace(table), "true"], stderr=subprocess.DEVNULL).returncode != 0:
        place.remove()
        return skip(what, "no namespaces here")
    try:
        nvrd = Nvrd(TEST, store=place.place / "deep" / "store", segment="2s", inside=namespace(table))
        place.inside = ["nsenter", "-m", "-t", str(nvrd.process.pid)]
        inner = pathlib.Path(f"/proc/{nvrd.process.pid}/root{place.place}")
        report("is listed in /etc/fstab and not mounted" in nvrd.log(), "it says that the store is not mounted", nvrd.log())
        report(lives(nvrd), "live works", nvrd.log()[-800:])
        report(state(nvrd) == "gone", "a metric says it")
        report(wait_for(lambda: nvrd.metric('nvrd_volume_errors_total{operation="open"}') >= 2, 20), "recording is tried")
        report(not any(inner.iterdir()), "nothing is written where it should be mounted", list(inner.rglob("*")))
        if not report(place.mount(), "it is mounted"):
            return None
        report(records(nvrd), "and recording begins", nvrd.log()[-2000:])
        report(state(nvrd) == "ready", "the metric says that too")
        store = inner / "deep" / "store"
        report(wait_for(lambda: nvrd.metric("nvrd_catalogue_segments") == len(disk.files(store)) > 2, 30), "and is listed", nvrd.log()[-2000:])
        report((store / "nvrd.store").exists(), "the store has a marker")
        report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
        report(not any(place.place.iterdir()), "outside there still is nothing")
        table.write_text(f"{place.file} {place.place} ext4 loop,noauto 0 2\n")
        nvrd = Nvrd(TEST, store=place.place / "store", inside=namespace(table))
        report(records(nvrd) and state(nvrd) == "ready", "what is mounted by hand (noauto) may be left out", nvrd.log()[-800:])
        nvrd.stop()
    finally:
        place.remove()
    return None


# --- gone while recording ---

GAP_S = 0.5  # less is no gap to nvrd


def holes(store, camera):
    """Seconds between the files of a camera, where they are a gap."""
    rows = sorted((row for row in disk.rows(store).values() if row.path.startswith(f"recordings/{camera}/")), key=lambda row: row.start_us)
    between = [(b.start_us - a.end_us) / 1e6 for a, b in zip(rows, rows[1:])]
    return [hole for hole in between if hole >= GAP_S]


def check_gaps(store, camera):
    found, said = holes(store, camera), disk.gaps(store, camera, "disk")
    report(found and len(found) == len(said) and all(abs(a - b) < 0.001 for a, b in zip(found, said)), f"{camera}: the catalogue has just the gaps that the files have", (found, said))


def check_gone():
    clip = media.make("gone", 2, size="1280x720", fps=25, gop=25, bitrate="16M", audio=False)
    with image("a store that goes away", 256) as place:
        if not place:
            return
        store = place.place / "store"
        nvrd = Nvrd({"porch": {"source": f'"av:{clip}"', "loop": "yes"}}, store=store, segment="2s", storage=["queue: 4MiB"])
        report(wait_for(lambda: len(listed(store)) > 1, 30), "it records on a disk of its own", nvrd.log()[-800:])
        marker = (store / "nvrd.store").read_text()
        report(place.umount(), "which is pulled")
        report(wait_for(lambda: state(nvrd) == "gone", 20), "it is seen to be gone", nvrd.log()[-800:])
        report("the store is gone" in nvrd.log(), "the log says so", nvrd.log()[-800:])
        report(lives(nvrd), "live goes on", nvrd.log()[-800:])
        report(wait_for(lambda: nvrd.metric('nvrd_recorder_lost_fragments_total{camera="porch",reason="queue_full"}') > 4, 20), "what does not fit into the queue is lost", nvrd.log()[-800:])
        report(nvrd.metric("nvrd_catalogue_open") == 0, "the catalogue has let go of it")
        report(not any(place.place.iterdir()), "nothing is written into the empty folder", list(place.place.rglob("*")))
        other = store / "recordings"
        other.mkdir(parents=True)
        (store / "nvrd.store").write_text("0" * 32 + "\n")
        report(wait_for(lambda: "is that of another store" in nvrd.log(), 80) and not any(other.iterdir()), "nor into another store in its place", nvrd.log()[-800:])
        for path in (store / "nvrd.store", other, store):
            path.unlink() if path.is_file() else path.rmdir()
        report(place.mount() and (store / "nvrd.store").read_text() == marker, "it is mounted again")
        report(records(nvrd), "it records again", nvrd.log()[-2000:])
        report(wait_for(lambda: agrees(store), 30), "the catalogue agrees with the disk", (closed_files(store).items() ^ listed(store).items(), nvrd.log()[-2000:]))
        report(place.umount() and place.mount(), "pulled for a moment")
        report(records(nvrd), "it goes on", nvrd.log()[-2000:])
        report(wait_for(lambda: agrees(store), 30), "and the catalogue too", nvrd.log()[-2000:])
        check_end(nvrd, store)
        check_gaps(store, "porch")


# --- read-only at the start ---

def has(nvrd, path, size):
    with contextlib.suppress(OSError):
        return len(nvrd.get(f"/{path}")) == size
    return False


def plan(nvrd):
    """The closed recordings that would go if there were room for none."""
    strict = nvrd.folder / "strict.yaml"
    strict.write_text(nvrd.file.read_text().replace("storage:\n", "storage:\n  max_size: 1KB\n"))
    done = subprocess.run([NVRD, "--retention-plan", "-c", strict], capture_output=True, text=True, timeout=60)
    return {line.partition("\t")[0] for line in done.stdout.splitlines()[:-1]} or {done.stderr}


def check_readonly():
    with image("a read-only store") as place:
        if not place:
            return
        store = place.place / "st%41?r#e"  # of which nothing may mean anything in SQLite's URI
        nvrd = Nvrd(TEST, store=store, segment="2s")
        for number, how in ((signal.SIGTERM, "ends"), (signal.SIGKILL, "is killed")):
            report(records(nvrd, 20) and wait_for(lambda: len(closed_files(store)) > 1, 20), "it records", nvrd.log()[-800:])
            nvrd.stop(number)
            known = closed_files(store)
            subprocess.run(["mount", "-o", "remount,ro", place.place], check=True)
            before = len(nvrd.log())
            report(plan(nvrd) >= set(known), f"when it {how}, and nothing can be written, --retention-plan says what would go", (plan(nvrd), known))
            nvrd.start()
            report(nvrd.process.poll() is None and lives(nvrd), f"when it {how}, and nothing can be written, it starts, live works", nvrd.log()[before:])
            report("Read-only file system; nothing is recorded" in nvrd.log()[before:] and state(nvrd) == "failing", "log and metric say it", nvrd.log()[before:])
            report(plan(nvrd) >= set(known), "--retention-plan says the same beside it", (plan(nvrd), known))
            report(all(has(nvrd, path, size) for path, size in known.items()), "what was recorded can be had", (known, nvrd.log()[before:]))
            subprocess.run(["mount", "-o", "remount,rw", place.place], check=True)
        report(records(nvrd), "when it can be written nvrd records", nvrd.log()[-2000:])
        report(wait_for(lambda: agrees(store), 30), "and lists what it recorded", nvrd.log()[-2000:])
        report(state(nvrd) == "ready", "the metric says it")
        check_end(nvrd, store)


# --- every operation is refused for a while ---

def check_refuses():
    clip = media.make("gone", 2, size="1280x720", fps=25, gop=25, bitrate="16M", audio=False)
    nvrd = Nvrd({"porch": {"source": f'"av:{clip}"', "loop": "yes"}}, segment="2s", storage=["queue: 8MiB"], start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = faults.environment
    faults.calm(disk.ALL)
    nvrd.start()
    limit = lambda: nvrd.metric("nvrd_recorder_queue_limit_bytes")
    report(limit() == 8 * MIB, "storage.queue is the limit of what waits", limit())
    report(wait_for(lambda: len(listed(nvrd.store)) > 1, 30), "it records", nvrd.log()[-800:])
    nothing, names = disk.ALL, disk.ALL & ~disk.CREATE & ~disk.MKDIR  # names: files can be made, and no more than that
    for error, operations, what in ((errno.EROFS, nothing, "everything"), (errno.EIO, nothing, "everything"), (errno.ENOSPC, nothing, "everything"), (errno.EIO, names, "all but new names")):
        name = errno.errorcode[error]
        lost = nvrd.metric('nvrd_recorder_lost_fragments_total{camera="porch",reason="queue_full"}')
        faults.choose(at=faults.count + 1, run=1 << 62, operations=operations, error=error)
        report(wait_for(lambda: nvrd.metric('nvrd_recorder_lost_fragments_total{camera="porch",reason="queue_full"}') > lost + 2, 30),
               f"{name} of {what}, until the queue is full", nvrd.log()[-800:])
        report(wait_for(lambda: state(nvrd) == "failing" and nvrd.metric('nvrd_recorder_gap_seconds{camera="porch"}') > 0, 10), "metrics say it", state(nvrd))
        report(nvrd.process.poll() is None and lives(nvrd), "live goes on")
        faults.calm(disk.ALL)
        report(records(nvrd), "it records again", nvrd.log()[-2000:])
        report(wait_for(lambda: state(nvrd) == "ready" and agrees(nvrd.store), 30), "and lists everything", (closed_files(nvrd.store).items() ^ listed(nvrd.store).items(), nvrd.log()[-2000:]))
    nvrd.storage = ["queue: 4MiB"]
    nvrd.configure({"porch": {"source": f'"av:{clip}"', "loop": "yes"}})
    nvrd.reload()
    report(wait_for(lambda: limit() == 4 * MIB, 10), "a reload changes storage.queue", limit())
    check_end(nvrd)
    check_gaps(nvrd.store, "porch")


# --- a damaged catalogue ---

def check_damaged():
    nvrd = Nvrd(TEST, segment="1s")
    report(wait_for(lambda: len(listed(nvrd.store)) > 4, 30), "it records", nvrd.log()[-800:])
    before = set(listed(nvrd.store))
    disk.checkpoint(nvrd.store)
    with open(nvrd.store / "nvrd.db", "r+b") as database:
        size = os.fstat(database.fileno()).st_size
        database.seek(4096)
        database.write(b"\xa5" * (size - 4096))
    with contextlib.suppress(sqlite3.DatabaseError):  # it may notice, too
        disk.checkpoint(nvrd.store)
    report(wait_for(lambda: nvrd.metric('nvrd_catalogue_errors_total{kind="damaged"}') == 1, 30), "the catalogue is found damaged", nvrd.log()[-2000:])
    report(list(nvrd.store.glob("nvrd.db.damaged-*")) and "damaged: set aside" in nvrd.log(), "it is set aside", nvrd.log()[-800:])
    report(wait_for(lambda: before <= set(listed(nvrd.store)) and agrees(nvrd.store), 30), "and made anew from the files", nvrd.log()[-2000:])
    report(records(nvrd), "recording goes on")
    check_end(nvrd)


# --- what cannot be right ---

def check_config():
    for path, words in (("/proc/nowhere", "cannot be written"), (f"{NVRD}/store", "Not a directory")):
        nvrd = Nvrd(TEST, store=path, start=False)
        done = subprocess.run([NVRD, "-c", nvrd.file], capture_output=True, text=True, timeout=20)
        report(done.returncode == 1 and words in done.stderr, f"{pathlib.Path(path).name}: a store that cannot be refuses the start", done.stderr)
    nvrd = Nvrd(TEST)
    done = subprocess.run([NVRD, "-c", nvrd.file], capture_output=True, text=True, timeout=20)
    report(done.returncode == 1 and "another nvrd uses it" in done.stderr, "and one that is in use", done.stderr)
    nvrd.stop()


PARTS = {"full": check_full, "fstab": check_fstab, "gone": check_gone, "readonly": check_readonly, "refuses": check_refuses, "damaged": check_damaged, "config": check_config}

for name in sys.argv[1:] or PARTS:
    print(f"# {name}", flush=True)
    PARTS[name]()
finish()
