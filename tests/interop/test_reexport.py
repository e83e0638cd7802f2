#!/usr/bin/env python3
"""The RTSP re-export with ffprobe, GStreamer; HLS with VLC."""
import math
import os
import subprocess
import time

import media
from daemon import Camera, Nvrd, finish, report, wait_for

USERS = 'anna: {password: "s3cret", role: admin}\nguest: {password: "look", role: viewer, cameras: [other]}'
GOP = 100  # four seconds


def first_frame_s(*source):
    """Seconds that ffmpeg takes from its start to the first decoded frame and its end; infinite when it fails."""
    words = ["ffmpeg", "-nostdin", "-v", "error", *source, "-an", "-frames:v", "1", "-f", "null", "-"]
    start = time.monotonic()
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return time.monotonic() - start if done.returncode == 0 else math.inf


def delays_s(url, transport, file):
    """By how much that takes longer than from a file, so that a busy machine counts for both."""
    return sorted(first_frame_s("-rtsp_transport", transport, "-i", url) - first_frame_s("-i", file) for _ in range(5))


def ffprobe(url, transport):
    """Codecs that ffprobe sees, and whether it was refused."""
    done = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", transport, "-show_entries", "stream=codec_name,width,height,sample_rate",
                           "-of", "csv=p=0", url], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return done.stdout.split(), done.stderr


def gst_frames(nvrd, transport, user, password):
    """How many video buffers GStreamer's rtspsrc decodes in a bounded number of frames."""
    words = ["gst-launch-1.0", "-q", "rtspsrc", f"location=rtsp://{nvrd.rtsp}/porch", f"protocols={transport}", f"user-id={user}",
             f"user-pw={password}", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "avdec_h264", "!",
             "identity", "eos-after=50", "!", "fakesink", "sync=false"]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=40)


def counted(path):
    out = media.run("ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", str(path))
    return int(out.split()[0].strip(b",") or 0) if out.split() else 0


def check_vlc(nvrd):
    """VLC plays the HLS playlist into a file, which ffprobe counts."""
    target = nvrd.folder / "vlc.ts"
    nvrd.folder.chmod(0o777)
    words = ["cvlc", "--intf", "dummy", "--no-audio", "--run-time", "8", f"http://anna:s3cret@{nvrd.http}/live/porch/index.m3u8",
             "--sout", f"#file{{dst={target}}}", "vlc://quit"]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "nobody", "--", "env", f"HOME={nvrd.folder}", *words]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    report(target.exists() and counted(target) >= 75, "VLC plays the HLS", done.stderr[-800:])


def main():
    source = media.make("gop4", 85, gop=GOP, size="1280x720", bitrate="2M")
    camera = Camera(f"a=file:{source}")
    nvrd = Nvrd({"porch": {"source": f'"{camera.url("a")}"'}, "other": {"source": '"test:"'}}, users=USERS)
    good = f"rtsp://anna:s3cret@{nvrd.rtsp}/porch"
    up = wait_for(lambda: ffprobe(good, "tcp")[0], 20)
    report(up == ["h264,1280,720", "aac,48000"], "ffprobe sees both tracks", up)
    report(ffprobe(good, "udp")[0] == ["h264,1280,720", "aac,48000"], "over UDP as well")
    for transport in ("tcp", "udp"):
        delays = delays_s(good, transport, source)
        report(delays[2] < 1.0, f"first decoded frame within 1 s of PLAY over {transport} (GOP of 4 s)", delays)
    for transport in ("tcp", "udp"):
        done = gst_frames(nvrd, transport, "anna", "s3cret")
        report(done.returncode == 0 and "ERROR" not in done.stderr, f"GStreamer decodes 50 frames over {transport}", done.stderr)
    report("401" in ffprobe(f"rtsp://anna:wrong@{nvrd.rtsp}/porch", "tcp")[1], "a wrong password gives 401")
    report("401" in ffprobe(f"rtsp://{nvrd.rtsp}/porch", "tcp")[1], "no password gives 401")
    report("404" in ffprobe(f"rtsp://guest:look@{nvrd.rtsp}/porch", "tcp")[1], "a camera that the user may not see is not there")
    report("404" in ffprobe(f"rtsp://anna:s3cret@{nvrd.rtsp}/nowhere", "tcp")[1], "an unknown camera is not there")
    check_vlc(nvrd)
    report("s3cret" not in nvrd.log() and "look" not in nvrd.log(), "no password is in the log")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()
    finish()


main()
