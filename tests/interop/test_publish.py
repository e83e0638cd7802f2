#!/usr/bin/env python3
"""What ffmpeg and GStreamer push is recorded and re-exported as it is; who may not is refused; who dies comes back."""
import base64
import contextlib
import signal
import socket
import subprocess

import media
from daemon import Nvrd, end, finish, report, skip, spawn, wait_for

USERS = """anna: {password: pw-anna, role: admin}
olga:
  password: pw-olga
  role: operator
  app_passwords:
  - {name: pushes, password: pw-pushes, scope: [rtsp:publish]}
  - {name: plays, password: pw-plays, scope: [rtsp]}
paul: {password: pw-paul, role: operator, cameras: [yard]}
vera: {password: pw-vera}"""
SDP = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n"
SECONDS = 8


def ffmpeg(nvrd, camera, source, transport="tcp", user="olga:pw-pushes", loops=0):
    return spawn(["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", loops, "-i", source, "-c", "copy", "-f", "rtsp",
                  "-rtsp_transport", transport, f"rtsp://{user}@{nvrd.rtsp}/{camera}"], stderr=subprocess.PIPE, text=True)


def gstreamer(nvrd, camera, source, transport):
    return spawn(["gst-launch-1.0", "-q", "filesrc", f"location={source}", "!", "qtdemux", "name=d",
                  "rtspclientsink", "name=s", f"location=rtsp://{nvrd.rtsp}/{camera}", "user-id=olga", "user-pw=pw-pushes", f"protocols={transport}",
                  "d.video_0", "!", "queue", "!", "h264parse", "!", "s.", "d.audio_0", "!", "queue", "!", "aacparse", "!", "s."],
                 stderr=subprocess.PIPE, text=True)


class Reader:
    """ffmpeg that writes what is re-exported into a file, as it is but for the parameter sets before each keyframe."""

    def __init__(self, nvrd, camera, name):
        self.path = nvrd.folder / f"{name}.mkv"
        self.process = spawn(["ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", f"rtsp://anna:pw-anna@{nvrd.rtsp}/{camera}",
                              "-c", "copy", "-bsf:v", "filter_units=remove_types=7-8", "-flush_packets", "1", self.path], stderr=subprocess.DEVNULL)

    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def stop(self):
        end(self.process, signal.SIGINT)


def state(nvrd, camera, word):
    text = nvrd.get("/metrics", Authorization="Basic " + base64.b64encode(b"anna:pw-anna").decode()).decode()
    return f'nvrd_camera_state{{camera="{camera}",state="{word}"}} 1' in text


def hashes(paths, kind):
    return [p[3] for path in paths for p in media.packets(path, kind)]


def check_same(name, paths, source, least):
    """What is in the files, one after the other, is a piece of the source without a hole, of at least so many packets."""
    for kind in ("v:0", "a:0"):
        found, expected = hashes(paths, kind), hashes([source], kind)
        start = media.run_of(found, expected) if found else -1
        report(start >= 0 and len(found) >= least * len(expected), f"{name}: {len(found)} of {len(expected)} packets of {kind} are those that were pushed, without a hole", start)


def check_pushed(nvrd, camera, name, publisher, source):
    """
    From the first to the last picture; the reader comes when there are some. The exit status is ffmpeg's alone: GStreamer's two
    threads may read the answer to PAUSE while it is leaving, one half each.
    """
    before = nvrd.files(camera)
    process = publisher()
    if not report(wait_for(lambda: state(nvrd, camera, "playing"), 20), f"{name}: it plays", nvrd.log()[-1500:]):
        end(process)
        return
    reader = Reader(nvrd, camera, name.replace(" ", "-"))
    ended = wait_for(lambda: process.poll() is not None, SECONDS + 20)
    report(ended and (process.returncode == 0 or "GStreamer" in name), f"{name}: it ends well", process.stderr.read() if ended else "it does not end")
    report(wait_for(lambda: state(nvrd, camera, "waiting"), 20), f"{name}: then the camera waits for the next one")
    wait_for(lambda: reader.size() > 0, 5)
    reader.stop()
    files = [path for path in nvrd.files(camera) if path not in before]
    report(files, f"{name}: it is recorded in files of its own", files)
    check_same(f"{name}, recorded", files, source, 0.9)
    check_same(f"{name}, re-exported", [reader.path], source, 0.3)


