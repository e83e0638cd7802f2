#!/usr/bin/env python3
"""
Takes the documentation's pictures of the page: drawn scenes (scenes.mjs) are what cameras see, one of them has been recorded since yesterday, Chromium
looks at it (browser.mjs). NVRD is the program, NODE_PATH where playwright-core is; fonts-wqy-microhei has the Chinese letters. Some five minutes and 2 GB.
"""
import contextlib
import datetime
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "interop"))
import footage  # noqa: E402
from daemon import Nvrd, spawn, wait_for  # noqa: E402

FPS, FRAMES = 10, 120
SCENES = ("porch", "drive", "street", "garden", "garage", "pasture")
FILE_MINUTES = 10
GAPS = (("02-40", "03-20"), ("11-10", "11-30"), ("18-50", "24-00"))  # of yesterday, and in which files there was motion
MOTION = ("06-40", "07-00", "07-10", "08-20", "09-30", "12-50", "14-10", "14-20", "15-00", "17-30", "17-40")
INSTANT = "T142537Z"


def browser(what, **job):
    subprocess.run(["node", str(HERE / "browser.mjs")], input=json.dumps({"what": what, **job}), text=True, check=True)


def record_yesterday(nvrd, film):
    """Returns the day's name."""
    nvrd.configure({"short": {"source": f'"av:{film}"'}})
    nvrd.start()
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="short"}') >= 24, 60)
    nvrd.stop()
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    day = today - datetime.timedelta(days=1)
    footage.make_day(nvrd, "drive", day, nvrd.files("short")[0].read_bytes(), minutes=FILE_MINUTES)
    for path in nvrd.files("drive"):
        if any(first <= path.name[:5] < last for first, last in GAPS):
            path.unlink()
    for path in nvrd.files("short"):
        path.unlink()
    nvrd.configure({})
    nvrd.start()
    files = len(nvrd.files("drive"))
    wait_for(lambda: len(footage.rows(nvrd, "drive")) == files and all(row[3] for row in footage.rows(nvrd, "drive")), 300)
    nvrd.stop()
    with contextlib.closing(sqlite3.connect(nvrd.store / "nvrd.db")) as database, database:
        for name in MOTION:
            database.execute("update segments set events = 1 where camera = 'drive' and path like ?", (f"%/{name}-%",))
    return day.strftime("%Y%m%d")


def side_by_side(folder, target, *names):
    inputs = [word for name in names for word in ("-i", str(folder / f"{name}.png"))]
    padded = ";".join(f"[{i}]pad=iw+16:ih+16:8:8:0x808890[p{i}]" for i in range(len(names)))
    joined = "".join(f"[p{i}]" for i in range(len(names)))
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *inputs, "-filter_complex", f"{padded};{joined}hstack=inputs={len(names)}", "-frames:v", "1", "-update", "1", str(target)], check=True)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        browser("films", scenes=SCENES, folder=name, fps=FPS, frames=FRAMES)
        nvrd = Nvrd(segment="24h", listen=['webrtc: "127.0.0.1:0"'], start=False)
        day = record_yesterday(nvrd, folder / "drive.mp4")
        nvrd.configure({scene: {"source": '"publish:"'} for scene in SCENES})
        nvrd.start()
        for scene in SCENES:
            spawn(["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", folder / f"{scene}.mp4", "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", f"rtsp://{nvrd.rtsp}/{scene}"], stderr=subprocess.DEVNULL)
        wait_for(lambda: all(nvrd.metric(f'nvrd_recorder_fragments_total{{camera="{scene}"}}') for scene in SCENES), 60)
        browser("pictures", folder=name, url=f"http://{nvrd.http}/", instant=day + INSTANT)
        nvrd.stop()
        side_by_side(folder, folder / "phones.png", "phone-live", "phone-camera", "phone-recordings", "phone-zh")
        for picture in ("live", "recordings", "camera", "day", "live-zh", "phones"):
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(folder / f"{picture}.png"), "-c:v", "libwebp", "-quality", "88", str(HERE / f"{picture}.webp")], check=True)


main()
