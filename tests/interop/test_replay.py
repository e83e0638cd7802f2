#!/usr/bin/env python3
"""Recordings over RTSP: which frames come, when they were, in which order; ONVIF's extension; ffmpeg, GStreamer and VLC."""
import datetime
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import footage
import media
import players
from daemon import HERE, Nvrd, finish, report, skip, wait_for
from footage import FRAME_US, GROUP
from replay_client import Replay, opened

USERS = 'anna: {password: "s3cret", role: admin}\nguest: {password: "look", role: viewer, cameras: [yard]}'
C, E, D, T = 0x80, 0x40, 0x20, 0x10


def number(unit, hashes):
    """A unit's frame in the source, by its bytes; -1: it is none."""
    text = "MD5:" + hashlib.md5(unit.data).hexdigest()
    return hashes.index(text) if text in hashes else -1


def clock(*instants):
    return "clock=" + "-".join(footage.name(us) if us is not None else "" for us in instants)


class Footage:
    """What was recorded: (instant, number in the source) of each frame, and which of them begin a section."""

    def __init__(self, frames, hashes):
        self.frames, self.hashes = frames, hashes
        self.index = {us: i for i, (us, _) in enumerate(frames)}
        self.starts = [i for i in range(len(frames)) if i == 0 or frames[i][0] - frames[i - 1][0] > 500000]
        self.keys = [i for i, (_, n) in enumerate(frames) if n % GROUP == 0 or i in self.starts]

    def at(self, us):
        """The frame to begin with: the keyframe at or before; in a gap, and before all, the next one."""
        before = [i for i in range(len(self.frames)) if self.frames[i][0] <= us]
        if not before or us >= self.frames[before[-1]][0] + FRAME_US and before[-1] + 1 in self.starts:
            return before[-1] + 1 if before else 0
        return max(key for key in self.keys if key <= before[-1])

    def match(self, units):
        """The frames that these units are; fails unless instants and bytes agree."""
        found = []
        for unit in units:
            near = [i for us, i in self.index.items() if abs(us - unit.us) <= 1]
            if len(near) != 1 or number(unit, self.hashes) != self.frames[near[0]][1]:
                return f"a unit at {unit.us} is none of the frames"
            found.append(near[0])
        return found

    def reverse(self, first, last):
        """The frames from first down to last's group of pictures, as ONVIF orders them."""
        order, end = [], first + 1
        for key in reversed([k for k in self.keys if k <= first]):
            order += range(key, end)
            if key <= last:
                break
            end = key
        return order


def check_instants(nvrd, shown):
    seed = random.randrange(1 << 30)
    pick = random.Random(seed)
    first, last = shown.frames[0][0], shown.frames[-1][0]
    wrong = []
    client = opened(nvrd.rtsp, "recordings/porch")
    for instant in [pick.randrange(first - 1000000, last) for _ in range(20)]:
        answer = client.play(Range=clock(instant, None), Rate_Control="no")
        units = list(client.units(most=3))
        expected = shown.at(instant)
        if shown.match(units) != [expected, expected + 1, expected + 2] or not units[0].key or clock(shown.frames[expected][0])[6:] not in answer.fields["range"]:
            wrong.append((instant, expected, shown.match(units), answer.fields))
    report(not wrong, f"20 random instants begin with the keyframe at or before, times are the source's (seed {seed})", wrong)
    client.close()


def check_extension(units, cseq, name):
    """ONVIF Streaming Specification, RTP header extension: 0xABAC, 3 words; NTP; C E D T and four zeros; CSeq; 16 bits of zero."""
    wrong = []
    for unit in units:
        for i, packet in enumerate(unit.packets):
            first, last = i == 0, i == len(unit.packets) - 1
            if len(packet.extension) != 12 or packet.padding or packet.flags & 0x0f or packet.cseq != cseq & 0xff or packet.us != unit.us:
                wrong.append(("bytes", packet.extension.hex()))
            if bool(packet.flags & C) != unit.key or packet.flags & D and not first or packet.flags & (E | T) and not last:
                wrong.append(("flags", hex(packet.flags), i, len(unit.packets)))
    sequences = [p.sequence for u in units for p in u.packets]
    report(not wrong, f"{name}: the extension is in every packet as it has to be", wrong[:5])
    report(all((b - a) & 0xffff == 1 for a, b in zip(sequences, sequences[1:])), f"{name}: sequence numbers count on")


