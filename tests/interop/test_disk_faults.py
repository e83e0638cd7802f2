#!/usr/bin/env python3
"""Disks that refuse, tear, hang and are full: what was recorded plays, and recording goes on by itself.

Parts may be named: operations, close, stalled, full. With NVRD_LONG=1 thousands of operations fail, and it takes
half an hour.
"""
import concurrent.futures
import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import disk
import media
from daemon import NVRD, Nvrd, end, finish, report, skip, spawn, wait_for

LONG = os.environ.get("NVRD_LONG") == "1"
SANITIZED = b"__asan_init" in pathlib.Path(NVRD).read_bytes()
AT_ONCE = 4  # of what takes the CPU
ERRORS = (errno.ENOSPC, errno.EIO)
MIB = 1 << 20


def drop(nvrd):
    """Ends it without a word of its log."""
    end(nvrd.process, signal.SIGKILL)
    shutil.rmtree(nvrd.folder, ignore_errors=True)


def in_turn(function, rows, at_once=AT_ONCE):
    """Calls it with each row's words, some at a time; the results in their order."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda row: function(*row), rows))


def metric_sum(nvrd, start):
    """The sum of the series whose line begins so."""
    lines = nvrd.get("/metrics").decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


def probe_all(store):
    paths = list(disk.files(store))
    return dict(zip(paths, in_turn(disk.probe, [(store / path,) for path in paths])))


def is_bad(seen):
    """Whether ffprobe does not take a recording, or finds no picture in it."""
    return seen.complaint or not seen.frames


def rejected(store):
    if not (paths := list(disk.files(store))) or disk.takes_all([store / path for path in paths]):
        return []
    return [(path, (store / path).stat().st_size, seen) for path, seen in probe_all(store).items() if is_bad(seen)]


def with_pictures(store):
    """Recordings and their sizes, without those that hold no picture: one whose removal failed has but a head."""
    return {path: size for path, size in disk.files(store).items() if b"moof" in (store / path).read_bytes()}


def accepts(line):
    """Whether nvrd knows an option below `storage:`."""
    nvrd = Nvrd(storage=[line], start=False)
    return subprocess.run([NVRD, "--check", "-c", str(nvrd.file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def say_few(details):
    return "\n".join(str(detail) for detail in details[:5]) + (f"\nand {len(details) - 5} more" if len(details) > 5 else "")


# --- each operation fails once ---

FIRST = 2000 if LONG else 60    # operations that fail, one process each
WAITING = 24 if LONG else 4     # processes at once
LATER = 2000 if LONG else 16    # operations of a process that goes on, with each error
TINY = {"size": "160x120", "fps": 25, "gop": 10, "bitrate": "100k"}
TINIER = {**TINY, "fps": 50, "gop": 5}  # comes to its 2000th operation in 10 s


def fail_one(clip, number, error):
    """Operation `number` of a new process on a new store fails. What is wrong with what follows, and what was hit."""
    cameras = [f"c{i}" for i in range(4 if LONG else 1)]
    nvrd = Nvrd({c: {"source": f'"av:{clip}"', "loop": "yes"} for c in cameras}, segment="1s", storage=["sync: 0"], start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = faults.environment
    faults.choose(at=number, operations=disk.ALL, error=error)
    nvrd.start()
    if nvrd.process.poll() is not None:
        return number, error, faults.operation(number), [f"it does not start: {nvrd.log()[-1500:]}"]
    wrong = []
    fragments = lambda: [nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{c}"}}') for c in cameras]
    if not wait_for(lambda: faults.chosen, 60):
        wrong.append(f"recording does not come so far: {nvrd.log()[-1000:]}")
    before = fragments()
    if not wait_for(lambda: all(now > then + 2 for now, then in zip(fragments(), before)), 30):
        wrong.append(f"recording does not go on: {nvrd.log()[-1000:]}")
    status = nvrd.stop()
    if status != 0:
        wrong.append(f"SIGTERM gives {status}: {nvrd.log()[-2000:]}")
    wrong += [f"ffprobe rejects {bad}" for bad in rejected(nvrd.store)]
    rows, found = {path: row.bytes for path, row in disk.rows(nvrd.store).items()}, with_pictures(nvrd.store)
    if rows != found:
        wrong.append(f"the catalogue does not agree with the disk: {sorted(rows.items() ^ found.items())}: {nvrd.log()[-1000:]}")
    drop(nvrd)
    return number, error, faults.operation(number), wrong


def check_first():
    clip = media.make("tiny", 4, **TINIER if LONG else TINY)
    start = time.monotonic()
    cases = [(clip, n, error) for n in range(1, FIRST + 1) for error in ERRORS] if LONG else \
        [(clip, n, ERRORS[n // 2 % 2]) for n in range(1, FIRST + 1, 2)]
    results = in_turn(fail_one, cases, WAITING)
    wrong = [f"{errno.errorcode[error]} of operation {number}, {operation.kind} of {operation.path}: {what}"
             for number, error, operation, problems in results for what in problems]
    print(f"# {time.monotonic() - start:.0f} s")
    report(not wrong, f"one of the first {FIRST} operations fails, {len(results)} processes: each starts, records, and lists what it recorded", say_few(wrong))


def check_later():
    cameras = [f"c{i}" for i in range(24 if LONG else 8)]
    clip = media.make("tiny", 4, **TINY)
    nvrd = Nvrd({c: {"source": f'"av:{clip}"', "loop": "yes"} for c in cameras}, segment=f"{5 if LONG else 2}s", storage=["sync: 0"], start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = faults.environment
    faults.calm(disk.ALL)
    nvrd.start()
    everyone = lambda: all(nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{c}"}}') > seen.get(c, 0) + 2 for c in cameras)
    seen, hit, alive = {}, [], True
    report(wait_for(everyone, 30), "all cameras record")
    for error in ERRORS:
        start = faults.count + 1
        every = 23 if LONG else 17  # so that one comes to its next file before the next failure
        faults.choose(at=start, every=every, operations=disk.ALL, error=error)
        target = faults.chosen + LATER
        alive = alive and wait_for(lambda: faults.chosen >= target or nvrd.process.poll() is not None, 900) and nvrd.process.poll() is None
        faults.calm(disk.ALL)
        hit += [operation for operation in faults.operations(start)[::every]]
        if not alive:
            break
        seen = {c: nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{c}"}}') for c in cameras}
        report(wait_for(everyone, 30), f"{errno.errorcode[error]} now and then: all cameras record again", nvrd.log()[-2000:])
    kinds = sorted({f"{o.kind} {'of the database' if o.path.startswith('nvrd.db') else 'of ' + (pathlib.Path(o.path).suffix or 'a folder')}" for o in hit})
    report(alive, f"{faults.chosen} operations failed ({', '.join(kinds)}): no crash", nvrd.log()[-3000:])
    status = nvrd.stop()
    report(status == 0, "SIGTERM ends it", f"{status}: {nvrd.log()[-3000:]}")
    probes, rows, on_disk = probe_all(nvrd.store), disk.rows(nvrd.store), disk.files(nvrd.store)
    recorded = with_pictures(nvrd.store)
    bad = [(path, on_disk[path], seen) for path, seen in probes.items() if path in recorded and is_bad(seen)]
    report(not bad, f"ffprobe takes all {len(probes)} files", say_few(bad))
    lies = [(row, on_disk.get(row.path)) for row in rows.values() if on_disk.get(row.path) != row.bytes]
    report(not lies, f"each of {len(rows)} rows names a file and its length", say_few(lies))
    lies = [(row, probes[row.path]) for row in rows.values() if row.path in probes and probes[row.path].frames != round((row.end_us - row.start_us) / 40000)]
    report(not lies, "and its end", say_few(lies))
    unlisted = set(recorded) - set(rows)
    report(not unlisted, "and no file is without a row", say_few(sorted(unlisted)))
    drop(nvrd)


def check_operations():
    check_first()
    check_later()


# --- a torn close ---

FRAMES, CLOSE_FPS = 30, 25
SECTOR = 512  # what a disk writes as a whole


def record(number=0, half=False, later=0):
    """Records one clip into one file, until that is closed, or the process is killed: at operation `number` on files, or so many
    operations of any kind after it."""
    clip = media.make("close", FRAMES / CLOSE_FPS, size="320x240", fps=CLOSE_FPS, gop=10, bitrate="500k", audio=False)
    nvrd = Nvrd({"porch": {"source": f'"av:{clip}"'}}, segment="1h", storage=["sync: 60s"], start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = faults.environment
    faults.choose(at=number, kill=not later, half=half, delay_s=3600 if later else 0)
    nvrd.start()
    if later and wait_for(lambda: faults.waiting, 20):
        faults.choose(at=faults.count + later, operations=disk.ALL, kill=True)
    if not wait_for(lambda: nvrd.process.poll() is not None or (not number and disk.rows(nvrd.store)), 20):
        raise RuntimeError(f"nothing is closed and nobody killed:\n{nvrd.log()}")
    operations = faults.operations()
    nvrd.stop(signal.SIGKILL)
    return nvrd, operations


def closing(nvrd, operations):
    """The operations on files that follow the last fragment of the first one, until it is closed."""
    path = next(iter(disk.rows(nvrd.store)))
    last = (nvrd.store / path).read_bytes().rindex(b"moof") - 4
    start = max(o.number for o in operations if o.path == path and o.kind == "write" and o.offset == last)
    later = [o.number for o in operations if o.path.endswith(".mp4") and o.path != path and o.number > start]
    return [o for o in operations if start < o.number < min(later, default=len(operations) + 1)]


def wrong_after_recovery(store):
    """What is wrong with the one file after a start; None is a start that found nothing to do."""
    nvrd = Nvrd(store=store)
    wait_for(lambda: disk.rows(store).keys() == disk.files(store).keys(), 10)  # recovery runs beside it
    nvrd.stop()
    rows, found = disk.rows(store), disk.files(store)
    path = next(iter(found))
    seen = disk.probe(store / path)
    wrong = []
    if seen.frames != FRAMES:
        wrong.append(f"{seen} after recovery")
    if path not in rows or rows[path].bytes != found[path]:
        wrong.append(f"{found[path]} bytes, and the catalogue says {rows.get(path)}")
    elif round((rows[path].end_us - rows[path].start_us) * CLOSE_FPS / 1e6) != FRAMES:
        wrong.append(f"the catalogue has another end: {rows[path]}")
    drop(nvrd)
    return wrong


def kill_closing(operation, half, later):
    nvrd, operations = record(operation.number, half, later)
    path, *others = disk.files(nvrd.store)
    seen = disk.probe(nvrd.store / path)
    wrong = [f"{others} as well"] if others else []
    if operations[-1 - later].number != operation.number or operations[-1 - later].kind != operation.kind:
        wrong.append(f"killed at {operations[-1]}")
    if seen.frames != FRAMES:
        wrong.append(f"{seen} of {FRAMES} frames")
    if seen.complaint:
        print(f"# {describe(operation, half, later)}: ffprobe says {seen.complaint.strip()}")
    kept = disk.folder() / f"torn-{operation.number}-{half}-{later}"
    shutil.copytree(nvrd.store, kept)
    wrong += wrong_after_recovery(nvrd.store)
    drop(nvrd)
    return kept, wrong


def kill_recovery(kept, number):
    """The process dies at an operation of its start, the next one does not."""
    store = kept.with_name(f"{kept.name}-{number}")
    shutil.copytree(kept, store)
    nvrd = Nvrd(store=store, start=False)
    faults = disk.Disk(store)
    nvrd.environment = faults.environment
    faults.choose(at=number, kill=True)
    nvrd.start()
    nvrd.stop(signal.SIGKILL)
    seen = disk.probe(store / next(iter(disk.files(store))))
    wrong = [f"{seen} of {FRAMES} frames"] if seen.frames != FRAMES else []
    wrong += wrong_after_recovery(store)
    shutil.rmtree(store)
    drop(nvrd)
    return wrong


def recovery_of(kept):
    """The operations on files of a start on such a store."""
    store = kept.with_name(f"{kept.name}-seen")
    shutil.copytree(kept, store)
    nvrd = Nvrd(store=store, start=False)
    faults = disk.Disk(store)
    nvrd.environment = faults.environment
    nvrd.start()
    nvrd.stop()
    operations = [o for o in faults.operations() if o.path.endswith(".mp4")]
    shutil.rmtree(store)
    drop(nvrd)
    return operations


def describe(operation, half=False, later=0):
    where = "in the middle of" if half else f"{later} operations after" if later else "before"
    return f"{where} {operation.kind} {operation.offset}+{operation.bytes} of {pathlib.Path(operation.path).name}"


def check_close():
    nvrd, operations = record()
    steps = closing(nvrd, operations)
    print("# closing is: " + "; ".join(f"{o.kind} of {pathlib.Path(o.path).name}" for o in steps))
    report(disk.probe(nvrd.store / next(iter(disk.rows(nvrd.store)))).table == FRAMES, "a closed file has a full sample table")
    cases = [(o, False, 0) for o in steps] + [(o, True, 0) for o in steps if o.kind == "write" and o.bytes > SECTOR]
    cases += [(steps[-1], False, later) for later in (1, 2)]  # the catalogue's
    results = in_turn(kill_closing, cases)
    wrong = [f"killed {describe(*case)}: {what}" for case, (_, problems) in zip(cases, results) for what in problems]
    report(len(steps) > 1 and not wrong, f"killed at each of {len(cases)} steps of closing: all frames are read, and after a start too", say_few(wrong))
    cases = []
    for kept, _ in results if LONG else results[:1]:
        cases += [(kept, o.number, describe(o)) for o in recovery_of(kept)]
    if not cases:
        skip("killed in the recovery", "it changes no file")
        return
    results = in_turn(kill_recovery, [case[:2] for case in cases])
    wrong = [f"killed {case[2]}: {what}" for case, problems in zip(cases, results) for what in problems]
    report(not wrong, f"killed at each of {len(cases)} steps of recovery: the same", say_few(wrong))


# --- a disk that hangs ---

STALL_S = 20 if LONG else 5
FLOOD_FPS, FLOOD_GOP = 25, 5  # a group of pictures is a fragment


def resident(nvrd):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{nvrd.process.pid}/status").read_text())[1]) * 1024


def beats(nvrd):
    """Beats of the reactor, and how many of them came no more than 50 ms late."""
    text = nvrd.get("/metrics").decode()
    return [int(re.search(rf"^nvrd_reactor_lag_seconds_{series} (\d+)$", text, re.M)[1]) for series in ("count", r'bucket\{le="0\.05"\}')]


def reader(nvrd, url, name, *options):
    """ffmpeg, which keeps what it gets."""
    target = nvrd.folder / f"{name}.nut"
    return target, spawn(["ffmpeg", "-nostdin", "-v", "error", *options, "-i", url, "-an", "-c", "copy", "-f", "nut", "-flush_packets", "1", target], stderr=subprocess.DEVNULL)


def check_reader(path, name):
    times = [p[0] for p in media.packets(path)]
    steps = [round((b - a) * 25, 2) for a, b in zip(times[1:], times[2:])]  # ffmpeg gives the first one no time of its own
    report(len(times) > (STALL_S + 1) * 25 and set(steps) == {1.0}, f"{name} lost none of {len(times)} pictures",
           [(i, step) for i, step in enumerate(steps) if step != 1.0][:10])


def holes(nvrd, camera):
    """Seconds between the files of a camera."""
    rows = sorted((row for row in disk.rows(nvrd.store).values() if row.path.startswith(f"recordings/{camera}/")), key=lambda row: row.start_us)
    return [(b.start_us - a.end_us) / 1e6 for a, b in zip(rows, rows[1:])]


def check_gap(nvrd, camera, fragment_s, lost, missing):
    """What a camera missed is the same in its files, the metrics, the catalogue and the log."""
    gap = [hole for hole in holes(nvrd, camera) if abs(hole) > fragment_s / 2]
    said = [int(n) for n in re.findall(rf"camera {camera}.* records again .* ([0-9]+) fragments were lost", nvrd.log())]
    listed = disk.gaps(nvrd.store, camera, "disk")
    print(f"# {camera}: its files miss {gap} s, the catalogue {listed}, the metrics {missing:.3f} s and {lost:.0f} fragments, the log {said} fragments")
    report(lost > 0 and abs(lost * fragment_s - sum(gap)) < 0.01, f"{camera}: as many fragments are counted as are missing", (lost * fragment_s, gap))
    report(sum(said) == lost, f"{camera}: the log says as many", (said, lost))
    report(len(gap) == len(listed) and all(abs(a - b) < 0.001 for a, b in zip(gap, listed)), f"{camera}: the catalogue has just these gaps", (listed, gap))
    report(abs(missing - sum(gap)) < 0.001, f"{camera}: so many seconds are counted", (missing, gap))


def check_stalled():
    quiet = media.make("quiet", 8, size="320x240", fps=25, gop=10, bitrate="300k", audio=False)
    flood = media.make("flood", 1, size="1280x720", fps=FLOOD_FPS, gop=FLOOD_GOP, bitrate="240M", audio=False)
    rate = flood.stat().st_size
    nvrd = Nvrd({"porch": {"source": f'"av:{quiet}"', "loop": "yes"}, "cellar": {"source": f'"av:{flood}"', "loop": "yes"}}, segment="1h", start=False)
    faults = disk.Disk(nvrd.store)
    nvrd.environment = {**faults.environment, "ASAN_OPTIONS": faults.environment["ASAN_OPTIONS"] + ":quarantine_size_mb=4"}
    faults.calm(disk.ALL)
    nvrd.start()
    by_main = faults.by_main
    fragments = lambda camera: nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{camera}"}}')
    queued = lambda: metric_sum(nvrd, "nvrd_recorder_queue_bytes") + nvrd.metric('nvrd_worker_queue_bytes{worker="volume"}')
    limit = nvrd.metric("nvrd_recorder_queue_limit_bytes") or 64 * MIB
    live = {"RTSP": reader(nvrd, f"rtsp://{nvrd.rtsp}/porch", "rtsp", "-rtsp_transport", "tcp"),
            "HLS": reader(nvrd, f"http://{nvrd.http}/live/porch/index.m3u8", "hls")}
    report(wait_for(lambda: fragments("porch") > 5 and fragments("cellar") > 5 and all(path.stat().st_size > 50000 for path, _ in live.values()), 30),
           f"two cameras record, one {rate / 1e6:.0f} MB a second, and the other is watched")
    before_stall, memory, most_memory, most_queued = beats(nvrd), resident(nvrd), 0, 0
    faults.choose(at=faults.count + 1, run=1 << 62, operations=disk.ALL, delay_s=3600)
    report(wait_for(lambda: faults.waiting, 5), "the disk hangs")
    stop = time.monotonic() + STALL_S
    while time.monotonic() < stop:
        most_queued, most_memory = max(most_queued, queued()), max(most_memory, resident(nvrd))
        time.sleep(0.1)
    lag = nvrd.metric("nvrd_reactor_lag_max_seconds")
    all_beats, in_time = (b - a for a, b in zip(before_stall, beats(nvrd)))
    before = {camera: fragments(camera) for camera in ("porch", "cellar")}
    faults.calm(disk.ALL)
    back = wait_for(lambda: all(fragments(camera) > before[camera] + 20 for camera in before) and queued() < limit / 4, 30)
    report(back, f"after {STALL_S} s it goes on, and so does recording", nvrd.log()[-2000:])
    for name, (path, process) in live.items():
        end(process, signal.SIGINT)
        check_reader(path, name)
    by_main = faults.by_main - by_main
    late = all_beats - in_time
    print(f"# reactor: {late} of {all_beats} beats came over 50 ms late, the worst ever {lag * 1000:.0f} ms{' (with sanitizers)' if SANITIZED else ''}")
    report(all_beats > STALL_S * 5 and (SANITIZED or late == 0), "the reactor does not wait for the disk", (late, all_beats, lag))
    report(by_main == 0, "and never touches it", by_main)
    growth = most_memory - memory
    print(f"# queue: {most_queued / MIB:.0f} of {limit / MIB:.0f} MiB; memory grew by {growth / MIB:.0f} MiB")
    report(limit / 2 < most_queued <= limit and growth < limit + 48 * MIB, "the queue fills to its limit, and memory no further", (most_queued, growth))
    lost = {camera: metric_sum(nvrd, f'nvrd_recorder_lost_fragments_total{{camera="{camera}"') for camera in before}
    missing = nvrd.metric('nvrd_recorder_missing_seconds_total{camera="cellar",cause="disk"}')
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    report(lost["porch"] == 0 and not any(abs(hole) > 0.04 for hole in holes(nvrd, "porch")), "the camera that fills the queue takes nothing from the other",
           (lost, holes(nvrd, "porch")))
    check_gap(nvrd, "cellar", FLOOD_GOP / FLOOD_FPS, lost["cellar"], missing)
    bad = rejected(nvrd.store)
    report(not bad, "ffprobe takes all files", say_few(bad))
    drop(nvrd)


# --- a full disk ---

VOLUME_MIB = 200 if LONG else 48
FULL_S = 600 if LONG else 0        # at least
THROUGH_MIB = 500 if LONG else 100  # at least
RESERVE = 20                       # percent


@contextlib.contextmanager
def small_volume():
    """A file system of its own, and its kind; None where nothing may be mounted."""
    image, place = disk.folder() / "image", pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-full-"))
    with open(image, "wb") as file:
        file.truncate(VOLUME_MIB * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    kind = None
    for tried, words in (("ext4", ["-o", "loop", image]), ("tmpfs", ["-t", "tmpfs", "-o", f"size={VOLUME_MIB}m", "tmpfs"])):
        if subprocess.run(["mount", *words, place], stderr=subprocess.DEVNULL).returncode == 0:
            kind = tried
            break
    try:
        yield place, kind
    finally:
        if kind:
            subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()
        image.unlink()


class Keeper(threading.Thread):
    """Looks at a volume ten times a second: what is free, and which files have been and gone."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.store, self.done = store, threading.Event()
        self.least, self.seen, self.gone = 100.0, {}, {}
        self.start()

    def look(self):
        room = os.statvfs(self.store)
        self.least = min(self.least, 100 * room.f_bavail / room.f_blocks)
        now = {}
        for path in self.store.glob("recordings/*/*/*.mp4"):
            with contextlib.suppress(OSError):
                now[path] = path.stat().st_size
        for path in set(self.seen) - set(now) - set(self.gone):
            self.gone[path] = min(p.name for p in now if p.parts[-3] == path.parts[-3]) if now else ""
        self.seen.update(now)

    def run(self):
        while not self.done.wait(0.1):
            self.look()