def ask(nvrd, method, path, user=None, fields="", body=""):
    """The status of one request."""
    host, _, port = nvrd.rtsp.rpartition(":")
    login = f"Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n" if user else ""
    length = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"{method} rtsp://{nvrd.rtsp}/{path} RTSP/1.0\r\nCSeq: 1\r\n{login}{fields}{length}\r\n{body}".encode())
        return int(connection.recv(65536).split()[1])


def check_permission(nvrd, source):
    asked = [("pw-olga", "olga", "porch", 200), ("pw-pushes", "olga", "porch", 200), ("pw-anna", "anna", "porch", 200), ("pw-paul", "paul", "yard", 200),
             ("pw-plays", "olga", "porch", 403), ("pw-vera", "vera", "porch", 403), ("pw-paul", "paul", "porch", 404), ("wrong", "olga", "porch", 401),
             ("pw-olga", "olga", "nowhere", 404), ("pw-olga", "olga", "picture", 405)]
    wrong = [(row, status) for row in asked for status in [ask(nvrd, "ANNOUNCE", row[2], f"{row[1]}:{row[0]}", body=SDP)] if status != row[3]]
    report(not wrong, f"{len(asked)} combinations of user, password and camera are as they should be", wrong)
    report(ask(nvrd, "ANNOUNCE", "porch", body=SDP) == 401, "without a password it is 401")
    report(ask(nvrd, "DESCRIBE", "picture", "olga:pw-pushes") == 403, "the scope rtsp:publish plays nothing")
    transport = "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"
    report(ask(nvrd, "SETUP", "picture/trackID=0", "olga:pw-pushes", transport) == 403, "nor does it set anything up")
    report(ask(nvrd, "SETUP", "nowhere/trackID=0", "olga:pw-pushes", transport) == 403, "nor does it learn what there is")
    report(ask(nvrd, "SETUP", "picture/trackID=0", "olga:pw-plays", transport) == 200, "the scope rtsp does")
    for user in ("vera:pw-vera", "olga:pw-plays"):
        process = ffmpeg(nvrd, "porch", source, user=user)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        report(process.returncode and "403" in process.stderr.read(), f"ffmpeg as {user.split(':')[1][3:]} is refused", process.returncode)
        end(process)
    report(state(nvrd, "porch", "waiting"), "the camera still waits")


def check_second(nvrd, source):
    """Another user is refused while one publishes; the same one takes over."""
    first = ffmpeg(nvrd, "porch", source, loops=-1)
    wait_for(lambda: state(nvrd, "porch", "playing"), 20)
    second = ffmpeg(nvrd, "porch", source, user="anna:pw-anna")
    with contextlib.suppress(subprocess.TimeoutExpired):
        second.wait(20)
    report(second.returncode and "455" in nvrd.get("/metrics", Authorization="Basic " + base64.b64encode(b"anna:pw-anna").decode()).decode(), "a second publisher is refused",
           second.returncode)
    report(first.poll() is None and state(nvrd, "porch", "playing"), "the first one goes on")
    third = ffmpeg(nvrd, "porch", source, loops=-1)
    report(wait_for(lambda: first.poll() is not None, 20), "the same user coming anew takes over")
    report(wait_for(lambda: state(nvrd, "porch", "playing"), 10) and third.poll() is None, "and publishes")
    end(third)
    for process in (first, second):
        end(process)


