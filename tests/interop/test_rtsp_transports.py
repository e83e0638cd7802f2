#!/usr/bin/env python3
"""
The transports of the RTSP server: what ffmpeg, GStreamer and openRTSP get over TCP, UDP, multicast, RTSPS and
through HTTP is one run of the camera's pictures, without a loss and without a double. NVRD_LONG=1: three minutes.
With arguments: only these rows of CODECS, one after the other; else some at a time.

The camera repeats its file, so pictures are told apart by their hashes, of which there is no second within the file.
"""
import atexit
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import media
from daemon import HERE, Camera, Nvrd, end, finish, report, skip, spawn, wait_for

LONG = bool(os.environ.get("NVRD_LONG"))
SECONDS = 180 if LONG else 4
LENGTH = 960 if LONG else 120  # of what the camera plays: four rounds of players, one after the other
FPS = 25
GROUP = "239.83.7.1"
USERS = 'anna: {password: "s3cret", role: viewer}\nolga: {password: "pushes", role: operator}'
JPEG = ["-c:v", "mjpeg", "-huffman", "default", "-q:v", "12"]  # RTP can say no other Huffman tables
AV1 = ["-c:v", "libsvtav1", "-preset", "12"]
# what the camera is called: pictures, how they are made, sound, how it is made
CODECS = {
    "h264": ("h264", media.H264, "aac", ["-c:a", "aac"]),
    "hevc": ("hevc", media.H265, "aac", ["-c:a", "aac"]),
    "mjpeg": ("mjpeg", JPEG, "alaw", ["-c:a", "pcm_alaw", "-ar", "8000"]),
    "opus": ("h264", media.H264, "opus", ["-c:a", "libopus"]),
    "mulaw": ("hevc", media.H265, "mulaw", ["-c:a", "pcm_mulaw", "-ar", "8000"]),
    "l16": ("mjpeg", JPEG, "l16", ["-c:a", "pcm_s16be", "-ar", "16000"]),
    "g726": ("h264", media.H264, "g726", ["-c:a", "g726le", "-ar", "8000"]),
    "av1": ("av1", AV1, "opus", ["-c:a", "libopus"]),
}
# of pictures: how GStreamer, and live555 call them
PICTURES = {"h264": ("h264", "H264"), "hevc": ("h265", "H265"), "mjpeg": ("jpeg", "JPEG")}
COPY = ["ffmpeg", "-nostdin", "-v", "error"]
SAMPLES = ("alaw", "mulaw", "l16", "g726")  # sound that is nothing but samples
# of sound: in what ffmpeg and GStreamer write it, and how live555 calls it
SOUNDS = {
    "aac": ("adts", "rtpmp4gdepay ! aacparse ! audio/mpeg,stream-format=adts", "MPEG4-GENERIC"),
    "opus": ("matroska", "rtpopusdepay ! opusparse ! matroskamux streamable=true", "OPUS"),
    "alaw": ("alaw", "rtppcmadepay", "PCMA"),
    "mulaw": ("mulaw", "rtppcmudepay", "PCMU"),
    "l16": ("s16be", "rtpL16depay", "L16"),
    "g726": ("g726le", "rtpg726depay", "G726-32"),
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
    if codec == "av1":
        return data.decode().split("\n")[:-1]  # av_reader.py writes them
    if codec == "mjpeg":  # the scan behind its header of 14 bytes: the rest is made anew by who receives it; ffmpeg ends it twice
        return [hashlib.md5(picture.partition(b"\xff\xda")[2][12:]).hexdigest() for picture in data.split(b"\xff\xd9")[:-1] if picture]
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:-1]]
    kinds = range(1, 6) if codec == "h264" else range(32)
    return [hashlib.md5(u).hexdigest() for u in units
            if u and (u[0] & 31 if codec == "h264" else u[0] >> 1 & 63) in kinds]