def flagged(shown, units, flag):
    return [shown.match([u])[0] for u in units if any(f & flag for f in u.flags)]


def check_forward(nvrd, shown):
    """Over the border of files and a gap, as fast as it goes, and by the server's time."""
    start, end = shown.starts[1] - 60, shown.starts[1] + 60
    client = opened(nvrd.rtsp, "recordings/porch")
    client.play(Range=clock(shown.frames[start][0], shown.frames[end][0]), Rate_Control="no")
    units = list(client.units())
    expected = list(range(shown.at(shown.frames[start][0]), end))
    report(shown.match(units) == expected, "a range over a gap has every frame and no other", (shown.match(units), expected))
    check_extension(units, client.cseq, "forward")
    report(flagged(shown, units, D) == [expected[0], shown.starts[1]], "D: where it begins, and behind the gap", flagged(shown, units, D))
    report(flagged(shown, units, E) == [shown.starts[1] - 1], "E: before the gap", flagged(shown, units, E))
    report(flagged(shown, units, T) == [expected[-1]], "T: the last one", flagged(shown, units, T))
    steps = [((b.timestamp - a.timestamp) & 0xffffffff) - round((b.us - a.us) * 0.09) for a, b in zip(units, units[1:])]
    report(all(abs(step) <= 1 for step in steps), "Rate-Control: no: RTP times are those of recording", steps)
    report(all(rtcp[8:20] == bytes(12) for _, rtcp in client.rtcp if rtcp[1] == 200), "Rate-Control: no: sender reports say nothing of time")

    client.play(Range=clock(shown.frames[shown.starts[1] - 20][0], shown.frames[shown.starts[1] + 20][0]))
    units = list(client.units())
    steps = [(b.timestamp - a.timestamp) & 0xffffffff for a, b in zip(units, units[1:])]
    report(all(3600 <= step <= 3600 + 900 for step in steps) and set(shown.match(units)) >= set(range(shown.starts[1] - 20, shown.starts[1] + 20)),
           "by the server's time a gap is no time", steps)
    # Scale 8: keyframes, in an eighth of their time
    answer = client.play(Range=clock(shown.frames[0][0], shown.frames[100][0]), Scale="8")
    units = list(client.units())
    steps = [(b.timestamp - a.timestamp) & 0xffffffff for a, b in zip(units, units[1:])]
    report(shown.match(units) == [k for k in shown.keys if k < 100] and answer.fields["scale"] == "8.000", "Scale: 8 gives keyframes", shown.match(units))
    gaps = [round((b.us - a.us) * 0.09 / 8) for a, b in zip(units, units[1:])]
    report(all(abs(a - b) <= 1 for a, b in zip(steps, gaps)), "Scale: 8: RTP times are of an eighth", (steps, gaps))
    client.play(Range=clock(shown.frames[0][0], shown.frames[50][0]), Scale="2")
    units = list(client.units())
    steps = [(b.timestamp - a.timestamp) & 0xffffffff for a, b in zip(units, units[1:])]
    report(shown.match(units) == list(range(50)) and all(abs(step - 1800) <= 1 for step in steps), "Scale: 2 gives all frames in half the time", steps)
    client.close()


def check_frames(nvrd, shown):
    client = opened(nvrd.rtsp, "recordings/porch", (0, 1))
    whole = clock(shown.frames[0][0], shown.frames[-1][0] + FRAME_US)
    client.play(Range=whole, Rate_Control="no", Frames="intra")
    report(shown.match(list(client.units())) == shown.keys, "Frames: intra gives every keyframe and nothing else")
    client.play(Range=whole, Rate_Control="no", Frames="intra/2500")
    got, expected = shown.match(list(client.units())), []
    for key in shown.keys:
        if not expected or shown.frames[key][0] - shown.frames[expected[-1]][0] >= 2500000:
            expected.append(key)
    report(got == expected and 1 < len(got) < len(shown.keys), "Frames: intra/2500 leaves out those that are too near", (got, expected))
    client.play(Range=clock(shown.frames[-1][0] + FRAME_US, shown.frames[0][0]), Rate_Control="no", Frames="intra", Scale="-1")
    units = list(client.units())
    report(shown.match(units) == shown.keys[::-1], "backward as well", shown.match(units))
    report(flagged(shown, units, D) == shown.keys[::-1], "and each of them with a D", flagged(shown, units, D))
    client.close()


