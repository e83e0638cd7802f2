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
from daemon import Camera, Nvrd, end, finish, report, skip, spawn, wait_for

LONG = bool(os.environ.get("NVRD_LONG"))
SECONDS = 180 if LONG else 4
LENGTH = 960 if LONG else 120  # of what the camera plays: four rounds of players, one after the other
FPS = 25
GROUP = "239.83.7.1"
USERS = 'anna: {password: "s3cret", role: viewer}'
JPEG = ["-c:v", "mjpeg", "-huffman", "default", "-q:v", "12"]  # RTP can say no other Huffman tables
# what the camera is called: pictures, how they are made, sound, how it is made
CODECS = {
    "h264": ("h264", media.H264, "aac", ["-c:a", "aac"]),
    "hevc": ("hevc", media.H265, "aac", ["-c:a", "aac"]),
    "mjpeg": ("mjpeg", JPEG, "alaw", ["-c:a", "pcm_alaw", "-ar", "8000"]),
    "opus": ("h264", media.H264, "opus", ["-c:a", "libopus"]),
}


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
    """The hashes of the pictures in a stream of bytes: what is no picture, or may be cut off, is left out."""
    if codec == "mjpeg":  # the scan behind its header of 14 bytes: the rest is made anew by who receives it; ffmpeg ends it twice
        return [hashlib.md5(picture.partition(b"\xff\xda")[2][12:]).hexdigest() for picture in data.split(b"\xff\xd9")[:-1] if picture]
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:-1]]
    kinds = range(1, 6) if codec == "h264" else range(32)
    return [hashlib.md5(u).hexdigest() for u in units
            if u and (u[0] & 31 if codec == "h264" else u[0] >> 1 & 63) in kinds]


def frames(path, codec):
    """The units of a track of sound, but for a last one that may be cut off: of samples each one."""
    if codec == "opus":
        return [p[3] for p in media.packets(path, "a:0")]
    data, found = path.read_bytes(), []
    if codec == "alaw":
        return data
    while len(data) >= 7:  # ADTS (ISO 13818-7)
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        if len(data) < length:
            break
        found.append(data[7 if data[1] & 1 else 9:length])
        data = data[length:]
    return found


CONTAINERS = {"aac": "adts", "alaw": "alaw", "opus": "matroska"}  # ffmpeg's names of what is written


class Source:
    """What the camera plays: its pictures by hash, and the frames of its sound."""

    def __init__(self, name):
        self.video, made, self.audio, sound = CODECS[name]
        self.file = make(name, made, sound)
        raw = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(self.file), "-c", "copy"]
        self.pictures = pictures(media.run(*raw, "-map", "0:v", "-f", self.video, "-") + b"\0\0\1", self.video)
        with tempfile.NamedTemporaryFile() as file:
            media.run(*raw, "-y", "-map", "0:a", "-f", CONTAINERS[self.audio], file.name)
            self.frames = frames(pathlib.Path(file.name), self.audio)

    def camera(self, inside):
        """Who plays it, and the source by which nvrd asks for it."""
        if self.audio != "aac":
            return None, f'"av:{self.file}"'
        camera = Camera(f"a=file:{self.file}{':h265' if self.video == 'hevc' else ''}", inside=inside)
        return camera, f'"{camera.url("a")}"'


def make(name, video, audio):
    """A file of moving pictures and noise, in which nothing comes twice."""
    path = media.CACHE / f"transports-{name}-{LENGTH}.{'mp4' if name in ('h264', 'hevc') else 'mkv'}"
    if path.exists():
        return path
    media.CACHE.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{path.suffix}")
    media.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i",
              f"testsrc2=size=640x360:rate={FPS}:duration={LENGTH},noise=alls=8:allf=t",
              "-f", "lavfi", "-i", f"anoisesrc=sample_rate=48000:duration={LENGTH}:seed=1", *video, "-g", "25", "-b:v", "600k",
              *(["-pix_fmt", "yuvj420p"] if "mjpeg" in video else ["-pix_fmt", "yuv420p", "-maxrate", "600k", "-bufsize", "600k"]),
              *audio, "-b:a", "64k", str(part))
    part.rename(path)
    return path


