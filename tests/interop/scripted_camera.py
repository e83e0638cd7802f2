"""An RTSP camera that plays scripts of exact bytes over real sockets, and keeps what it was sent.

Without a script it is a plain, correct camera. Every answer, the SDP, the transport and each frame's
packets can be replaced, so that one small function shows one quirk. All cameras of a process share
one event loop in a thread of its own; hooks run there, tests only read the records.
"""
import asyncio
import base64
import collections
import errno
import functools
import hashlib
import inspect
import random
import re
import socket
import struct
import threading
import time

import media

RTP_BYTES = 1400
HANG, CLOSE, ABORT = "hang", "close", "abort"  # what an answer may be instead of bytes
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"


# --- media ---

Unit = collections.namedtuple("Unit", "time_90k key nals")


@functools.cache
def h264_units(fps=10, gop=10, seconds=4, size="320x180", bitrate="200k"):
    """The access units of a small stream, each with its NAL units; the first has the parameter sets."""
    path = media.make("scripted", seconds, size=size, fps=fps, gop=gop, audio=True, bitrate=bitrate)
    stream = media.run("ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v", "-c", "copy",
                       "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=6|9", "-f", "h264", "-")
    units, nals = [], []
    for nal in re.split(b"\0\0\0?\1", stream)[1:]:
        nals.append(nal.rstrip(b"\0"))
        if nal[0] & 0x1f in (1, 5):
            units.append(Unit(len(units) * 90000 // fps, nal[0] & 0x1f == 5, nals))
            nals = []
    return units


@functools.cache
def aac_frames():
    """AAC frames of 1024 samples at 48 kHz, without their ADTS heads."""
    path = media.make("scripted", 4, size="320x180", fps=10, gop=10, audio=True, bitrate="200k")
    stream = media.run("ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a", "-c", "copy", "-f", "adts", "-")
    frames, at = [], 0
    while at + 7 <= len(stream):
        n = (stream[at + 3] & 3) << 11 | stream[at + 4] << 3 | stream[at + 5] >> 5
        frames.append(stream[at + 7:at + n])
        at += n
    return frames


def h264_payloads(nals, most=RTP_BYTES, stap=False):
    """RTP payloads of one access unit (RFC 6184): single, FU-A for the large, STAP-A for the small when asked."""
    payloads, small = [], []
    for nal in nals:
        if stap and len(nal) < 200:
            small.append(nal)
            continue
        if len(nal) <= most:
            payloads.append(nal)
            continue
        body = nal[1:]
        for at in range(0, len(body), most - 2):
            ends = (0x80 if at == 0 else 0) | (0x40 if at + most - 2 >= len(body) else 0)
            payloads.append(bytes([nal[0] & 0xe0 | 28, ends | nal[0] & 0x1f]) + body[at:at + most - 2])
    if small:
        payloads.insert(0, b"\x78" + b"".join(struct.pack(">H", len(n)) + n for n in small))
    return payloads


def rtp(payload, sequence, timestamp, ssrc, marker=False, payload_type=96):
    return struct.pack(">BBHII", 0x80, (0x80 if marker else 0) | payload_type, sequence & 0xffff,
                       timestamp & 0xffffffff, ssrc & 0xffffffff) + payload


def sender_report(ssrc, timestamp, packets=0):
    now = time.time() + 2208988800
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, int(now), int(now % 1 * 2**32), timestamp & 0xffffffff, packets, 0)


def interleaved(channel, packet):
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet


class Raw(bytes):
    """Among a frame's packets: bytes that go into the TCP connection as they are."""


class On:
    """Among a frame's packets: one that goes out on a channel of one's own choice."""

    def __init__(self, channel, packet):
        self.channel, self.packet = channel, packet


# --- messages ---

class Request:
    """What nvrd sent: names of fields in `fields` are in small letters, `raw` is every byte."""

    def __init__(self, raw, connection):
        self.raw, self.time, self.connection = raw, time.monotonic(), connection
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.uri, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.names = [line.partition(":")[0] for line in lines[1:]]
        self.fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}

    def __repr__(self):
        return f"<{self.connection} {self.method} {self.uri}>"

    @property
    def track(self):
        """The number at the end of a control, "trackID=1"."""
        digits = re.search(r"(\d+)\D*$", self.uri)
        return int(digits[1]) if digits else 0