def ogg_packets(data):
    """The hashes of the packets in Ogg (RFC 3533) as live555 writes it: a page for each, and without the heads that others want."""
    at, found = 0, []
    while len(data) >= at + 27:
        begin = at + 27 + data[at + 26]
        at = begin + sum(data[at + 27:begin])
        found.append("MD5:" + hashlib.md5(data[begin:at]).hexdigest())
    return found[:-1]


def frames(path, codec):
    """The units of a track of sound, but for a last one that may be cut off: of samples each one."""
    data, found = path.read_bytes(), []
    if data.startswith(b"MD5:"):
        return data.decode().split("\n")[:-1]
    if data.startswith(b"OggS"):
        return ogg_packets(data)
    if codec == "opus":
        return [p[3] for p in media.packets(path, "a:0")] if data else []
    if codec in SAMPLES:
        return data
    while len(data) >= 7:  # ADTS (ISO 13818-7)
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        if len(data) < length:
            break
        found.append(data[7 if data[1] & 1 else 9:length])
        data = data[length:]
    return found


class Source:
    """What the camera plays: its pictures by hash, and the frames of its sound."""

    def __init__(self, name):
        self.name = name
        self.video, made, self.audio, sound = CODECS[name]
        self.file, self.sound = make(name, made, sound)
        if self.video == "av1":
            self.pictures = [p[3] for p in media.packets(self.file)]
        else:
            self.pictures = pictures(media.run(*COPY, "-i", str(self.file), "-map", "0:v", "-c", "copy", "-f", self.video, "-") + b"\0\0\1", self.video)
        self.frames = frames(self.sound, self.audio)

    def camera(self, inside):
        """Who plays it, and the source by which nvrd asks for it."""
        if self.audio == "g726":  # no file that libavformat knows says how many bits such a sample has
            return None, '"publish:"'
        if self.audio != "aac":
            return None, f'"av:{self.file}"'
        camera = Camera(f"a=file:{self.file}{':h265' if self.video == 'hevc' else ''}", inside=inside)
        return camera, f'"{camera.url("a")}"'

    def push(self, nvrd):
        return spawn([*nvrd.inside, *COPY, "-re", "-i", self.file, "-re", "-f", "g726le", "-code_size", "4", "-sample_rate", "8000", "-i", self.sound,
                      "-map", "0:v", "-map", "1:a", "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", f"rtsp://olga:pushes@{nvrd.rtsp}/{self.name}"])


def make(name, video, audio):
    """A file of moving pictures and noise, in which nothing comes twice; and what of it is sound."""
    path = media.CACHE / f"transports-{name}-{LENGTH}.{'mp4' if name in ('h264', 'hevc') else 'mkv'}"
    sound = path.with_suffix(".sound")
    if sound.exists():
        return path, sound
    media.CACHE.mkdir(parents=True, exist_ok=True)
    part, kind = path.with_suffix(f".part{path.suffix}"), CODECS[name][2]
    noise = ["-f", "lavfi", "-i", f"anoisesrc=sample_rate=48000:duration={LENGTH}:seed=1", "-b:a", "32k" if kind == "g726" else "64k", *audio]
    media.run(*COPY, "-y", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={FPS}:duration={LENGTH},noise=alls=8:allf=t",
              *([] if kind == "g726" else noise), *video, "-g", "25", "-b:v", "600k",
              "-pix_fmt", "yuvj420p" if video == JPEG else "yuv420p", *([] if video in (JPEG, AV1) else ["-maxrate", "600k", "-bufsize", "600k"]), str(part))
    media.run(*COPY, "-y", *(noise if kind == "g726" else ["-i", str(part), "-map", "0:a", "-c", "copy"]), "-f", SOUNDS[kind][0], str(sound))
    part.rename(path)
    return path, sound


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
        """Whether so many units were begun; looks at what is new."""
        if self.video.exists():
            with open(self.video, "rb") as file:
                file.seek(self.at)
                new = file.read()
            mark = {"mjpeg": b"\xff\xd8\xff", "av1": b"\n"}.get(self.codec, b"\0\0\1")
            self.starts += new.count(mark)
            self.at += max(len(new) - len(mark) + 1, 0)
        return self.starts >= count or self.process.poll() is not None

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-1500:]


