#!/usr/bin/env python3
"""
Clips over HTTP: four files with a gap as one MP4, frame by frame against the source; in ffmpeg, VLC and Chromium; in ranges. And a
whole day as one, what that costs.
"""
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import footage
import media
import players
from daemon import HERE, Nvrd, finish, report, skip, wait_for


PLAIN = os.environ.get("NVRD_PLAIN") == "1"  # a build without sanitizers, which hold what was freed
PADDING = 250000  # of half a second, so that it has 4 Mbit/s


def request(nvrd, path, method="GET", **headers):
    """Status, fields and body of an answer, also of a refusal."""
    question = urllib.request.Request(f"http://{nvrd.http}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(question, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read()


def clip(camera, from_us, to_us, query=""):
    return f"/recordings/{camera}/{footage.name(from_us)}--{footage.name(to_us)}.mp4{query}"


def expected(frames, from_us, to_us):
    """The frames from the last keyframe at or before an instant to the last one before another."""
    keys = [i for i, (us, number) in enumerate(frames) if number % footage.GROUP == 0 and us <= from_us]
    return [frame for frame in frames[keys[-1] if keys else 0:] if frame[0] < to_us]


def check_frames(nvrd, frames, hashes, file):
    starts = [us for us, _ in frames]
    gap = max(range(len(starts) - 1), key=lambda i: starts[i + 1] - starts[i])
    cases = [("from the first to the last file", starts[60], starts[-40]),
             ("a microsecond after a frame", starts[60] + 1, starts[-40] + 1), ("a microsecond before one", starts[60] - 1, starts[-40] - 1),
             ("from a keyframe", next(us for us, n in frames[30:] if n % footage.GROUP == 0), starts[-30]),
             ("from the gap", starts[gap] + 1000000, starts[-20]), ("to the gap", starts[100], starts[gap] + 1000000),
             ("one frame", next(us for us, n in frames[50:] if n % footage.GROUP == 0), None)]
    for label, from_us, to_us in cases:
        to_us = to_us or from_us + 1
        wanted = expected([f for f in frames if label != "from the gap" or f[0] > from_us], from_us, to_us)
        status, _, data = request(nvrd, clip("porch", from_us, to_us))
        file.write_bytes(data)
        packets = media.packets(file) if status == 200 else []
        report([p[3] for p in packets] == [hashes[n] for _, n in wanted], f"{label}: exactly the frames of that time",
               (status, len(packets), len(wanted)))
        times = [p[0] - packets[0][0] for p in packets]
        off = max((abs(t - (us - wanted[0][0]) / 1e6) for t, (us, _) in zip(times, wanted)), default=1)
        report(off < 0.00003, f"{label}: at their times, to the tick", off)


def check_http(nvrd, url, data):
    status, fields, body = request(nvrd, url, "HEAD")
    report(status == 200 and int(fields["Content-Length"]) == len(data) and fields["Content-Type"] == "video/mp4" and not body, "HEAD tells its length", fields)
    report(fields["Accept-Ranges"] == "bytes" and "porch-" in fields["Content-Disposition"] and '.mp4"' in fields["Content-Disposition"], "and its name", fields)
    etag = fields["ETag"]
    report(request(nvrd, url, **{"If-None-Match": etag})[0] == 304, "If-None-Match gives 304")
    report(request(nvrd, url, Range="bytes=5-9", **{"If-Range": etag})[0] == 206, "If-Range gives the range")
    report(request(nvrd, url, Range="bytes=5-9", **{"If-Range": '"x"'})[0] == 200, "If-Range with another gives all")
    generator = random.Random(5)
    wrong = []
    for _ in range(300):
        first = generator.randrange(len(data))
        last = min(len(data), first + generator.choice((1, 10, 500, 5000, 300000))) - 1
        status, fields, body = request(nvrd, url, Range=f"bytes={first}-{last}")
        if status != 206 or body != data[first:last + 1]:
            wrong.append((first, last, status))
    report(not wrong, "300 random ranges are what they are in the whole", wrong[:5])
    report(request(nvrd, url)[2] == data, "fetched again it is the same")
    for depth in "01":
        status, _, body = request(nvrd, url, "PROPFIND", Depth=depth)
        report(status == 207 and str(len(data)).encode() in body and b"video/mp4" in body, f"PROPFIND Depth {depth} tells of it", body)
    listing = request(nvrd, "/recordings/porch/")[2].decode()
    report("--" not in "".join(re.findall(r'href="([^"]+)"', listing)), "it is in no listing", listing)


def check_refusals(nvrd, start):
    for label, path, status in (("before everything", clip("porch", start - 9000000, start), 404),
                                ("of a camera that is not there", clip("nobody", start, start + 5000000), 404),
                                ("turned round", clip("porch", start + 5000000, start), 404),
                                ("with an impossible date", "/recordings/porch/20260229T000000Z--20260301T000000Z.mp4", 404),
                                ("of 41 days", clip("porch", start - 3600000000 * 24 * 41, start + 1), 400),
                                ("with something else in its name", clip("porch", start, start + 5000000)[:-4] + "x.mp4", 404)):
        report(request(nvrd, path)[0] == status, f"{label}: {status}", request(nvrd, path))


def check_players(nvrd, url, frames, hashes, file, from_us, to_us):
    """`file` has what is at the address."""
    address = f"http://{nvrd.http}{url}"
    length = (frames[-1][0] + footage.FRAME_US - frames[0][0]) / 1e6
    report(abs(media.duration(address) - length) < 0.1, "ffprobe knows how long it is from its index", (media.duration(address), length))
    report(media.decode_messages(address) == "", "ffmpeg decodes it without a complaint", media.decode_messages(address)[:500])
    tags = json.loads(media.run("ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", address))["format"]["tags"]
    report(tags.get("title") == "porch", "it has the camera's name as title", tags)
    every = players.decoded(file)
    middle = len(every) // 2
    offset = (frames[middle][0] - frames[0][0]) / 1e6
    sought = players.decoded(address, "-ss", f"{offset - 0.01:.3f}", "-t", "0.02")
    report(sought and sought[0] in every[middle - 1:middle + 2], "ffmpeg seeks in it over HTTP", (offset, middle, [h in every and every.index(h) for h in sought]))
    played = players.vlc(address, offset, offset + 3, nvrd.folder / "vlc-clip")
    if played is None:
        skip("VLC", "not installed")
    else:
        at = every.index(played[0]) if played and played[0] in every else -1
        report(0 <= at <= middle and middle - at <= 2 * footage.GROUP, "VLC seeks in it", (at, middle))
        report(len(played) > 50 and sum(h in every for h in played) > 50, "VLC plays it", len(played))
    if not shutil.which("chromium") or not shutil.which("node"):
        return skip("Chromium", "chromium or node is not installed")
    done = subprocess.run(["node", str(HERE / "seek.mjs"), f"http://{nvrd.http}/recordings/", url], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=90)
    if report(done.returncode == 0, "Chromium plays it from its middle", done.stderr[-2000:]):
        seen = json.loads(done.stdout)
        wanted = max(us for us, _ in frames if (us - frames[0][0]) / 1e6 <= seen["duration"] / 2)  # maybe before a gap
        report(abs(seen["duration"] - length) < 0.3 and abs(seen["first"] - (wanted - frames[0][0]) / 1e6) < 0.13, "Chromium knows how long it is, and shows the picture of its middle", (seen, length))
        report(seen["bright"] > 100, "Chromium shows a picture", seen)


def check_gaps(nvrd, frames, url, file):
    gaps = [b[0] - a[0] for a, b in zip(frames, frames[1:])]
    for query, wanted in (("", max(gaps) / 1e6), ("?gaps=keep", max(gaps) / 1e6), ("?gaps=close", 0.54)):
        file.write_bytes(request(nvrd, url + query)[2])
        times = [p[0] for p in media.packets(file)]
        seen = max(b - a for a, b in zip(times, times[1:]))
        report(len(times) == len(frames) and abs(seen - wanted) < 0.0001, f"the gap lasts {wanted:.2f} s with {query or 'nothing'}", (len(times), len(frames), seen))
        report(media.decode_messages(file) == "", "ffmpeg has no complaint", media.decode_messages(file)[:500])


def check_recorded():
    path = footage.source()
    hashes = [p[3] for p in media.packets(path)]
    nvrd = Nvrd(segment="4s")
    first = footage.record(nvrd, "porch", path, 3)
    second = footage.record(nvrd, "porch", path, 2)
    frames = footage.frames(nvrd, first, hashes) + footage.frames(nvrd, second, hashes)
    report(len(first) + len(second) >= 5 and second[0][1] - first[-1][2] > 500000, "five files with a gap", (first, second))
    file = nvrd.folder / "clip.mp4"
    check_frames(nvrd, frames, hashes, file)
    from_us, to_us = frames[30][0], frames[-10][0]
    url = clip("porch", from_us, to_us)
    wanted = expected(frames, from_us, to_us)
    data = request(nvrd, url)[2]
    file.write_bytes(data)
    check_http(nvrd, url, data)
    check_refusals(nvrd, frames[0][0])
    check_players(nvrd, url, wanted, hashes, file, from_us, to_us)
    check_gaps(nvrd, wanted, url, file)
    # another picture size
    other = footage.record(nvrd, "porch", footage.source("320x180"), 1)
    status, _, body = request(nvrd, clip("porch", from_us, other[0][1] + 1000000))
    report(status == 409 and other[0][0].encode() in body, "over a change of codec it is 409 and says where", (status, body))
    report(request(nvrd, clip("porch", from_us, other[0][1]))[0] == 200, "up to there it is fine")
    report("sanitizer" not in nvrd.log().lower() and nvrd.stop() == 0, "nothing broke", nvrd.log()[-2000:])


def io_bytes(nvrd):
    """What the process has read so far, from the page cache too."""
    return int(re.search(r"rchar: (\d+)", pathlib.Path(f"/proc/{nvrd.process.pid}/io").read_text())[1])


def resident_kib(nvrd):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{nvrd.process.pid}/status").read_text())[1])


def record_day(padding=0):
    """An nvrd with 144 files of ten minutes with 1200 fragments each; and the day."""
    nvrd = Nvrd({"small": {"source": f'"av:{media.make("day", 12, size="64x48", fps=4, gop=4, audio=False, bitrate="10k")}"'}}, segment="24h")
    wait_for(lambda: nvrd.metric('nvrd_recorder_fragments_total{camera="small"}') >= 12, 30)
    nvrd.stop()
    day = datetime.datetime(2026, 3, 4, tzinfo=datetime.timezone.utc)
    footage.make_day(nvrd, "porch", day, nvrd.files("small")[0].read_bytes(), padding=padding)
    nvrd.configure({})
    nvrd.start()
    report(wait_for(lambda: len(footage.rows(nvrd, "porch")) == 144, 300), "a day was found on the disk", nvrd.log()[-2000:])
    report(wait_for(lambda: all(row[3] for row in footage.rows(nvrd, "porch")), 60), "and closed")
    return nvrd, day


def check_day():
    nvrd, day = record_day()
    start = int(day.timestamp()) * 1000000
    url = clip("porch", start + 1, start + 86400 * 1000000 - 100000)
    request(nvrd, clip("porch", start, start + 5000000))  # so that all code was there once
    memory, read = resident_kib(nvrd), io_bytes(nvrd)
    began = time.monotonic()
    status, fields, body = request(nvrd, url, Range="bytes=0-1048575")
    print(f"# the first MiB of a day's clip of {int(fields['Content-Range'].split('/')[1]) >> 20} MiB: {time.monotonic() - began:.3f} s, "
          f"{(io_bytes(nvrd) - read) >> 10} KiB read")
    report(status == 206 and len(body) == 1 << 20, "the first MiB comes", status)
    # heads, the index of each file from the catalogue, twice at most, and what was asked for
    report(io_bytes(nvrd) - read < 16 << 20, "for which little is read", io_bytes(nvrd) - read)
    total = int(fields["Content-Range"].split("/")[1])
    with urllib.request.urlopen(f"http://{nvrd.http}{url}", timeout=60) as answer:
        most = received = 0
        while True:
            block = answer.read(1 << 20)
            if not block:
                break
            received += len(block)
            most = max(most, resident_kib(nvrd))
    print(f"# {received >> 20} MiB fetched in all; resident memory grew by {most - memory} KiB")
    report(received == total, "all of it comes", (received, total))
    if PLAIN:
        report(most - memory < 4096, "with less than 4 MiB of memory", most - memory)
    report(abs(media.duration(f"http://{nvrd.http}{url}") - 86400) < 1, "ffprobe says that it lasts a day")
    at = 43200 + 17.3
    frame = players.decoded(f"http://{nvrd.http}{url}", "-ss", str(at), "-t", "0.2")
    report(frame, "ffmpeg plays from its noon", frame)
    report(nvrd.stop() == 0, "SIGTERM ends it")


def check_large_day():
    """A day of a camera with 4 Mbit/s: it begins at once, and costs no memory, wherever one reads. Holes are where its pictures would be."""
    nvrd, day = record_day(PADDING)
    start = int(day.timestamp()) * 1000000
    request(nvrd, clip("porch", start, start + 5000000))  # so that all code was there once
    memory, took = resident_kib(nvrd), []
    for i in range(5):  # another clip each time, so that none is remembered
        url = clip("porch", start + 1 + i * 1000000, start + 86400 * 1000000 - 100000)
        began = time.monotonic()
        with urllib.request.urlopen(f"http://{nvrd.http}{url}", timeout=60) as answer:
            answer.read(1 << 16)
            took.append(time.monotonic() - began)
            total = int(answer.headers["Content-Length"])
            received = sum(len(answer.read(1 << 20)) for _ in range(64))
        report(received == 64 << 20, "it goes on", received)
    generator, most, wrong = random.Random(7), 0, []
    report(total > 40 << 30, f"a day's clip has {total >> 20} MiB")
    for _ in range(200):
        first = generator.randrange(total - (1 << 20))
        status, fields, body = request(nvrd, url, Range=f"bytes={first}-{first + (1 << 20) - 1}")
        most = max(most, resident_kib(nvrd))
        if status != 206 or len(body) != 1 << 20:
            wrong.append((first, status, len(body)))
    report(not wrong, "a MiB from any place", wrong[:5])
    print(f"# a day of 4 Mbit/s: the first bytes after {min(took):.3f} to {max(took):.3f} s; resident memory grew by {most - memory} KiB")
    if PLAIN:
        report(min(took) < 0.2, "it starts within 200 ms", took)
        report(most - memory < 4096, "with less than 4 MiB of memory", most - memory)
    place = 43200 + 17.3
    seen = players.decoded(f"http://{nvrd.http}{url}", "-ss", str(place), "-t", "0.2")
    report(seen, "ffmpeg plays from its noon", seen)
    report(nvrd.stop() == 0, "SIGTERM ends it")


check_recorded()
check_day()
if PLAIN or os.environ.get("NVRD_LONG") == "1":
    check_large_day()
else:
    skip("a day of 4 Mbit/s", "it is of no use with sanitizers, and takes minutes and a GB: NVRD_PLAIN=1, or NVRD_LONG=1")
finish()
