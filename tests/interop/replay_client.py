"""A client of RTSP replays over TCP that reads ONVIF's extension by the specification, and puts H.264 together again."""
import re
import socket
import struct
import time

NTP_TO_UNIX = 2208988800


class Answer:
    def __init__(self, head, body):
        lines = head.split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        self.body = body


class Packet:
    """One RTP packet; `us` is what the extension says, None without one."""

    def __init__(self, channel, data):
        self.channel, self.bytes = channel, data
        self.marker, self.type = data[1] >> 7, data[1] & 0x7f
        self.sequence, self.timestamp, self.ssrc = struct.unpack(">HII", data[2:12])
        self.us, at = None, 12
        if data[0] & 0x10:
            profile, words = struct.unpack(">HH", data[12:16])
            self.extension = data[16:16 + 4 * words]
            at = 16 + 4 * words
            if profile == 0xABAC:
                seconds, fraction, self.flags, self.cseq, self.padding = struct.unpack(">IIBBH", self.extension)
                self.us = (seconds - NTP_TO_UNIX) * 1000000 + (fraction * 1000000 + (1 << 31) >> 32)
        self.payload = data[at:]


class Unit:
    """An access unit of H.264 as the recording has it: NAL units behind their lengths, without parameter sets."""

    def __init__(self, packets):
        self.packets = packets
        self.us, self.timestamp = packets[0].us, packets[0].timestamp
        self.flags = [p.flags for p in packets] if self.us is not None else []
        nals = []
        for p in packets:
            kind = p.payload[0] & 0x1f
            if kind == 28:
                if p.payload[1] & 0x80:
                    nals.append(bytes([p.payload[0] & 0xe0 | p.payload[1] & 0x1f]))
                nals[-1] += p.payload[2:]
            else:
                nals.append(p.payload)
        self.key = any(n[0] & 0x1f == 5 for n in nals)
        self.data = b"".join(struct.pack(">I", len(n)) + n for n in nals if n[0] & 0x1f not in (7, 8))


class Replay:
    def __init__(self, address, path, timeout=15):
        host, port = address.rsplit(":", 1)
        self.url = f"rtsp://{address}/{path}"
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.input, self.cseq, self.session = b"", 0, None
        self.packets, self.rtcp = [], []  # that came between answers
        self.partial = {}  # of each channel, packets of a unit that has not ended
        self.accepted = set()  # the CSeqs of what is wanted

    def close(self):
        self.socket.close()

    def more(self):
        got = self.socket.recv(1 << 18)
        if not got:
            raise EOFError
        self.input += got

    def bytes(self, n):
        while len(self.input) < n:
            self.more()
        data, self.input = self.input[:n], self.input[n:]
        return data

    def interleaved(self):
        _, channel, n = struct.unpack(">cBH", self.bytes(4))
        data = self.bytes(n)
        if channel % 2:
            self.rtcp.append((channel, data))
            return None
        return Packet(channel, data)

    def request(self, method, url=None, **fields):
        self.cseq += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.cseq}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while True:
            if self.bytes_ahead() == b"$":
                packet = self.interleaved()
                if packet:
                    self.packets.append(packet)
                continue
            while b"\r\n\r\n" not in self.input:
                self.more()
            head, _, self.input = self.input.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            return Answer(head.decode(), self.bytes(int(length[1])) if length else b"")

    def bytes_ahead(self):
        while not self.input:
            self.more()
        return self.input[:1]

    def describe(self, **fields):
        answer = self.request("DESCRIBE", Accept="application/sdp", **fields)
        self.base = answer.fields.get("content-base", "")
        self.sdp = answer.body.decode()
        return answer

    def set_up(self, tracks=(0,), **fields):
        for track in tracks:
            answer = self.request("SETUP", f"{self.base}trackID={track}",
                                  Transport=f"RTP/AVP/TCP;unicast;interleaved={2 * track}-{2 * track + 1}", **fields)
            self.session = answer.fields["session"].split(";")[0]
        return answer

    def play(self, keep=False, **fields):
        """PLAY with ONVIF's extension; what is under way of an earlier one is left out unless it is to be kept."""
        if not keep:
            self.packets, self.partial, self.accepted = [], {}, set()
        self.accepted.add(self.cseq + 1 & 0xff)
        return self.request("PLAY", self.base, Require="onvif-replay", **fields)

    def packet(self):
        """The next one; fails after a minute."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.packets:
                packet = self.packets.pop(0)
            else:
                assert self.bytes_ahead() == b"$", self.input[:80]
                packet = self.interleaved()
            if packet and (packet.us is None or packet.cseq in self.accepted):
                return packet
        raise TimeoutError

    def units(self, channel=0, most=None):
        """Access units of a track, up to the one with the T bit, or so many."""
        count = 0
        while most is None or count < most:
            packet = self.packet()
            if packet.channel != channel:
                continue
            self.partial.setdefault(channel, []).append(packet)
            if packet.marker:
                unit, count = Unit(self.partial.pop(channel)), count + 1
                yield unit
                if unit.flags and unit.flags[-1] & 0x10:
                    return


def opened(address, path, tracks=(0,)):
    client = Replay(address, path)
    client.describe()
    client.set_up(tracks)
    return client
