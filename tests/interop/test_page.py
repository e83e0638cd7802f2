#!/usr/bin/env python3
"""The page in Chromium: moving pictures of the demo camera, without a complaint on the console."""
import json
import os
import shutil
import subprocess

from daemon import HERE, Nvrd, finish, report, skip


def main():
    if not shutil.which("chromium") or not shutil.which("node"):
        skip("page", "chromium or node is not installed")
        return finish()
    nvrd = Nvrd({"demo": {"source": '"test:"'}})
    words = ["node", HERE / "page.mjs", f"http://{nvrd.http}/", os.environ.get("NVRD_SCREENSHOT", nvrd.folder / "page.png")]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    if report(done.returncode == 0, "the page plays", done.stderr[-2000:]):
        seen = json.loads(done.stdout)
        report(seen["first"]["hash"] != seen["second"]["hash"] and seen["second"]["bright"] > 100, "two frames differ", seen)
        report(seen["second"]["time"] > seen["first"]["time"], "currentTime advances", seen)
        report(seen["second"]["width"] == 640, "the picture is 640 wide", seen)
        report(not seen["messages"], "the console is silent", seen["messages"])
        report("recordings/demo/" in seen["links"], "it links to the recordings", seen["links"])
    nvrd.stop()
    finish()


main()
