#!/usr/bin/python3
"""
GStreamer's rtspsrc as a player whose branches write pictures and sound as they come, until the end or SIGINT:
gst_reader.py VIDEO-BRANCH AUDIO-BRANCH PROPERTY=VALUE...

Each pad is linked when it appears, by the media that its caps name. gst-launch 1.22 tries each branch on it, and two pads appear in two
threads: while the sound's branch is tried on the pictures' pad, the sound's own pad finds it taken, and stays without (GST_DEBUG=GST_PIPELINE:5
shows gst_parse_found_pad of one branch in both threads; one of 40 runs with a busy machine).
"""
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main():
    Gst.init(None)
    Gst.Caps.get_structure, Gst.Structure.get_string, Gst.Pad.link  # looked up here: pads come in threads of their own
    pipeline = Gst.Pipeline.new()
    source = Gst.ElementFactory.make("rtspsrc")
    for word in sys.argv[3:]:
        name, _, value = word.partition("=")
        Gst.util_set_object_arg(source, name, value)
    pipeline.add(source)
    branches = {}
    for media, text in zip(("video", "audio"), sys.argv[1:3]):
        branches[media] = Gst.parse_bin_from_description(text, True)
        pipeline.add(branches[media])
    loop = GLib.MainLoop()

    def on_pad(_, pad):
        media = (pad.get_current_caps() or pad.query_caps()).get_structure(0).get_string("media")
        print("pad", media, pad.link(branches[media].get_static_pad("sink")).value_nick, flush=True)

    def on_message(_, message):
        if message.type in (Gst.MessageType.ERROR, Gst.MessageType.EOS):
            print(message.type.first_value_nick, *(message.parse_error() if message.type == Gst.MessageType.ERROR else ()), flush=True)
            loop.quit()

    source.connect("pad-added", on_pad)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGINT, loop.quit)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)


main()