def address(nvrd, transport, http="rtsp", https="rtsp"):
    """The scheme, and where a way begins."""
    return {"RTSPS": ("rtsps", nvrd.rtsps), "HTTP": (http, nvrd.http), "HTTPS": (https, nvrd.https)}.get(transport, ("rtsp", nvrd.rtsp))


FFMPEG = {"UDP": "udp", "multicast": "udp_multicast", "HTTP": "http", "HTTPS": "https"}  # what ffmpeg calls the ways: "tcp" the others


def ffmpeg(client, nvrd, transport):
    """ffmpeg, which tries Digest first."""
    scheme, port = address(nvrd, transport)
    return ["ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", FFMPEG.get(transport, "tcp"), "-buffer_size", "4000000",
            "-i", f"{scheme}://anna:s3cret@{port}/{client.camera}",
            "-map", "0:v", "-c", "copy", "-flush_packets", "1", "-f", client.codec, client.video,
            "-map", "0:a", "-c", "copy", "-flush_packets", "1", "-f", SOUNDS[client.sound][0], client.audio]


def py_av(client, nvrd, transport):
    scheme, port = address(nvrd, transport)
    client.end = 15
    return [PYAV, HERE / "av_reader.py", f"{scheme}://anna:s3cret@{port}/{client.camera}", FFMPEG.get(transport, "tcp"), client.video, client.audio]


def gstreamer(client, nvrd, transport):
    scheme, port = address(nvrd, transport, "rtsph", "rtspsh")
    protocol = {"UDP": "udp", "multicast": "udp-mcast", "HTTP": "tcp+http", "HTTPS": "tcp+http"}.get(transport, "tcp")
    kind = PICTURES[client.codec][0]
    video = f"rtp{kind}depay" + ("" if kind == "jpeg" else f" ! video/x-{kind},stream-format=byte-stream,alignment=au")
    sink = "! filesink sync=false async=false buffer-mode=unbuffered location="
    return ["/usr/bin/python3", HERE / "gst_reader.py", f"{video} {sink}{client.video}", f"{SOUNDS[client.sound][1]} {sink}{client.audio}",
            f"location={scheme}://{port}/{client.camera}", f"protocols={protocol}", "user-id=anna", "user-pw=s3cret",
            "tls-validation-flags=0", "udp-buffer-size=4000000", "latency=500"]


def open_rtsp(client, nvrd, transport):
    """live555's, which goes to the group when it is described so."""
    scheme, port = address(nvrd, transport)
    words = {"TCP": ["-t"], "RTSPS": ["-t"], "HTTP": ["-T", nvrd.http.rpartition(":")[2]]}.get(transport, [])
    client.video = client.folder / f"video-{PICTURES[client.codec][1]}-1"
    client.audio = client.folder / f"audio-{SOUNDS[client.sound][2]}-2"
    client.end = 1
    return ["openRTSP", "-V", "-b", "1000000", "-B", "4000000", "-u", "anna", "s3cret", *words,
            f"{scheme}://{port}/{client.camera}{'?multicast' if transport == 'multicast' else ''}"]


PYAV = os.environ.get("NVRD_PYAV", "python3")  # a Python that has it
PROGRAMS = {"ffmpeg": ("ffmpeg", ffmpeg), "GStreamer": ("gst-launch-1.0", gstreamer), "openRTSP": ("openRTSP", open_rtsp), "PyAV": (PYAV, py_av)}


