#!/usr/bin/env python3
"""500 idle and 50 busy HTTP clients and 50 FTP clients at once, while eight cameras record: no frame is lost, and all are served.

Half a minute; five with NVRD_LONG=1.
"""
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import time

import footage
import media
from daemon import HERE, Nvrd, finish, report, wait_for
from scripted_camera import ScriptedCamera, h264_units

SECONDS = 300 if os.environ.get("NVRD_LONG") == "1" else 30
IDLE, BUSY, FTPS, CAMERAS, FPS = 500, 50, 50, 8, 25
LOGINS = ["u0", "u1", "u2", "u3", "u4"]  # FTP takes 16 sessions of each
PASSWORD = "secret"
USUAL_FILES = 256  # how many a process may have open


def frames(nvrd, i):
    return nvrd.metric(f'nvrd_camera_frames_total{{camera="c{i}",kind="video"}}')


def start(cameras):
    """Begins with a small limit of open files, as systems have it."""
    names = {f"c{i}": {"source": f'"{camera.url()}"'} for i, camera in enumerate(cameras)}
    nvrd = Nvrd(names, segment="10s", users="\n".join(f"{user}: {{password: {PASSWORD}, role: operator}}" for user in LOGINS), login=(LOGINS[0], PASSWORD),
                storage=("reserve: 1MB",), listen=('ftp: "127.0.0.1:0"', "ftp_passive: 41000-41999"), start=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_FILES, hard))
    try:
        nvrd.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return nvrd


def load(nvrd):
    """What the clients' process says when its time is over, and the most descriptors that nvrd had open meanwhile."""
    files = [path for i in range(CAMERAS) for path, _, _, closed in footage.rows(nvrd, f"c{i}") if closed]
    job = {"http": nvrd.http, "ftp": re.findall(r"ftp://([0-9.:]+)/", nvrd.log())[-1], "store": str(nvrd.store), "files": files, "idle": IDLE, "busy": BUSY,
           "ftps": FTPS, "seconds": SECONDS, "users": LOGINS, "password": PASSWORD}
    process = subprocess.Popen([sys.executable, str(HERE / "load.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    most = 0
    try:
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        end = time.monotonic() + SECONDS + 90
        while process.poll() is None and time.monotonic() < end:
            most = max(most, len(os.listdir(f"/proc/{nvrd.process.pid}/fd")))
            time.sleep(0.5)
        return json.loads(process.stdout.read() if process.poll() == 0 else "{}"), most
    finally:
        process.kill()
        process.wait()


def check_served(told, most):
    if not report(told, "the clients came to their end"):
        return
    rounds = told["rounds"]
    print("# " + ", ".join(f"{kind}: {sum(n)} rounds, {n[0]} to {n[-1]} each" for kind, n in rounds.items()))
    report(not told["wrong"], "every answer was right, and what came is what is on disk", "\n".join(told["wrong"][:10]))
    report([len(n) for n in rounds.values()] == [IDLE, BUSY, FTPS] and all(n[0] >= 2 for n in rounds.values()), "each client was served, again and again",
           {kind: n[:5] for kind, n in rounds.items()})
    report(most >= IDLE + BUSY + FTPS, f"all of them at once: {most} descriptors were open")


def check_recorded(nvrd, cameras):
    for camera in cameras:
        camera.paused = True
    arrived = [wait_for(lambda i=i, c=camera: frames(nvrd, i) == c.frames_sent, 15) for i, camera in enumerate(cameras)]
    report(all(arrived), "every frame arrived", [(frames(nvrd, i), c.frames_sent) for i, c in enumerate(cameras)])
    text = nvrd.get("/metrics").decode()
    print("# " + "; ".join(re.findall(r"^(nvrd_reactor_lag_max_seconds.*|process_resident_memory_bytes.*)$", text, re.M)))
    trouble = [row for row in re.findall(r"^nvrd_(?:recorder_lost|camera_failures|rtp_packets_lost).* [1-9].*$", text, re.M)]
    report(not trouble, "no metric tells of a loss", trouble)
    report(nvrd.stop() == 0, "nvrd ends well")
    with sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True) as database:
        report(not (gaps := database.execute("select * from gaps").fetchall()), "no gap is known", gaps)
    period = len(cameras[0].units)
    for i, camera in enumerate(cameras):
        stored = [packet[3] for path in nvrd.files(f"c{i}") for packet in media.packets(path)]
        report(len(stored) == camera.frames_sent and all(a == b for a, b in zip(stored, stored[period:])) and len(camera.sessions) == 1,
               f"camera {i}: {len(stored)} frames of {camera.frames_sent}, in their order", len(camera.sessions))


def main():
    units = h264_units(FPS, FPS, 4, "640x360", "1M")
    cameras = [ScriptedCamera(fps=FPS, units=units) for _ in range(CAMERAS)]
    nvrd = start(cameras)
    segments = 'nvrd_recorder_segments_total{camera="c%d"}'
    report(wait_for(lambda: all(nvrd.metric(segments % i) >= 1 for i in range(CAMERAS)), 40), "eight cameras are recorded", nvrd.log()[-1500:])
    (nvrd.store / "uploads" / "load").mkdir(exist_ok=True)
    told, most = load(nvrd)
    check_served(told, most)
    check_recorded(nvrd, cameras)
    finish()


main()
