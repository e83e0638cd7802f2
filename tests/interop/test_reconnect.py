#!/usr/bin/env python3
"""A camera goes and comes back, cameras are added while others record: nobody else loses a frame."""
import re
import subprocess
import time

import media
from daemon import Camera, Nvrd, end, finish, report, spawn, wait_for


def steady(packets, frame=0.04):
    return all(abs(b[1] - a[1] - frame) < 0.0005 for a, b in zip(packets, packets[1:]))


class Reader:
    """ffmpeg, which watches a camera and says when each picture is shown."""

    def __init__(self, nvrd, camera, transport, number):
        self.path = nvrd.folder / f"reader-{number}"
        words = ["ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", transport, "-i", f"rtsp://{nvrd.rtsp}/{camera}", "-an", "-c", "copy",
                 "-copyts", "-flush_packets", "1", "-f", "framecrc", self.path]
        self.process = spawn(words, stderr=subprocess.DEVNULL)

    def times(self):
        lines = self.path.read_text().splitlines()[:-1] if self.path.exists() else []
        return [int(line.split(",")[1]) / 90000 for line in lines if line and line[0] != "#"]

    def goes_on(self, pictures):
        return self.process.poll() is None and len(self.times()) > pictures


def check_readers(readers):
    """They froze once, for seconds, and time went on."""
    steps = [[b - a for a, b in zip(times, times[1:])] for times in (reader.times() for reader in readers)]
    report(all(min(s) > 0 for s in steps), "their timestamps rise", [min(s) for s in steps])
    frozen = [[step for step in s[1:] if step > 0.5] for s in steps]
    report(all(len(f) == 1 for f in frozen), f"each was frozen once, for {min(map(min, frozen), default=0):.1f} s", frozen)


def main():
    source = media.make("small", 120, size="640x360", bitrate="500k")
    going = Camera(f"a=file:{source}")
    staying = Camera(f"b=file:{source}", f"c=file:{source}")
    cameras = {"going": {"source": f'"{going.url("a")}"'}, "staying": {"source": f'"{staying.url("b")}"'}}
    nvrd = Nvrd(cameras, segment="1h")
    frames = 'nvrd_camera_frames_total{camera="%s",kind="video"}'
    report(wait_for(lambda: nvrd.metric(frames % "going") > 50 and nvrd.metric(frames % "staying") > 50, 30), "both cameras are recorded")

    readers = [Reader(nvrd, "going", ("tcp", "udp")[i % 2], i) for i in range(20)]
    report(wait_for(lambda: all(reader.goes_on(25) for reader in readers), 30), "20 readers watch one of them")
    going.stop()
    report(wait_for(lambda: nvrd.metric('nvrd_camera_up{camera="going"}') == 0, 5), "its loss is noticed")
    seen = [len(reader.times()) for reader in readers]
    wait_for(lambda: nvrd.metric('nvrd_camera_failures_total{camera="going",reason="refused"}') >= 3, 20)
    before = nvrd.metric('nvrd_recorder_fragments_total{camera="going"}')
    going.start()
    back = time.monotonic()
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="going"}') > before, 10), "it is recorded again")
    took = time.monotonic() - back
    report(took < 3, "within 3 s", took)
    report(wait_for(lambda: len(nvrd.files("going")) == 2, 5), "in a new file", nvrd.files("going"))
    report(wait_for(lambda: all(reader.goes_on(n + 50) for reader, n in zip(readers, seen)), 20), "the readers go on, none was disconnected",
           [(reader.process.poll(), len(reader.times()), n) for reader, n in zip(readers, seen)])
    for reader in readers:
        end(reader.process)
    check_readers(readers)

    cameras["added"] = {"source": f'"{staying.url("c")}"'}
    nvrd.configure(cameras)
    nvrd.reload()
    report(wait_for(lambda: nvrd.metric(frames % "added") > 25, 20), "a reload adds a camera")
    del cameras["added"]
    nvrd.configure(cameras)
    nvrd.reload()
    report(wait_for(lambda: not re.search(r'^nvrd_(camera_(?!recorded|oldest|newest)|recorder_).*camera="added"', nvrd.get("/metrics").decode(), re.M), 10), "and removes it",
           re.findall(r'.*camera="added".*', nvrd.get("/metrics").decode()))
    nvrd.file.write_text(nvrd.file.read_text() + "  broken: {sauce: x}\n")
    nvrd.reload()
    report(wait_for(lambda: "unknown key (did you mean source?)" in nvrd.log(), 5), "a wrong configuration is refused by name", nvrd.log()[-500:])

    count = nvrd.metric(frames % "staying")
    report(wait_for(lambda: nvrd.metric(frames % "staying") > count + 25, 10), "the others go on")
    report(nvrd.metric('nvrd_camera_connects_total{camera="staying"}') == 1, "on their first connection")
    nvrd.stop()
    files = nvrd.files("staying")
    report(len(files) == 1 and steady(media.packets(files[0])), "and lose no frame", files)
    for path in nvrd.files("going"):
        report(steady(media.packets(path)) and not media.decode_messages(path), f"{path.name} is whole", media.decode_messages(path))
    going.stop()
    staying.stop()
    finish()


main()
