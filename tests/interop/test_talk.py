#!/usr/bin/env python3
"""What GStreamer's rtspsrc says by ONVIF's back channel arrives at cameras of GStreamer, byte by byte; who may, who is first, who dies, who comes back."""
import base64
import contextlib
import signal
import socket

import media
from daemon import HERE, Camera, Nvrd, end, finish, report, spawn, wait_for

USERS = """anna: {password: pw-anna, role: admin}
olga:
  password: pw-olga
  role: operator
  app_passwords:
  - {name: intercom, password: pw-talks, scope: [rtsp, "rtsp:talk"]}
  - {name: player, password: pw-plays, scope: [rtsp]}
vera: {password: pw-vera}"""
REQUIRE = "Require: www.onvif.org/ver20/backchannel\r\n"
TCP = "Transport: RTP/AVP/TCP;unicast;interleaved=6-7\r\n"
SECONDS = 6


def make_sound(codec, seconds=SECONDS):
    """Noise that repeats nothing: the path to say it from, and what of it a camera hears."""
    path = media.CACHE / f"talk-{seconds}.{codec}"
    words = {"pcmu": ["-f", "mulaw"], "pcma": ["-f", "alaw"], "aac": ["-c:a", "aac", "-b:a", "32k", "-f", "adts"]}[codec]
    rate = 16000 if codec == "aac" else 8000
    if not path.exists():
        media.CACHE.mkdir(parents=True, exist_ok=True)
        media.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", f"anoisesrc=r={rate}:d={seconds}:seed=7:a=0.5", "-ac", "1", *words, str(path))
    said = path.read_bytes()
    if codec != "aac":
        return path, said
    frames, at = [], 0  # without ADTS, whose header of 7 bytes holds 13 bits of length
    while at < len(said):
        n = (said[at + 3] & 3) << 11 | said[at + 4] << 3 | said[at + 5] >> 5
        frames.append(said[at + 7:at + n])
        at += n
    return path, b"".join(frames)


class Ear:
    """A camera that plays a file and writes what it hears."""

    def __init__(self, folder, codec, source):
        self.path = folder / f"heard.{codec}"
        self.camera = Camera(f"main=file:{source}", options=["--listen", f"{codec}:{self.path}"])
        self.url = self.camera.url("main")

    def heard(self):
        return self.path.read_bytes() if self.path.exists() else b""


class Talker:
    """GStreamer, in a process of its own; it tells what happens line by line."""

    def __init__(self, nvrd, camera, codec, sound, transport="tcp", user="olga:pw-talks"):
        self.log = nvrd.folder / f"talker-{camera.replace('/', '-')}-{codec}-{transport}-{user.split(':')[1]}"
        self.stream = open(self.log, "w")
        self.process = spawn(["/usr/bin/python3", HERE / "gst_talk.py", f"rtsp://{user}@{nvrd.rtsp}/{camera}", transport, codec, sound],
                             stdout=self.stream, stderr=self.stream)

    def has_told(self, word, seconds=30):
        return wait_for(lambda: word in self.log.read_text(), seconds)

    def told(self):
        return self.log.read_text()

    def stop(self, number=signal.SIGKILL):
        end(self.process, number)
        self.stream.close()


class Conversation:
    """Requests of one connection."""

    def __init__(self, nvrd, camera, user):
        host, _, port = nvrd.rtsp.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.url, self.login = f"rtsp://{nvrd.rtsp}/{camera}", base64.b64encode(user.encode()).decode()

    def ask(self, method, track="", fields=""):
        """The first line of the answer."""
        self.socket.sendall(f"{method} {self.url}{track} RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic {self.login}\r\n{fields}\r\n".encode())
        return self.socket.recv(65536).decode(errors="replace").split("\r\n")[0].removeprefix("RTSP/1.0 ")

    def close(self):
        self.socket.close()


def ask(nvrd, method, user, track="", fields="", camera="pcmu"):
    with contextlib.closing(Conversation(nvrd, camera, user)) as one:
        return one.ask(method, track, fields)


def playing(nvrd, camera):
    return nvrd.metric(f'nvrd_camera_state{{camera="{camera}",state="playing"}}') == 1