def check_reverse(nvrd, shown):
    first, last = shown.starts[1] + 40, shown.starts[1] - 40
    client = opened(nvrd.rtsp, "recordings/porch")
    client.play(Range=clock(shown.frames[first][0], shown.frames[last][0]), Rate_Control="no", Scale="-1.0")
    units = list(client.units())
    expected = shown.reverse(first, last)
    report(shown.match(units) == expected, "backward: groups of pictures in reverse, frames within them forward", (shown.match(units), expected))
    check_extension(units, client.cseq, "backward")
    firsts = [i for i in expected if i in shown.keys]
    report(flagged(shown, units, D) == firsts, "backward: D on each group's first", (flagged(shown, units, D), firsts))
    end = [expected[expected.index(max(k for k in shown.keys if k < shown.starts[1])) - 1]]
    report(flagged(shown, units, E) == end, "backward: E on the last one before a gap is crossed", (flagged(shown, units, E), end))
    steps = [((b.timestamp - a.timestamp) & 0xffffffff) - (round((b.us - a.us) * 0.09) & 0xffffffff) for a, b in zip(units, units[1:])]
    report(all(abs(step) <= 1 for step in steps), "backward: RTP times are those of recording")
    client.play(Range=clock(shown.frames[60][0], shown.frames[20][0]), Scale="-2.0")
    units = list(client.units())
    order = shown.match(units)
    times = {i: u.timestamp for i, u in zip(order, units)}
    base = times[60]
    wrong = [(i, times[i] - base) for i in order if abs(((times[i] - base) & 0xffffffff) - (60 - i) * 1800) > 2]
    report(order == shown.reverse(60, 20) and not wrong, "backward by the server's time: RTP times say when a frame is shown", (order, wrong))
    client.play(Range=clock(shown.frames[shown.starts[1] - 1][0] + 500000, None), Rate_Control="no", Scale="-1")
    report(shown.match(list(client.units(most=1))) == [[k for k in shown.keys if k < shown.starts[1]][-1]], "backward from within a gap: the last keyframe before it")
    client.play(Rate_Control="no", Scale="-1", Range=clock(shown.frames[5][0], None))
    units = list(client.units())
    report(flagged(shown, units, E) == [5] and shown.match(units) == list(range(6)), "backward to the beginning of all, where E is", shown.match(units))
    client.close()