def check_oldest_first(keeper, cameras):
    """Of each camera the first ones went, and of all cameras alike."""
    oldest = {}
    for camera in cameras:
        made = sorted(path for path in keeper.seen if path.parts[-3] == camera)
        left = [path for path in made if path not in keeper.gone]
        report(len(left) > 1 and made[-len(left):] == left, f"{camera}: {len(made) - len(left)} recordings are gone, the oldest of {len(made)}",
               [path.name for path in made if path in keeper.gone][-3:])
        oldest[camera] = time.time() - left[0].stat().st_mtime if left else 0
    span = max(oldest.values()) - min(oldest.values())
    report(span < max(oldest.values()) / 2, "as far back for each camera", oldest)


def check_full():
    if not accepts(f"reserve: {RESERVE}%"):
        skip("a full disk", "this nvrd has no storage.reserve")
        return
    clip = media.make("full", 2, size="1280x720", fps=25, gop=25, bitrate="4M" if LONG else "8M", audio=False)
    cameras = ("north", "east", "south", "west")
    with small_volume() as (place, kind):
        if not kind:
            skip("a full disk", "nothing may be mounted here")
            return
        print(f"# {VOLUME_MIB} MiB of {kind}")
        nvrd = Nvrd({c: {"source": f'"av:{clip}"', "loop": "yes"} for c in cameras}, store=place / "store",
                    segment="5s" if LONG else "1s", storage=[f"reserve: {RESERVE}%"])
        keeper, start = Keeper(nvrd.store), time.monotonic()
        written = lambda: metric_sum(nvrd, "nvrd_recorder_written_bytes_total") / MIB
        going = lambda: nvrd.process.poll() is None
        passed = wait_for(lambda: not going() or (written() > THROUGH_MIB and time.monotonic() - start > FULL_S), 120 + FULL_S) and going()
        report(passed, f"{THROUGH_MIB} MiB go through it" + (f" in {FULL_S} s" if FULL_S else ""), nvrd.log()[-2000:])
        lost, errors = metric_sum(nvrd, "nvrd_recorder_lost_fragments_total"), metric_sum(nvrd, "nvrd_volume_errors_total")
        report(lost == 0 and errors == 0, "and nothing fails", (lost, errors))
        status = nvrd.stop()
        keeper.done.set()
        keeper.join()
        report(status == 0, "SIGTERM ends it", nvrd.log()[-2000:])
        report(keeper.least >= RESERVE, f"at least {keeper.least:.1f} % were free")
        check_oldest_first(keeper, cameras)
        rows, found = disk.rows(nvrd.store), disk.files(nvrd.store)
        report({path: row.bytes for path, row in rows.items()} == found, "the catalogue says what is left", set(rows) ^ set(found))
        bad = rejected(nvrd.store)
        report(not bad, f"ffprobe takes all {len(found)} files", say_few(bad))
        drop(nvrd)


PARTS = {"operations": check_operations, "close": check_close, "stalled": check_stalled, "full": check_full}


def run_part(name):
    start = time.monotonic()
    PARTS[name]()
    print(f"# {name}: {time.monotonic() - start:.0f} s", flush=True)


def main():
    names = sys.argv[1:] or list(PARTS)
    # most of it is waiting; but what measures is alone when it matters
    with concurrent.futures.ThreadPoolExecutor(1 if LONG else 2) as pool:
        list(pool.map(run_part, names))
    finish()


main()