def check_death(nvrd, source, transport):
    """kill -9, and the next one comes: a new file, and the reader goes on."""
    process = ffmpeg(nvrd, "yard", source, transport, loops=-1)
    wait_for(lambda: state(nvrd, "yard", "playing"), 20)
    reader = Reader(nvrd, "yard", f"death-{transport}")
    report(wait_for(lambda: reader.size() > 100000, 20), f"{transport}: a reader watches")
    files = nvrd.files("yard")
    end(process, signal.SIGKILL)
    report(wait_for(lambda: state(nvrd, "yard", "waiting"), 5), f"{transport}: its death is noticed")
    seen = reader.size()
    process = ffmpeg(nvrd, "yard", source, transport, loops=-1)
    report(wait_for(lambda: len(nvrd.files("yard")) > len(files), 20), f"{transport}: it comes back into a new file")
    report(wait_for(lambda: reader.size() > seen + 200000, 20) and reader.process.poll() is None, f"{transport}: the reader goes on")
    reader.stop()
    end(process)
    wait_for(lambda: state(nvrd, "yard", "waiting"), 5)


def check_half_open(nvrd, source):
    """A publisher that says nothing more and does not close (stopped, as a phone in a tunnel) is let go."""
    process = ffmpeg(nvrd, "yard", source, loops=-1)
    wait_for(lambda: state(nvrd, "yard", "playing"), 20)
    process.send_signal(signal.SIGSTOP)
    again = ffmpeg(nvrd, "yard", source, loops=-1)
    report(wait_for(lambda: "the same client came anew" in nvrd.log(), 5) and wait_for(lambda: state(nvrd, "yard", "playing"), 5),
           "the same client is in at once, though its old connection is open")
    again.send_signal(signal.SIGSTOP)
    report(wait_for(lambda: state(nvrd, "yard", "waiting"), 20), "who sends nothing is let go")
    report("media stopped arriving; waiting for the next one" in nvrd.log(), "and the log says why")
    for one in (process, again):
        one.send_signal(signal.SIGCONT)
        end(one)


def check_substream(nvrd, source):
    process = ffmpeg(nvrd, "porch/sub", source, loops=-1)
    report(wait_for(lambda: state(nvrd, "porch/sub", "playing"), 20), "a substream is published though nobody watches it")
    end(process)


def main():
    source = media.make("published", SECONDS, size="640x360", bitrate="1M", gop=25)
    nvrd = Nvrd({"porch": {"source": '"publish:"', "substream": '"publish:"'}, "yard": {"source": '"publish:"'}, "picture": {"source": '"test:"'}}, segment="1h", users=USERS)
    report(wait_for(lambda: state(nvrd, "porch", "waiting") and state(nvrd, "picture", "playing"), 20), "the camera waits")
    for transport in ("tcp", "udp"):
        check_pushed(nvrd, "porch", f"ffmpeg over {transport}", lambda transport=transport: ffmpeg(nvrd, "porch", source, transport), source)
    if subprocess.run(["gst-inspect-1.0", "rtspclientsink"], capture_output=True).returncode == 0:
        for transport in ("tcp", "udp"):
            check_pushed(nvrd, "porch", f"GStreamer over {transport}", lambda transport=transport: gstreamer(nvrd, "porch", source, transport), source)
    else:
        skip("GStreamer publishes", "gstreamer1.0-rtsp is not installed")
    check_permission(nvrd, source)
    check_second(nvrd, source)
    for transport in ("tcp", "udp"):
        check_death(nvrd, source, transport)
    check_half_open(nvrd, source)
    check_substream(nvrd, source)
    report("audit publish: user olga: address 127.0.0.1: protocol rtsp: porch\n" in nvrd.log(), "the audit tells who published")
    report("pw-" not in nvrd.log(), "no password is in the log")
    process = ffmpeg(nvrd, "yard", source, loops=-1)
    wait_for(lambda: state(nvrd, "yard", "playing"), 20)
    report(nvrd.stop() == 0, "SIGTERM ends it, also while somebody pushes", nvrd.log()[-3000:])
    end(process)
    finish()


main()