def programs_for(codec):
    """Those that are installed and take it; AV1 is known to none of Debian 12's."""
    if codec != "av1":
        return [name for name, (command, _) in PROGRAMS.items() if name != "PyAV" and shutil.which(command)]
    if not shutil.which(PYAV):
        return []
    done = subprocess.run([PYAV, "-c", "import av; raise SystemExit(av.library_versions['libavformat'][0] < 62)"], capture_output=True)
    return [] if done.returncode else ["PyAV"]


def jumps(found, source):
    """Where what was found leaps in the source: from which place to which, and over how many places of its own. AV1 has pictures that are but a number."""
    count = collections.Counter(source)
    places = {unit: i for i, unit in enumerate(source) if count[unit] == 1}
    known = [(i, places[unit]) for i, unit in enumerate(found) if unit in places]
    return [(a, b, q - p) for (p, a), (q, b) in zip(known, known[1:]) if b - a != q - p]


def run_of_pictures(client, found, source):
    """
    Where they begin in the source, and those that are one run. ffmpeg 8.1 that joins a group now and then gives a picture or two of AV1, says
    "Unexpected fragment continuation" and waits for the next keyframe, while others have all from the same datagrams: then it begins there.
    """
    for first in range(min(2 * FPS, len(found)) if client.codec == "av1" and "multicast" in client.name else 1):
        at = media.run_of(found[first:], source.pictures) if found else -1
        if at >= 0:
            return at, found[first:]
    return -1, found


def judge(client, source):
    found = pictures(client.video.read_bytes(), client.codec) if client.video.exists() else []
    at, found = run_of_pictures(client, found, source)
    whole = report(at >= 0 and len(found) >= SECONDS * FPS, f"{client.name}: {SECONDS} s of pictures, none lost or doubled",
                   (at, len(found), [] if at >= 0 else jumps(found, source.pictures)[:5], client.log()))
    if not client.audio.exists():
        return report(False, f"{client.name}: sound", client.log())
    heard = frames(client.audio, client.sound)
    fits = heard in source.frames if client.sound in SAMPLES else media.run_of(heard, source.frames) >= 0 if heard else False
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
        least = SECONDS * FPS * 5 // 4 + 100 if client.codec in ("h264", "hevc") else SECONDS * FPS + 3 * FPS
        wait_for(lambda: client.has(least), 4 * SECONDS + 60, client.name)
    for client in clients:
        client.process.send_signal(client.end)
    for client in clients:
        end(client.process, client.end)
    return sum([judge(client, source) for client in clients])


def check(nvrd, network, codec, source, folder):
    programs = programs_for(codec)
    if codec == "av1" and not programs:
        return skip("AV1", "no PyAV with ffmpeg 8 (NVRD_PYAV names the Python that has it)")
    if codec != "av1" and "openRTSP" not in programs:
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


def run(names):
    network = Network()
    folder = tempfile.TemporaryDirectory(prefix="nvrd-test-")
    os.chmod(folder.name, 0o777)
    for name in names:
        source = Source(name)
        camera, url = source.camera(network.inside)
        nvrd = Nvrd({name: {"source": url, "record": "off", "multicast": GROUP}}, users=USERS, https=True,
                    listen=['rtsps: "127.0.0.1:0"'], inside=network.inside)
        pusher = source.push(nvrd) if "publish" in url else None
        wait_for(lambda: "media arrives" in nvrd.log(), 20)
        check(nvrd, network, name, source, folder.name)
        report(nvrd.stop() == 0, f"{name}: SIGTERM ends it")
        if camera:
            camera.stop()
        if pusher:
            end(pusher)


def run_alone(name):
    done = subprocess.run([sys.executable, __file__, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="", flush=True)
    return done.returncode


def main():
    if sys.argv[1:]:
        run(sys.argv[1:])
        finish()
    with concurrent.futures.ThreadPoolExecutor(4 if LONG else 2) as pool:
        sys.exit(max(pool.map(run_alone, CODECS)))


main()
