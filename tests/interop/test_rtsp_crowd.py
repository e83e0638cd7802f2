#!/usr/bin/env python3
"""
Many at the RTSP server's door: a thousand who say nothing or half a request do not hinder a viewer, a thousand viewers at
a time get every packet, no user or address gets more sessions than it may have, and readers who never read cost the others
nothing and little memory (5 minutes with NVRD_LONG=1; NVRD_PLAIN=1 for a build without sanitizers, which hold what was freed).
"""
import atexit
import os
import pathlib
import re
import resource
import selectors
import socket
import subprocess
import time

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for

CROWD = 1000
FROZEN, READING = 100, 10
LIMITS = "rtsp: {queue: 1MiB, queue_time: 2s, write_timeout: %s}"
LONG, PLAIN = os.environ.get("NVRD_LONG") == "1", os.environ.get("NVRD_PLAIN") == "1"
TRANSPORT = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"


class Viewer:
    """A reader over TCP that tells whether packets were left out."""

    def __init__(self, nvrd, selector):
        host, _, port = nvrd.rtsp.rpartition(":")
        self.url = f"rtsp://{nvrd.rtsp}/porch"
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.data, self.id, self.expected, self.packets, self.lost, self.closed = b"", "", None, 0, 0, False
        self.state, self.answers = "SETUP", []
        self.socket.sendall(f"SETUP {self.url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n{TRANSPORT}\r\n\r\n".encode())
        selector.register(self.socket, selectors.EVENT_READ, self)

    def take(self):
        try:
            more = self.socket.recv(65536)
        except OSError:
            more = b""
        self.closed = not more
        self.data += more
        while True:
            if self.data[:1] == b"$":
                n = 4 + int.from_bytes(self.data[2:4], "big")
                if len(self.data) < max(n, 4):
                    return
                self.packet(self.data[1], self.data[4:n])
                self.data = self.data[n:]
                continue
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found:
                return
            self.data = rest
            self.answer(head.decode())

    def packet(self, channel, packet):
        if channel != 0:
            return
        sequence = int.from_bytes(packet[2:4], "big")
        self.lost += self.expected is not None and sequence != self.expected
        self.expected = sequence + 1 & 0xffff
        self.packets += 1

    def answer(self, head):
        self.answers.append(head.split("\r\n")[0])
        if self.state == "SETUP" and " 200 " in self.answers[-1]:
            self.id = re.search(r"Session: ([0-9a-f]+)", head)[1]
            self.socket.sendall(f"PLAY {self.url} RTSP/1.0\r\nCSeq: 2\r\nSession: {self.id}\r\n\r\n".encode())
            self.state = "PLAY"


