#!/usr/bin/env python3
"""record: events and schedules: from pre_event before a trigger to post_event after it, every frame, and nothing else."""
import signal
import time

import media
from daemon import Camera, Nvrd, finish, report, wait_for

RATE = 25
PRE, POST = 4, 3
FRAMES = 'nvrd_camera_frames_total{camera="porch",kind="video"}'


def main():
    source = media.make("small", 120, size="640x360", bitrate="500k")
    camera = Camera(f"a=file:{source}")
    today = time.strftime("%a").lower()
    other = "sun" if today != "sun" else "wed"
    cameras = {
        "porch": {"source": f'"{camera.url("a")}"', "record": "events", "pre_event": f"{PRE}s", "post_event": f"{POST}s"},
        "never": {"source": '"test:"', "schedule": f'"{other}"'},
    }
    nvrd = Nvrd(cameras, segment="1h")
    report(wait_for(lambda: nvrd.metric(FRAMES) > 10 * RATE, 30), "ten seconds arrived")
    report(not nvrd.files("porch"), "nothing is recorded without an event", nvrd.files("porch"))
    report(nvrd.metric('nvrd_recorder_queue_bytes{camera="porch"}') > 0, "but held in memory")
    at = nvrd.metric(FRAMES)
    nvrd.process.send_signal(signal.SIGUSR1)
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="porch"}') == 1, 30), "SIGUSR1 is an event: it is recorded and ends")
    now = nvrd.metric(FRAMES)
    nvrd.process.send_signal(signal.SIGUSR1)
    report(wait_for(lambda: nvrd.metric(FRAMES) > now + RATE, 10), "a second event")
    nvrd.stop()

    files = nvrd.files("porch")
    report(len(files) == 2, "each event is one file", files)
    packets = media.packets(files[0])
    sent = [p[3] for p in media.packets(source)]
    recorded = [p[3] for p in packets]
    first = sent.index(recorded[0])
    report(packets[0][2], "it starts with a keyframe")
    report(recorded == sent[first:first + len(recorded)], f"its {len(recorded)} frames are a run of the camera's")
    # the camera's frames before the first that nvrd counted are not known: they are a second at most
    report(first <= at - PRE * RATE, f"from {PRE} s before the event", (first, at))
    report(first + len(recorded) >= at + POST * RATE, f"to {POST} s after it", (first + len(recorded), at))
    report(not media.decode_messages(files[0]), "it decodes without a message")
    second = [p[3] for p in media.packets(files[1])]
    report(second[0] == sent[first + len(recorded)], "an event soon after it goes on where it ended")
    report(not nvrd.files("never"), "a schedule for another day records nothing", nvrd.files("never"))
    camera.stop()
    finish()


main()
