#!/usr/bin/env python3
"""nvrd --rescan: without the database, the files alone give the same rows."""
import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess

import media
from daemon import NVRD, Camera, Nvrd, finish, report, wait_for

SAME = "camera, stream, volume, path, folder, start_us, end_us, bytes, codecs, width, height, state, boot_id, boot_us, fragments, events"


def columns(nvrd):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return [row[1] for row in database.execute("pragma table_info(segments)")]


def rows(nvrd):
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        return database.execute(f"select {SAME} from segments order by path").fetchall()


def differences(before, after):
    """Which columns of which paths are not the same."""
    names = SAME.split(", ")
    a, b = ({row[3]: row for row in side} for side in (before, after))
    found = [f"{path}: only {'before' if path in a else 'after'}" for path in a.keys() ^ b.keys()]
    return found + [f"{path}: {name}: {str(x)[:40]} {str(y)[:40]}" for path in a.keys() & b.keys()
                    for name, x, y in zip(names, a[path], b[path]) if x != y]


def rescan(nvrd):
    done = subprocess.run([NVRD, "--rescan", "-c", nvrd.file], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def remove_database(nvrd):
    for file in nvrd.store.glob("nvrd.db*"):
        file.unlink()


def main():
    h264 = media.make("small", 60, size="640x360", bitrate="500k")
    h265 = media.make("h265", 20, codec=media.H265, size="640x360", bitrate="500k", audio=False)
    frames = media.make("frames-b", 20, codec=["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"], size="320x240", bitrate="300k")
    camera = Camera(f"a=file:{h264}", f"b=file:{h265}:h265silent")
    cameras = {"porch": {"source": f'"{camera.url("a")}"', "timelapse": "{every: 2s}"},
               "yard": {"source": f'"{camera.url("b")}"'},
               "b-frames": {"source": f'"av:{frames}"', "loop": "yes"},
               "demo": {"source": '"test:"'}}
    nvrd = Nvrd(cameras, segment="2s")
    report(wait_for(lambda: all(len(nvrd.files(c)) >= 3 for c in cameras), 60), "four cameras record", nvrd.log()[-1500:])
    code, said = rescan(nvrd)
    report(code == 1 and "another nvrd" in said, "a store that is in use is not touched", said)
    nvrd.stop(signal.SIGKILL)
    nvrd.start()
    count = {c: len(nvrd.files(c)) for c in cameras}
    wait_for(lambda: all(len(nvrd.files(c)) >= count[c] + 2 for c in cameras), 60)
    report(nvrd.stop() == 0, "with a kill between, and a stop")
    before = rows(nvrd)
    report(set(columns(nvrd)) == {"id", *SAME.split(", ")}, "all columns but the id are compared", columns(nvrd))
    report(len(before) == sum(len(nvrd.files(c)) for c in cameras) >= 20 and all(row[11] == 1 for row in before), "each file has a closed row", len(before))

    remove_database(nvrd)
    (nvrd.store / "recordings/porch/2026-01-01").mkdir()
    (nvrd.store / "recordings/porch/2026-01-01/00-00-00+0000.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" b"\0\0\0\x20mdat" + bytes(24))  # as a camera writes them
    code, said = rescan(nvrd)
    report(code == 0 and f"recordings: {len(before)}," in said and "left alone: 1" in said, "--rescan without a database says what it found", said)
    report(differences(before, rows(nvrd)) == [], "the same rows, column by column", "\n".join(differences(before, rows(nvrd))[:20]))
    report((nvrd.store / "recordings/porch/2026-01-01/00-00-00+0000.mp4").exists(), "a file that is no recording stays")

    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        database.execute("insert into gaps values ('porch', 1, 2, 'disk')")
        database.execute("update segments set start_us = start_us + 1, codecs = 'x', fragments = null where camera = 'yard'")
        database.execute("delete from segments where camera = 'demo'")
        database.execute("update segments set path = path || 'x' where camera = 'porch'")
    code, said = rescan(nvrd)
    report(code == 0 and differences(before, rows(nvrd)) == [], "rows that are wrong are right afterwards", said)
    with sqlite3.connect(nvrd.store / "nvrd.db") as database:
        report(database.execute("select count(*) from gaps where start_us = 1").fetchone()[0] == 1, "gaps are kept, since no file tells of them")
        database.execute("pragma wal_checkpoint(truncate)")  # a page that is in the log is not missed

    with open(nvrd.store / "nvrd.db", "r+b") as stream:  # its pages, not its head
        stream.seek(8192)
        stream.write(b"\xa5" * 30000)
    code, said = rescan(nvrd)
    report(code == 0 and differences(before, rows(nvrd)) == [], "so is a database with damaged pages", said)
    report([f for f in nvrd.store.glob("nvrd.db.damaged-*") if not f.name.endswith(("-wal", "-shm"))], "which is kept under another name")

    nvrd.start()
    report(nvrd.get(f"/{before[0][3]}") == pathlib.Path(nvrd.store / before[0][3]).read_bytes(), "nvrd serves them")
    nvrd.stop()


main()
finish()
