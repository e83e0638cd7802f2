#!/usr/bin/env python3
"""What live555's openRTSP (v2026.06.24, the library of VLC) says to nvrd, replayed: it signs SETUP with the session's URI."""
import hashlib
import re
import socket

from daemon import Nvrd, finish, report, wait_for

AGENT = "openRTSP (LIVE555 Streaming Media v2026.06.24)"
# method, what follows the URL, what follows it in the Digest uri (None: not signed), fields, expected status
TCP = [
    ("OPTIONS", "", None, {}, 200),
    ("DESCRIBE", "", None, {"Accept": "application/sdp"}, 401),
    ("DESCRIBE", "", "", {"Accept": "application/sdp"}, 200),
    ("SETUP", "/trackID=0", "/", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}, 200),
    ("SETUP", "/trackID=1", "/", {"Transport": "RTP/AVP/TCP;unicast;interleaved=2-3"}, 200),
    ("PLAY", "/", "/", {"Range": "npt=0.000-1.000"}, 200),
    ("TEARDOWN", "/", "/", {}, 200),
]
UDP = [(method, path, signed, {"Transport": "RTP/AVP;unicast;client_port={port}"} if method == "SETUP" else fields, status)
       for method, path, signed, fields, status in TCP]


def md5(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()


class Session:
    """One connection that sends requests as live555 writes them and reads the answers between media."""

    def __init__(self, nvrd):
        host, _, port = nvrd.rtsp.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.url = f"rtsp://{nvrd.rtsp}/porch"
        self.cseq, self.nonce, self.id, self.data, self.media = 1, "", "", b"", 0

    def request(self, method, path, signed, fields):
        self.cseq += 1
        lines = [f"{method} {self.url}{path} RTSP/1.0", f"CSeq: {self.cseq}"]
        if signed is not None:
            uri = self.url + signed
            response = md5(md5("anna", "nvrd", "s3cret"), self.nonce, md5(method, uri))
            lines.append(f'Authorization: Digest username="anna", realm="nvrd", nonce="{self.nonce}", uri="{uri}", response="{response}"')
        lines.append(f"User-Agent: {AGENT}")
        if self.id and method not in ("OPTIONS", "DESCRIBE"):
            lines.append(f"Session: {self.id}")
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return self.answer()

    def answer(self):
        while True:
            while self.data[:1] == b"$" and len(self.data) >= 4 and len(self.data) >= 4 + int.from_bytes(self.data[2:4], "big"):
                self.data = self.data[4 + int.from_bytes(self.data[2:4], "big"):]
                self.media += 1
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if found and head.startswith(b"RTSP/1.0"):
                length = re.search(rb"(?i)\r\nContent-Length:\s*(\d+)", head)
                length = int(length[1]) if length else 0
                if len(rest) >= length:
                    self.data = rest[length:]
                    return head.decode()
            more = self.socket.recv(65536)
            if not more:
                return ""
            self.data += more


def replay(nvrd, name, script):
    session = Session(nvrd)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
        one.settimeout(5)
    ports = iter(sockets)
    for method, path, signed, fields, status in script:
        if "{port}" in fields.get("Transport", ""):
            port = next(ports).getsockname()[1]
            fields = {"Transport": fields["Transport"].replace("{port}", f"{port}-{port + 1}")}
        answer = session.request(method, path, signed, fields)
        report(answer.startswith(f"RTSP/1.0 {status} "), f"{name}: {method}{path} gives {status}", answer)
        session.nonce = (re.search(r'nonce="([^"]+)"', answer) or [None, session.nonce])[1]
        session.id = (re.search(r"Session: ([0-9A-Za-z]+)", answer) or [None, session.id])[1]
        if method == "PLAY" and name == "UDP":
            report(sockets[0].recv(2048)[0] >> 6 == 2, "UDP: a packet comes")
        elif method == "PLAY":
            session.socket.settimeout(5)
            while session.media == 0:
                session.data += session.socket.recv(65536)
                session.media += session.data[:1] == b"$"
            report(session.media > 0, "TCP: a packet comes")
    session.socket.close()


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"'}}, users='anna: {password: "s3cret", role: viewer}')
    wait_for(lambda: "media arrives" in nvrd.log(), 10)
    replay(nvrd, "TCP", TCP)
    replay(nvrd, "UDP", UDP)
    report(nvrd.stop() == 0, "SIGTERM ends it")
    finish()


main()
