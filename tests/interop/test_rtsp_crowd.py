#!/usr/bin/env python3
"""
Many at the RTSP server's door: a thousand who say nothing or half a request do not hinder a viewer, and a thousand
viewers at a time get every packet.
"""
import re
import selectors
import socket
import time

import media
from daemon import Camera, Nvrd, finish, report, wait_for

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


def main():
    source = media.make("small", 240, size="160x120", fps=5, gop=5, audio=False, bitrate="30k")
    camera = Camera(f"a=file:{source}:silent")
    nvrd = Nvrd({"porch": {"source": f'"{camera.url("a")}"', "record": "off"}})
    wait_for(lambda: "media arrives" in nvrd.log(), 20)
    check_strangers(nvrd)
    check_viewers(nvrd)
    report(nvrd.stop() == 0, "SIGTERM ends it")
    camera.stop()
    finish()


main()