def check_control(nvrd, shown):
    """PAUSE and PLAY again, seeking by PLAY, npt, what is nowhere."""
    client = opened(nvrd.rtsp, "recordings/porch")
    client.play(Range=clock(shown.frames[10][0], shown.frames[200][0]), Scale="3")
    seen = list(client.units(most=20))
    client.request("PAUSE", client.base)
    held = len(client.packets)
    report(client.request("GET_PARAMETER", client.base).status == 200 and len(client.packets) == held, "PAUSE stops")
    client.play(keep=True, Scale="3")
    rest = list(client.units())
    order = shown.match(seen + rest)
    report(order == list(range(shown.at(shown.frames[10][0]), 200)), "PLAY after PAUSE goes on with the next frame", order)
    stamps = [u.timestamp for u in seen + rest]
    steps = [(b - a) & 0xffffffff for a, b in zip(stamps, stamps[1:])]
    report(all(abs(step - 1200) <= 1 for step in steps), "and its RTP times go on, too", steps)

    client.play(Range=clock(shown.frames[0][0], None))
    list(client.units(most=3))
    answer = client.play(Range=clock(shown.frames[150][0], None), Immediate="yes")
    unit = next(client.units(most=1))
    report(answer.status == 200 and shown.match([unit]) == [shown.at(shown.frames[150][0])] and unit.flags[0] & D and unit.packets[0].cseq == client.cseq,
           "a new PLAY goes elsewhere at once, with D and its CSeq")
    answer = client.play(Range="npt=4.0-6.0", Rate_Control="no")
    report(shown.match(list(client.units())) == list(range(shown.at(shown.frames[100][0]), 150)) and answer.fields["range"].startswith("npt="),
           "npt counts from the beginning that DESCRIBE says", answer.fields)
    for bad, status in (("clock=x-", 457), ("smpte=0:0:0-", 457), (clock(shown.frames[-1][0] + 10 ** 12, None), 457)):
        report(client.play(Range=bad).status == status, f"Range: {bad[:20]} is answered {status}")
    report(client.play(Range=clock(shown.frames[0][0], shown.frames[1][0])).status == 200 and len(list(client.units())) == 1, "and the session plays on")
    client.close()
    nowhere = Replay(nvrd.rtsp, "recordings/nowhere")
    report(nowhere.describe().status == 404, "a camera without recordings is nowhere")
    for bad in ("recordings/porch/x", "recordings/porch?from=x", "recordings/porch/20261120T143000Z--x", "recordings/porch/20261120T143000Z--20261120T143000Z", "recordings/"):
        nowhere.url = f"rtsp://{nvrd.rtsp}/{bad}"
        report(nowhere.describe().status == 404, f"{bad} is nowhere")
    nowhere.close()


def decoded_frames(url, *options):
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *options, "-i", url, "-an", "-f", "framemd5", "-"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return [line.rpartition(", ")[2].strip() for line in done.stdout.splitlines() if line and line[0] != "#"], done.stderr


def gstreamer_ends(words):
    """
    What it says. On a busy machine rtspsrc 1.22 may log BYE for both tracks ("received BYE", "setting stream for session 0 to EOS") and yet
    give only one of the sinks an end: it is asked again then.
    """
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=25)
    except subprocess.TimeoutExpired:
        print("# GStreamer did not take the end of a range for one")
        return None
    return done.stdout if "eos" in done.stdout else None


def check_players(nvrd, shown):
    """Players that know nothing of ONVIF; the range is in the URL, and holds the gap."""
    from_i, to_i = shown.starts[1] - 2 * GROUP, shown.starts[1] + 40
    query = f"from={footage.name(shown.frames[from_i][0])}&to={footage.name(shown.frames[to_i][0])}"
    url = f"rtsp://{nvrd.rtsp}/recordings/porch?{query}"
    expected = to_i - shown.at(shown.frames[from_i][0])
    for transport in ("tcp", "udp"):
        frames, errors = decoded_frames(url, "-rtsp_transport", transport)
        report(len(frames) == expected and not errors, f"ffmpeg plays a range over {transport} to its end", (len(frames), expected, errors))
    target = nvrd.folder / "gst.h264"
    words = ["/usr/bin/python3", HERE / "gst_reader.py", f"rtph264depay ! h264parse ! video/x-h264,stream-format=byte-stream ! filesink location={target}",
             "fakesink", f"location={url}", "protocols=tcp"]
    done = wait_for(lambda: gstreamer_ends(words), 90)
    got = len(players.decoded(target))
    report(done and got == expected, "GStreamer plays a range to its end", (got, expected, done))
    if not list(pathlib.Path("/usr/lib").glob("*/vlc/plugins/access/liblive555_plugin.so")):
        skip("VLC plays a range", "Debian's VLC is built without live555: it knows no RTSP")
    else:
        seen = players.vlc(url, 0, 60, nvrd.folder / "vlc")
        report(abs(len(seen) - expected) <= GROUP, "VLC plays a range to its end", (len(seen), expected))