def answer(request, status="200 OK", body="", version="RTSP/1.0", **fields):
    """An answer's bytes; Content_Base=… is the field Content-Base. A value of None leaves a field out."""
    body = body.encode("latin-1") if isinstance(body, str) else body
    rows = {"CSeq": request.fields.get("cseq"), **{n.replace("_", "-"): v for n, v in fields.items()}}
    if body:
        rows.setdefault("Content-Length", len(body))
    lines = [f"{version} {status}"]
    for name, values in rows.items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                lines.append(f"{name}: {value}")
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


class Gate:
    """Asks for credentials, and checks every byte of them (RFC 2069, 7616, 7617)."""

    HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}

    def __init__(self, user="anna", password="right", realm="camera", algorithm=None, qop=None, basic=False,
                 digest=True, basic_first=True, written=None, uri=None, nonce_uses=None, stale="stale=true",
                 first="", also=(), open_methods=("OPTIONS",)):
        self.user, self.password, self.realm, self.algorithm, self.qop = user, password, realm, algorithm, qop
        self.basic, self.digest, self.basic_first = basic, digest, basic_first
        self.written = written  # the algorithm as the camera spells it
        self.uri = uri          # function of the request: the uri that it wants signed
        self.nonce_uses, self.open_methods = nonce_uses, open_methods
        self.nonces = {}        # uses of each
        self.counts = {}        # the last nc of each
        self.problems, self.passed = [], 0
        self.stale, self.first = stale, first  # words of a challenge for an old nonce, and of any other
        self.also = list(also)                 # challenges before ours

    def challenges(self, stale=False):
        nonce = hashlib.md5(f"{id(self)}{len(self.nonces)}".encode()).hexdigest()
        self.nonces[nonce] = 0
        text = f'Digest realm="{self.realm}", nonce="{nonce}"'
        if self.written or self.algorithm:
            text += f", algorithm={self.written or self.algorithm}"
        if self.qop:
            text += f', qop="{self.qop}"'
        words = self.stale if stale else self.first
        text += ", " + words if words else ""
        rows = self.also + [f'Basic realm="{self.realm}"'] * self.basic + [text] * self.digest
        return rows if self.basic_first else rows[::-1]

    def refuse(self, request, stale=False):
        return answer(request, "401 Unauthorized", WWW_Authenticate=self.challenges(stale))

    def digest_of(self, words, request, uri, realm):
        def h(text):
            return self.HASHES[self.algorithm or "MD5"](text.encode()).hexdigest()
        secret = h(f"{self.user}:{realm}:{self.password}")
        what = h(f"{request.method}:{uri}")
        if "qop" in words:
            return h(f'{secret}:{words["nonce"]}:{words.get("nc")}:{words.get("cnonce")}:{words["qop"]}:{what}')
        return h(f'{secret}:{words["nonce"]}:{what}')

    def problem_of(self, request, text):
        """None when the credentials are right; "stale"; or what is wrong with them."""
        if text.lower().startswith("basic"):
            if self.digest:
                return "Basic, although Digest was offered"
            right = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return None if text.split()[1] == right else "wrong password"
        words = {n.lower(): q or w for n, q, w in re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', text)}
        uri = self.uri(request) if self.uri else request.uri
        nonce = words.get("nonce")
        if nonce not in self.nonces:
            return "not a nonce of ours"
        if words.get("realm") != self.realm or words.get("username") != self.user:
            return f"realm or user: {text}"
        if words.get("uri") != uri:
            return f'uri={words.get("uri")} instead of {uri}'
        if bool(self.qop) != ("qop" in words) or words.get("qop", "auth") != "auth":
            return f"qop: {text}"
        if self.algorithm and words.get("algorithm", "").upper() != self.algorithm:
            return f"algorithm: {text}"
        if "qop" in words and int(words["nc"], 16) <= self.counts.get(nonce, 0):
            return f'nc={words["nc"]} again'
        # peers differ on whether the backslashes of a realm are hashed
        realms = {self.realm, re.sub(r"\\(.)", r"\1", self.realm)}
        if words.get("response") not in [self.digest_of(words, request, uri, realm) for realm in realms]:
            return "wrong password"
        self.counts[nonce] = int(words.get("nc", "0"), 16)
        self.nonces[nonce] += 1
        return "stale" if self.nonce_uses and self.nonces[nonce] > self.nonce_uses else None

    def check(self, request):
        """None to let it pass, else the refusal's bytes."""
        text = request.fields.get("authorization")
        if not text:
            return None if request.method in self.open_methods else self.refuse(request)
        problem = self.problem_of(request, text)
        if not problem:
            self.passed += 1
            return None
        if problem != "stale":
            self.problems.append(problem)
        return self.refuse(request, stale=problem == "stale")


# --- the camera ---

class Track:
    """Where one track of a session goes."""

    def __init__(self, number):
        self.number, self.channel, self.udp, self.peer = number, None, None, None
        self.sequence, self.ssrc, self.packets = 1000 * (number + 1), 0x10203040 + number, 0


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, camera, kind):
        self.camera, self.kind = camera, kind

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.camera.datagrams.append((time.monotonic(), self.kind, address[1], data))

    def error_received(self, error):
        pass