def look(selector, until, seconds):
    """Reads for all viewers until the condition holds. Returns whether it did."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        for key, _ in selector.select(0.2):
            key.data.take()
            if key.data.closed:
                selector.unregister(key.data.socket)
    return True


def open_socket(nvrd):
    host, _, port = nvrd.rtsp.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def strangers(nvrd):
    return nvrd.metric('nvrd_connections{server="rtsp"}')


def check_strangers(nvrd):
    """Half of them are silent, half of them drip; meanwhile one watches, and others come."""
    selector = selectors.DefaultSelector()
    viewer = Viewer(nvrd, selector)
    report(look(selector, lambda: viewer.packets > 10, 30), "a viewer plays", viewer.answers)
    crowd = [open_socket(nvrd) for _ in range(CROWD)]
    dripping = crowd[::2]
    for byte in b"OPTIONS":
        for one in dripping:
            try:
                one.send(bytes([byte]))
            except OSError:
                pass  # closed, as it should be
        look(selector, lambda: False, 0.3)
    report(strangers(nvrd) < 300, "of a thousand strangers most have been sent away", strangers(nvrd))
    second = Viewer(nvrd, selector)
    report(look(selector, lambda: second.packets > 10, 30), "another viewer comes through", second.answers)
    gone = wait_for(lambda: look(selector, lambda: False, 0.2) or strangers(nvrd) == 2, 40, "the strangers to be sent away")
    report(gone, "those who do not say a whole request in time are sent away", strangers(nvrd))
    report(viewer.lost == 0 and second.lost == 0 and not viewer.closed, "no viewer lost a packet", (viewer.lost, second.lost))
    for one in (*crowd, viewer.socket, second.socket):
        one.close()


def check_viewers(nvrd):
    """A thousand, and then as many as are let in."""
    selector = selectors.DefaultSelector()
    viewers = []
    for _ in range(CROWD):
        viewers.append(Viewer(nvrd, selector))
        if len(viewers) % 50 == 0:
            look(selector, lambda: viewers[-1].id, 20)
    report(look(selector, lambda: all(v.packets >= 25 for v in viewers), 120), "a thousand viewers play", min(v.packets for v in viewers))
    report(sum(v.lost for v in viewers) == 0 and not any(v.closed for v in viewers), "none of them lost a packet")
    ids = {v.id for v in viewers}
    report(len(ids) == CROWD and all(len(i) == 32 for i in ids), "each has a session of its own")
    more = [Viewer(nvrd, selector) for _ in range(30)]
    look(selector, lambda: all(v.answers for v in more), 30)
    refused = [v for v in more if v.answers and " 503 " in v.answers[-1]]
    report(len(refused) == 6, "past 1024 sessions it says 503", [v.answers for v in more])
    before = viewers[0].packets
    report(look(selector, lambda: viewers[0].packets > before + 5, 30), "the others go on")
    for viewer in (*viewers, *more):
        viewer.socket.close()
    report(wait_for(lambda: nvrd.metric('nvrd_sessions{protocol="rtsp"}') == 0, 20), "all sessions end with their connections")


def queued(nvrd):
    return nvrd.metric('nvrd_reader_queue_bytes{protocol="rtsp"}')


def skipped(nvrd):
    return nvrd.metric('nvrd_reader_skipped_frames_total{protocol="rtsp"}')


def too_slow(nvrd):
    return nvrd.metric('nvrd_connections_closed_total{server="rtsp",reason="too_slow"}')


def own_kib(nvrd):
    """Pages of its own. With sanitizers they say nothing."""
    rows = pathlib.Path(f"/proc/{nvrd.process.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))


def freeze(nvrd, selector):
    """A hundred who play, and from then on read no more."""
    frozen = [Viewer(nvrd, selector) for _ in range(FROZEN)]
    for one in frozen:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    report(look(selector, lambda: all(one.packets for one in frozen), 60), f"{FROZEN} readers begin to play")
    for one in frozen:
        selector.unregister(one.socket)
    return frozen


def watch(nvrd, selector, until, seconds):
    """Reads for those who read until the condition holds, which is asked each half second. Returns the most bytes that waited, and the most memory."""
    bytes_, kib, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end and not until():
        look(selector, lambda: False, 0.5)
        bytes_, kib = max(bytes_, queued(nvrd)), max(kib, own_kib(nvrd))
    return bytes_, kib


def check_frozen():
    """First they stay for as long as the test lasts, then a reload has them sent away."""
    source = media.make("frozen", 20, size="1280x720", gop=25, audio=False)
    group = 2 * 4000000 // 8  # of pictures, with which a reader begins: a second of 4 Mbit/s, twice
    camera = Camera(f"a=file:{source}:silent")
    cameras = {"porch": {"source": f'"{camera.url("a")}"', "transport": "tcp", "record": "off"}}
    nvrd = Nvrd(cameras, extra=LIMITS % "1h")
    wait_for(lambda: nvrd.metric('nvrd_camera_frames_total{camera="porch",kind="video"}') > 50, 20)
    selector = selectors.DefaultSelector()
    readers = [Viewer(nvrd, selector) for _ in range(READING)]
    report(look(selector, lambda: all(one.packets for one in readers), 30), f"{READING} readers play")
    empty = own_kib(nvrd)
    frozen = freeze(nvrd, selector)
    seen = watch(nvrd, selector, lambda: skipped(nvrd) > FROZEN * 50, 60)
    report(skipped(nvrd) > FROZEN * 50, "those who never read miss pictures", skipped(nvrd))
    more = watch(nvrd, selector, lambda: False, 300 if LONG else 5)
    bytes_, kib = max(seen[0], more[0]), max(seen[1], more[1])
    print(f"# {FROZEN} who never read: at most {bytes_ / FROZEN / 1024:.0f} KiB waited for one of them, and nvrd's own memory grew by {kib - empty} KiB")
    report(bytes_ <= FROZEN * ((1 << 20) + group), "no more waits for them than is configured", bytes_)
    if PLAIN:  # the queue, the first group and the newest one are there once for all
        report(kib - empty <= 1024 + 2 * group // 1024 + FROZEN * 64, "memory is bounded, 64 KiB for each at most", (empty, kib))
    else:
        skip("memory of frozen readers", "sanitizers hold what was freed: NVRD_PLAIN=1 with a build without")
    report(too_slow(nvrd) == 0 and nvrd.metric('nvrd_sessions{protocol="rtsp"}') == FROZEN + READING, "they stay", too_slow(nvrd))
    nvrd.extra = LIMITS % "1s"
    nvrd.configure(cameras)
    nvrd.reload()
    watch(nvrd, selector, lambda: too_slow(nvrd) == FROZEN, 60)
    report(too_slow(nvrd) == FROZEN and nvrd.metric('nvrd_sessions{protocol="rtsp"}') == READING, "a reload has all of them disconnected",
           too_slow(nvrd))
    before = [one.packets for one in readers]
    look(selector, lambda: all(one.packets > n + 50 for one, n in zip(readers, before)), 30)
    report(all(one.packets > n + 50 and one.lost == 0 and not one.closed for one, n in zip(readers, before)), "those who read lose nothing",
           [(one.packets, one.lost, one.closed) for one in readers])
    report(queued(nvrd) < group, "and nothing waits any more", queued(nvrd))
    for one in (*frozen, *readers):
        one.socket.close()
    report(nvrd.stop() == 0, "SIGTERM ends that one, too")
    camera.stop()


# What one user after the other is told by an address that is not the machine's own: run in a network of its own.
ASK = """
import base64, socket, sys
kept = []
for user in sys.argv[2:]:
    host, _, port = sys.argv[1].rpartition(":")
    kept.append(socket.create_connection((host, int(port)), timeout=20))
    login = base64.b64encode(f"{user}:x".encode()).decode()
    kept[-1].sendall(f"SETUP rtsp://h/porch/trackID=0 RTSP/1.0\\r\\nCSeq: 1\\r\\nAuthorization: Basic {login}\\r\\nTransport: RTP/AVP/TCP\\r\\n\\r\\n".encode())
    print(kept[-1].recv(4096).split()[1].decode())