class Client:
    """A player that writes what it gets into files, as it comes."""

    def __init__(self, name, camera, folder):
        self.name, self.camera, self.codec, self.sound = name, camera, CODECS[camera][0], CODECS[camera][2]
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.folder.chmod(0o777)
        self.video, self.audio, self.end = self.folder / "video", self.folder / "audio", 2
        self.at, self.starts = 0, 0

    def run(self, inside, words):
        with open(self.folder / "log", "w") as log:
            self.process = spawn([*inside, *words], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)

    def has(self, count):
        """Whether so many units were begun, or pictures ended; looks at what is new."""
        if self.video.exists():
            with open(self.video, "rb") as file:
                file.seek(self.at)
                new = file.read()
            mark = b"\xff\xd9" if self.codec == "mjpeg" else b"\0\0\1"
            self.starts += new.count(mark)
            self.at += max(len(new) - len(mark) + 1, 0)
        return self.starts >= count or self.process.poll() is not None

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-1500:]


def ffmpeg(client, nvrd, transport):
    """ffmpeg, which tries Digest first."""
    scheme, port, word = {"TCP": ("rtsp", nvrd.rtsp, "tcp"), "UDP": ("rtsp", nvrd.rtsp, "udp"), "multicast": ("rtsp", nvrd.rtsp, "udp_multicast"),
                          "RTSPS": ("rtsps", nvrd.rtsps, "tcp"), "HTTP": ("rtsp", nvrd.http, "http"), "HTTPS": ("rtsp", nvrd.https, "https")}[transport]
    return ["ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", word, "-buffer_size", "4000000", "-i", f"{scheme}://anna:s3cret@{port}/{client.camera}",
            "-map", "0:v", "-c", "copy", "-flush_packets", "1", "-f", client.codec, client.video,
            "-map", "0:a", "-c", "copy", "-flush_packets", "1", "-f", CONTAINERS[client.sound], client.audio]


def gstreamer(client, nvrd, transport):
    scheme, port, word = {"TCP": ("rtsp", nvrd.rtsp, "tcp"), "UDP": ("rtsp", nvrd.rtsp, "udp"), "multicast": ("rtsp", nvrd.rtsp, "udp-mcast"),
                          "RTSPS": ("rtsps", nvrd.rtsps, "tcp"), "HTTP": ("rtsph", nvrd.http, "tcp+http"), "HTTPS": ("rtspsh", nvrd.https, "tcp+http")}[transport]
    kind = {"h264": "h264", "hevc": "h265", "mjpeg": "jpeg"}[client.codec]
    video = [] if kind == "jpeg" else ["!", f"video/x-{kind},stream-format=byte-stream,alignment=au"]
    audio = {"aac": "rtpmp4gdepay ! aacparse ! audio/mpeg,stream-format=adts", "alaw": "rtppcmadepay",
             "opus": "rtpopusdepay ! opusparse ! matroskamux streamable=true"}[client.sound]
    sink = ["!", "filesink", "sync=false", "async=false", "buffer-mode=unbuffered"]
    return ["gst-launch-1.0", "-q", "rtspsrc", f"location={scheme}://{port}/{client.camera}", f"protocols={word}", "user-id=anna", "user-pw=s3cret",
            "tls-validation-flags=0", "udp-buffer-size=4000000", "latency=500", "name=s",
            "s.", "!", "application/x-rtp,media=video", "!", f"rtp{kind}depay", *video, *sink, f"location={client.video}",
            "s.", "!", "application/x-rtp,media=audio", "!", *audio.split(), *sink, f"location={client.audio}"]