class Session:
    """One connection of nvrd to the camera."""

    def __init__(self, camera, number, reader, writer):
        self.camera, self.number, self.reader, self.writer = camera, number, reader, writer
        self.tracks, self.counts, self.player = {}, collections.Counter(), None
        self.opened, self.closed, self.torn_down = time.monotonic(), None, False
        self.played, self.state = None, {}
        self.refreshed = self.opened

    @property
    def is_udp(self):
        return any(t.udp for t in self.tracks.values())

    def write(self, data):
        if not self.writer.is_closing() and self.writer.transport.get_write_buffer_size() < 4 << 20:
            self.writer.write(data)

    def close(self, abort=False):
        if self.player:
            self.player.cancel()
        if abort:
            self.writer.transport.abort()
        else:
            self.writer.close()
        for track in self.tracks.values():
            for end in track.udp or ():
                end.close()

    async def run(self):
        buffer = b""
        while data := await self.reader.read(65536):
            buffer += data
            while buffer:
                if buffer[0] == 0x24:
                    if len(buffer) < 4 or len(buffer) < 4 + (n := struct.unpack_from(">H", buffer, 2)[0]):
                        break
                    self.camera.interleaved.append((time.monotonic(), self.number, buffer[1], buffer[4:4 + n]))
                    buffer = buffer[4 + n:]
                    continue
                head, end, rest = buffer.partition(b"\r\n\r\n")
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                n = int(length[1]) if length else 0
                if not end or len(rest) < n:
                    break
                raw, buffer = buffer[:len(head) + 4 + n], rest[n:]
                if raw.startswith(b"RTSP/"):
                    self.camera.replies.append(raw)
                    continue
                if not await self.on_request(Request(raw, self.number)):
                    return

    async def on_request(self, request):
        camera = self.camera
        self.counts[request.method] += 1
        request.session, request.count = self, self.counts[request.method]
        camera.requests.append(request)
        out = camera.gate.check(request) if camera.gate else None
        hook = camera.answers.get(request.method) if out is None else None
        if hook is not None:
            out = hook(request) if callable(hook) else hook
        if out is None:
            out = getattr(camera, "on_" + request.method.lower(), camera.on_other)(request)
        if inspect.isawaitable(out):
            out = await out
        for part in out if isinstance(out, (list, tuple)) else [out]:
            if part in (CLOSE, ABORT):
                self.close(part == ABORT)
                return False
            if isinstance(part, (int, float)):
                await asyncio.sleep(part)
            elif callable(part):
                part(self)
            elif part != HANG:
                self.write(part)
        if request.method == "PLAY" and self.played is None and camera.starts(request, out):
            self.play()
        if request.method == "TEARDOWN":
            self.torn_down = True
        return True

    # media

    def play(self):
        self.played = time.monotonic()
        self.player = asyncio.ensure_future(self.send_media())

    async def send_media(self):
        camera, start, n, samples = self.camera, time.monotonic(), 0, 0
        while not self.writer.is_closing():
            if not camera.paused:
                if 0 in self.tracks:
                    self.send_unit(n)
                if 1 in self.tracks and camera.audio:
                    samples = self.send_audio(samples, n)
            n += 1
            await asyncio.sleep(max(0, start + n / camera.fps - time.monotonic()))

    def send_unit(self, n):
        camera, track = self.camera, self.tracks[0]
        unit = camera.units[n % len(camera.units)]
        timestamp = camera.first_timestamp + n * 90000 // camera.fps
        payloads = h264_payloads(unit.nals, camera.packet_bytes, camera.stap)
        packets = []
        for i, payload in enumerate(payloads):
            packets.append(rtp(payload, track.sequence, timestamp, track.ssrc, i == len(payloads) - 1))
            track.sequence += 1
        if camera.on_frame:
            packets = camera.on_frame(self, n, unit, packets)
        if packets is None:
            self.close()
            return
        for packet in packets:
            self.send(track, packet)
        if packets:
            camera.frames_sent += 1
            camera.frames_of[self.number] += 1
        if n % camera.fps == 0 and camera.reports:
            self.send_report(track, timestamp)

    def send_audio(self, samples, n):
        """Sends what belongs to the time of frame n; returns how many samples went out so far."""
        track, frames = self.tracks[1], aac_frames()
        while samples < (n + 1) * 48000 // self.camera.fps:
            frame = frames[samples // 1024 % len(frames)]
            self.send(track, rtp(struct.pack(">HH", 16, len(frame) << 3) + frame, track.sequence, samples, track.ssrc, True, 97))
            track.sequence += 1
            samples += 1024
        return samples

    def send(self, track, packet):
        if isinstance(packet, Raw):
            self.write(packet)
        elif isinstance(packet, On):
            self.write(interleaved(packet.channel, packet.packet))
        elif track.udp:
            track.udp[0].sendto(packet, track.peer)
        else:
            self.write(interleaved(track.channel, packet))
        track.packets += 1

    def send_report(self, track, timestamp):
        report = sender_report(track.ssrc, timestamp, track.packets)
        if track.udp:
            track.udp[1].sendto(report, (track.peer[0], track.peer[1] + 1))
        elif track.channel is not None:
            self.write(interleaved(track.channel + 1, report))


def _loop():
    if not _loop.running:
        _loop.running = asyncio.new_event_loop()
        threading.Thread(target=_loop.running.run_forever, daemon=True).start()
    return _loop.running


_loop.running = None


def on_loop(coroutine, seconds=10):
    """Runs a coroutine in the cameras' thread; returns its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result(seconds)


class ScriptedCamera:
    """See the head of the file. `options` set any of the attributes below."""

    def __init__(self, host="127.0.0.1", port=0, start=True, **options):
        self.host, self.port, self.path = host, port, "/stream"
        self.audio, self.fps, self.packet_bytes, self.stap = False, 10, RTP_BYTES, False
        self.units = None                # of h264_units()
        self.answers = {}                # method: bytes, HANG, CLOSE, a list of those and pauses, or a function of the request
        self.gate = None                 # a Gate
        self.sdp = None                  # text, or a function of the usual text
        self.control = "trackID={}"
        self.session_control = "*"
        self.content_base = "{url}/"     # None: no such field
        self.public = METHODS
        self.session_id = "12345678"
        self.session_field = "{id};timeout=60"
        self.transports = ("tcp", "udp")  # what SETUP grants; the others get a 461
        self.transport = None            # function of (request, track, usual text): the Transport field
        self.channel = None              # function of (track number, asked channel): where it is sent
        self.udp_peer = None             # function of (track, usual address): where it is sent over UDP
        self.on_frame = None             # function of (session, n, unit, packets): the packets to send; None closes
        self.starts = lambda request, out: out not in (HANG, CLOSE, ABORT) and b" 200" in b"".join(
            p for p in (out if isinstance(out, (list, tuple)) else [out]) if isinstance(p, bytes))
        self.rtp_info = True
        self.reports = True
        self.first_timestamp = 90000
        self.paused = False              # connected, but no media
        for name, value in options.items():
            if not hasattr(self, name):
                raise TypeError(name)
            setattr(self, name, value)
        # the records
        self.requests, self.replies, self.interleaved, self.datagrams, self.sessions = [], [], [], [], []
        self.frames_sent, self.frames_of = 0, collections.Counter()
        self.units = self.units or h264_units(self.fps, self.fps)
        self.server = None
        if start:
            self.listen()

    # life

    def listen(self):
        on_loop(self._listen())

    async def _listen(self):
        if self.server:
            return
        # a camera comes back to its port: none that a client's socket may be given meanwhile
        ports = [self.port] if self.port else random.sample(range(20000, 30000), 50)
        for port in ports:
            try:
                self.server = await asyncio.start_server(self._on_connection, self.host, port, reuse_address=True)
                self.port = port
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or port == ports[-1]:
                    raise

    def refuse(self):
        """Stops listening: connections are refused until listen()."""
        on_loop(self._refuse())

    async def _refuse(self):
        if self.server:
            self.server.close()
            self.server = None

    def close_sessions(self, abort=False):
        async def close():
            for session in self.sessions:
                if not session.closed:
                    session.close(abort)
        on_loop(close())

    def stop(self):
        self.refuse()
        self.close_sessions()

    def push(self, data):
        """Writes bytes into the newest connection."""
        async def write():
            self.sessions[-1].write(data)
        on_loop(write())

    async def _on_connection(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self, len(self.sessions), reader, writer)
        self.sessions.append(session)
        try:
            await session.run()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            session.closed = time.monotonic()
            session.close()

    # what tests ask

    def url(self, user="", path=None):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{user + '@' if user else ''}{host}:{self.port}{path or self.path}"

    def of(self, method, connection=None):
        return [r for r in self.requests if r.method == method and connection in (None, r.connection)]

    def methods(self, connection=None):
        return [r.method for r in self.requests if connection in (None, r.connection)]

    # the usual answers

    def usual_sdp(self):
        sps, pps = self.units[0].nals[:2]
        sets = ",".join(base64.b64encode(n).decode() for n in (sps, pps))
        text = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "t=0 0"]
        if self.session_control:
            text.append("a=control:" + self.session_control)
        text += ["m=video 0 RTP/AVP 96", "c=IN IP4 0.0.0.0", "a=rtpmap:96 H264/90000",
                 f"a=fmtp:96 packetization-mode=1;profile-level-id={sps[1:4].hex()};sprop-parameter-sets={sets}",
                 "a=control:" + self.control.format(0)]
        if self.audio:
            text += ["m=audio 0 RTP/AVP 97", "a=rtpmap:97 MPEG4-GENERIC/48000/1",
                     "a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188",
                     "a=control:" + self.control.format(1)]
        return "\r\n".join(text) + "\r\n"

    def on_options(self, request):
        request.session.refreshed = time.monotonic()
        return answer(request, Public=self.public)

    def on_describe(self, request):
        text = self.usual_sdp()
        text = self.sdp(text) if callable(self.sdp) else self.sdp or text
        base = self.content_base and self.content_base.format(url=self.url(), host=self.host, port=self.port, path=self.path)
        return answer(request, body=text, Content_Type="application/sdp", Content_Base=base)

    def _track_of(self, request):
        if "{}" not in self.control:
            return 0
        for number in (0, 1):
            if request.uri.endswith(re.sub(r"^\w+://[^/]*", "", self.control.format(number))):
                return number
        return request.track

    async def on_setup(self, request):
        session, number = request.session, self._track_of(request)
        asked = request.fields.get("transport", "")
        kind = "tcp" if "interleaved" in asked or "/TCP" in asked else "udp"
        if kind not in self.transports:
            return answer(request, "461 Unsupported Transport")
        track = session.tracks.setdefault(number, Track(number))
        usual = f"RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}"
        if kind == "tcp":
            channel = int(re.search(r"interleaved=(\d+)", asked)[1])
            track.channel = self.channel(number, channel) if self.channel else channel
            usual = f"RTP/AVP/TCP;unicast;interleaved={track.channel}-{track.channel + 1}"
        else:
            port = int(re.search(r"client_port=(\d+)", asked)[1])
            track.peer = (self.host, port)
            track.udp = await self._udp_pair()
            ports = [end.get_extra_info("sockname")[1] for end in track.udp]
            track.ports = ports
            usual = f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ports[0]}-{ports[1]}"
        if self.transport:
            usual = self.transport(request, track, usual)
        return answer(request, Transport=usual, Session=self.session_field.format(id=self.session_id))

    async def _udp_pair(self):
        loop = asyncio.get_running_loop()
        for _ in range(100):
            rtp_end, _protocol = await loop.create_datagram_endpoint(lambda: _Datagrams(self, "rtp"), local_addr=(self.host, 0))
            port = rtp_end.get_extra_info("sockname")[1]
            if port % 2 == 0:
                try:
                    rtcp_end, _protocol = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(self, "rtcp"), local_addr=(self.host, port + 1))
                    return [rtp_end, rtcp_end]
                except OSError:
                    pass
            rtp_end.close()
        raise OSError("no UDP ports")

    def on_play(self, request):
        info = None
        if self.rtp_info:
            info = ",".join(f"url={self.url()}/{self.control.format(t.number)};seq={t.sequence};rtptime="
                            f"{self.first_timestamp if t.number == 0 else 0}" for t in request.session.tracks.values())
        return answer(request, Session=self.session_id, RTP_Info=info)

    def on_get_parameter(self, request):
        request.session.refreshed = time.monotonic()
        return answer(request, Session=self.session_id)

    def on_teardown(self, request):
        return [answer(request), CLOSE]

    def on_other(self, request):
        return answer(request, "501 Not Implemented")
