#!/usr/bin/env python3
"""
The page in Firefox: all that test_page.py and test_login.py do in Chromium; and live pictures: how far behind they are, their sound, and how they come, since
Firefox has H.264 by WebRTC only with a plugin that it downloads.
"""
import json
import os
import shutil
import subprocess

import media
import page_job
from daemon import HERE, Nvrd, finish, report, skip, wait_for
from lossy_network import ADDRESS, LossyNetwork, why_not

AV1 = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"]
USERS = """anna: {password: "sécret", role: admin}
olga:
  password: pw-olga
  role: operator
  app_passwords:
  - {name: phone, password: pw-phone, scope: [dav, live, metrics]}"""


def run(script, job, seconds, inside=()):
    """Runs a script of node in Firefox."""
    done = subprocess.run([*inside, "node", str(HERE / script)], input=json.dumps({"browser": "firefox", **job}), capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        report(False, f"{script} ends well", done.stderr[-2000:])
    for line in done.stdout.splitlines():
        result = json.loads(line)
        report(result["holds"], result["name"], result["detail"])


def views(nvrd, camera, **options):
    run("firefox_views.mjs", {"url": f"http://{nvrd.http}/", "camera": camera, "zone": page_job.ZONE, "offset": page_job.OFFSET_H * 3600000}, 300, **options)


def check_page():
    nvrd, runs = page_job.start()
    page_job.check_views(nvrd, runs, "firefox")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])


def check_login():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users=USERS, segment="4s", listen=['webrtc: "127.0.0.1:0"'], login=("anna", "sécret"))
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') > 1, 60), "the camera is recorded")
    other = Nvrd({"porch": {"source": '"test:"'}}, users=USERS)
    run("login_views.mjs", {"url": f"http://{nvrd.http}/", "other": f"http://{other.http}/", "stranger": "guest", "ways": ["mse", "hls", "mjpeg"]}, 600)
    other.stop()
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])


def check_live():
    nvrd = Nvrd({"demo": {"source": '"test:"', "record": "off"}}, listen=['webrtc: "127.0.0.1:0"'], environment={"TZ": page_job.ZONE})
    wait_for(lambda: nvrd.metric('nvrd_camera_up{camera="demo"}') == 1, 30, "the camera")
    views(nvrd, "demo")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])


def check_webrtc():
    """Firefox does not use the loopback interface for WebRTC: it is in another network namespace than nvrd."""
    reason = why_not()
    if reason:
        return skip("WebRTC in Firefox", reason)
    network = LossyNetwork(0, delay_ms=(0, 0))
    camera = {"av1": {"source": f'"av:{media.make("av1", 20, codec=AV1, size="320x180", bitrate="200k")}"', "loop": "yes", "record": "off"}}
    nvrd = Nvrd(start=False, users="anna: {password: secret, role: admin}", inside=network.inside("camera"), login=("anna", "secret"), listen=[f'webrtc: "{ADDRESS["camera"]}:0"'])
    nvrd.ports = (f"{ADDRESS['camera']}:0", f"{ADDRESS['camera']}:0")
    nvrd.configure(camera)
    nvrd.start()
    wait_for(lambda: nvrd.metric('nvrd_camera_up{camera="av1"}') == 1, 30, "the camera")
    views(nvrd, "av1", inside=network.inside("recorder"))
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-1000:])
    network.close()


def main():
    if not shutil.which(os.environ.get("FIREFOX", "firefox-esr")) or not shutil.which("node"):
        skip("the page in Firefox", "firefox-esr or node is not installed")
        return finish()
    check_live()
    check_webrtc()
    check_login()
    check_page()
    finish()


main()