"""


def check_caps():
    """Three sessions of a user, five of an address."""
    name = f"nvrd-{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return skip("sessions of a user, of an address", "no network of its own can be made")
    atexit.register(subprocess.run, ["ip", "netns", "del", name])
    for words in (["link", "set", "lo", "up"], ["addr", "add", "192.0.2.1/32", "dev", "lo"]):
        subprocess.run(["ip", "-n", name, *words], check=True)
    inside = ["ip", "netns", "exec", name]
    nvrd = Nvrd(inside=inside, users="anna: {password: x}\notto: {password: x}", start=False,
                extra="rtsp: {sessions_per_user: 3, sessions_per_address: 5}")
    nvrd.ports = ("127.0.0.1:0", "192.0.2.1:0")
    nvrd.configure({"porch": {"source": '"test:"', "record": "off"}})
    nvrd.start()
    wait_for(lambda: "media arrives" in nvrd.log(), 20)
    done = subprocess.run([*inside, "python3", "-c", ASK, nvrd.rtsp, *["anna"] * 4, *["otto"] * 3], capture_output=True, text=True, timeout=60)
    report(done.stdout.split() == ["200", "200", "200", "453", "200", "200", "453"], "no user and no address gets more sessions than it may",
           done.stdout + done.stderr)
    return report(nvrd.stop() == 0, "SIGTERM ends that one")


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    check_caps()
    check_frozen()
    source = media.make("small", 240, size="160x120", fps=5, gop=5, audio=False, bitrate="30k")
    camera = Camera(f"a=file:{source}:silent")
    # as a login shell or systemd starts it: what it needs beyond that it takes
    nvrd = Nvrd({"porch": {"source": f'"{camera.url("a")}"', "record": "off"}}, inside=["prlimit", f"--nofile=1024:{hard}"])
    wait_for(lambda: "media arrives" in nvrd.log(), 20)
    check_strangers(nvrd)
    check_viewers(nvrd)
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()
    finish()


main()
