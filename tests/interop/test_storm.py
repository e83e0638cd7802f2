#!/usr/bin/env python3
"""Fifty cameras that fail in turn beside four good ones: the good lose nothing, and nothing is left behind.

A minute; ten with NVRD_LONG=1.
"""
import asyncio
import collections
import os
import re
import time

import media
from daemon import NVRD, Nvrd, finish, report, skip, wait_for
from scripted_camera import CLOSE, HANG, Raw, ScriptedCamera, answer, interleaved, on_loop

LONG = os.environ.get("NVRD_LONG") == "1"
SECONDS = 600 if LONG else 60
BAD, GOOD, FPS = 50, 4, 25
FLAT_KIB = 2048
NOISE = bytes((i * 7919 >> 3) % 256 for i in range(65536)).replace(b"$", b"#")


def cut(session, n, unit, packets):
    """Half a packet, then the end."""
    if n < 7:
        return packets
    session.write(interleaved(0, packets[0])[:len(packets[0]) // 2])
    return None


def some(then):
    return lambda session, n, unit, packets: packets if n < 7 else then


WAYS = {  # how a connection goes wrong: (method, its answer) or what becomes of the frames
    "hang in OPTIONS": ("OPTIONS", HANG),
    "close in OPTIONS": ("OPTIONS", CLOSE),
    "hang in DESCRIBE": ("DESCRIBE", HANG),
    "nonsense in DESCRIBE": ("DESCRIBE", lambda r: answer(r, body="\0\1\2", Content_Type="application/sdp")),
    "no such path": ("DESCRIBE", lambda r: answer(r, "404 Not Found")),
    "hang in SETUP": ("SETUP", HANG),
    "half an answer to SETUP": ("SETUP", [b"RTSP/1.0 200 OK\r\nCSe", CLOSE]),
    "hang in PLAY": ("PLAY", HANG),
    "close in PLAY": ("PLAY", CLOSE),
    "close in a frame": cut,
    "silence": some([]),
    "garbage": some([Raw(NOISE)]),
    "garbage only": lambda *a: [Raw(NOISE)],
    "10 kB packets": lambda session, n, unit, packets: [b"\x80\x60" + p[2:12] + b"\x41" + bytes(10000) for p in packets] if n < 40 else None,
    "no keyframe": lambda session, n, unit, packets: [] if unit.key else packets,
    "wrong lengths": lambda session, n, unit, packets: [Raw(b"$\0\xff\xff" + p) for p in packets] if n < 40 else None,
    "refuse": None,
}
NAMES = list(WAYS)


class Bad(ScriptedCamera):
    """Each connection fails in the next way."""

    def __init__(self, number):
        self.turn, self.quiet, self.seen = number % (len(NAMES) - 1), False, collections.Counter()
        super().__init__()
        self.answers = dict.fromkeys(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), self.on_turn)
        self.on_frame = self.frame

    def way(self, session):
        if "way" not in session.state:
            session.state["way"] = name = NAMES[self.turn % len(NAMES)]
            self.seen[name] += 1
            self.turn += 1
            if NAMES[self.turn % len(NAMES)] == "refuse":  # the last: the next attempts find nobody, for a while
                self.turn += 1
                self.seen["refuse"] += 1
                asyncio.ensure_future(self.refuse_for(4))
        return WAYS[session.state["way"]]

    async def refuse_for(self, seconds):
        await self._refuse()
        await asyncio.sleep(seconds)
        if not self.quiet:
            await self._listen()

    def on_turn(self, request):
        way = self.way(request.session)
        if isinstance(way, tuple) and way[0] == request.method:
            return way[1](request) if callable(way[1]) else way[1]
        return None

    def frame(self, session, n, unit, packets):
        way = self.way(session)
        return way(session, n, unit, packets) if callable(way) else packets


def memory_kib(nvrd):
    """Its own: what of the libraries counts for it depends on who else has them loaded."""
    with open(f"/proc/{nvrd.process.pid}/smaps_rollup") as stream:
        return int(re.search(r"Pss_Anon:\s+(\d+)", stream.read())[1])


def fds(nvrd):
    return len(os.listdir(f"/proc/{nvrd.process.pid}/fd"))


def is_sanitized():
    with open(NVRD, "rb") as stream:
        return b"__asan_init" in stream.read()


def watch(nvrd, seconds):
    """Memory and fds, each second: two lists."""
    memory, open_fds = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end and nvrd.process.poll() is None:
        memory.append(memory_kib(nvrd))
        open_fds.append(fds(nvrd))
        time.sleep(1)
    return memory, open_fds


def ceiling(values):
    """What a tenth of them exceed: bad cameras' buffers come and go, a leak lifts their top."""
    return sorted(values)[-1 - len(values) // 10]


def check_memory(memory):
    if is_sanitized() or os.environ.get("NVRD_WRAPPER"):
        return skip("memory is flat", "the sanitizer's own memory is in the way")
    warm = memory[len(memory) // 3:]  # compare the second with the last third
    before, after = ceiling(warm[:len(warm) // 2]), ceiling(warm[len(warm) // 2:])
    report(after - before <= FLAT_KIB, f"memory is flat: {before} KiB, {after} KiB later", memory)


def check_failures(nvrd, bad):
    """Each failure is counted with a reason; each reason has its line for that camera."""
    rows = re.findall(r'nvrd_camera_failures_total\{camera="(bad\d+)",reason="(\w+)"\} (\d+)', nvrd.get("/metrics").decode())
    by_camera, by_reason = collections.Counter(), collections.Counter()
    for name, reason, count in rows:
        by_camera[name] += int(count)
        by_reason[reason] += int(count)
    wrong = [(f"bad{i}", len(c.sessions), by_camera[f"bad{i}"]) for i, c in enumerate(bad) if by_camera[f"bad{i}"] < len(c.sessions) - 1]
    report(not wrong, f"each failure is counted: {dict(by_reason)}", wrong)
    reasons = {"refused", "timeout", "closed", "protocol", "not_found", "stalled"} | ({"no_keyframe"} if LONG else set())
    report(reasons <= set(by_reason), "with its reason", by_reason)
    lines = collections.Counter(re.findall(r"camera (bad\d+): .*; trying again in", nvrd.log()))
    wrong = [name for name in by_camera if not lines[name]]
    report(not wrong, "and has a line in the log", wrong)
    ways = collections.Counter()
    for camera in bad:
        ways.update(camera.seen)
    report(all(ways[name] for name in NAMES), f"every way was gone: {dict(ways)}")


def check_good(nvrd, good):
    """What was sent is what is in the files."""
    for camera in good:
        camera.paused = True
    time.sleep(0.5)
    frames = 'nvrd_camera_frames_total{camera="good%d",kind="video"}'
    for i, camera in enumerate(good):
        wait_for(lambda: nvrd.metric(frames % i) == camera.frames_sent, 5)
    status = nvrd.stop()
    report(status == 0, "nvrd ends well", status)
    for i, camera in enumerate(good):
        stored = sum(len(media.packets(path)) for path in nvrd.files(f"good{i}"))
        report(stored == camera.frames_sent and len(camera.sessions) == 1, f"good{i} lost no frame: {stored} of {camera.frames_sent}",
               f"{len(camera.sessions)} connections")


def main():
    good = [ScriptedCamera(fps=FPS) for _ in range(GOOD)]
    bad = [Bad(i) for i in range(BAD)]
    for camera in bad:
        camera.refuse()
    cameras = {f"good{i}": {"source": f'"{c.url()}"'} for i, c in enumerate(good)}
    cameras |= {f"bad{i}": {"source": f'"{c.url()}"'} for i, c in enumerate(bad)}
    nvrd = Nvrd(cameras, segment="30s")
    ups = [f'nvrd_camera_up{{camera="good{i}"}}' for i in range(GOOD)]
    report(wait_for(lambda: all(nvrd.metric(up) for up in ups), 20), "the good cameras are recorded")
    time.sleep(1)
    before = fds(nvrd)
    for camera in bad:
        camera.listen()
    memory, open_fds = watch(nvrd, SECONDS)
    report(nvrd.process.poll() is None, "nvrd goes on")
    report(max(open_fds) <= before + 6 * BAD, f"at most {max(open_fds)} fds, {before} without the bad", open_fds)

    async def calm():
        for camera in bad:
            camera.quiet = True
            await camera._refuse()
            for session in camera.sessions:
                if not session.closed:
                    session.close()
    on_loop(calm())
    report(wait_for(lambda: fds(nvrd) <= before + 4, 15), f"no fd is left behind: {fds(nvrd)}, {before} before")
    check_memory(memory)
    check_failures(nvrd, bad)
    check_good(nvrd, good)
    finish()


main()
