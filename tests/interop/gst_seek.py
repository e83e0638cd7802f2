#!/usr/bin/python3
"""Plays an MP4 from an instant by GStreamer and tells as JSON what it saw: gst_seek.py FILE SECONDS"""
import json
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

SECONDS_MOST = 20


def wait(pipeline):
    """Until what was asked for is done."""
    result = pipeline.get_state(SECONDS_MOST * Gst.SECOND)[0]
    if result != Gst.StateChangeReturn.SUCCESS:
        sys.exit(f"the pipeline does not play: {result}")


def main():
    Gst.init(None)
    pipeline = Gst.parse_launch("filesrc name=source ! qtdemux ! h264parse ! avdec_h264 ! appsink name=sink sync=false")
    pipeline.get_by_name("source").set_property("location", sys.argv[1])
    pipeline.set_state(Gst.State.PAUSED)
    wait(pipeline)
    flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
    sought = pipeline.seek_simple(Gst.Format.TIME, flags, int(float(sys.argv[2]) * Gst.SECOND))
    wait(pipeline)
    sample = pipeline.get_by_name("sink").emit("pull-preroll")
    seeking = Gst.Query.new_seeking(Gst.Format.TIME)
    print(json.dumps({
        "seekable": pipeline.query(seeking) and seeking.parse_seeking().seekable,
        "sought": sought,
        "duration": pipeline.query_duration(Gst.Format.TIME)[1] / Gst.SECOND,
        "time": sample.get_segment().to_stream_time(Gst.Format.TIME, sample.get_buffer().pts) / Gst.SECOND,
        "width": sample.get_caps().get_structure(0).get_value("width"),
    }))
    pipeline.set_state(Gst.State.NULL)


main()
