#!/usr/bin/env python3
"""onvif-util (Debian's onvif-tools) connects to nvrd as to a camera. It finds them by multicast alone: nvrd answers, in a network of its own."""
import re
import shutil
import subprocess

import own_network
from daemon import Nvrd, finish, report, skip, wait_for

COMMANDS = ("get rtsp", "get time", "get profiles", "get video", "get video options", "get network", "quit")


def inside():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users='anna: {password: "secret", role: admin}', login=("anna", "secret"), extra="onvif: {discover: [lo], discoverable: yes, name: Lodge}")
    wait_for(lambda: nvrd.metric('nvrd_camera_frames_total{camera="porch",kind="video"}') > 0, 30)
    done = subprocess.run(["onvif-util", "-u", "anna", "-p", "secret", nvrd.http.split(":")[0]], capture_output=True, text=True, timeout=60, input="\n".join(COMMANDS) + "\n")
    said = done.stdout
    report("successfully connected" in said and "name:   Lodge" in said, "it connects, and has the device's name", said + done.stderr)
    report("Token 0: porch" in said and "Resolution: 640 x 360" in said, "profile and encoder", said)
    report("IP Address: 127.0.0.1" in said and "Time Offset: 0 seconds" in said and "ERROR" not in said, "network and time, without an error", said)
    url = re.search(r"rtsp://\S+", said)
    probe = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0",
                            url[0].replace("rtsp://", "rtsp://anna:secret@") if url else "none"], capture_output=True, text=True, timeout=60)
    report("h264" in probe.stdout, "the stream, which ffprobe plays", (said, probe.stderr))
    nvrd.stop()
    finish()


def main():
    if not shutil.which("onvif-util"):
        skip("onvif-util", "not installed")
    elif own_network.enter():
        inside()
    else:
        skip("onvif-util", "a network of its own cannot be made here")


main()
