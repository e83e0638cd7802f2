#!/usr/bin/env python3
"""kill -9 in the middle of a segment: the running file plays to within a second of the kill."""
import signal
import sqlite3

import media
from daemon import Camera, Nvrd, finish, report, wait_for


def main():
    source = media.make("h264", 85)
    camera = Camera(f"a=file:{source}")
    nvrd = Nvrd({"porch": {"source": f'"{camera.url("a")}"'}}, segment="1h")
    frames = 'nvrd_camera_frames_total{camera="porch",kind="video"}'
    report(wait_for(lambda: nvrd.metric(frames) > 200, 30), "eight seconds arrived")
    received = nvrd.metric(frames)
    nvrd.stop(signal.SIGKILL)
    path = nvrd.files("porch")[0]
    packets = media.packets(path)
    report(len(packets) >= received - 25, "the file has all but the last second of what had arrived", (len(packets), received))
    report(not media.decode_messages(path), "it decodes without a message", media.decode_messages(path))

    nvrd.start()
    database = sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True)
    rows = wait_for(lambda: database.execute("select path, bytes, end_us - start_us from segments where state = 1 order by start_us").fetchall(), 10)
    report(rows and rows[0][0] == str(path.relative_to(nvrd.store)), "after the next start the catalogue knows it", rows)
    report(rows[0][1] == path.stat().st_size, "with its size", (rows[0], path.stat().st_size))
    report(len(media.packets(path)) == len(packets) and not media.decode_messages(path), "it is closed without losing a frame")
    report(abs(rows[0][2] / 1e6 - media.duration(path)) < 0.2, "with its right length", (rows[0], media.duration(path)))
    report(wait_for(lambda: len(nvrd.files("porch")) == 2, 15), "recording goes on in a new file")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()
    finish()


main()