def listens(nvrd, camera):
    return wait_for(lambda: playing(nvrd, camera) and ask(nvrd, "DESCRIBE", "olga:pw-olga", "", REQUIRE, camera).startswith("200"), 30)


def check_codecs(nvrd, ears, sounds):
    """All at once, by each transport to us and to the camera."""
    for transport in ("tcp", "udp"):
        before = {codec: len(ear.heard()) for codec, ear in ears.items()}
        talkers = {codec: Talker(nvrd, codec, codec, sounds[codec][0], transport) for codec in ears}
        for codec, talker in talkers.items():
            name = {"pcmu": "PCMU", "pcma": "PCMA", "aac": "MPEG4-GENERIC"}[codec]
            report(talker.has_told("said") and f"codec {name}\n" in talker.told(), f"{codec} over {transport}: it is described, and something is said", talker.told())
            expected = sounds[codec][1]
            wait_for(lambda: len(ears[codec].heard()) - before[codec] >= len(expected), 10)
            heard = ears[codec].heard()[before[codec]:]
            report(heard == expected, f"{codec} over {transport}: the camera hears {len(heard)} bytes of {len(expected)}, all in order")
            talker.stop()


def check_permission(nvrd, sounds):
    rows = [("vera:pw-vera", "551 This user may not talk", "403 Forbidden"), ("olga:pw-plays", "551 This user may not talk", "403 Forbidden"),
            ("olga:pw-talks", "200 OK", "200 OK"), ("anna:pw-anna", "200 OK", "200 OK")]
    wait_for(lambda: ask(nvrd, "SETUP", "anna:pw-anna", "/trackID=3", TCP) == "200 OK", 10)  # who talked over UDP was killed: 5 s of silence
    got = [(user, ask(nvrd, "DESCRIBE", user, "", REQUIRE), ask(nvrd, "SETUP", user, "/trackID=3", REQUIRE + TCP)) for user, _, _ in rows]
    report(got == rows, "operators talk, viewers and passwords without the scope do not", got)
    report(ask(nvrd, "DESCRIBE", "anna:pw-anna", "", REQUIRE, "mute").startswith("551"), "nor does anybody to a camera that is not asked for it")
    viewer = Talker(nvrd, "pcmu", "pcmu", sounds["pcmu"][0], user="vera:pw-vera")
    report(viewer.has_told("error") and "codec" not in viewer.told(), "GStreamer as a viewer that would talk is told", viewer.told())
    viewer.stop()


def check_one_at_a_time(nvrd, ears, sounds):
    """While one talks, the next is refused, and free when the first has died."""
    first = Talker(nvrd, "pcmu", "pcmu", sounds["long"][0])
    before = len(ears["pcmu"].heard())
    wait_for(lambda: len(ears["pcmu"].heard()) > before, 30)
    answer = ask(nvrd, "SETUP", "anna:pw-anna", "/trackID=3", REQUIRE + TCP)
    report(answer == "453 Somebody else talks to this camera", "a second one is refused, and told why", answer)
    second = Talker(nvrd, "pcmu", "pcmu", sounds["pcmu"][0], user="anna:pw-anna")
    report(wait_for(lambda: second.process.poll() is not None or "playing" in second.told(), 30), "GStreamer as the second one is told, too", second.told())
    second.stop()
    heard = ears["pcmu"].heard()[before:]
    report(sounds["long"][1].startswith(heard), "the camera hears the first one alone")
    first.stop(signal.SIGKILL)
    report(wait_for(lambda: ask(nvrd, "SETUP", "anna:pw-anna", "/trackID=3", REQUIRE + TCP) == "200 OK", 3), "when he dies his place is free")