def open_rtsp(client, nvrd, transport):
    """live555's, which goes to the group when it is described so."""
    scheme, port, query, words = {"TCP": ("rtsp", nvrd.rtsp, "", ["-t"]), "UDP": ("rtsp", nvrd.rtsp, "", []),
                                  "multicast": ("rtsp", nvrd.rtsp, "?multicast", []), "RTSPS": ("rtsps", nvrd.rtsps, "", ["-t"]),
                                  "HTTP": ("rtsp", nvrd.http, "", ["-T", nvrd.http.rpartition(":")[2]])}[transport]
    client.video = client.folder / {"h264": "video-H264-1", "hevc": "video-H265-1", "mjpeg": "video-JPEG-1"}[client.codec]
    client.audio = client.folder / {"aac": "audio-MPEG4-GENERIC-2", "alaw": "audio-PCMA-2", "opus": "audio-OPUS-2"}[client.sound]
    client.end = 1
    return ["openRTSP", "-V", "-b", "1000000", "-B", "4000000", "-u", "anna", "s3cret", *words, f"{scheme}://{port}/{client.camera}{query}"]


PROGRAMS = {"ffmpeg": ("ffmpeg", ffmpeg), "GStreamer": ("gst-launch-1.0", gstreamer), "openRTSP": ("openRTSP", open_rtsp)}


def judge(client, source):
    found = pictures(client.video.read_bytes(), client.codec) if client.video.exists() else []
    at = media.run_of(found, source.pictures) if found else -1
    whole = report(at >= 0 and len(found) >= SECONDS * FPS, f"{client.name}: {SECONDS} s of pictures, none lost or doubled", (at, len(found), client.log()))
    if not client.audio.exists():
        return report(False, f"{client.name}: sound", client.log())
    if (client.sound, client.end) == ("opus", 1):
        return whole  # openRTSP writes it without saying where one packet ends
    heard = frames(client.audio, client.sound)
    if not heard and client.name.startswith("GStreamer"):
        skip(f"{client.name}: its sound", "gst-launch now and then links but one of two pads that appear at a time")
        return False
    fits = heard in source.frames if client.sound == "alaw" else media.run_of(heard, source.frames) >= 0 if heard else False
    return report(bool(heard) and fits, f"{client.name}: its sound, none lost or doubled", (len(heard), client.log())) and whole


def watch(nvrd, network, rows, codec, source, folder):
    """Clients that run at a time, a program and a transport each."""
    clients = []
    for program, transport in rows:
        client = Client(f"{program}, {transport}, {codec}", codec, folder)
        client.run(network.inside, PROGRAMS[program][1](client, nvrd, transport))
        clients.append(client)
    for client in clients:
        # a keyframe each second brings its parameter sets, and whatever else the encoder says
        wait_for(lambda: client.has(SECONDS * FPS * 5 // 4 + 100), 4 * SECONDS + 60, client.name)
    for client in clients:
        client.process.send_signal(client.end)
    for client in clients:
        end(client.process, client.end)
    return sum([judge(client, source) for client in clients])


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
        whole = watch(nvrd, network, [(program, "multicast")] * 2, codec, source, folder)
        report(whole, f"{program}, multicast, {codec}: pictures and sound")
        report(nvrd.log().count("plays over multicast") == before + 2, f"{program}, {codec}: both were in the group")
    return None


def main():
    network = Network()
    folder = tempfile.TemporaryDirectory(prefix="nvrd-test-")
    os.chmod(folder.name, 0o777)
    for name in CODECS:
        source = Source(name)
        camera, url = source.camera(network.inside)
        nvrd = Nvrd({name: {"source": url, "record": "off", "multicast": GROUP}}, users=USERS, https=True,
                    listen=['rtsps: "127.0.0.1:0"'], inside=network.inside)
        wait_for(lambda: "media arrives" in nvrd.log(), 20)
        check(nvrd, network, name, source, folder.name)
        report(nvrd.stop() == 0, f"{name}: SIGTERM ends it")
        if camera:
            camera.stop()
    finish()


main()