def check_gstreamer_onvif(nvrd, shown):
    """rtponvifparse reads what we write; and rtspsrc in onvif-mode asks for it itself."""
    client = opened(nvrd.rtsp, "recordings/porch")
    client.play(Range=clock(shown.frames[shown.starts[1] - 30][0], shown.frames[shown.starts[1] + 30][0]), Rate_Control="no")
    units = list(client.units())
    packets = [p for u in units for p in u.packets]
    client.close()
    file = nvrd.folder / "packets"
    file.write_bytes(b"".join(struct.pack(">H", len(p.bytes)) + p.bytes for p in packets))
    words = ["/usr/bin/python3", HERE / "gst_onvif.py"]
    seen = json.loads(media.run(*map(str, words), "parse", str(file), timeout=90))
    wrong = [(row, p.us, hex(p.flags)) for row, p in zip(seen, packets)
             if abs(row[0] / 1000 - (p.us + 2208988800 * 10 ** 6)) > 1.5 or row[1] != bool(p.flags & D) or row[2] == bool(p.flags & C)]
    report(len(seen) == len(packets) and not wrong, "rtponvifparse reads times, C and D of every packet", (len(seen), len(packets), wrong[:3]))
    first, last = 40, 120
    done = subprocess.run([*map(str, words), "play", f"rtsp://{nvrd.rtsp}/recordings/porch", str(shown.frames[first][0]), str(shown.frames[last][0])],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    times = json.loads(done.stdout or "[]")
    expected = [shown.frames[i][0] for i in range(shown.at(shown.frames[first][0]), last)]
    got = [t // 1000 - 2208988800 * 10 ** 6 for t in times]
    report(len(got) >= len(expected) - 1 and all(any(abs(t - us) < 2000 for us in expected) for t in got), "rtspsrc in onvif-mode seeks by clock",
           (len(got), len(expected), got[:2], expected[:2], done.stderr[-800:]))


def check_predicted(nvrd, shown):
    """With frames that no other refers to: those are left out, and what counts is when a keyframe is shown, not when it is decoded."""
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "scenecut=0"]
    run = footage.record(nvrd, "reordered", media.make("bframes", 20, codec=codec, size="320x180", gop=GROUP, bitrate="500k"), 2)
    client = opened(nvrd.rtsp, "recordings/reordered")
    client.play(Range=clock(run[0][1], None), Rate_Control="no")
    units = list(client.units())
    referred = [u.us for u in units if any(p.payload[0] & 0x60 and p.payload[0] & 0x1f in (1, 5, 28) for p in u.packets)]
    client.play(Range=clock(run[0][1], None), Rate_Control="no", Frames="predicted")
    report([u.us for u in client.units()] == referred and len(referred) < len(units), "Frames: predicted leaves out what nothing refers to", (len(referred), len(units)))
    keys = [u.us for u in units if u.key]
    firsts = []
    for us in (keys[1] - 1, keys[1], keys[2] + 100):
        client.play(Range=clock(us, None), Rate_Control="no")
        firsts.append(next(client.units(most=1)).us)
    report(firsts == [keys[0], keys[1], keys[2]], "with frames in another order, too, the first is the keyframe shown at or before", (firsts, keys[:3]))
    client.close()


def check_codecs(nvrd, shown):
    """Other parameter sets go on; another codec ends it, and is described by a range of its own."""
    third = footage.record(nvrd, "porch", footage.source("320x180"), 1)
    fourth = footage.record(nvrd, "porch", media.make("h265", 20, codec=media.H265, size="320x180", gop=GROUP, bitrate="500k"), 1)
    start, change, end = shown.frames[-10][0], fourth[0][1], fourth[-1][2]
    client = Replay(nvrd.rtsp, f"recordings/porch?from={footage.name(start)}")
    client.describe()
    client.set_up((0,))
    client.play(Rate_Control="no")
    units = list(client.units())
    report(units[-1].us < change and units[-1].us > third[-1][2] - 100000 and units[-1].flags[-1] & E, "another codec ends it, with E and T",
           (units[-1].us, third[-1][2], change, units[-1].flags))
    new = [u for u in units if u.us >= third[0][1] - 1]
    report(any(n.payload[0] & 0x1f == 7 for n in new[0].packets) and new[0].flags[0] & D, "other parameter sets are in band")
    report(client.play(Range=clock(change, None), Rate_Control="no").status == 457, "what was not described cannot be played")
    client.close()
    frames, errors = decoded_frames(f"rtsp://{nvrd.rtsp}/recordings/porch?from={footage.name(start)}&to={footage.name(third[-1][2])}", "-rtsp_transport", "tcp")
    report(len(frames) == len(units) and not errors, "ffmpeg decodes from one size into the other", (len(frames), len(units), errors[-300:]))
    url = f"rtsp://{nvrd.rtsp}/recordings/porch?from={footage.name(change)}&to={footage.name(end)}"
    out = media.run("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url)
    report(b"hevc" in out, "a range describes the codec that it has", out)


# what else is recorded: pictures, sound, and how each is compared: decoded, packet by packet, or all samples together
OTHERS = {
    "jpeg": (["-c:v", "mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p"], ["-c:a", "pcm_alaw", "-ar", "8000"], "md5"),
    "opus": (media.H265, ["-c:a", "libopus"], "framemd5"),
    "mulaw": (media.H264, ["-c:a", "pcm_mulaw", "-ar", "8000"], "md5"),
    "linear": (media.H264, ["-c:a", "pcm_s16be", "-ar", "16000", "-ac", "2"], "md5"),
    "av1": (["-c:v", "libsvtav1", "-preset", "12"], ["-c:a", "libopus"], "framemd5"),
}


def other_file(nvrd, name):
    """Ten seconds of it."""
    video, audio, _ = OTHERS[name]
    path = nvrd.folder / f"{name}.mkv"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x176:rate=25:duration=10", "-f", "lavfi", "-i",
                    "anoisesrc=sample_rate=48000:duration=10:seed=1", *video, "-g", str(GROUP), "-b:v", "500k", *audio, path],
                   check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def sound_of(where, muxer, *options):
    """The hashes of a track of sound as it is: of all samples, or of each packet."""
    done = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *options, "-i", where, "-map", "0:a", "-c", "copy", "-f", muxer, "-"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    rows = [line.split(",") for line in done.stdout.splitlines() if line and line[0] != "#"]
    return [row[5 if muxer == "framemd5" else 0].strip() for row in rows]


def check_other_codecs(nvrd):
    for name, (_, _, sound) in OTHERS.items():
        path, start, end, _ = footage.record(nvrd, name, other_file(nvrd, name), 1)[0]
        file, url = str(nvrd.store / path), f"rtsp://{nvrd.rtsp}/recordings/{name}?from={footage.name(start)}&to={footage.name(end)}"
        expected = media.packets(file)
        client = Replay(nvrd.rtsp, f"recordings/{name}")
        client.describe()
        client.set_up((0, 1))
        client.play(Range=clock(start, end), Rate_Control="no")
        packets = []
        while not packets or not packets[-1].flags & T or packets[-1].channel:
            packets.append(client.packet())
        client.close()
        pictures = [p for p in packets if p.channel == 0]
        keys = [p.us for p in pictures if p.marker and p.flags & C]
        report(sum(p.marker for p in pictures) == len(expected) and len(keys) == sum(p[2] for p in expected) and len(packets) > len(pictures),
               f"{name}: all pictures that are recorded, C in those that begin something, and sound", (len(packets), len(pictures), len(keys), len(expected)))
        if name == "av1":  # which Debian's ffmpeg does not take
            check_av1(nvrd, url, file)
            continue
        seen, errors = decoded_frames(url, "-rtsp_transport", "tcp")
        report(seen == decoded_frames(file)[0] and not errors, f"{name}: ffmpeg decodes the same pictures", (len(seen), errors))
        seen, recorded = sound_of(url, sound, "-rtsp_transport", "tcp"), sound_of(file, sound)
        report(recorded and seen == recorded, f"{name}: the sound is the same", (seen[:2], recorded[:2], len(seen), len(recorded)))


def check_av1(nvrd, url, file):
    python = os.environ.get("NVRD_PYAV", "python3")
    if not shutil.which(python):
        return skip("av1: ffmpeg 8 gets the same packets", "NVRD_PYAV names no Python")
    files = [nvrd.folder / "av1-video", nvrd.folder / "av1-sound"]
    done = subprocess.run([python, HERE / "av_reader.py", url, "tcp", *files], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if not files[0].exists():
        return skip("av1: ffmpeg 8 gets the same packets", "no PyAV with ffmpeg 8 (NVRD_PYAV names the Python that has it)")
    seen = [f.read_text().split() for f in files]
    return report(all(a == [p[3] for p in media.packets(file, kind)] for a, kind in zip(seen, ("v:0", "a:0"))), "av1: ffmpeg 8 gets the same packets",
                  (len(seen[0]), len(seen[1]), done.stderr[-500:]))


def check_growing(nvrd):
    """What is being recorded is played as it comes; E is where it ends."""
    nvrd.configure({"yard": {"source": f'"av:{footage.source()}"'}})
    nvrd.reload()
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="yard"}') >= 6, 20)
    client = opened(nvrd.rtsp, "recordings/yard")
    before = footage.rows(nvrd, "yard")[0][1]
    client.play(Range=clock(before, None), Rate_Control="no")
    units = list(client.units(most=200))
    report(len(units) == 200 and not any(f & (E | T) for u in units for f in u.flags), "a recording is followed while it grows")
    nvrd.configure({})
    nvrd.reload()
    units += list(client.units())
    steps = {b.us - a.us for a, b in zip(units, units[1:])}
    report(all(abs(step - FRAME_US) <= 1 for step in steps) and units[-1].flags[-1] & E, "up to its end, where E is", steps)
    client.close()


def check_users():
    nvrd = Nvrd({"porch": {"source": '"test:"'}, "yard": {"source": '"test:"'}}, users=USERS)
    wait_for(lambda: len(nvrd.files("porch")) and len(nvrd.files("yard")), 20)

    def probe(who, camera):
        done = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", f"rtsp://{who}{nvrd.rtsp}/recordings/{camera}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        return done.stderr
    report(wait_for(lambda: not probe("anna:s3cret@", "porch"), 20), "who may see a camera may see its recordings")
    report("401" in probe("", "porch"), "without a password: 401")
    report("404" in probe("guest:look@", "porch"), "a camera that the user may not see is not there")
    report(not probe("guest:look@", "yard"), "the one that he may see is")
    nvrd.stop()


def hour(nvrd, camera, start, data, offsets):
    """An hour in files of ten minutes, named in the time zone of each."""
    pieces, clock_at = footage.stretch(data, 600, 0)
    head, media_bytes = bytearray(pieces[0]), b"".join(pieces[1:])
    for i, offset in enumerate(offsets):
        at = start + datetime.timedelta(minutes=10 * i)
        local = at + datetime.timedelta(hours=offset)
        folder = nvrd.store / "recordings" / camera / local.strftime("%Y-%m-%d")
        folder.mkdir(parents=True, exist_ok=True)
        head[clock_at:clock_at + 8] = struct.pack(">Q", (int(at.timestamp()) + 2208988800) << 32)
        (folder / (local.strftime("%H-%M-%S") + f"{offset:+03}00.mp4")).write_bytes(head + media_bytes)
    return len(head) + len(media_bytes)


def memory(nvrd, word):
    return int(re.search(rf"{word}:\s+(\d+)", pathlib.Path(f"/proc/{nvrd.process.pid}/status").read_text())[1])


def drained(receiver, total):
    """How long it takes to get so many bytes."""
    buffer, began = bytearray(1 << 20), time.monotonic()
    while total > 0:
        n = receiver.recv_into(buffer)
        if not n:
            return None
        total -= n
    return time.monotonic() - began


def check_hour_at_once(nvrd, begin, total):
    """The same hour to a reader that only reads, and the files to one by sendfile."""
    client = opened(nvrd.rtsp, "recordings/porch")
    before = memory(nvrd, "VmRSS")
    pathlib.Path(f"/proc/{nvrd.process.pid}/clear_refs").write_text("5")  # the peak counts from here on
    client.play(Range=clock(begin, begin + 3600 * 1000000), Rate_Control="no")
    seconds = drained(client.socket, total - len(client.input) - sum(4 + len(p.bytes) for p in client.packets))
    grown = memory(nvrd, "VmHWM") - before
    client.close()
    files = nvrd.files("porch")

    def send(to):
        for path in files:
            with open(path, "rb") as file:
                to.sendfile(file)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as receiver:
        sender = server.accept()[0]
        thread = threading.Thread(target=send, args=(sender,))
        thread.start()
        size = sum(path.stat().st_size for path in files)
        plain = drained(receiver, size)
        thread.join()
        sender.close()
    report(seconds, "the whole hour comes")
    print(f"# {total >> 20} MiB in {seconds:.2f} s, {total / seconds / 1e6:.0f} MB/s; the files by sendfile {plain:.2f} s; memory at most {grown} KiB more")


def check_hour():
    """An hour in which the clocks go back, as fast as it goes."""
    source = media.make("replay", 14, size="640x360", fps=20, gop=20, audio=False, bitrate="1M")  # all fragments are of one length
    nvrd = Nvrd({"small": {"source": f'"av:{source}"'}}, segment="24h")
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="small"}') >= 24, 30)
    nvrd.stop()
    start = datetime.datetime(2026, 10, 25, 0, 30, tzinfo=datetime.timezone.utc)
    size = hour(nvrd, "porch", start, nvrd.files("small")[0].read_bytes(), [2, 2, 2, 1, 1, 1])
    nvrd.configure({})
    nvrd.start()
    wait_for(lambda: len(footage.rows(nvrd, "porch")) == 6 and all(row[3] for row in footage.rows(nvrd, "porch")), 120)
    client = opened(nvrd.rtsp, "recordings/porch")
    begin = int(start.timestamp()) * 1000000
    client.play(Range=clock(begin, begin + 3600 * 1000000), Rate_Control="no")
    began, count, last, wrong, total = time.monotonic(), 0, None, [], 0
    while True:
        packet = client.packet()
        total += 4 + len(packet.bytes)
        if packet.marker:
            count += 1
            if last is not None and abs(packet.us - last - 50000) > 1:
                wrong.append((last, packet.us))
            last = packet.us
            if packet.flags & T:
                break
    seconds = time.monotonic() - began
    print(f"# an hour of {6 * size >> 20} MiB by Rate-Control: no in {seconds:.1f} s, {6 * size / seconds / 1e6:.0f} MB/s")
    report(count == 72000 and not wrong, "an hour over the end of summer time has every frame, each 50 ms after the other", (count, wrong[:3]))
    client.close()
    report(wait_for(lambda: nvrd.metric("nvrd_replay_ahead_bytes") == 0, 10), "nothing stays in memory")
    check_hour_at_once(nvrd, begin, total)
    slow = opened(nvrd.rtsp, "recordings/porch")
    slow.play(Range=clock(begin, None), Rate_Control="no")
    sent = [-1.0]
    report(wait_for(lambda: nvrd.metric("nvrd_replay_ahead_bytes") > 200000 and sent.append(nvrd.metric("nvrd_replay_ahead_bytes")) is None and sent[-1] == sent[-2], 10)
           and sent[-1] <= (2 << 20) + 1000000, "who does not read is read ahead for within limits", sent)
    slow.close()
    nvrd.stop()


def main():
    path = footage.source()
    hashes = [p[3] for p in media.packets(path)]
    nvrd = Nvrd(segment="4s")
    first = footage.record(nvrd, "porch", path, 4)
    second = footage.record(nvrd, "porch", path, 3)
    shown = Footage(footage.frames(nvrd, first, hashes) + footage.frames(nvrd, second, hashes), hashes)
    check_instants(nvrd, shown)
    check_forward(nvrd, shown)
    check_frames(nvrd, shown)
    check_reverse(nvrd, shown)
    check_control(nvrd, shown)
    check_gstreamer_onvif(nvrd, shown)
    check_players(nvrd, shown)
    check_predicted(nvrd, shown)
    check_codecs(nvrd, shown)
    check_other_codecs(nvrd)
    check_growing(nvrd)
    staying = opened(nvrd.rtsp, "recordings/porch")
    staying.play(Range=clock(shown.frames[0][0], None))
    report(nvrd.stop() == 0, "SIGTERM ends it, also while somebody watches", nvrd.log()[-3000:])
    staying.close()
    check_users()
    check_hour()
    finish()


main()