def check_camera_comes_back(nvrd, ears, sounds):
    """It is killed while somebody talks, and comes back: he is heard again, by the same session."""
    ear = ears["pcma"]
    talker = Talker(nvrd, "pcma", "pcma", sounds["longa"][0])
    wait_for(lambda: len(ear.heard()) > SECONDS * 8000 * 2, 30)  # what the others have said is there, too
    ear.camera.stop(signal.SIGKILL)
    report(wait_for(lambda: not playing(nvrd, "pcma"), 20), "the camera goes while somebody talks")
    seen = len(ear.heard())
    ear.camera.start()
    report(wait_for(lambda: playing(nvrd, "pcma"), 30), "and comes back")
    report(wait_for(lambda: len(ear.heard()) > seen + 8000, 30) and talker.process.poll() is None, "he is heard again without doing anything", talker.told())
    report(ear.heard()[seen:seen + 8000] in sounds["longa"][1], "as he speaks")
    report(nvrd.metric('nvrd_talk_packets_total{camera="pcma",result="away"}') > 0, "what was said meanwhile is counted")
    talker.stop()


def check_nvrd_of_nvrd(nvrd, ears, sounds):
    """Another nvrd has the first as its camera, and passes on what is said to it."""
    other = Nvrd({"hall": {"source": f'"rtsp://olga:pw-talks@{nvrd.rtsp}/pcmu"', "backchannel": "yes"},
                  "quiet": {"source": f'"rtsp://vera:pw-vera@{nvrd.rtsp}/pcmu"', "backchannel": "yes"}}, users=USERS, login=("anna", "pw-anna"))
    report(listens(other, "hall"), "an nvrd listens for another one", other.log()[-2000:])
    before = len(ears["pcmu"].heard())
    talker = Talker(other, "hall", "pcmu", sounds["pcmu"][0])
    talker.has_told("said")
    wait_for(lambda: len(ears["pcmu"].heard()) - before >= len(sounds["pcmu"][1]), 10)
    report(ears["pcmu"].heard()[before:] == sounds["pcmu"][1], "what is said goes through both", talker.told())
    talker.stop()
    report(wait_for(lambda: playing(other, "quiet"), 20) and "asked for its back channel it answers 551: going on without" in other.log(),
           "as a viewer it records, and nobody talks")
    report(other.stop() == 0, "SIGTERM ends it")


def check_recording(nvrd, source):
    """Of the camera that was talked to most."""
    files = nvrd.files("pcmu")
    expected = [p[3] for p in media.packets(source)]
    found = [p[3] for path in files for p in media.packets(path)]
    report(found and media.run_of(found, expected) >= 0, f"{len(found)} pictures were recorded meanwhile, none is missing", files)


def main():
    source = media.make("talk", 180, size="320x240", bitrate="200k", gop=25)
    sounds = {codec: make_sound(codec) for codec in ("pcmu", "pcma", "aac")}
    sounds["long"], sounds["longa"] = make_sound("pcmu", 60), make_sound("pcma", 60)
    nvrd = Nvrd(start=False, segment="1h", users=USERS, login=("anna", "pw-anna"))
    ears = {codec: Ear(nvrd.folder, codec, source) for codec in ("pcmu", "pcma", "aac")}
    mute = Camera(f"main=file:{source}")
    nvrd.configure({codec: {"source": f'"{ear.url}"', "backchannel": "yes", "transport": "udp" if codec == "pcma" else "tcp"} for codec, ear in ears.items()}
                   | {"mute": {"source": f'"{ears["pcmu"].url}"'}, "deaf": {"source": f'"{mute.url("main")}"', "backchannel": "yes"}})
    nvrd.start()
    report(all(listens(nvrd, codec) for codec in ears), "three cameras listen", nvrd.log()[-2000:])
    report(wait_for(lambda: playing(nvrd, "deaf"), 20) and ask(nvrd, "DESCRIBE", "anna:pw-anna", "", REQUIRE, "deaf").startswith("551"), "one that cannot is recorded, too")
    check_codecs(nvrd, ears, sounds)
    check_permission(nvrd, sounds)
    check_one_at_a_time(nvrd, ears, sounds)
    check_nvrd_of_nvrd(nvrd, ears, sounds)
    check_camera_comes_back(nvrd, ears, sounds)
    check_recording(nvrd, source)
    report("audit talk: user olga: address 127.0.0.1: protocol rtsp: pcmu\n" in nvrd.log(), "the audit tells who talked")
    report("pw-" not in nvrd.log(), "no password is in the log")
    report(nvrd.stop() == 0, "SIGTERM ends it")
    finish()


main()
