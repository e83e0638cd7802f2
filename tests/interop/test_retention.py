#!/usr/bin/env python3
"""What is kept, and what goes: by age, by size, for the reserve of a small disk; the plan tells it before.

NVRD_LONG=1: also with a million recordings in the catalogue, and prints what it took.
"""
import os
import pathlib
import sqlite3
import subprocess
import time

from daemon import NVRD, Nvrd, finish, report, skip, wait_for

LONG = os.environ.get("NVRD_LONG") == "1"
TEST = {"source": '"test:"'}


def deleted(nvrd, camera, reason):
    return nvrd.metric(f'nvrd_retention_deleted_total{{camera="{camera}",reason="{reason}"}}')


def rows(nvrd):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return database.execute("select path, camera, bytes, state from segments order by start_us").fetchall()


def agrees(nvrd):
    """The catalogue names exactly the files that are there."""
    return sorted(row[0] for row in rows(nvrd)) == sorted(str(path.relative_to(nvrd.store)) for path in nvrd.store.glob("recordings/*/*/*.mp4"))


def plan(nvrd):
    """The lines of --retention-plan, and its last one."""
    done = subprocess.run([NVRD, "--retention-plan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines() or [done.stderr]
    return [line.split("\t") for line in lines[:-1]], lines[-1]


def check_age():
    nvrd = Nvrd({"brief": {**TEST, "keep": "6s"}, "long": TEST}, segment="1s")
    report(wait_for(lambda: deleted(nvrd, "brief", "keep") >= 4, 40), "what is older than keep goes", nvrd.log()[-1500:])
    report(wait_for(lambda: agrees(nvrd), 20), "files and catalogue agree", rows(nvrd))
    kept, all_of_it = len(nvrd.files("brief")), len(nvrd.files("long"))
    report(kept < all_of_it and deleted(nvrd, "long", "keep") == 0, "another camera keeps what it has", (kept, all_of_it))
    report(wait_for(lambda: len(nvrd.files("brief")) >= 3, 20), "what is younger stays")
    oldest = nvrd.metric('nvrd_camera_oldest_recording_timestamp_seconds{camera="brief"}')
    newest = nvrd.metric('nvrd_camera_newest_recording_timestamp_seconds{camera="brief"}')
    report(0 < newest - oldest < 60 and abs(newest - time.time()) < 60, "metrics tell of the oldest and the newest", (oldest, newest))
    count = deleted(nvrd, "brief", "keep")
    nvrd.configure({"brief": {**TEST, "keep": "forever"}, "long": TEST})
    nvrd.reload()
    wait_for(lambda: "applied" in nvrd.log(), 10)
    count = deleted(nvrd, "brief", "keep")
    more = len(nvrd.files("brief")) + 8
    wait_for(lambda: len(nvrd.files("brief")) >= more, 40)
    report(deleted(nvrd, "brief", "keep") <= count + 1, "with forever nothing goes by age any more")
    report(nvrd.stop() == 0, "SIGTERM ends it")


def check_sizes():
    cameras = {"one": TEST, "two": TEST}
    nvrd = Nvrd(cameras, segment="1s")
    report(wait_for(lambda: len(nvrd.files("one")) >= 9 and len(nvrd.files("two")) >= 9, 40), "two cameras record", nvrd.log()[-1500:])
    sizes = [row[2] for row in rows(nvrd) if row[1] == "one" and row[3]]
    limit = sum(sizes[-4:]) // 1000  # KB
    nvrd.configure({**cameras, "one": {**TEST, "max_size": f"{limit}KB"}})
    before = [row for row in rows(nvrd) if row[1] == "one"]
    lines, total = plan(nvrd)
    report(lines and all(line[1] == "one" and line[3] == "camera_max_size" for line in lines), "--retention-plan says what a camera's max_size would do", lines)
    report([line[0] for line in lines] == [row[0] for row in before[: len(lines)]], "the oldest, in order", lines)
    report(total == f"{len(lines)} recordings, {sum(int(line[2]) for line in lines)} bytes", "and the sum", total)
    report(deleted(nvrd, "one", "camera_max_size") == 0 and (nvrd.store / lines[0][0]).exists(), "and changes nothing")
    nvrd.reload()
    report(wait_for(lambda: not any((nvrd.store / line[0]).exists() for line in lines), 15), "a reload does it", nvrd.log()[-800:])
    report(wait_for(lambda: sum(row[2] for row in rows(nvrd) if row[1] == "one") <= limit * 1000, 15), "max_size of a camera holds", rows(nvrd))
    report(wait_for(lambda: 0 < nvrd.metric('nvrd_camera_recorded_bytes{camera="one"}') <= limit * 1000, 15), "the metric says so")
    report(deleted(nvrd, "two", "camera_max_size") == 0, "the other camera loses nothing")

    nvrd.storage = [f"max_size: {limit}KB"]
    nvrd.configure(cameras)
    nvrd.reload()
    report(wait_for(lambda: deleted(nvrd, "two", "max_size") >= 4, 20), "max_size of all of them takes the oldest", nvrd.log()[-800:])
    report(wait_for(lambda: sum(row[2] for row in rows(nvrd)) <= limit * 1000, 15), "and holds", rows(nvrd))
    left = {camera: min(row[0].rpartition("/")[2] for row in rows(nvrd) if row[1] == camera) for camera in cameras}
    report(wait_for(lambda: agrees(nvrd), 20), "files and catalogue agree", left)
    report(nvrd.stop() == 0, "SIGTERM ends it")

    day = nvrd.store / "recordings" / "former" / "2026-01-02"
    day.mkdir(parents=True)
    (day / "03-04-05+0000.mp4").write_bytes(bytes(1000))
    (day / "unknown.mp4").write_bytes(bytes(1000))
    other = nvrd.store / "recordings" / "former" / "2026-01-03"
    other.mkdir()
    (other / "03-04-05+0000.mp4").write_bytes(bytes(1000))
    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        for number, folder in ((-1, day), (-2, other)):  # recorded before all others
            path = str((folder / "03-04-05+0000.mp4").relative_to(nvrd.store))
            database.execute("insert into segments (id, camera, stream, path, folder, start_us, end_us, bytes, codecs, width, height, state)"
                             " values (?, 'former', 'main', ?, ?, 1, 2, 1000, '', 1, 1, 1)", (number, path, path.rpartition("/")[0]))
    nvrd.storage = [f"max_size: {(sum(row[2] for row in rows(nvrd)) - 1500) // 1000}KB"]  # both of the former camera's are too much
    nvrd.configure(cameras)
    lines, total = plan(nvrd)
    report(len(lines) >= 2 and all(line[1] == "former" for line in lines[:2]), "--retention-plan works without a running nvrd", total)
    nvrd.start()
    report(wait_for(lambda: not other.exists() and not (day / "03-04-05+0000.mp4").exists(), 20), "what a former camera left goes, with its empty folder")
    report((day / "unknown.mp4").exists(), "a file that nvrd does not know stays")
    nvrd.stop()


def free_share(mount):
    space = os.statvfs(mount)
    return space.f_bavail / space.f_blocks


def check_reserve():
    """A store on a small tmpfs: free space never falls below the reserve, and nothing that is recorded is lost."""
    probe = Nvrd(start=False)
    mount = probe.folder / "small"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", mount], capture_output=True).returncode:
        probe.remove()
        return skip("reserve", "needs a tmpfs of its own")
    try:
        cameras = {f"c{i}": TEST for i in range(4)}
        nvrd = Nvrd(cameras, store=mount / "store", segment="1s", storage=["reserve: 10%"])
        report(wait_for(lambda: all(len(nvrd.files(c)) >= 4 for c in cameras), 40), "four cameras record", nvrd.log()[-800:])
        (mount / "ballast").write_bytes(bytes(int((free_share(mount) - 0.33) * 64 * 2**20)))
        lowest = [1.0]

        def enough():
            lowest[0] = min(lowest[0], free_share(mount))
            return all(deleted(nvrd, c, "reserve") >= 10 for c in cameras)
        report(wait_for(enough, 90), "the oldest make room for the reserve", nvrd.log()[-800:])
        report(lowest[0] >= 0.1, "free space never falls below it", lowest)
        report(not [r for r in nvrd.get("/metrics").decode().splitlines() if r.startswith("nvrd_recorder_lost")], "nothing is lost")
        counts = [len(nvrd.files(c)) for c in cameras]
        report(min(counts) >= 1 and max(counts) - min(counts) <= 3, "all cameras keep equally much", counts)
        report(nvrd.metric("nvrd_retention_errors_total") == 0 and "error" not in nvrd.log(), "without an error", nvrd.log()[-800:])
        with open(mount / "ballast", "ab") as stream:  # somebody else takes what is free, and part of the reserve
            stream.write(bytes(int((free_share(mount) - 0.085) * 64 * 2**20)))
        report(wait_for(lambda: free_share(mount) >= 0.1, 20), "what somebody else took is made up for", (free_share(mount), nvrd.log()[-800:]))
        report(nvrd.stop() == 0, "SIGTERM ends it")
        report(agrees(nvrd), "files and catalogue agree")
    finally:
        subprocess.run(["umount", "-l", mount])
        probe.remove()


def films(nvrd, camera):
    return [path for path in nvrd.files(camera) if path.name.startswith("timelapse")]


def closed(nvrd, camera, is_film):
    """The paths of what of it has ended, the oldest first."""
    return [path for path, of, _, state in rows(nvrd) if of == camera and state and ("/timelapse" in path) == is_film]


def check_timelapses():
    """Limits of their own: what ended goes, the oldest first, and nothing that was recorded."""
    film = {**TEST, "timelapse": "{every: 1s}"}
    nvrd = Nvrd({"film": film}, segment="1s", start=False)
    pictures = 'nvrd_timelapse_pictures_total{camera="film",result="written"}'
    for _ in range(3):
        nvrd.start()
        report(wait_for(lambda: nvrd.metric(pictures) >= 2, 30), "a camera makes a time-lapse", nvrd.log()[-800:])
        nvrd.stop()
    made, recorded = closed(nvrd, "film", True), closed(nvrd, "film", False)
    report(len(made) == 3 and len(recorded) >= 3 and agrees(nvrd), "each run left one, beside recordings", rows(nvrd))
    report(plan(nvrd)[0] == [], "nothing is to go without limits", plan(nvrd))
    last = (nvrd.store / made[-1]).stat().st_size
    nvrd.configure({"film": {**film, "timelapse": f"{{every: 1s, max_size: {last // 1000 + 1}KB}}"}})
    lines, _ = plan(nvrd)
    report([(line[0], line[3:]) for line in lines] == [(path, ["camera_max_size", "delete"]) for path in made[:-1]],
           "--retention-plan says what timelapse.max_size would do", lines)
    nvrd.configure({"film": {**film, "timelapse": "{every: 1s, keep: 1s}"}})
    report(wait_for(lambda: [(line[0], line[3]) for line in plan(nvrd)[0]] == [(path, "keep") for path in made], 10), "and timelapse.keep", plan(nvrd))
    nvrd.configure({"film": {**film, "timelapse": "{every: 1s, max_size: 1KB}"}})
    nvrd.start()
    report(wait_for(lambda: deleted(nvrd, "film", "camera_max_size") == 3 and not closed(nvrd, "film", True), 30), "what ended goes", nvrd.log()[-800:])
    report(wait_for(lambda: nvrd.metric(pictures) >= 3, 30) and wait_for(lambda: len(films(nvrd, "film")) == 1, 10), "what is being made stays", films(nvrd, "film"))
    report(set(recorded) <= set(closed(nvrd, "film", False)) and wait_for(lambda: agrees(nvrd), 20), "and all that was recorded", rows(nvrd))
    nvrd.stop()


def check_reserve_of_timelapses():
    """A small disk full of them: the oldest go where recordings make no room, and it is never full."""
    nvrd = Nvrd(start=False)
    mount = nvrd.folder / "small"
    mount.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", mount], capture_output=True).returncode:
        return skip("reserve of time-lapses", "needs a tmpfs of its own")
    try:
        nvrd.store, nvrd.storage = mount / "store", ["reserve: 10%"]
        nvrd.configure({})
        nvrd.start()
        nvrd.stop()
        days = [f"recordings/former/2026-01-{day:02}" for day in range(1, 16)]
        with sqlite3.connect(nvrd.store / "nvrd.db") as database:
            for i, day in enumerate(days):
                (nvrd.store / day).mkdir(parents=True)
                (nvrd.store / day / "timelapse.mp4").write_bytes(bytes(4 << 20))
                database.execute("insert into segments (camera, stream, path, folder, start_us, end_us, bytes, codecs, width, height, state)"
                                 " values ('former', 'timelapse', ?, ?, ?, ?, ?, '', 1, 1, 1)", (f"{day}/timelapse.mp4", day, i * 10**6, i * 10**6 + 1, 4 << 20))
        report(free_share(mount) < 0.1, "a former camera's time-lapses leave less than the reserve", free_share(mount))
        lines, _ = plan(nvrd)
        report(lines and lines[0][0] == f"{days[0]}/timelapse.mp4" and {tuple(line[3:]) for line in lines} == {("reserve", "delete")}, "--retention-plan says which go", lines)
        cameras = {f"c{i}": TEST for i in range(2)}
        nvrd.segment = "1s"
        nvrd.configure(cameras)
        nvrd.start()
        report(wait_for(lambda: deleted(nvrd, "former", "reserve") >= len(lines) and free_share(mount) >= 0.1, 30), "they go", (free_share(mount), nvrd.log()[-800:]))
        lowest = [1.0]

        def enough():
            lowest[0] = min(lowest[0], free_share(mount))
            return all(deleted(nvrd, c, "reserve") >= 5 for c in cameras)
        report(wait_for(enough, 60), "so do recordings, as they come", nvrd.log()[-800:])
        report(lowest[0] >= 0.1, "free space never falls below the reserve", lowest)
        gone = deleted(nvrd, "former", "reserve")
        (mount / "ballast").write_bytes(bytes(int((free_share(mount) - 0.02) * 64 * 2**20)))
        report(wait_for(lambda: free_share(mount) >= 0.1 and deleted(nvrd, "former", "reserve") > gone, 30), "and more of them when somebody else needs room",
               (free_share(mount), nvrd.log()[-800:]))
        report("the oldest time-lapses are deleted" in nvrd.log(), "the log says so", nvrd.log()[-800:])
        report(not [r for r in nvrd.get("/metrics").decode().splitlines() if r.startswith("nvrd_recorder_lost")], "nothing is lost")
        nvrd.stop()
        left = [day for day in days if (nvrd.store / day).exists()]
        report(left == days[len(days) - len(left):] and agrees(nvrd), "the youngest are left", left)
    finally:
        subprocess.run(["umount", "-l", mount])


def fill(nvrd, count, files):
    """So many recordings of 100 cameras before all others, each with an index of 10 KB; of the first ones there are files."""
    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        database.execute("pragma journal_mode = off")
        database.execute("pragma synchronous = off")
        database.execute(
            "with recursive n(i) as (select 0 union all select i + 1 from n where i < ?)"
            " insert into segments (id, camera, stream, path, folder, start_us, end_us, bytes, codecs, width, height, state, fragments)"
            " select i - 2000000, 'old' || (i % 100), 'main', 'recordings/old' || (i % 100) || '/d' || (i / 10000) || '/' || i || '.mp4',"
            "  'recordings/old' || (i % 100) || '/d' || (i / 10000), i * 6000000, i * 6000000 + 5999999, 1000000, 'avc1.640028', 1920, 1080, 1, randomblob(10000) from n", (count - 1,))
    for i in range(files):
        path = nvrd.store / f"recordings/old{i % 100}/d{i // 10000}/{i}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        database.execute("pragma journal_mode = wal")
    os.sync()  # ten gigabytes are on their way to the disk


def resident_mib(nvrd):
    for line in pathlib.Path(f"/proc/{nvrd.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def first_frame(nvrd):
    start = time.monotonic()
    nvrd.start()
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') > 0, 60)
    return time.monotonic() - start


def check_a_million():
    nvrd = Nvrd({"porch": TEST}, start=False, segment="1m")
    seconds = first_frame(nvrd)
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="porch"}') > 30, 60)
    memory = resident_mib(nvrd)
    nvrd.stop()
    fill(nvrd, 1000000, 10000)
    many = first_frame(nvrd)
    print(f"# start to first recorded frame: {seconds:.2f} s, with a million recordings {many:.2f} s")
    report(many < seconds + 1, "a million recordings do not delay the start")
    known = nvrd.metric("nvrd_catalogue_segments")
    nvrd.storage = ["max_size: 990GB"]
    nvrd.configure({"porch": TEST})
    start = time.monotonic()
    nvrd.reload()
    report(wait_for(lambda: nvrd.metric("nvrd_catalogue_segments") <= known - 9900, 300), "10,000 are deleted", nvrd.log()[-800:])
    lag, more = nvrd.metric("nvrd_reactor_lag_max_seconds"), resident_mib(nvrd) - memory
    print(f"# 10,000 deletions in {time.monotonic() - start:.1f} s, worst lag {lag * 1000:.1f} ms, {more:.1f} MiB more than without")
    report(lag < 0.05, "the reactor's lag stays under 50 ms", lag)
    report(more < 32, "at most 32 MiB more memory", more)
    report(not [r for r in nvrd.get("/metrics").decode().splitlines() if r.startswith("nvrd_recorder_lost")], "nothing is lost")
    start = time.monotonic()
    lines, total = plan(nvrd)
    print(f"# --retention-plan: {time.monotonic() - start:.2f} s, {total}")
    nvrd.stop()


check_age()
check_sizes()
check_reserve()
check_timelapses()
check_reserve_of_timelapses()
if LONG:
    check_a_million()
finish()
