#!/usr/bin/env python3
"""
The transports of the RTSP server: what ffmpeg, GStreamer and openRTSP get over TCP, UDP, multicast, RTSPS and
through HTTP is one run of the camera's pictures, without a loss and without a double. NVRD_LONG=1: three minutes.

The camera repeats its file, so pictures are told apart by their hashes, of which there is no second within the file.
"""
import atexit
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import media
from daemon import Camera, Nvrd, finish, report, skip, spawn, wait_for

LONG = bool(os.environ.get("NVRD_LONG"))
SECONDS = 180 if LONG else 4
FPS = 25
GROUP = "239.83.7.1"
USERS = 'anna: {password: "s3cret", role: viewer}'
CODECS = {"h264": media.H264, "hevc": media.H265}


class Network:
    """A network of the test's own, in which loopback takes groups; without the right to make one `inside` is empty."""

    def __init__(self):
        self.name = f"nvrd-{os.getpid()}"
        self.inside = []
        try:
            self.command("netns", "add", self.name)
        except (OSError, subprocess.CalledProcessError):
            return
        atexit.register(self.remove)
        self.inside = ["ip", "netns", "exec", self.name]
        self.command("-n", self.name, "link", "set", "lo", "up", "multicast", "on")
        self.command("-n", self.name, "route", "add", "224.0.0.0/4", "dev", "lo", "src", "127.0.0.1")

    def command(self, *words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def remove(self):
        self.command("netns", "del", self.name)


def pictures(data, codec):
    """The hashes of the pictures in a stream of bytes (Annex B): what is no picture, or may be cut off, is left out."""
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:-1]]
    kinds = range(1, 6) if codec == "h264" else range(32)
    return [hashlib.md5(u).hexdigest() for u in units
            if u and (u[0] & 31 if codec == "h264" else u[0] >> 1 & 63) in kinds]


def sound(path):
    """The raw frames of a track of AAC with heads (ADTS, ISO 13818-7), the last of which may be cut off."""
    data, frames = path.read_bytes(), []
    while len(data) >= 7:
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        if len(data) < length:
            break
        frames.append(data[7 if data[1] & 1 else 9:length])
        data = data[length:]
    return frames


class Source:
    """What the camera plays: its pictures by hash, and the frames of its sound."""

    def __init__(self, codec):
        self.file = media.make("transports", 400 if LONG else 120, CODECS[codec], size="640x360", gop=25, bitrate="600k")
        raw = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(self.file), "-c", "copy"]
        self.pictures = pictures(media.run(*raw, "-map", "0:v", "-f", codec, "-") + b"\0\0\1", codec)
        with tempfile.NamedTemporaryFile() as file:
            media.run(*raw, "-y", "-map", "0:a", "-f", "adts", file.name)
            self.sound = sound(pathlib.Path(file.name))


class Client:
    """A player that writes what it gets into files, as it comes: `video` as Annex B, `audio` with heads."""

    def __init__(self, name, codec, folder):
        self.name, self.codec = name, codec
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.folder.chmod(0o777)
        self.video, self.audio, self.end = self.folder / "video", self.folder / "audio", 2
        self.at, self.starts = 0, 0

    def run(self, inside, words):
        with open(self.folder / "log", "w") as log:
            self.process = spawn([*inside, *words], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)

    def has(self, count):
        """Whether so many starts of units were written; looks at what is new."""
        if self.video.exists():
            with open(self.video, "rb") as file:
                file.seek(self.at)
                new = file.read()
            self.starts += new.count(b"\0\0\1")
            self.at += max(len(new) - 2, 0)
        return self.starts >= count or self.process.poll() is not None

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-1500:]


def ffmpeg(client, nvrd, transport):
    """ffmpeg, which tries Digest first."""
    scheme, port, word = {"TCP": ("rtsp", nvrd.rtsp, "tcp"), "UDP": ("rtsp", nvrd.rtsp, "udp"), "multicast": ("rtsp", nvrd.rtsp, "udp_multicast"),
                          "RTSPS": ("rtsps", nvrd.rtsps, "tcp"), "HTTP": ("rtsp", nvrd.http, "http"), "HTTPS": ("rtsp", nvrd.https, "https")}[transport]
    return ["ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", word, "-buffer_size", "4000000", "-i", f"{scheme}://anna:s3cret@{port}/{client.codec}",
            "-map", "0:v", "-c", "copy", "-flush_packets", "1", "-f", client.codec, client.video,
            "-map", "0:a", "-c", "copy", "-flush_packets", "1", "-f", "adts", client.audio]


