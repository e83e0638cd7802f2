#!/usr/bin/env python3
"""record: events and schedules: from pre_event before a trigger to post_event after it, every frame, and nothing else."""
import contextlib
import http.client
import re
import signal
import sqlite3
import time

import media
from daemon import Camera, Nvrd, finish, report, wait_for
from scripted_camera import On, ScriptedCamera, rtp

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


# --- motion, as a camera's metadata tells it ---

MOTION = ("<tt:MetadataStream xmlns:tt='http://www.onvif.org/ver10/schema' xmlns:wsnt='http://docs.oasis-open.org/wsn/b-2'><tt:Event><wsnt:NotificationMessage>"
          "<wsnt:Topic>tns1:RuleEngine/CellMotionDetector/Motion</wsnt:Topic><wsnt:Message><tt:Message UtcTime='2001-01-01T00:00:00Z' PropertyOperation='Changed'>"
          "<tt:Source><tt:SimpleItem Name='Rule' Value='R1'/></tt:Source><tt:Data><tt:SimpleItem Name='IsMotion' Value='{}'/></tt:Data>"
          "</tt:Message></wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>")
SEARCH = ("<searchrequest xmlns='DAV:' xmlns:n='urn:nvrd:dav'><basicsearch><select><prop><n:motion/></prop></select><from><scope><href>/recordings/</href><depth>infinity</depth></scope></from>"
          "<where><eq><prop><n:motion/></prop><literal>{}</literal></eq></where></basicsearch></searchrequest>")
BEGINS, LASTS = 60, 40  # frames of the camera


def tell_motion(session, n, unit, packets):
    """The camera says that motion begins and ends, once, beside its pictures."""
    for i, (at, value) in enumerate(((BEGINS, "true"), (BEGINS + LASTS, "false"))):
        if n == at and 1 in session.tracks:
            document = MOTION.format(value).encode()
            packets = [On(session.tracks[1].channel, rtp(document, i, n * 9000, 77, True, 107)), *packets]
    return packets


def found(nvrd, motion):
    client = http.client.HTTPConnection(nvrd.http, timeout=10)
    client.request("SEARCH", "/recordings/", SEARCH.format(motion), {"Content-Type": "text/xml"})
    return set(re.findall(r"/recordings/(\w+)/", client.getresponse().read().decode()))


def check_motion():
    camera = ScriptedCamera(on_frame=tell_motion, sdp=lambda usual: usual + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=1\r\n")
    url = f"rtsp://127.0.0.1:{camera.port}/stream"
    nvrd = Nvrd({"yard": {"source": f'"{url}"', "transport": "tcp", "record": "events", "pre_event": "2s", "post_event": "2s"}, "calm": {"source": '"test:"'}}, segment="1h")
    report(wait_for(lambda: nvrd.metric('nvrd_events_total{camera="yard",kind="motion"}') == 1, 30), "the camera tells of motion", nvrd.log()[-800:])
    report(wait_for(lambda: nvrd.metric('nvrd_recorder_segments_total{camera="yard"}') == 1, 30), "it is recorded, and that ends", nvrd.log()[-800:])
    report(wait_for(lambda: found(nvrd, 1) == {"yard"}, 10) and found(nvrd, 0) == {"calm"}, "SEARCH finds recordings by motion", (found(nvrd, 1), found(nvrd, 0)))
    nvrd.stop()
    with contextlib.closing(sqlite3.connect(nvrd.store / "nvrd.db")) as database:
        events = database.execute("select camera, kind, end_us - start_us from events").fetchall()
    report(len(events) == 1 and events[0][:2] == ("yard", 0) and events[0][2] >= (LASTS - 10) * 100000, "it is written down once, from its begin to its end", events)
    seconds = len(media.packets(nvrd.files("yard")[0])) / camera.fps
    report(seconds >= 2 + LASTS / camera.fps + 1, "the recording has what was before, all of it, and what came after", seconds)


def check_all():
    main()
    check_motion()
    finish()


check_all()
