#!/usr/bin/env python3
"""
Recordings in players: one that nvrd made, and one of ten minutes that it found cut off and closed, open and play
from their middle in ffmpeg, VLC, GStreamer and Chromium.
"""
import datetime
import fractions
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import urllib.parse

import media
from daemon import HERE, Nvrd, finish, report, skip, wait_for

SECONDS = 62
LONG = 600
START = 1795185000  # 2026-11-20 14:30:00 UTC
H264_B = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "scenecut=0"]
GROUP = 2  # seconds from keyframe to keyframe
FRAME = 0.04


def boxes(path):
    """The types and places of the boxes at the top: a list of (type, offset, bytes)."""
    found, at = [], 0
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while at < size:
            file.seek(at)
            head = file.read(16)
            n, kind = struct.unpack(">I4s", head[:8])
            n = struct.unpack(">Q", head[8:])[0] if n == 1 else n
            found.append((kind.decode(), at, n))
            at += n
    return found


def pictures(path, start, seconds):
    """What ffmpeg decodes of so many seconds: hash -> time."""
    out = media.run("ffmpeg", "-nostdin", "-v", "error", "-copyts", "-ss", str(max(start, 0)), "-t", str(seconds), "-i", str(path),
                    "-map", "0:v", "-pix_fmt", "yuv420p", "-f", "framemd5", "-").decode()
    base, times = None, {}
    for line in out.splitlines():
        if line.startswith("#tb 0:"):
            base = fractions.Fraction(line.split(":")[1].strip())
        elif not line.startswith("#"):
            fields = [field.strip() for field in line.split(",")]
            times[fields[5]] = float(int(fields[2]) * base)
    return times


def check_ffmpeg(label, path, middle):
    around = pictures(path, middle - 2 * GROUP, 4 * GROUP)
    sought = pictures(path, middle, FRAME)
    times = list(sought.values())
    report(times and abs(times[0] - middle) <= 2 * FRAME and all(around.get(h) == t for h, t in sought.items()),
           f"{label}: ffmpeg seeks to the picture of that time", (sought, len(around)))
    return around


def check_vlc(label, path, middle, around, folder):
    if not shutil.which("cvlc"):
        return skip(f"{label}: VLC", "not installed")
    folder.mkdir()
    folder.chmod(0o777)
    folder.parent.chmod(0o755)
    copy, out = folder / "recording.mp4", folder / "vlc.ts"
    os.link(path, copy)
    copy.chmod(0o644)
    words = ["cvlc", "--intf", "dummy", "--sout", f"#std{{access=file,mux=ts,dst={out}}}", "--start-time", str(middle), "--stop-time",
             str(middle + 3), str(copy), "vlc://quit"]
    if os.getuid() == 0:  # VLC refuses to be root
        words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *words]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, env={**os.environ, "HOME": str(folder)})
    seen = pictures(out, 0, 10) if out.exists() and out.stat().st_size else {}
    first = around.get(next(iter(seen), None))
    report(first is not None and abs(first - middle) <= GROUP, f"{label}: VLC plays from there", (first, len(seen), done.stderr[-1000:]))
    report(len(seen) >= 2 / FRAME and sum(h in around for h in seen) >= 2 / FRAME, f"{label}: VLC plays the pictures that follow", len(seen))


