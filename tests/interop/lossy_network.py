"""Two network namespaces, camera and recorder, and a link between them that loses and delays UDP.

By netem where the kernel has it; else by two tun devices and a thread that hands packets on. Only UDP
from the camera to the recorder suffers: each datagram is lost or delayed by itself.
"""
import atexit
import collections
import contextlib
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time

SIDES = ("camera", "recorder")
ADDRESS = {"camera": "10.77.0.1", "recorder": "10.77.0.2"}
QUEUE = 10000  # packets: a link's own queue must not lose any
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
UDP = 17
MARKED_PICTURE = 0x80 | 96  # RTP's second byte where a picture of gst_camera.py ends


def command(*words):
    return subprocess.run([str(w) for w in words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True).stdout


def why_not():
    """Why there can be no such network here; None when there can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if not shutil.which("ip"):
        return "needs iproute2"
    names = [f"nvrd-{os.getpid()}-probe-{i}" for i in range(2)]
    try:
        for name in names:
            command("ip", "netns", "add", name)
        command("ip", "-n", names[0], "link", "add", "name", "probe0", "type", "veth", "peer", "name", "probe1", "netns", names[1])
    except subprocess.CalledProcessError as error:
        return "no network namespaces here: " + error.stderr.strip()
    finally:
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                command("ip", "netns", "del", name)
    return None


class LossyNetwork:
    """`loss` of 0.01 is 1 %; a delay of (20, 10) is 20 ms ± 10 ms. To be closed; is closed at exit."""

    def __init__(self, loss, delay_ms=(20, 10), seed=1):
        self.loss, self.delay_ms = loss, delay_ms
        self.random = random.Random(seed)
        self.spaces = {side: f"nvrd-{os.getpid()}-{side}" for side in SIDES}
        self.devices = {side: f"lossy-{side[0]}{os.getpid()}" for side in SIDES}
        self.carrier = None
        atexit.register(self.close)
        try:
            for space in self.spaces.values():
                command("ip", "netns", "add", space)
            self.way = "netem" if self._link_by_netem() else "tun"
            if self.way == "tun":
                self._link_by_tun()
        except BaseException:
            self.close()
            raise

    def inside(self, side):
        """What goes before a command to run it there; the command keeps its process id."""
        return ["ip", "netns", "exec", self.spaces[side]]

    def counts(self):
        """How many packets (and pictures, by their markers) were to be carried, how many lost and brought out of order."""
        return self._netem_counts() if self.way == "netem" else self.carrier.counts()

    def close(self):
        """Ends what this made. Processes inside are their owner's to end."""
        atexit.unregister(self.close)
        if self.carrier:
            self.carrier.close()
            self.carrier = None
        for space in self.spaces.values():
            with contextlib.suppress(subprocess.CalledProcessError, OSError):
                command("ip", "netns", "del", space)

    def _bring_up(self):
        for side, other in (SIDES, SIDES[::-1]):
            within = ("ip", "-n", self.spaces[side])
            command(*within, "link", "set", "lo", "up")
            command(*within, "address", "add", ADDRESS[side], "peer", ADDRESS[other], "dev", self.devices[side])
            command(*within, "link", "set", self.devices[side], "txqueuelen", QUEUE, "up")

    # --- netem: a class of its own for UDP, so that RTSP passes untouched ---

    def _link_by_netem(self):
        tc = ("tc", "-n", self.spaces["camera"])
        link = ("dev", self.devices["camera"])
        command("ip", "-n", self.spaces["camera"], "link", "add", "name", self.devices["camera"], "type", "veth",
                "peer", "name", self.devices["recorder"], "netns", self.spaces["recorder"])
        delay, jitter = self.delay_ms
        try:
            command(*tc, "qdisc", "add", *link, "root", "handle", "1:", "prio", "bands", "3", "priomap", *"0" * 16)
            command(*tc, "qdisc", "add", *link, "parent", "1:2", "handle", "2:", "netem", "limit", QUEUE,
                    "delay", f"{delay}ms", f"{jitter}ms", "loss", f"{self.loss * 100}%")
            command(*tc, "filter", "add", *link, "parent", "1:", "protocol", "ip", "u32",
                    "match", "ip", "protocol", UDP, "0xff", "flowid", "1:2")
        except (subprocess.CalledProcessError, OSError):
            command("ip", "-n", self.spaces["camera"], "link", "del", self.devices["camera"])
            return False
        self._bring_up()
        return True

    def _netem_counts(self):
        """netem does not tell RTCP, a packet in five seconds, from RTP, nor what it brought out of order."""
        queues = json.loads(command("tc", "-n", self.spaces["camera"], "-s", "-j", "qdisc", "show", "dev", self.devices["camera"]))
        netem = next(q for q in queues if q["kind"] == "netem")
        return collections.Counter(rtp=netem["packets"] + netem["drops"], rtp_lost=netem["drops"])

    # --- two tun devices ---

    def _link_by_tun(self):
        self.carrier = Carrier(self.loss, self.delay_ms, self.random)
        for side in SIDES:
            self.carrier.open(side, self.devices[side])
            command("ip", "link", "set", self.devices[side], "netns", self.spaces[side])
        self._bring_up()
        self.carrier.start()

    def queue_drops(self):
        """What was lost unasked, before the link."""
        drops = 0
        for side in SIDES:
            link = json.loads(command("ip", "-n", self.spaces[side], "-s", "-j", "link", "show", self.devices[side]))[0]
            drops += link["stats64"]["tx"]["dropped"]
        return drops


class Carrier:
    """Hands packets from one tun device to the other."""

    def __init__(self, loss, delay_ms, chance):
        self.loss, self.chance = loss, chance
        self.delay, self.jitter = (ms / 1000 for ms in delay_ms)
        self.tuns, self.late, self.tally, self.highest = {}, [], collections.Counter(), {}
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def open(self, side, name):
        self.tuns[side] = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tuns[side], TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))

    def start(self):
        self.thread.start()

    def close(self):
        """The devices go with their descriptors."""
        if self.thread.is_alive():
            os.write(self.stop_write, b"x")
            self.thread.join(5)
        for fd in (*self.tuns.values(), self.stop_read, self.stop_write):
            os.close(fd)

    def counts(self):
        return self.tally.copy()

    def _run(self):
        camera, recorder = (self.tuns[side] for side in SIDES)
        while True:
            wait = max(0, self.late[0][0] - time.monotonic()) if self.late else None
            ready = select.select([camera, recorder, self.stop_read], [], [], wait)[0]
            if self.stop_read in ready:
                return
            if recorder in ready:
                self._read_all(recorder, lambda packet: self._write(camera, packet))
            if camera in ready:
                self._read_all(camera, self._from_camera)
            while self.late and self.late[0][0] <= time.monotonic():
                self._write(recorder, self._arrives(heapq.heappop(self.late)[2]))

    @staticmethod
    def _read_all(fd, take):
        with contextlib.suppress(BlockingIOError):
            while True:
                take(os.read(fd, 65536))

    def _write(self, fd, packet):
        try:
            os.write(fd, packet)
        except OSError:  # its side is gone, or full
            self.tally["refused"] += 1

    def _from_camera(self, packet):
        if packet[0] >> 4 != 4 or packet[9] != UDP:
            self._write(self.tuns["recorder"], packet)
            return
        kind = "rtp" if is_rtp(packet) else "other"
        self.tally[kind] += 1
        self.tally["pictures"] += kind == "rtp" and udp_of(packet)[9] == MARKED_PICTURE
        if self.chance.random() < self.loss:
            self.tally[kind + "_lost"] += 1
            return
        due = time.monotonic() + self.chance.uniform(self.delay - self.jitter, self.delay + self.jitter)
        heapq.heappush(self.late, (due, self.tally.total(), packet))

    def _arrives(self, packet):
        """Counts what comes behind a later one of its own sequence."""
        if is_rtp(packet):
            ports, sequence = udp_of(packet)[:4], struct.unpack_from(">H", udp_of(packet), 10)[0]
            ahead = (sequence - self.highest.get(ports, sequence)) & 0xFFFF
            if ahead >= 0x8000:
                self.tally["rtp_behind"] += 1
                self.tally["rtp_farthest"] = max(self.tally["rtp_farthest"], 0x10000 - ahead)
            else:
                self.highest[ports] = sequence
        return packet


def udp_of(packet):
    return packet[(packet[0] & 15) * 4:]


def is_rtp(packet):
    """Version 2 and no payload type of RTCP (RFC 5761 section 4)."""
    udp = udp_of(packet)
    return len(udp) >= 20 and udp[8] >> 6 == 2 and not 64 <= udp[9] & 0x7F <= 95
