#!/usr/bin/python3
"""
Somebody who watches and talks: GStreamer's rtspsrc with ONVIF's back channel.

gst_talk.py URL tcp|udp CODEC FILE  says the file (G.711, or AAC in ADTS) in its own time, then stays

Prints `codec NAME` when it knows what the camera listens to, `playing` when pictures come, `said` when the file is at its end;
`error …` when it cannot go on.
"""
import ctypes
import sys
import threading

import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

Gst.init(None)
url, transport, codec, path = sys.argv[1:]
READERS = {
    "pcmu": "rawaudioparse use-sink-caps=false format=mulaw sample-rate=8000 num-channels=1 ! rtppcmupay pt={pt} min-ptime=20000000 max-ptime=20000000",
    "pcma": "rawaudioparse use-sink-caps=false format=alaw sample-rate=8000 num-channels=1 ! rtppcmapay pt={pt} min-ptime=20000000 max-ptime=20000000",
    "aac": "aacparse ! rtpmp4gpay pt={pt}",
}
gstreamer = ctypes.CDLL("libgstreamer-1.0.so.0")
gstreamer.gst_mini_object_ref.argtypes = [ctypes.c_void_p]
loop = GLib.MainLoop()
player = Gst.parse_launch(f"rtspsrc location={url} protocols={transport} backchannel=onvif name=src latency=0 "
                          "src. ! application/x-rtp,media=video ! fakesink name=out sync=false")
source = player.get_by_name("src")
back, payload = None, 0
told = set()


def tell(text):
    if text not in told:
        told.add(text)
        print(text, flush=True)


def on_select(element, number, caps):
    global back, payload
    s = caps.get_structure(0)
    if s.has_field("a-sendonly"):
        back, payload = number, s.get_int("payload")[1]
        tell("codec " + s.get_string("encoding-name"))
    return True


def on_sample(sink):
    sample = sink.emit("pull-sample")
    gstreamer.gst_mini_object_ref(hash(sample))  # the signal takes a reference that it was not given (1.22)
    result = source.emit("push-backchannel-sample", back, sample)
    if result != Gst.FlowReturn.OK:
        tell(f"error {result}")
    return Gst.FlowReturn.OK


def say():
    """In its own time: 20 ms of G.711, or a frame of AAC, at a time."""
    speaker = Gst.parse_launch(f"filesrc location={path} blocksize=160 ! {READERS[codec].format(pt=payload)} ! appsink name=sink emit-signals=true sync=true")
    speaker.get_by_name("sink").connect("new-sample", on_sample)
    speaker.set_state(Gst.State.PLAYING)
    message = speaker.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    if message.type == Gst.MessageType.ERROR:
        tell("error " + str(message.parse_error()))
    speaker.set_state(Gst.State.NULL)
    tell("said")


def on_buffer(pad, info):
    if "playing" not in told:
        tell("playing")
        if back is not None:
            threading.Thread(target=say, daemon=True).start()
    return Gst.PadProbeReturn.OK


def on_message(bus, message):
    if message.type == Gst.MessageType.ERROR:
        tell("error " + " ".join(str(message.parse_error()).split()))
        loop.quit()
    elif message.type == Gst.MessageType.EOS:
        tell("error the end")
        loop.quit()


source.connect("select-stream", on_select)
player.get_by_name("out").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, on_buffer)
player.get_bus().add_signal_watch()
player.get_bus().connect("message", on_message)
player.set_state(Gst.State.PLAYING)
loop.run()
player.set_state(Gst.State.NULL)
