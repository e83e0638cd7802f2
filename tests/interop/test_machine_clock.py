#!/usr/bin/env python3
"""A machine whose clock is wrong, is set by NTP, and steps: recordings get their true times, no frame is lost."""
import datetime
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import media
from daemon import Camera, Nvrd, finish, report, wait_for
from machine_clock import MachineClock

HOUR = 3600 * 1000000
def rows(nvrd):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return database.execute("select path, start_us, end_us, boot_us from segments where state = 1 order by start_us").fetchall()


def name_says_us(path):
    """When a file begins, by its name."""
    day, name = pathlib.Path(path).parts[-2:]
    return datetime.datetime.strptime(f"{day} {name[:13]}", "%Y-%m-%d %H-%M-%S%z").timestamp() * 1000000


def is_true(nvrd, row):
    """Whether name and start of a recording are the truth, which only the file system knows: when the file was made."""
    path, start, *_ = row
    born = int(subprocess.check_output(["stat", "-c", "%W", nvrd.store / path])) * 1000000
    return -1000000 < name_says_us(path) - start <= 0 and -2000000 < born - start < 4000000


def check_whole(nvrd, source, name):
    """Every frame from the first recorded one to the last is there once, in the order of the files' writing."""
    files = sorted(nvrd.files("porch"), key=lambda path: path.stat().st_mtime_ns)
    recorded = [p[3] for path in files for p in media.packets(path)]
    sent = [p[3] for p in media.packets(source)]
    start = sent.index(recorded[0])
    report(recorded == sent[start:start + len(recorded)], f"{name}: {len(recorded)} frames in {len(files)} files are a run of the camera's")


def check_summer_time(clock, cameras, source, name, instant, step):
    """The hour that comes twice in autumn and the one that is missing in spring; twice the same hour again by a step of the clock."""
    def say(text):
        clock.say(round((datetime.datetime.fromisoformat(text).timestamp() - time.time()) * 1000000), True)

    say(instant)
    nvrd = Nvrd(cameras, segment="2s", environment={**clock.environment, "TZ": "Europe/Berlin"})
    report(wait_for(lambda: len(rows(nvrd)) >= 5, 40), f"{name}: the camera is recorded")
    if step:  # from 02:00:06+0100 back to 02:00:00+0200, which was not recorded yet
        say("2026-10-25T00:00:00+00:00")
        report(wait_for(lambda: any("/02-00-" in row[0] and "+0200" in row[0] for row in rows(nvrd)), 40), f"{name}: back to the first of two equal hours", rows(nvrd))
    nvrd.stop()
    names = [row[0].rpartition("/")[2] for row in rows(nvrd)]
    borders = ("02-59-5.*0200", "02-00-0.*0100", "02-00-0.*0200") if step else ("01-59-5.*0100", "03-00-0.*0200")
    report(all(any(re.match(border, name) for name in names) for border in borders), f"{name}: files are named by the time that was in force", names)
    report(all(-1000000 < name_says_us(row[0]) - row[1] <= 0 for row in rows(nvrd)), f"{name}: and so they start", rows(nvrd))
    report(len(set(names)) == len(names) == len(nvrd.files("porch")), f"{name}: no name comes twice, each has its file")
    ordered = rows(nvrd)
    report(all(a[2] <= b[1] + 40000 for a, b in zip(ordered, ordered[1:])), f"{name}: nothing overlaps", ordered)
    check_whole(nvrd, source, name)


def main():
    source = media.make("small", 120, size="640x360", bitrate="500k")
    clock = MachineClock()
    camera = Camera(f"a=file:{source}")
    cameras = {"porch": {"source": f'"{camera.url("a")}"'}}

    clock.say(-50 * HOUR, False)
    nvrd = Nvrd(cameras, segment="2s", environment=clock.environment)
    connects = 'nvrd_camera_connects_total{camera="porch"}'
    report(wait_for(lambda: len(rows(nvrd)) >= 2, 30), "a machine whose clock nobody has set records")
    report(nvrd.metric("nvrd_clock_set") == 0 and all(row[3] for row in rows(nvrd)), "and marks what it records", rows(nvrd))
    nvrd.stop(signal.SIGKILL)
    killed = {path for path, *_ in rows(nvrd)}
    nvrd.start()
    report(wait_for(lambda: len(rows(nvrd)) >= len(killed) + 2, 30), "so it does after a crash")
    early = len(rows(nvrd))
    clock.say(0, True)
    report(wait_for(lambda: len(rows(nvrd)) >= early + 2 and not any(row[3] for row in rows(nvrd)), 30), "the clock is set: nothing stays marked", rows(nvrd))
    report(nvrd.metric(connects) == 1, "the camera stays connected")
    nvrd.stop()
    report(all(is_true(nvrd, row) for row in rows(nvrd)), "names and starts are the truth", rows(nvrd))
    report(sorted(row[0] for row in rows(nvrd)) == [str(path.relative_to(nvrd.store)) for path in nvrd.files("porch")], "catalogue and disk agree")
    starts = [row[1] for row in rows(nvrd)]
    ends = [row[2] for row in rows(nvrd)]
    report(all(e <= s + 40000 for e, s in zip(ends, starts[1:])), "nothing overlaps", rows(nvrd))
    report(not [day for day in (nvrd.store / "recordings" / "porch").iterdir() if not any(day.iterdir())], "and no empty folder is left")

    clock.say(0, False)
    nvrd = Nvrd(cameras, segment="2s", environment=clock.environment)
    report(wait_for(lambda: len(rows(nvrd)) >= 2, 30), "a clock that nobody has set may be right")
    before = rows(nvrd)
    clock.say(300000, True)
    report(wait_for(lambda: len(rows(nvrd)) > len(before) and not any(row[3] for row in rows(nvrd)), 30), "it is confirmed")
    report([row[:3] for row in rows(nvrd)][:len(before)] == [row[:3] for row in before], "and nothing is renamed")

    for wrong, name in ((HOUR, "an hour forward"), (0, "an hour back")):
        count = len(rows(nvrd))
        clock.say(wrong, True)
        report(wait_for(lambda: len(rows(nvrd)) >= count + 3, 30), f"the clock steps {name}: recording goes on")
    report(nvrd.metric(connects) == 1, "on the same connection")
    nvrd.stop()
    check_whole(nvrd, source, "through both steps")
    report(len({row[0] for row in rows(nvrd)}) == len(nvrd.files("porch")) == len(rows(nvrd)), "each file has its row")
    in_future = [row for row in rows(nvrd) if row[1] > rows(nvrd)[0][1] + HOUR / 2]
    report(len(in_future) >= 2 and all(-1000000 < name_says_us(row[0]) - row[1] <= 0 for row in rows(nvrd)), "whose name and start are what the clock said")
    for name, instant, step in (("into winter time", "2026-10-25T00:59:56+00:00", HOUR), ("into summer time", "2026-03-29T00:59:56+00:00", 0)):
        check_summer_time(clock, cameras, source, name, instant, step)
    camera.stop()
    finish()


main()