def gstreamer(client, nvrd, transport):
    scheme, port, word = {"TCP": ("rtsp", nvrd.rtsp, "tcp"), "UDP": ("rtsp", nvrd.rtsp, "udp"), "multicast": ("rtsp", nvrd.rtsp, "udp-mcast"),
                          "RTSPS": ("rtsps", nvrd.rtsps, "tcp"), "HTTP": ("rtsph", nvrd.http, "tcp+http"), "HTTPS": ("rtspsh", nvrd.https, "tcp+http")}[transport]
    kind = {"h264": "h264", "hevc": "h265"}[client.codec]
    return ["gst-launch-1.0", "-q", "rtspsrc", f"location={scheme}://{port}/{client.codec}", f"protocols={word}", "user-id=anna", "user-pw=s3cret",
            "tls-validation-flags=0", "udp-buffer-size=4000000", "latency=500", "name=s",
            "s.", "!", "application/x-rtp,media=video", "!", f"rtp{kind}depay", "!", f"video/x-{kind},stream-format=byte-stream,alignment=au", "!",
            "filesink", "sync=false", "async=false", "buffer-mode=unbuffered", f"location={client.video}",
            "s.", "!", "application/x-rtp,media=audio", "!", "rtpmp4gdepay", "!", "aacparse", "!", "audio/mpeg,stream-format=adts", "!",
            "filesink", "sync=false", "async=false", "buffer-mode=unbuffered", f"location={client.audio}"]


def open_rtsp(client, nvrd, transport):
    """live555's, which goes to the group when it is described so."""
    scheme, port, query, words = {"TCP": ("rtsp", nvrd.rtsp, "", ["-t"]), "UDP": ("rtsp", nvrd.rtsp, "", []),
                                  "multicast": ("rtsp", nvrd.rtsp, "?multicast", []), "RTSPS": ("rtsps", nvrd.rtsps, "", ["-t"]),
                                  "HTTP": ("rtsp", nvrd.http, "", ["-T", nvrd.http.rpartition(":")[2]])}[transport]
    client.video = client.folder / f"video-H26{4 if client.codec == 'h264' else 5}-1"
    client.audio, client.end = client.folder / "audio-MPEG4-GENERIC-2", 1
    return ["openRTSP", "-V", "-b", "1000000", "-B", "4000000", "-u", "anna", "s3cret", *words, f"{scheme}://{port}/{client.codec}{query}"]


PROGRAMS = {"ffmpeg": ("ffmpeg", ffmpeg), "GStreamer": ("gst-launch-1.0", gstreamer), "openRTSP": ("openRTSP", open_rtsp)}


def judge(client, source):
    found = pictures(client.video.read_bytes(), client.codec) if client.video.exists() else []
    at = media.run_of(found, source.pictures) if found else -1
    whole = report(at >= 0 and len(found) >= SECONDS * FPS, f"{client.name}: {SECONDS} s of pictures, none lost or doubled", (at, len(found), client.log()))
    if not client.audio.exists():
        return report(False, f"{client.name}: sound", client.log())
    heard = sound(client.audio)
    return report(bool(heard) and media.run_of(heard, source.sound) >= 0, f"{client.name}: its sound, none lost or doubled", client.log()) and whole


def watch(nvrd, network, rows, codec, source, folder):
    """Clients that run at a time, a program and a transport each."""
    clients = []
    for program, transport in rows:
        client = Client(f"{program}, {transport}, {codec}", codec, folder)
        client.run(network.inside, PROGRAMS[program][1](client, nvrd, transport))
        clients.append(client)
    for client in clients:
        wait_for(lambda: client.has(SECONDS * FPS + 100), 4 * SECONDS + 60, client.name)
    for client in clients:
        client.process.send_signal(client.end)
    for client in clients:
        client.process.wait(20)
        judge(client, source)


def check(nvrd, network, codec, source, folder):
    programs = [name for name, (command, _) in PROGRAMS.items() if shutil.which(command)]
    if "openRTSP" not in programs:
        skip(f"openRTSP, {codec}", "not installed (test_live555.py replays what it says)")
    watch(nvrd, network, [(program, transport) for program in programs for transport in ("TCP", "UDP", "RTSPS", "HTTP", "HTTPS")
                          if (program, transport) != ("openRTSP", "HTTPS")], codec, source, folder)
    if not network.inside:
        return skip(f"multicast, {codec}", "no network of its own can be made")
    # not all in one group: on one machine GStreamer takes what it says itself for another's, and says BYE, which ffmpeg takes for the end
    for program in programs:
        before = nvrd.log().count("plays over multicast")
        watch(nvrd, network, [(program, "multicast")] * 2, codec, source, folder)
        report(nvrd.log().count("plays over multicast") == before + 2, f"{program}, {codec}: both were in the group")
    return None


def main():
    network = Network()
    folder = tempfile.TemporaryDirectory(prefix="nvrd-test-")
    os.chmod(folder.name, 0o777)
    sources = {codec: Source(codec) for codec in CODECS}
    for codec, source in sources.items():
        camera = Camera(f"a=file:{source.file}{':h265' if codec == 'hevc' else ''}", inside=network.inside)
        nvrd = Nvrd({codec: {"source": f'"{camera.url("a")}"', "record": "off", "multicast": GROUP}}, users=USERS, https=True,
                    listen=['rtsps: "127.0.0.1:0"'], inside=network.inside)
        wait_for(lambda: "media arrives" in nvrd.log(), 20)
        check(nvrd, network, codec, source, folder.name)
        report(nvrd.stop() == 0, f"{codec}: SIGTERM ends it")
        camera.stop()
    finish()


main()