def check_gstreamer(label, path, middle, length):
    if not shutil.which("gst-launch-1.0"):
        return skip(f"{label}: GStreamer", "not installed")
    done = subprocess.run(["/usr/bin/python3", str(HERE / "gst_seek.py"), str(path), str(middle)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    if report(done.returncode == 0, f"{label}: GStreamer plays from the middle", done.stderr[-1000:]):
        seen = json.loads(done.stdout)
        report(seen["seekable"] and seen["sought"] and abs(seen["time"] - middle) <= 2 * FRAME, f"{label}: GStreamer shows the picture of that time", seen)
        report(abs(seen["duration"] - length) < 0.1, f"{label}: GStreamer knows how long it is", (seen, length))


def check_chromium(label, nvrd, path, length, most):
    if not shutil.which("chromium") or not shutil.which("node"):
        return skip(f"{label}: Chromium", "chromium or node is not installed")
    name = "/" + urllib.parse.quote(str(path.relative_to(nvrd.store)))
    done = subprocess.run(["node", str(HERE / "seek.mjs"), f"http://{nvrd.http}/recordings/", name], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=90)
    if not report(done.returncode == 0, f"{label}: Chromium plays from the middle over HTTP", done.stderr[-2000:]):
        return None
    seen = json.loads(done.stdout)
    # it goes by decode times, which end some pictures before the last one shown
    report(abs(seen["duration"] - length) < 0.3, f"{label}: Chromium knows how long it is", seen)
    report(abs(seen["first"] - seen["duration"] / 2) <= 3 * FRAME and seen["bright"] > 100, f"{label}: Chromium shows the picture of that time", seen)
    report(len(seen["ranges"]) < 10, f"{label}: with {len(seen['ranges'])} requests", seen)
    return report(seen["bytes"] < most, f"{label}: after {seen['bytes']} bytes", seen)


def check_file(label, nvrd, path, length):
    """`length` of the pictures is that of the file."""
    middle = length / 2
    kinds = [kind for kind, _, _ in boxes(path)]
    report(kinds == ["ftyp", "mdat", "moov"], f"{label}: it is an ordinary MP4", kinds)
    report(abs(media.duration(path) - length) < 0.1, f"{label}: ffprobe knows how long it is", (media.duration(path), length))
    around = check_ffmpeg(label, path, middle)
    check_vlc(label, path, middle, around, nvrd.folder / f"vlc-{label.split()[0]}")
    check_gstreamer(label, path, middle, length)
    # what comes of a short file until the browser has found its end is as much as it fetches ahead
    check_chromium(label, nvrd, path, length, 2 << 20 if length > 300 else path.stat().st_size)


def is_dated(path):
    """Whether the file says that its clock can be trusted (ISO/IEC 14496-12 section 8.16.5)."""
    with open(path, "rb") as file:
        head = file.read(8192)
    at = head.index(b"prft")
    return head[at + 7] == 24


def check_tags(path):
    tags = json.loads(media.run("ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", str(path)))["format"].get("tags", {})
    report(tags.get("title") == "porch", "it has the camera's name as title", tags)
    start = datetime.datetime.strptime(f"{path.parent.name} {path.stem[:13]}", "%Y-%m-%d %H-%M-%S%z").astimezone(datetime.timezone.utc)
    if is_dated(path):
        report(tags.get("creation_time", "").startswith(f"{start:%FT%T}"), "it says when it was made", (tags, start))
    else:
        report("creation_time" not in tags, "it does not say when it was made: nobody has set this machine's clock", tags)


def check_recorded():
    """A minute of a file with B-frames and sound, recorded as it goes."""
    source = media.make("players", SECONDS + 10, codec=H264_B, size="640x360", bitrate="1M")
    nvrd = Nvrd({"porch": {"source": f'"av:{source}"'}}, segment="24h")
    frames = 'nvrd_camera_frames_total{camera="porch",kind="video"}'
    report(wait_for(lambda: nvrd.metric(frames) >= SECONDS / FRAME, SECONDS + 30), "a minute was recorded", nvrd.log()[-2000:])
    path = nvrd.files("porch")[-1]
    kinds = [kind for kind, _, _ in boxes(path)]
    report(kinds[:4] == ["ftyp", "free", "moov", "prft"] and kinds[-2:] == ["moof", "mdat"], "meanwhile it is made of fragments", kinds[:6])
    ahead = media.packets(path)
    nvrd.stop()
    closed = media.packets(path)
    report(len(ahead) > 40 / FRAME and closed[:len(ahead)] == ahead, "closed, its packets are what they were before",
           [pair for pair in zip(ahead, closed) if pair[0] != pair[1]][:3])
    sent = [p[3] for p in media.packets(source)]
    report([p[3] for p in closed] == sent[:len(closed)], f"the {len(closed)} pictures are what was sent")
    sound, sent = ([p[3] for p in media.packets(f, "a:0")] for f in (path, source))
    report(len(sound) > 0 and sound == sent[:len(sound)], "so is the sound", len(sound))
    report(not media.decode_messages(path), "it decodes without a message", media.decode_messages(path))
    check_tags(path)
    nvrd.configure({})
    nvrd.start()
    check_file("recorded", nvrd, path, max(p[0] for p in closed) + FRAME)
    nvrd.stop()


def write_cut_off(source, path):
    """A recording of that file as a killed nvrd leaves it: ffmpeg's fragments behind a head of ours, and half of one."""
    made = path.with_suffix(".made")
    media.run("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(source), "-c", "copy", "-movflags", "empty_moov+default_base_moof+frag_keyframe",
              "-frag_duration", "500000", "-f", "mp4", str(made))
    head = b"\0\0\0\x1cftypiso6\0\0\0\0iso6cmfcmp41" + b"\0\0\0\x10free" + bytes(8)
    clock = struct.pack(">I4sIIIIQ", 32, b"prft", 1 << 24 | 24, 1, START + 2208988800, 0, 0)
    last = b""
    with open(made, "rb") as read, open(path, "wb") as file:
        file.write(head)
        for kind, at, n in boxes(made):
            read.seek(at)
            if kind == "moov":
                file.write(read.read(n) + clock)
            elif kind in ("moof", "mdat"):
                last = read.read(n)
                file.write(last)
        file.write(b"\0\0\1\0moof" + last[:100])
    made.unlink()


def check_long():
    """Ten minutes that the last process left open."""
    source = media.make("players", LONG, codec=H264_B, size="640x360", bitrate="1M")
    nvrd = Nvrd(start=True)
    nvrd.stop()
    name = "recordings/porch/2026-11-20/14-30-00+0000.mp4"
    path = nvrd.store / name
    path.parent.mkdir(parents=True)
    write_cut_off(source, path)
    before = media.packets(path)
    with sqlite3.connect(nvrd.store / "nvrd.db") as catalogue:
        catalogue.execute("insert into segments (camera, stream, path, folder, start_us, end_us, bytes, codecs, width, height, state)"
                          " values ('porch', 'main', ?, ?, ?, ?, 0, 'avc1.42c01e,mp4a.40.2', 640, 360, 0)",
                          (name, str(pathlib.PurePath(name).parent), START * 1000000, START * 1000000))
    catalogue.close()
    nvrd.start()
    report(media.packets(path) == before and len(before) == LONG / FRAME, "what was cut off is closed at the next start, with all its pictures", len(before))
    rows = sqlite3.connect(f"file:{nvrd.store}/nvrd.db?mode=ro", uri=True).execute("select bytes, end_us - start_us, state from segments").fetchall()
    report(rows and rows[0][0] == path.stat().st_size and abs(rows[0][1] / 1e6 - LONG) < 1 and rows[0][2] == 1, "and the catalogue agrees", rows)
    check_file("long", nvrd, path, max(p[0] for p in before) + FRAME)
    nvrd.stop()


def main():
    check_recorded()
    check_long()
    finish()


main()
