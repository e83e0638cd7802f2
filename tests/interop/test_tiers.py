#!/usr/bin/env python3
"""Several volumes: recordings move from hot to warm, and each is there once and can be had under its address all the time.

Killed at each operation of its moves in turn, at every seventh unless NVRD_LONG=1.
"""
import contextlib
import hashlib
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import disk
from daemon import NVRD, Nvrd, finish, report, skip, wait_for

LONG = os.environ.get("NVRD_LONG") == "1"
TEST = {"source": '"test:"'}
SAME = "camera, stream, volume, path, folder, start_us, end_us, bytes, codecs, width, height, state, boot_id, boot_us, fragments"


class Tiers(Nvrd):
    """Its store is hot/, and others are beside it."""

    def __init__(self, cameras, limits, top=None, start=True, **options):
        self.limits = limits  # the volumes' options by name, hot first
        self.top = top
        super().__init__(cameras, start=False, **options)
        for name in limits:
            self.place(name).mkdir(exist_ok=True)
        if start:
            self.start()

    def place(self, name):
        return (self.top or self.folder) / name

    def configure(self, cameras):
        self.cameras = cameras
        self.store = self.place("hot")
        volumes = [f"  - {{path: {self.place(name)}{', ' + options if options else ''}}}" for name, options in self.limits.items()]
        kept, self.storage = self.storage, [*self.storage, "volumes:", *volumes]
        super().configure(cameras)
        self.storage = kept

    def change(self, **limits):
        """Other limits, from now on."""
        self.limits |= limits
        self.configure(self.cameras)
        if self.process and self.process.poll() is None:
            applied = self.log().count(": applied")
            self.reload()
            wait_for(lambda: self.log().count(": applied") > applied, 10)

    def rows(self, what="path, volume, bytes, state"):
        with contextlib.closing(sqlite3.connect(f"file:{self.store}/nvrd.db?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(f"select {what} from segments order by path").fetchall()

    def names(self):
        """The volumes by the number that rows name."""
        markers = {name: self.place(name) / "nvrd.store" for name in list(self.limits)[1:]}
        return {0: "hot"} | {int(file.read_text()[:12], 16): name for name, file in markers.items() if file.exists()}

    def places(self):
        """Of all recordings, by path: the volumes where there is such a file."""
        found = {}
        for name in self.limits:
            for file in self.place(name).glob("recordings/*/*/*.mp4"):
                found.setdefault(str(file.relative_to(self.place(name))), []).append(name)
        return found

    def disagreement(self):
        """What is not: one row for each recording, and one file, where the row has it."""
        names, rows, places = self.names(), self.rows(), self.places()
        by_row = {path: names.get(volume) for path, volume, _, _ in rows}
        wrong = [f"{path}: {places.get(path)}, the row says {by_row.get(path)}" for path in by_row.keys() | places.keys() if places.get(path) != [by_row.get(path)]]
        parts = [str(file) for name in self.limits for file in self.place(name).glob("recordings/*/*/*nvrd-part")]
        return wrong + parts + (["two rows of one path"] if len(by_row) != len(rows) else [])

    def moved(self, name="warm"):
        return self.metric(f'nvrd_volume_moved_files_total{{volume="{self.place(name)}"}}')

    def on(self, name, camera="*"):
        return sorted(self.place(name).glob(f"recordings/{camera}/*/*.mp4"))


class Reader(threading.Thread):
    """Downloads closed recordings all the time, and compares them with what they were the first time."""

    def __init__(self, nvrd):
        super().__init__(daemon=True)
        self.nvrd, self.known, self.wrong, self.count, self.done = nvrd, {}, [], 0, False

    def run(self):
        while not self.done:
            closed = [(path, size) for path, _, size, state in self.nvrd.rows() if state]
            for path, size in closed:
                try:
                    data = self.nvrd.get("/" + urllib.parse.quote(path))
                except (OSError, urllib.error.URLError) as error:
                    self.wrong.append(f"{path}: {error}")
                    continue
                if len(data) != size or self.known.setdefault(path, hashlib.sha256(data).digest()) != hashlib.sha256(data).digest():
                    self.wrong.append(f"{path}: {len(data)} of {size} bytes, or others")
                self.count += 1


def dav_paths(nvrd, folder):
    answer = subprocess.run(["curl", "-sS", "-X", "PROPFIND", "-H", "Depth: 1", f"http://{nvrd.http}/{folder}/"], capture_output=True, timeout=30).stdout.decode()
    return {urllib.parse.unquote(path).lstrip("/") for path in re.findall(r"<[a-zA-Z]*:?href>([^<]*\.mp4)<", answer)}


def slow_download(nvrd, path):
    """The first bytes now, the rest when it is asked for."""
    stream = urllib.request.urlopen(f"http://{nvrd.http}/{urllib.parse.quote(path)}", timeout=30)
    first = stream.read(1000)
    return lambda: first + stream.read()


def check_moves():
    nvrd = Tiers({"porch": TEST, "yard": TEST}, {"hot": "", "warm": ""}, segment="1s")
    report(wait_for(lambda: len(nvrd.on("hot", "porch")) >= 6 and len(nvrd.on("hot", "yard")) >= 6, 40), "two cameras record", nvrd.log()[-1500:])
    report(nvrd.places() and not nvrd.on("warm"), "without limits nothing moves")
    reader = Reader(nvrd)
    reader.start()
    wait_for(lambda: len(reader.known) >= 8, 30)
    eldest = nvrd.rows()[0][0]
    rest = slow_download(nvrd, eldest)
    whole = (nvrd.store / eldest).read_bytes()
    nvrd.change(hot="keep: 6s", warm="max_size: 20MB")
    report(wait_for(lambda: nvrd.moved() >= 10, 60), "what is older than keep moves on", nvrd.log()[-1500:])
    report(rest() == whole, "a download that began before goes on to its end")
    report(wait_for(lambda: len(nvrd.on("warm", "yard")) >= 8 and len(nvrd.on("warm", "porch")) >= 8, 60), "those of both cameras")
    day = eldest.rpartition("/")[0]
    kept = {path for path, _, _, state in nvrd.rows() if state and path.startswith(day)}
    report(kept <= dav_paths(nvrd, day), "WebDAV lists them where they were", sorted(kept - dav_paths(nvrd, day)))
    reader.done = True
    reader.join(30)
    report(not reader.wrong and reader.count > 30, f"{reader.count} downloads before, during and after had the same bytes", "\n".join(reader.wrong[:10]))
    report(nvrd.metric(f'nvrd_volume_recorded_bytes{{volume="{nvrd.place("warm")}"}}') > 0
           and nvrd.metric(f'nvrd_volume_free_bytes{{volume="{nvrd.place("warm")}"}}') > 0
           and nvrd.metric(f'nvrd_volume_moved_bytes_total{{volume="{nvrd.place("warm")}"}}') >= sum(f.stat().st_size for f in nvrd.on("warm")) / 2, "metrics tell of each volume")
    report(nvrd.metric(f'nvrd_volume_move_errors_total{{volume="{nvrd.place("warm")}"}}') == 0, "without an error", nvrd.log()[-800:])
    size = max(os.path.getsize(file) for file in nvrd.on("warm"))
    limit = 5 * size // 1000 + 1
    eldest = nvrd.rows("path, start_us")
    nvrd.change(warm=f"max_size: {limit}KB")
    report(wait_for(lambda: sum(f.stat().st_size for f in nvrd.on("warm")) <= limit * 1000, 20), "max_size of the last volume deletes", nvrd.log()[-800:])
    gone = {path for path, _ in eldest} - nvrd.places().keys()
    stay = [start for path, start in eldest if path not in gone]
    report(gone and max(start for path, start in eldest if path in gone) < min(stay), "the oldest of all", sorted(gone))
    nvrd.change(hot="max_size: 1KB", warm="")
    done = subprocess.run([NVRD, "--retention-plan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    report(nvrd.stop() == 0, "SIGTERM ends it, in the middle of a move or not")
    nvrd.start()
    report(wait_for(lambda: nvrd.moved() >= 1 and len(nvrd.on("hot")) <= 4, 40), "max_size of the first one moves all that is closed", nvrd.log()[-800:])
    nvrd.stop()
    nvrd.configure({})
    nvrd.start()
    report(wait_for(lambda: not nvrd.on("hot"), 40), "the last ones too", nvrd.log()[-800:])
    report(wait_for(lambda: not nvrd.disagreement(), 10), "each recording has one row and one file", nvrd.disagreement())
    report(nvrd.stop() == 0, "SIGTERM ends it")
    check_rescan(nvrd)


def check_plan():
    nvrd = Tiers({"porch": {**TEST, "keep": "1h", "timelapse": "{every: 1s}"}}, {"hot": "", "warm": ""}, segment="1s")
    wait_for(lambda: len(nvrd.on("hot")) >= 5, 30)
    nvrd.stop()
    *rows, (film, _) = nvrd.rows("path, bytes")
    nvrd.configure({"porch": {**TEST, "max_size": f"{sum(size for _, size in rows[1:]) // 1000}KB"}})
    nvrd.limits["hot"] = "max_size: 1KB"
    nvrd.configure(nvrd.cameras)
    done = subprocess.run([NVRD, "--retention-plan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    cut = [line for line in lines if line[-1] == "delete"]
    move = [line for line in lines if line[-1] == f"move to {nvrd.place('warm')}"]
    report([line[0] for line in cut] == [path for path, _ in rows[:len(cut)]] and 1 <= len(cut) < len(rows) and all(line[3] == "camera_max_size" for line in cut),
           "--retention-plan: the camera's own limit deletes", done.stdout + done.stderr)
    report([line[0] for line in move] == [path for path, _ in rows[len(cut):]] and all(line[3] == "max_size" for line in move), "the volume's moves", done.stdout)
    report(lines[-2] == [f"{len(move)} recordings move, {sum(int(line[2]) for line in move)} bytes"], "and the sums", lines[-2:])
    nvrd.storage = ["reserve: 9000TB"]
    nvrd.configure(nvrd.cameras)
    done = subprocess.run([NVRD, "--retention-plan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    lines = [line.split("\t") for line in done.stdout.splitlines()][:-2]
    report([line[0] for line in lines if line[-1] == "delete"][-1:] == [film] and lines[-1][3] == "reserve", "a time-lapse does not move, and goes last of all", done.stdout)


def check_rescan(nvrd):
    before = nvrd.rows(SAME)
    for file in nvrd.store.glob("nvrd.db*"):
        file.unlink()
    done = subprocess.run([NVRD, "--rescan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    report(done.returncode == 0 and nvrd.rows(SAME) == before and len(before) >= 5, "--rescan finds the same rows on all volumes", done.stdout + done.stderr)
    nvrd.place("warm").rename(nvrd.place("away"))
    done = subprocess.run([NVRD, "--rescan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    report(done.returncode == 1 and "is it mounted" in done.stderr and nvrd.rows(SAME) == before, "without one of them it forgets nothing", done.stderr)
    nvrd.start()
    path = before[0][3]
    status = 0
    try:
        nvrd.get("/" + urllib.parse.quote(path))
    except urllib.error.HTTPError as error:
        status = error.code
    report(status == 503, "what is on a volume that is away is unavailable, not gone", status)
    report("warm: No such file" in nvrd.log(), "the log says that it is away", nvrd.log()[-800:])
    nvrd.stop()
    nvrd.place("away").rename(nvrd.place("warm"))
    nvrd.start()
    report(len(nvrd.get("/" + urllib.parse.quote(path))) == before[0][7], "when it is back, so are they")
    nvrd.stop()


def check_kills():
    """kill -9 before each operation on the disks, one after the other, as recordings move from hot over warm to cold."""
    nvrd = Tiers({"porch": TEST}, {"hot": "", "warm": "", "cold": ""}, segment="1s")
    wait_for(lambda: len(nvrd.on("hot")) >= 4, 30)
    nvrd.stop()
    contents = {str(file.relative_to(nvrd.store)): file.read_bytes() for file in nvrd.on("hot")}
    nvrd.configure({})
    faults = disk.Disk(nvrd.folder)
    nvrd.environment = faults.environment
    wrong, kills, number, moved, kinds = [], 0, 0, [], set()
    step = 1 if LONG else 7
    while len(moved) < 2 and number < 2000:  # until two lives in a row have ended by themselves
        number += step
        # back to where they began
        for path in contents:
            (nvrd.store / path).parent.mkdir(parents=True, exist_ok=True)
        if moved or not kills:
            for name, other in (("warm", "hot"), ("cold", "hot")):
                for file in nvrd.on(name):
                    file.rename(nvrd.store / file.relative_to(nvrd.place(name)))
            for file in nvrd.store.glob("nvrd.db*"):
                file.unlink()
        nvrd.limits |= {"hot": "max_size: 1KB", "warm": "max_size: 1KB"}
        nvrd.configure({})
        faults.forget()
        faults.choose(at=number, operations=disk.ALL, kill=True)
        with contextlib.suppress(RuntimeError, OSError):
            nvrd.start()
        ended = wait_for(lambda: nvrd.process.poll() is not None or (len(nvrd.on("cold")) == len(contents) and not nvrd.on("warm") and not nvrd.on("hot")), 60)
        killed = nvrd.process.poll() is not None
        nvrd.stop(signal.SIGKILL)
        if killed:
            kills += 1
            moved = []
            kinds.add(faults.operation(number).kind)
        else:
            moved.append(number)
        if not ended:
            wrong.append(f"{number}: nothing moves")
        copies = {path: names for path, names in nvrd.places().items() if path in contents}
        if copies.keys() != contents.keys():
            wrong.append(f"{number}: lost {contents.keys() - copies.keys()}")
        # the next start puts it right
        nvrd.limits |= {"hot": "", "warm": ""}
        nvrd.configure({})
        faults.calm(0)
        nvrd.start()
        if not wait_for(lambda: not nvrd.disagreement(), 10):
            wrong.append(f"{number} {faults.operation(number)}: {nvrd.disagreement()}")
        for path, names in nvrd.places().items():
            if (nvrd.place(names[0]) / path).read_bytes() != contents.get(path):
                wrong.append(f"{number}: {path} on {names} has other bytes")
            if nvrd.get("/" + urllib.parse.quote(path)) != contents.get(path):
                wrong.append(f"{number}: {path} is served with other bytes")
        if len(nvrd.places()) != len(contents):
            wrong.append(f"{number}: {len(nvrd.places())} of {len(contents)}")
        nvrd.stop(signal.SIGKILL)
        if len(wrong) > 5:
            break
    print(f"# killed {kills} times, before operations up to {number}: {sorted(kinds)}")
    report(not wrong, f"after {kills} kills each recording is there once, with one row", "\n".join(wrong[:10]))
    wanted = {"create", "write", "sync", "rename", "remove"} if LONG else {"write", "sync"}  # the others are few
    report(kills >= (60 if LONG else 10) and wanted <= kinds, "each kind of operation of a move was the last one", kinds)
    report(len(moved) == 2, "and at last they have moved", nvrd.log()[-800:])


@contextlib.contextmanager
def file_systems(**sizes):
    """Small file systems of their own; None where that is not to be had."""
    probe = Nvrd(start=False)
    mounted = []
    try:
        for name, size in sizes.items():
            (probe.folder / name).mkdir()
            if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", probe.folder / name], capture_output=True).returncode:
                yield None
                return
            mounted.append(probe.folder / name)
        yield probe.folder
    finally:
        for mount in mounted:
            subprocess.run(["umount", "-l", mount], capture_output=True)
        probe.remove()


def free_share(mount):
    space = os.statvfs(mount)
    return space.f_bavail / space.f_blocks


def deleted(nvrd):
    return [line for line in nvrd.get("/metrics").decode().splitlines() if line.startswith("nvrd_retention_deleted_total") and not line.endswith(" 0")]


def check_reserve():
    """Free space of the hot volume never falls below the reserve, and as long as there is room on the warm one nothing is deleted."""
    with file_systems(hot="48m", warm="64m") as top:
        if not top:
            return skip("reserve", "needs file systems of its own")
        cameras = {f"c{i}": TEST for i in range(4)}
        nvrd = Tiers(cameras, {"hot": "", "warm": ""}, top=top, segment="1s", storage=["reserve: 10%"])
        (top / "hot" / "ballast").write_bytes(bytes(int((free_share(top / "hot") - 0.45) * 48 * 2**20)))
        lowest = [1.0]

        def enough():
            lowest[0] = min(lowest[0], free_share(top / "hot"))
            return nvrd.moved() >= 80  # more than margins can take
        report(wait_for(enough, 90), "the oldest move on for the reserve", nvrd.log()[-800:])
        report(lowest[0] >= 0.1, "free space never falls below it", lowest)
        report(not deleted(nvrd), "nothing is deleted", deleted(nvrd))
        (top / "warm" / "ballast").write_bytes(bytes(int((free_share(top / "warm") - 0.12) * 64 * 2**20)))
        report(wait_for(lambda: any('reason="reserve"' in line for line in deleted(nvrd)), 60), "when the last one is full, the oldest are deleted there", nvrd.log()[-800:])
        hot = {path for path, names in nvrd.places().items() if "hot" in names}
        report(min(start for path, start in nvrd.rows("path, start_us") if path in hot) >
               min(start for path, start in nvrd.rows("path, start_us") if path not in hot), "and not on the first", nvrd.log()[-800:])
        report(not [line for line in nvrd.get("/metrics").decode().splitlines() if line.startswith("nvrd_recorder_lost")], "nothing that is recorded is lost")
        report(nvrd.stop() == 0, "SIGTERM ends it")


def check_full():
    """The warm volume is full of other things: what is to move stays on the hot one, as long as there is room."""
    with file_systems(warm="32m") as top:
        if not top:
            return skip("full", "needs a file system of its own")
        nvrd = Tiers({"porch": TEST}, {"hot": "max_size: 1KB", "warm": ""}, top=top, segment="1s", start=False)
        nvrd.place("warm").mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            with open(top / "warm" / "ballast", "wb") as stream:
                while True:
                    stream.write(bytes(4096))
                    stream.flush()
        nvrd.start()
        os.truncate(top / "warm" / "ballast", os.path.getsize(top / "warm" / "ballast") - 8192)  # its marker has its place
        report(wait_for(lambda: len(nvrd.on("hot")) >= 8, 40) and not nvrd.on("warm") and not deleted(nvrd), "while the next volume is full recordings stay", nvrd.log()[-800:])
        nvrd.stop()
        os.truncate(top / "warm" / "ballast", 0)
        nvrd.start()
        report(wait_for(lambda: nvrd.moved() >= 8, 60), "when there is room they move", nvrd.log()[-1500:])
        report(nvrd.stop() == 0, "SIGTERM ends it")


if __name__ == "__main__":
    check_moves()
    check_plan()
    check_kills()
    check_reserve()
    check_full()
    finish()
