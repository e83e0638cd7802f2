#!/usr/bin/env python3
"""kill -9 at random moments while four cameras record: nothing that was recorded is lost, and nobody has to help.

12 rounds; 200 with NVRD_LONG=1, or as NVRD_ROUNDS says. NVRD_SEED repeats a storm.
"""
import collections
import os
import random
import signal
import time

import disk
import media
from daemon import NVRD, Nvrd, end, finish, report, spawn, wait_for

LONG = os.environ.get("NVRD_LONG") == "1"
ROUNDS = int(os.environ.get("NVRD_ROUNDS", 200 if LONG else 12))
LIFE_S = 2.5  # at most
SEED = int(os.environ.get("NVRD_SEED", 0)) or random.randrange(1, 1 << 32)
CAMERAS = ("north", "east", "south", "west")
FPS = 25
FRAME_US = 1000000 // FPS
SYNC_S, FRAGMENT_S = 2, 0.5  # a fragment that has to end at a keyframe is shorter


class Storm:
    def __init__(self, nvrd):
        self.nvrd = nvrd
        self.problems = collections.Counter()
        self.known = {}   # files of former lives, by path: (bytes, mtime, frames)
        self.late_s = 0   # the longest time from the end of a recording to its kill
        self.missing = 0  # the most frames that were received before a kill and are not there

    def say(self, what, *details):
        self.problems[what] += 1
        if self.problems[what] <= 3:
            print(f"# {what}:", *details, flush=True)

    def received(self):
        lines = self.nvrd.get("/metrics").decode().splitlines()
        return {c: next((float(line.split()[-1]) for line in lines if line.startswith(f'nvrd_camera_frames_total{{camera="{c}",kind="video"}}')), 0)
                for c in CAMERAS}

    def unknown(self):
        return [path for path in disk.files(self.nvrd.store) if path not in self.known]

    def check_known(self, before):
        """What was closed before stays as it is, on the disk and in the catalogue."""
        closed, now = disk.rows(self.nvrd.store), disk.files(self.nvrd.store)
        for path, row in before.items():
            if closed.get(path) != row:
                self.say("a row of a closed file has changed", row, closed.get(path))
        for path, (size, modified, frames) in self.known.items():
            if now.get(path) != size or (self.nvrd.store / path).stat().st_mtime_ns != modified:
                self.say("a closed file has changed", path, size, now.get(path))

    def check_file(self, path, row):
        """One file of the life that ended; gives its number of frames."""
        full = self.nvrd.store / path
        seen = disk.probe(full)
        self.known[path] = (full.stat().st_size, full.stat().st_mtime_ns, seen.frames)
        if row is None:
            self.say("a file without a row", path, full.stat().st_size, seen)
            return seen.frames
        if seen.complaint:
            self.say("ffprobe complains", path, seen.complaint)
        if seen.frames != round((row.end_us - row.start_us) / FRAME_US):
            self.say("ffprobe does not count what the catalogue says", path, seen, (row.end_us - row.start_us) / FRAME_US)
        if seen.table != seen.frames:
            self.say("the file has no full sample table", path, seen)
        if row.bytes != full.stat().st_size:
            self.say("the catalogue has other bytes than the disk", path, row.bytes, full.stat().st_size)
        return seen.frames

    def check_life(self, paths, received=None, killed=None):
        """The files that one life left behind, after the start of the next."""
        there = [path for path in paths if (self.nvrd.store / path).exists()]
        wait_for(lambda: set(there) <= set(disk.rows(self.nvrd.store)), 5)  # what it does not know it may find out as it records
        closed = disk.rows(self.nvrd.store)
        for path in closed:
            if not (self.nvrd.store / path).exists():
                self.say("a row without a file", path)
        for camera in CAMERAS:
            mine = [path for path in there if path.startswith(f"recordings/{camera}/")]
            frames = sum(self.check_file(path, closed.get(path)) for path in mine)
            spans = sorted((closed[path] for path in mine if path in closed), key=lambda row: row.start_us)
            for a, b in zip(spans, spans[1:]):
                if abs(b.start_us - a.end_us) > FRAME_US:
                    self.say("frames are missing between two files", a, b)
            if received:
                missing = received[camera] - frames
                self.missing = max(self.missing, missing)
                if missing > (SYNC_S + FRAGMENT_S) * FPS:
                    self.say("more is lost than sync and a fragment", camera, received[camera], frames)
            if killed and spans:
                self.late_s = max(self.late_s, killed - spans[-1].end_us / 1e6)


def stillborn(nvrd):
    """A start that is killed before it came far: before it has a fragment, which would be another life's."""
    with open(nvrd.log_file, "a") as log:
        process = spawn([NVRD, "-c", nvrd.file], stderr=log)
        time.sleep(random.uniform(0, 0.4))
        end(process, signal.SIGKILL)


def main():
    print(f"# NVRD_SEED={SEED}", flush=True)
    random.seed(SEED)
    clip = media.make("storm", 8, size="320x240", fps=FPS, gop=FPS, bitrate="300k")
    nvrd = Nvrd({c: {"source": f'"av:{clip}"', "loop": "yes"} for c in CAMERAS}, segment="5s", storage=[f"sync: {SYNC_S}s"], start=False)
    storm = Storm(nvrd)
    before, life, births = {}, None, 0
    for _ in range(ROUNDS):
        nvrd.start()
        storm.check_known(before)
        if life:
            storm.check_life(**life)
        time.sleep(random.uniform(0.1, LIFE_S))
        received = storm.received()
        before = disk.rows(nvrd.store)
        killed = time.time()
        nvrd.stop(signal.SIGKILL)
        life = {"paths": storm.unknown(), "received": received, "killed": killed}
        if random.random() < 0.3:
            births += 1
            stillborn(nvrd)
    nvrd.start()
    storm.check_known(before)
    storm.check_life(**life)
    recording = wait_for(lambda: all(n > 2 * FPS for n in storm.received().values()), 20)
    report(recording, f"after {ROUNDS} kills and {births} in the start all cameras record")
    report(nvrd.stop() == 0, "SIGTERM ends it", nvrd.log()[-2000:])
    storm.check_life(storm.unknown())
    for what, times in storm.problems.items():
        report(False, f"it happened {times} times: {what}")
    report(len(storm.known) > ROUNDS * len(CAMERAS) / 2, f"{len(storm.known)} files, {sum(known[2] for known in storm.known.values())} frames")
    print(f"# at most {storm.missing:.0f} frames received were not on disk; a recording ended at most {storm.late_s:.2f} s before the kill")
    report(not storm.problems, "each closed file is complete, ends where it must, and is what the catalogue says")
    report(set(disk.files(nvrd.store)) == set(disk.rows(nvrd.store)), "the catalogue lists the files and nothing else",
           set(disk.files(nvrd.store)) ^ set(disk.rows(nvrd.store)))
    finish()


main()
