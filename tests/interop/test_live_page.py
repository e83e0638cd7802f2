#!/usr/bin/env python3
"""
Live pictures on the page in Chromium, by Media Source Extensions: how far behind they are, by the clock in the picture; what the browser
keeps; a stall; sixteen sub-streams at once. 20 s; ten minutes with NVRD_LONG=1.
"""
import datetime
import json
import os
import shutil
import subprocess

import media
from daemon import HERE, Camera, Nvrd, finish, report, skip, wait_for

FPS = 25
# the clock in the picture is that of this zone: one in which it is not about to be midnight
ZONE, OFFSET_H = ("UTC", 0) if datetime.datetime.now(datetime.timezone.utc).hour < 23 else ("Etc/GMT-6", 6)


def main():
    if not shutil.which("chromium") or not shutil.which("node"):
        skip("live pictures", "chromium or node is not installed")
        return finish()
    large, small = media.make("small", 120, size="640x360", bitrate="500k"), media.make("tiny", 120, size="320x180", bitrate="200k")
    camera = Camera(f"main=file:{large}", f"sub=file:{small}")
    names = [f"c{i:02}" for i in range(15)]
    nvrd = Nvrd({"clock": {"source": '"test:"', "record": "off", "substream": f'"{camera.url("sub")}"'},
                 **{name: {"source": f'"{camera.url("main")}"', "substream": f'"{camera.url("sub")}"', "record": "off"} for name in names}},
                environment={"TZ": ZONE})
    report(wait_for(lambda: all(nvrd.metric(f'nvrd_camera_state{{camera="{name}",state="playing"}}') == 1 for name in ["clock", *names]), 30), "the cameras play")
    job = {"url": f"http://{nvrd.http}/", "pid": nvrd.process.pid, "zone": ZONE, "offset": OFFSET_H * 3600000, "names": ["clock", *names], "fps": FPS,
           "seconds": 600 if os.environ.get("NVRD_LONG") else 20}
    done = subprocess.run(["node", str(HERE / "live_views.mjs")], input=json.dumps(job), capture_output=True, text=True, timeout=job["seconds"] + 300)
    report(done.returncode == 0, "Chromium was there", done.stderr[-2000:])
    for line in done.stdout.splitlines():
        result = json.loads(line)
        if "note" in result:
            print("# " + result["note"])
        else:
            report(result["holds"], result["name"], result["detail"])
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    camera.stop()
    finish()


main()
