#!/usr/bin/env python3
"""
Many at the RTSP server's door: a thousand who say nothing or half a request do not hinder a viewer, a thousand viewers at
a time get every packet, and no user or address gets more sessions than it may have.
"""
import atexit
import os
import re
import resource
import selectors
import socket
import subprocess
import time

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for

CROWD = 1000
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
    report(wait_for(lambda: nvrd.metric('nvrd_sessions{server="rtsp"}') == 0, 20), "all sessions end with their connections")


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
