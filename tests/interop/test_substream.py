#!/usr/bin/env python3
"""A substream is pulled while somebody wants it, by whichever protocol, and let go again."""
import json
import subprocess

import media
from daemon import Camera, Nvrd, finish, report, wait_for


def probe(url, *options):
    """Width of the picture, as ffprobe sees it at its first try."""
    done = subprocess.run(["ffprobe", "-v", "error", *options, "-show_streams", "-of", "json", url],
                          capture_output=True, text=True, timeout=30)
    streams = json.loads(done.stdout or "{}").get("streams", [])
    return next((s["width"] for s in streams if s["codec_type"] == "video"), done.stderr)


def main():
    large = media.make("small", 120, size="640x360", bitrate="500k")
    small = media.make("tiny", 120, size="320x180", bitrate="200k")
    camera = Camera(f"main=file:{large}", f"sub=file:{small}")
    nvrd = Nvrd({
        "porch": {"source": f'"{camera.url("main")}"', "substream": f'"{camera.url("sub")}"'},
        "yard": {"source": f'"{camera.url("main")}"', "substream": f'"{camera.url("sub")}"', "substream_always": "yes"},
    })

    def state(name, word):
        return nvrd.metric(f'nvrd_camera_state{{camera="{name}",state="{word}"}}') == 1

    report(wait_for(lambda: state("porch", "playing") and state("yard", "playing"), 20), "the cameras play")
    report(wait_for(lambda: state("yard/sub", "playing"), 10), "substream_always: it is pulled")
    report(state("porch/sub", "off"), "else it is not, while nobody wants it")
    report(nvrd.metric('nvrd_camera_connects_total{camera="porch/sub"}') == 0, "not once")

    report(probe(f"rtsp://{nvrd.rtsp}/porch/sub", "-rtsp_transport", "tcp") == 320, "DESCRIBE waits for it: RTSP")
    report(wait_for(lambda: state("porch/sub", "off"), 30), "it is let go when the last reader has left")
    report(probe(f"http://{nvrd.http}/live/porch/sub/index.m3u8") == 320, "a playlist waits for it: HLS")
    report(probe(f"http://{nvrd.http}/live/porch/index.m3u8") == 640, "the camera itself is the large one")
    report(not list(nvrd.store.glob("recordings/porch/sub*")), "it is not recorded")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()
    finish()


main()
