#!/usr/bin/python3
"""
GStreamer as an ONVIF client, telling as JSON what it saw.

gst_onvif.py parse FILE      RTP packets (each behind its length, RFC 4571) through rtponvifparse: [[pts, discont, delta], ...]
gst_onvif.py play URL US US  rtspsrc in onvif-mode from one instant to another, through rtponvifparse: [pts of each picture]
"""
import json
import sys
import time

import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gst, GstRtsp  # noqa: E402

Gst.init(None)
SECONDS_1900 = 2208988800


def run(pipeline, seconds=60):
    message = pipeline.get_bus().timed_pop_filtered(seconds * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    if message and message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()))
    pipeline.set_state(Gst.State.NULL)
    if not message:
        sys.exit("it does not end")


def parse(path):
    pipeline = Gst.parse_launch(f"filesrc location={path} ! application/x-rtp-stream ! rtpstreamdepay ! application/x-rtp "
                                "! rtponvifparse ! fakesink name=out sync=false")
    seen = []

    def on_buffer(pad, info):
        buffer = info.get_buffer()
        seen.append((buffer.pts, bool(buffer.get_flags() & Gst.BufferFlags.DISCONT), bool(buffer.get_flags() & Gst.BufferFlags.DELTA_UNIT)))
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name("out").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
    pipeline.set_state(Gst.State.PLAYING)
    run(pipeline)
    print(json.dumps(seen))


def play(url, start_us, end_us):
    pipeline = Gst.parse_launch(f"rtspsrc location={url} onvif-mode=true protocols=tcp name=src "
                                "! application/x-rtp,media=video ! rtponvifparse ! rtph264depay ! h264parse "
                                "! video/x-h264,alignment=au ! fakesink name=out sync=false")
    seen = []

    def on_request(element, message):
        message.add_header(GstRtsp.RTSPHeaderField.REQUIRE, "onvif-replay")
        return True

    pipeline.get_by_name("src").connect("before-send", on_request)

    def on_buffer(pad, info):
        seen.append(info.get_buffer().pts)
        return Gst.PadProbeReturn.OK

    def on_flush(pad, info):
        if info.get_event().type == Gst.EventType.FLUSH_STOP:
            del seen[:]
        return Gst.PadProbeReturn.OK

    pad = pipeline.get_by_name("out").get_static_pad("sink")
    pad.add_probe(Gst.PadProbeType.BUFFER, on_buffer)
    pad.add_probe(Gst.PadProbeType.EVENT_FLUSH, on_flush)
    pipeline.set_state(Gst.State.PLAYING)
    start, end = (us * 1000 + SECONDS_1900 * Gst.SECOND for us in (start_us, end_us))
    for _ in range(200):
        if seen:
            break
        time.sleep(0.05)
    pipeline.seek(1.0, Gst.Format.TIME, Gst.SeekFlags.FLUSH, Gst.SeekType.SET, start, Gst.SeekType.SET, end)
    run(pipeline)
    print(json.dumps(seen))


if sys.argv[1] == "parse":
    parse(sys.argv[2])
else:
    play(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
