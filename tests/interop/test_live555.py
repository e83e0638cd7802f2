#!/usr/bin/env python3
"""What live555's openRTSP (v2026.06.24, the library of VLC) says to nvrd, replayed: it signs SETUP with the session's URI.

Over TCP, UDP and multicast, by TLS and through HTTP. test_rtsp_transports.py has the program itself, where it is installed.
"""
import base64
import hashlib
import re
import socket
import ssl
import struct

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
MULTICAST = [(method, "?multicast" if method in ("OPTIONS", "DESCRIBE") else path, "?multicast" if signed == "" else signed,
              {"Transport": f"RTP/AVP;multicast;port=600{2 * int(path[-1])}-600{2 * int(path[-1]) + 1}"} if method == "SETUP" else fields, status)
             for method, path, signed, fields, status in TCP]
GROUP = "239.83.7.3"
GET = ("GET /porch HTTP/1.0", "CSeq: 1", f"User-Agent: {AGENT}", "Host: 127.0.0.1", "x-sessioncookie: baa503958d5e50c63076f3c",
       "Accept: application/x-rtsp-tunnelled", "Pragma: no-cache", "Cache-Control: no-cache", "", "")
POST = ("POST /porch HTTP/1.0", "CSeq: 1", f"User-Agent: {AGENT}", "Host: 127.0.0.1", "x-sessioncookie: baa503958d5e50c63076f3c",
        "Content-Type: application/x-rtsp-tunnelled", "Pragma: no-cache", "Cache-Control: no-cache", "Content-Length: 32767",
        "Expires: Sun, 9 Jan 1972 00:00:00 GMT", "", "")


def connect(address):
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def md5(*parts):
    return hashlib.md5(":".join(parts).encode()).hexdigest()


class Session:
    """One connection that sends requests as live555 writes them and reads the answers between media."""

    def __init__(self, nvrd, way):
        self.cseq, self.nonce, self.id, self.data, self.media, self.post = 1, "", "", b"", 0, None
        scheme, address = {"RTSPS": ("rtsps", nvrd.rtsps), "HTTP": ("rtsp", nvrd.http)}.get(way, ("rtsp", nvrd.rtsp))
        self.url = f"{scheme}://{address}/porch"
        self.socket = connect(address)
        if way == "RTSPS":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        if way == "HTTP":
            self.socket.sendall("\r\n".join(GET).encode())
            while b"\r\n\r\n" not in self.data:
                self.data += self.socket.recv(65536)
            report(self.data.startswith(b"HTTP/1.0 200 "), "HTTP: the GET is answered", self.data)
            self.data = b""
            self.post = connect(address)
            self.post.sendall("\r\n".join(POST).encode())

    def send(self, text):
        if self.post:
            self.post.sendall(base64.b64encode(text.encode()))
        else:
            self.socket.sendall(text.encode())

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
        self.send("\r\n".join(lines) + "\r\n\r\n")
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


def join(port):
    """A socket in the group, by loopback."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((GROUP, port))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1")))
    one.settimeout(5)
    return one


def replay(nvrd, name, script):
    session = Session(nvrd, name)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
        one.settimeout(5)
    ports = iter(sockets)
    group = join(6000) if name == "multicast" else None
    for method, path, signed, fields, status in script:
        if "{port}" in fields.get("Transport", ""):
            port = next(ports).getsockname()[1]
            fields = {"Transport": fields["Transport"].replace("{port}", f"{port}-{port + 1}")}
        answer = session.request(method, path, signed, fields)
        report(answer.startswith(f"RTSP/1.0 {status} "), f"{name}: {method}{path} gives {status}", answer)
        session.nonce = (re.search(r'nonce="([^"]+)"', answer) or [None, session.nonce])[1]
        session.id = (re.search(r"Session: ([0-9A-Za-z]+)", answer) or [None, session.id])[1]
        if method == "PLAY" and name in ("UDP", "multicast"):
            report((group or sockets[0]).recv(2048)[0] >> 6 == 2, f"{name}: a packet comes")
        elif method == "PLAY":
            session.socket.settimeout(5)
            while session.media == 0:
                session.data += session.socket.recv(65536)
                session.media += session.data[:1] == b"$"
            report(session.media > 0, f"{name}: a packet comes")
    session.socket.close()


def main():
    nvrd = Nvrd({"porch": {"source": '"test:"', "multicast": f"{GROUP}:6000"}}, users='anna: {password: "s3cret", role: viewer}',
                listen=['rtsps: "127.0.0.1:0"'])
    wait_for(lambda: "media arrives" in nvrd.log(), 10)
    replay(nvrd, "TCP", TCP)
    replay(nvrd, "UDP", UDP)
    replay(nvrd, "multicast", MULTICAST)
    replay(nvrd, "RTSPS", TCP)
    replay(nvrd, "HTTP", TCP)
    report(nvrd.stop() == 0, "SIGTERM ends it")
    finish()


main()
