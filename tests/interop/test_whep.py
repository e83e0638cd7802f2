#!/usr/bin/env python3
"""WHEP: Chromium and aiortc play what nvrd sends by WebRTC; garbage, loss and silence do no harm."""
import binascii
import hashlib
import hmac
import json
import random
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import media
from daemon import HERE, Camera, Nvrd, finish, report, skip, spawn, wait_for
from lossy_network import ADDRESS, LossyNetwork, why_not

BROKEN = 1000
PICTURES = "video/x-raw,width=320,height=240,framerate=25/1"
TONE = "audiotestsrc is-live=true ! audioconvert ! audioresample !"
BASELINE = f"videotestsrc is-live=true pattern=ball ! {PICTURES} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 ! video/x-h264,profile=constrained-baseline ! rtph264pay name=pay0 pt=96"
HIGH = f"videotestsrc is-live=true pattern=ball ! {PICTURES} ! x264enc tune=zerolatency key-int-max=50 ! video/x-h264,profile=high ! rtph264pay name=pay0 pt=96"
MOUNTS = {
    "opus": f"( {BASELINE} {TONE} audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97 )",
    "pcmu": f"( {BASELINE} {TONE} audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0 )",
    "high": f"( {HIGH} )",
}
REORDERED = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3"]
OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
m=video 9 UDP/TLS/RTP/SAVPF 102
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:102 H264/90000
a=fmtp:102 packetization-mode=1;profile-level-id=64001f
""".format(fingerprint=":".join(["AA"] * 32)).replace("\n", "\r\n")


def has_aiortc():
    return subprocess.run(["/usr/bin/python3", "-c", "import aiortc"], capture_output=True).returncode == 0


def has_chromium():
    return shutil.which("chromium") and shutil.which("node")


def peer_words(nvrd, camera, frames, *modes, host=None, user="", inside=()):
    return [*inside, "/usr/bin/python3", HERE / "whep_peer.py", f"http://{user}{host or nvrd.http}/live/{camera}/whep", str(frames), *modes]


def peer(nvrd, camera, frames, *modes, **options):
    """What aiortc saw; {} when it failed."""
    done = subprocess.run([str(w) for w in peer_words(nvrd, camera, frames, *modes, **options)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        print("# " + done.stderr[-2000:].replace("\n", "\n# "))
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def browser(nvrd, path, mode="", user="", inside=()):
    """What Chromium saw; {} when it failed."""
    words = [*inside, "node", HERE / "whep.mjs", f"http://{user}{nvrd.http}/", path, mode]
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        print("# " + done.stderr[-2000:].replace("\n", "\n# "))
        return {}
    return json.loads(done.stdout)


def post(nvrd, camera, body, kind="application/sdp"):
    """Status, fields and text of an answer."""
    request = urllib.request.Request(f"http://{nvrd.http}/live/{camera}/whep", data=body, method="POST", headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(errors="replace")


def sessions(nvrd):
    return nvrd.metric('nvrd_sessions{protocol="webrtc"}')


def ended(nvrd, reason):
    return nvrd.metric(f'nvrd_webrtc_sessions_ended_total{{reason="{reason}"}}')


def dropped(nvrd, kind):
    return nvrd.metric(f'nvrd_webrtc_dropped_datagrams_total{{kind="{kind}"}}')


# --- players ---

def check_chromium(nvrd, path, name, mode=""):
    seen = browser(nvrd, path, mode)
    if not report(seen.get("begun", {}).get("status") == 201, f"Chromium, {name}: the offer is answered", seen):
        return
    first, second = seen["first"], seen["second"]
    print(f"# Chromium, {name}: the first picture {first['start']} s after the offer was begun, {1000 * (second['delay'] or 0):.0f} ms in its buffer")
    report(first["width"] > 0 and second["frames"] > first["frames"] + 30, f"Chromium, {name}: pictures are decoded", seen)
    report(second["time"] > first["time"], f"Chromium, {name}: currentTime rises", seen)
    report(second["lost"] == 0, f"Chromium, {name}: no packet is missing", seen)
    report(seen["deleted"] == 200 and seen["ended"] != "connected", f"Chromium, {name}: DELETE ends it", seen)
    if mode == "tcp":
        report(first["protocol"] == "tcp", f"Chromium, {name}: it goes by TCP", first)
    if mode == "sound":
        report(second["samples"] > first["samples"] and second["energy"] > 0, f"Chromium, {name}: the tone is heard", seen)


def check_aiortc(nvrd):
    seen = peer(nvrd, "demo", 100, "pli")
    times = seen.get("video", {}).get("times", [])
    print(f"# aiortc: the first picture {seen.get('start')} s after the offer was sent")
    report(len(times) >= 100 and seen["video"]["size"] == [640, 360], "aiortc decodes the demo's pictures", seen)
    report(seen.get("asked_at") and nvrd.metric("nvrd_webrtc_replayed_groups_total") >= 1, "a picture loss indication is answered with the group of pictures", seen)
    report(all(b > a for a, b in zip(times, times[1:])), "the times of the pictures rise, before and after that", times)
    report(seen.get("deleted") == 200 and wait_for(lambda: sessions(nvrd) == 0, 10) is not None, "DELETE ends the session", seen)
    seen = peer(nvrd, "opus", 50, "sound")
    report(seen.get("video", {}).get("frames", 0) >= 50 and seen["audio"]["frames"] >= 50, "aiortc decodes pictures and Opus", seen)
    before = ended(nvrd, "closed")
    peer(nvrd, "demo", 10, "leave")
    report(wait_for(lambda: ended(nvrd, "closed") == before + 1, 10), "who closes without DELETE is gone at once, by DTLS' farewell")


def check_tcp(nvrd):
    """Among strangers who hold on to every place there is."""
    status, _, answer = post(nvrd, "demo", OFFER.encode())
    port = int(re.search(r"a=candidate:\S+ 1 tcp \d+ 127.0.0.1 (\d+) typ host tcptype passive", answer)[1])
    talker = socket.create_connection(("127.0.0.1", port), timeout=10)
    talker.sendall(b"\0\x10GET / HTTP/1.1\r\n")
    report(talker.recv(100) == b"", "who speaks something else by TCP is sent away", status)
    ufrag, password = (re.search(rf"a=ice-{word}:(\S+)", answer)[1] for word in ("ufrag", "pwd"))
    check = check_of_ice(ufrag, password)
    talker = socket.create_connection(("127.0.0.1", port), timeout=10)
    for byte in len(check).to_bytes(2, "big") + check:
        talker.sendall(bytes([byte]))
    said = talker.recv(2048)
    report(said[2:4] == b"\1\1" and int.from_bytes(said[:2], "big") == len(said) - 2, "a check by TCP is answered, in pieces as it may come", said)
    strangers = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
    check_chromium(nvrd, "/live/demo/whep", "by TCP", "tcp")
    for each in (talker, *strangers):
        each.close()


# --- garbage ---

def attribute(kind, value):
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


def check_of_ice(ufrag, password):
    """A Binding request as RFC 8445 wants it."""
    def head(n):
        return b"\0\1" + n.to_bytes(2, "big") + b"\x21\x12\xa4\x42" + b"transaction."
    body = attribute(0x0006, f"{ufrag}:abcd".encode()) + attribute(0x802A, bytes(8)) + attribute(0x0024, b"\x6e\0\1\xff") + attribute(0x0025, b"")
    body += attribute(0x0008, hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest())
    whole = head(len(body) + 8) + body
    return whole + attribute(0x8028, (binascii.crc32(whole) ^ 0x5354554E).to_bytes(4, "big"))


def broken(randomness, whole):
    """The bytes with some of them changed, cut or made longer."""
    p = bytearray(whole)
    for _ in range(randomness.randint(1, 8)):
        p[randomness.randrange(len(p))] = randomness.randrange(256)
    if randomness.random() < 0.3:
        p = p[:randomness.randrange(1, len(p))]
    return bytes(p) + (bytes(randomness.randrange(40)) if randomness.random() < 0.2 else b"")


HELLO = bytes.fromhex("16feff000000000000000000820100007600000000000000"
                      "76fefd") + bytes(range(32)) + bytes.fromhex("00000000 04 c02b c02f 0100 0048".replace(" ", "")) + bytes(72)
REPORTS = bytes.fromhex("80c90001 00000001 81cd0003 00000001 00000009 01020002 81ce0002 00000001 00000009".replace(" ", ""))


def check_garbage(nvrd):
    randomness = random.Random(7)
    watcher = spawn(peer_words(nvrd, "demo", 150), stdout=subprocess.PIPE, text=True)
    wait_for(lambda: sessions(nvrd) == 1, 20)
    status, headers, answer = post(nvrd, "demo", OFFER.encode())
    ufrag, password = (re.search(rf"a=ice-{word}:(\S+)", answer)[1] for word in ("ufrag", "pwd"))
    port = int(re.search(r"a=candidate:\S+ 1 udp \d+ 127.0.0.1 (\d+)", answer)[1])
    stranger, known = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for each in (stranger, known):
        each.connect(("127.0.0.1", port))
        each.settimeout(10)
    known.send(check_of_ice(ufrag, password))
    said = known.recv(2048)
    report(status == 201 and said[:2] == b"\1\1", "a check written by hand is answered", said)
    known.setblocking(False)
    good = check_of_ice(ufrag, password)
    before = {kind: dropped(nvrd, kind) for kind in ("stun", "dtls", "rtcp", "other")}
    for message in (good, REPORTS, HELLO):  # a broken handshake ends its session: that is the last
        for _ in range(BROKEN):
            for each in (stranger, known):
                each.send(broken(randomness, message))
    report(wait_for(lambda: all(dropped(nvrd, k) > before[k] for k in ("stun", "rtcp", "other")), 10),
           f"{BROKEN} broken messages of STUN, DTLS and RTCP from a stranger and from a client are counted", before)
    statuses = {}
    for _ in range(BROKEN):
        status, _, _ = post(nvrd, "demo", broken(randomness, OFFER.encode()))
        statuses[status] = statuses.get(status, 0) + 1
    report(sum(statuses.values()) == BROKEN and set(statuses) <= {201, 400, 406, 429, 503} and statuses.get(400), f"{BROKEN} broken offers are answered: {statuses}")
    out = json.loads(watcher.communicate(timeout=60)[0])
    report(out["video"]["frames"] >= 150, "who played meanwhile has seen nothing of it", out)
    return status


# --- loss ---

def check_loss():
    name = "5 % loss"
    reason = why_not()
    if reason:
        return skip(name, reason)
    source = media.make("whep", 20, size="640x360", bitrate="1500k", audio=False)
    network = LossyNetwork(0.05, delay_ms=(5, 0))
    nvrd = Nvrd({"demo": {"source": f'"av:{source}"', "loop": "yes", "record": "off"}}, users="anna: {password: secret, role: admin}", start=False,
                inside=network.inside("camera"), login=("anna", "secret"), listen=[f'webrtc: "{ADDRESS["camera"]}:0"'])
    nvrd.ports = (f"{ADDRESS['camera']}:0", f"{ADDRESS['camera']}:0")
    nvrd.configure({"demo": {"source": f'"av:{source}"', "loop": "yes", "record": "off"}})
    nvrd.start()
    wait_for(lambda: nvrd.metric('nvrd_camera_up{camera="demo"}') == 1, 20)
    for _ in range(3):  # Debian's aiortc does not repeat its part of a DTLS handshake, when what ends it was lost
        seen = peer(nvrd, "demo", 250, user="anna:secret@", inside=network.inside("recorder"))
        if seen.get("state") == "connected":
            break
    repeated = nvrd.metric("nvrd_webrtc_repeated_packets_total")
    replayed = nvrd.metric("nvrd_webrtc_replayed_groups_total")
    print(f"# {name} by {network.way}: {repeated:.0f} packets and {replayed:.0f} groups sent again, {dict(network.counts())}")
    report(repeated > 0, f"{name}: what was lost is sent again")
    report(seen.get("video", {}).get("frames", 0) >= 250, f"{name}: aiortc goes on decoding", seen)
    if has_chromium():
        seen = browser(nvrd, "/live/demo/whep", user="anna:secret@", inside=network.inside("recorder"))
        print(f"# Chromium, {name}: {seen.get('second')}")
        report(seen.get("second", {}).get("frames", 0) > 40, f"{name}: Chromium goes on decoding", seen)
    nvrd.stop()
    network.close()


def main():
    reordered = media.make("reordered", 10, codec=REORDERED, size="320x180", audio=False, bitrate="300k")
    cameras = Camera(*(f"{name}={pipeline}" for name, pipeline in MOUNTS.items()))
    nvrd = Nvrd({"demo": {"source": '"test:"', "record": "off"},
                 **{name: {"source": f'"{cameras.url(name)}"', "record": "off"} for name in MOUNTS},
                 "reordered": {"source": f'"av:{reordered}"', "loop": "yes", "record": "off"}},
                listen=['webrtc: "127.0.0.1:0"'], extra="webrtc:\n  sessions: 100")
    status = post(nvrd, "nowhere", OFFER.encode())[0]
    if status == 501:
        skip("whep", "nvrd was built without libsrtp2")
        return finish()
    for name in ("demo", "reordered", *MOUNTS):
        wait_for(lambda: nvrd.metric(f'nvrd_camera_up{{camera="{name}"}}') == 1, 30, name)
    if has_aiortc():
        check_aiortc(nvrd)
        check_garbage(nvrd)
    else:
        skip("whep with aiortc", "python3-aiortc is not installed")
    if has_chromium():
        check_chromium(nvrd, "/live/demo/whep", "the demo camera")
        check_chromium(nvrd, "/live/opus/whep", "with Opus", "sound")
        check_chromium(nvrd, "/live/pcmu/whep", "with G.711", "sound")
        check_chromium(nvrd, "/live/high/whep", "High profile")
        check_tcp(nvrd)
    else:
        skip("whep in Chromium", "chromium or node is not installed")
    # at the very beginning of a group of pictures nobody can know it yet
    status, _, text = wait_for(lambda: (lambda seen: seen[0] != 201 and seen)(post(nvrd, "reordered", OFFER.encode())), 10) or (201, None, "")
    report(status == 406 and "B-frames" in text, "a stream with B-frames is refused, with the reason", (status, text))
    report(wait_for(lambda: sessions(nvrd) == 0, 45) is not None, "sessions whose client says nothing for 30 s end")
    report(ended(nvrd, "silent") > 0, "and are counted as silent")
    report(nvrd.process.poll() is None and nvrd.stop() == 0, "nvrd stops as it should")
    cameras.stop()
    if has_aiortc():
        check_loss()
    finish()


main()
