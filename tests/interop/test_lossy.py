#!/usr/bin/env python3
"""UDP over a link with 1 % loss, 20 ms ± 10 ms of jitter and reordering: what is stored is whole, what is lost is counted.

A minute; five with NVRD_LONG=1.
"""
import os
import shutil
import signal
import sys
import time

import media
from daemon import Camera, Nvrd, finish, report, skip, wait_for
from lossy_network import ADDRESS, LossyNetwork, why_not

LONG = os.environ.get("NVRD_LONG") == "1"
SECONDS = 300 if LONG else 60
STEADY_SECONDS = 20
CAMERA = '{camera="door"}'
FRAMES = 'nvrd_camera_frames_total{camera="door",kind="video"}'


class Run:
    """What came of some seconds of recording over such a link."""

    def __init__(self, source, seconds, loss):
        network = LossyNetwork(loss)
        camera = Camera(f"a=file:{source}", address=ADDRESS["camera"], inside=network.inside("camera"))
        nvrd = Nvrd({"door": {"source": f'"{camera.url("a")}"', "transport": "udp"}}, inside=network.inside("recorder"))
        self.name = f"{loss:.0%} loss"
        self.nvrd, self.way = nvrd, network.way
        self.began = wait_for(lambda: nvrd.metric(FRAMES) > 0, 30)
        time.sleep(seconds)
        camera.process.send_signal(signal.SIGSTOP)  # what is on the way arrives or is given up before the figures are taken
        time.sleep(3)
        self.counts = network.counts()
        self.unasked = network.queue_drops() + self.counts["refused"]
        self.lost = nvrd.metric("nvrd_rtp_packets_lost_total" + CAMERA)
        self.dropped = nvrd.metric("nvrd_camera_dropped_frames_total" + CAMERA)
        self.frames = nvrd.metric(FRAMES)
        self.connects = nvrd.metric("nvrd_camera_connects_total" + CAMERA)
        nvrd.stop()
        camera.stop(signal.SIGKILL)
        network.close()
        self.files = nvrd.files("door")
        print(f"# {self.name} by {self.way}: {dict(self.counts)}; nvrd: lost {self.lost:.0f}, dropped {self.dropped:.0f}, "
              f"video frames {self.frames:.0f}, {len(self.files)} files")


def check_files(run, source):
    """Returns where the recorded pictures stand in the source."""
    sent = {kind: {p[3]: i for i, p in enumerate(media.packets(source, kind))} for kind in ("v:0", "a:0")}
    complaints, strange, recorded = [], [], {"v:0": [], "a:0": []}
    for path in run.files:
        said = media.decode_messages(path)
        complaints += [f"{path.name}: {said}"] if said else []
        for kind, known in sent.items():
            hashes = [p[3] for p in media.packets(path, kind)]
            strange += [(path.name, kind, i) for i, h in enumerate(hashes) if h not in known]
            recorded[kind] += [known[h] for h in hashes if h in known]
    report(run.files and not complaints, f"{run.name}: {len(run.files)} files decode without a message", "\n".join(complaints[:5]))
    report(not strange, f"{run.name}: each of {len(recorded['v:0'])} pictures and {len(recorded['a:0'])} units of sound is the camera's, byte for byte", strange[:10])
    return recorded["v:0"]


def check_groups(run, video, gop):
    """After a picture that is missing, the next one is a keyframe."""
    bad = [(a, b) for a, b in zip(video, video[1:]) if b != a + 1 and b % gop]
    return report(not bad, f"{run.name}: after a loss each group ends, and the next begins with its keyframe", bad[:10])


def check_lossy(run, source, gop):
    asked = run.counts["rtp_lost"]
    report(asked > 0 and run.unasked == 0, f"{run.name}: the link lost {asked} of {run.counts['rtp']} packets, and nothing else was lost", run.unasked)
    report(abs(run.lost - asked) <= max(5, asked * 0.05), f"{run.name}: nvrd counts {run.lost:.0f} as lost, within 5 %", (run.lost, asked))
    report(run.dropped > 0, f"{run.name}: {run.dropped:.0f} damaged pictures are counted")
    if run.way == "tun":
        missing = run.counts["pictures"] - run.frames - run.dropped
        report(0 <= missing <= asked / 10, f"{run.name}: of {run.counts['pictures']} pictures that were sent all are counted but {missing:.0f} that were lost whole",
               (run.frames, run.dropped))
    video = check_files(run, source)
    check_groups(run, video, gop)
    report(0 < len(video) <= run.frames, f"{run.name}: {len(video)} pictures are stored of {run.frames:.0f} whole ones", len(video))


def check_steady(run, source):
    report(run.way != "tun" or run.counts["rtp_behind"] > 0, f"{run.name}: {run.counts['rtp_behind']} packets came out of order, by {run.counts['rtp_farthest']} at most")
    report(run.lost == 0, f"{run.name}: jitter alone is no loss", (run.lost, run.counts))
    report(run.dropped == 0, f"{run.name}: jitter alone costs no picture", run.dropped)
    video = check_files(run, source)
    report(len(video) >= (STEADY_SECONDS - 5) * 25 and all(b == a + 1 for a, b in zip(video, video[1:])), f"{run.name}: no picture is missing of {len(video)}", len(video))


def main():
    reason = why_not() or (None if shutil.which("curl") else "needs curl")
    if reason:
        skip("a link that loses packets", reason)
        finish()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the link is taken down
    gop = 25
    source = media.make("lossy", SECONDS + 25, size="1280x720", gop=gop)
    steady = Run(source, STEADY_SECONDS, 0)
    report(steady.began and steady.connects == 1, f"{steady.name}: the camera is recorded", steady.nvrd.log()[-2000:])
    check_steady(steady, source)
    lossy = Run(source, SECONDS, 0.01)
    report(lossy.began and lossy.connects == 1, f"{lossy.name}: the camera is recorded", lossy.nvrd.log()[-2000:])
    check_lossy(lossy, source, gop)
    finish()


main()
